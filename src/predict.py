"""Classifies images of any size with a run's model: `python -m src.predict run=... images='*.png'`; see `--help`."""

import glob
import json
import os
from pathlib import Path

from omegaconf import DictConfig

from src.cli import run_command
from src.errors import require, require_choice
from src.formatting import printable


def predict(config: DictConfig) -> None:
    """Prints the most probable classes of every image."""
    require(bool(config.images), "images is missing; name it, as in images='path/*.png'")
    require(bool(config.run), "run is missing; name it, as in run=outputs/<run>")
    require_choice("format", config.format, ("table", "json"))
    require(config.top >= 1, f"top={config.top} must be at least 1")
    paths = find_images(config.images)

    import torch

    from src.data.decoding import read_image
    from src.formatting import format_table, percent
    from src.training.trained_model import load_trained

    trained = load_trained(config.run, config.checkpoint, config.device, config.trust)
    names = trained.classes.names
    images = torch.stack([read_image(path, trained.config.data.image_size, trained.config.data.fit) for path in paths])
    top = trained.logits(images).softmax(dim=1).topk(min(config.top, len(names)), dim=1)
    predictions = {
        path: [(names[label], probability) for label, probability in zip(labels, values, strict=True)]
        for path, labels, values in zip(paths, top.indices.tolist(), top.values.tolist(), strict=True)
    }
    if config.format == "json":
        ranked = {path: [{"class": c, "probability": p} for c, p in top] for path, top in predictions.items()}
        print(json.dumps(ranked, indent=2, allow_nan=False))
        return
    rows = [
        (printable(path) if rank == 0 else "", printable(name), percent(probability))
        for path, ranked in predictions.items()
        for rank, (name, probability) in enumerate(ranked)
    ]
    print(format_table(("image", "class", "probability"), rows, align="<<>"))


def find_images(pattern: str) -> list[str]:
    """The file of that name, or the files that match. Raises UserError where there are none."""
    pattern = str(Path(os.path.expanduser(pattern)))
    paths = [pattern] if os.path.isfile(pattern) else sorted(glob.glob(_with_literal_folders(pattern), recursive=True))
    paths = [path for path in paths if os.path.isfile(path)]
    hint = "; write [[] for a [ in a name" if "[" in pattern else ""
    problem = f"images={printable(pattern)} matches no file; quote a pattern, as in images='path/*.png'{hint}"
    require(bool(paths), problem)
    return paths


def _with_literal_folders(pattern: str) -> str:
    """The pattern with the folders that exist by the names at its start taken literally: "shots[1]/*.png"."""
    folder, found = os.path.split(pattern)
    while folder and not os.path.isdir(folder):
        folder, part = os.path.split(folder)
        found = os.path.join(part, found)
    return os.path.join(glob.escape(folder), found)


def main() -> None:
    run_command("predict", predict)


if __name__ == "__main__":
    main()
