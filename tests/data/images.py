"""Trees of small image files, for tests."""

from pathlib import Path

from PIL import Image

COLORS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def write_image(path: Path, color=(255, 0, 0), size=(12, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def write_classes(folder: Path, count: int, classes=("blue", "red")) -> None:
    """`count` images of each class, each of its color."""
    for name in classes:
        for index in range(count):
            write_image(folder / name / f"{index}.png", COLORS[name])
