"""Writes a run's network as a file for other programs: `python -m src.export run=outputs/<run>`; see `--help`."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from src.cli import run_command
from src.errors import require, require_choice
from src.files import write_text
from src.run_dir import find_run, relative

if TYPE_CHECKING:  # slow to import
    from src.training.trained_model import TrainedModel

FILES = ("classes.json", "README.md", "example.py")


def export(config: DictConfig) -> None:
    """Writes the file, checks it, and puts it and what describes it into the folder `to`."""
    require(bool(config.run), "run is missing; name it, as in run=outputs/<run>")
    run_dir = find_run(config.run)

    from src.exports.card import make_card, make_metadata
    from src.exports.check import choose_images, compare
    from src.exports.classifier import build_exported, expected_probabilities
    from src.exports.examples import make_example
    from src.exports.formats import FORMATS, require_packages, write_and_read
    from src.training.trained_model import load_trained

    require_choice("format", config.format, tuple(FORMATS))
    require_packages(config.format)
    to = Path(config.to).expanduser() if config.to else run_dir.path / "export" / config.format
    file = FORMATS[config.format].file
    require_free(to, (file, *FILES), config.overwrite)
    trained = load_trained(config.run, config.checkpoint, "cpu", config.trust)
    images, source = choose_images(trained, config.data.root)
    expected = expected_probabilities(trained, images, config.tta_flip)
    with tempfile.TemporaryDirectory(prefix=".export.", dir=_existing(to)) as folder:
        place = Path(folder)
        classifier = build_exported(trained, config.tta_flip)
        probabilities = write_and_read(config.format, classifier, place / file, make_metadata(trained))
        check = compare(probabilities, images, source, expected)
        names = json.dumps(trained.classes.names, indent=2, ensure_ascii=False)
        write_text(place / "classes.json", f"{names}\n")
        write_text(place / "README.md", make_card(config.format, trained, check, config.tta_flip))
        write_text(place / "example.py", make_example(config.format, trained.config.data))
        to.mkdir(parents=True, exist_ok=True)
        for path in place.iterdir():
            path.replace(to / path.name)
    print(describe(to / file, trained, config))
    print(check)


def describe(path: Path, trained: "TrainedModel", config: DictConfig) -> str:
    """What was written, with which weights, and what it computes."""
    size, count = trained.config.data.image_size, len(trained.classes.names)
    lines = [f"{relative(path.absolute())}", f"{trained.checkpoint} checkpoint (epoch {trained.epoch})"]
    if config.format == "safetensors":
        return "\n".join([*lines, "weights alone; README.md names the network that takes them"])
    flips = "averaged with mirror images" if config.tta_flip else "without mirror images (tta_flip=true adds them)"
    lines.append(f"images (N, 3, {size}, {size}) uint8 -> probabilities (N, {count}) float32")
    return "\n".join([*lines, f"normalization inside; {flips}"])


def require_free(to: Path, files: tuple[str, ...], overwrite: bool) -> None:
    """Raises UserError where one of `files` is in the folder `to` already."""
    require(not to.exists() or to.is_dir(), f"to={to} is a file; name a folder")
    present = [name for name in files if (to / name).exists()]
    require(
        overwrite or not present,
        f"{to} already holds {', '.join(present)}; replace what is there with overwrite=true, or name another "
        f"folder, as in to={to}_2",
    )


def _existing(to: Path) -> Path:
    """The folder `to`, or the nearest above it that exists: a file moves from there to `to` within one disk."""
    return next(folder for folder in (to.absolute(), *to.absolute().parents) if folder.is_dir())


def main() -> None:
    run_command("export", export)


if __name__ == "__main__":
    main()
