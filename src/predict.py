"""Classifies images of any size with a run's network: `python -m src.predict run=... images='*.png'`; see `--help`."""

import glob
import json
from pathlib import Path

from omegaconf import DictConfig

from src.commandline import run_command
from src.errors import require, require_choice


def predict(config: DictConfig) -> None:
    """Prints the likeliest classes of every image, with their probabilities."""
    require(bool(config.images), "images is missing; name it, as in images='path/*.png'")
    require(bool(config.run), "run is missing; name it, as in run=outputs/<run>")
    require_choice("format", config.format, ("table", "json"))
    require(config.top >= 1, f"top={config.top} must be at least 1")
    paths = [config.images] if Path(config.images).is_file() else sorted(glob.glob(config.images, recursive=True))
    paths = [path for path in paths if Path(path).is_file()]
    require(bool(paths), f"images={config.images} matches no file; quote a pattern, as in images='path/*.png'")

    import torch

    from src.data.folder import read_image
    from src.tables import format_table, percent
    from src.training.trained import load_trained

    trained = load_trained(config.run, config.checkpoint, config.device)
    images = torch.stack([read_image(path, trained.config.data.image_size) for path in paths])
    likeliest = trained.logits(images).softmax(dim=1).topk(min(config.top, len(trained.classes.names)), dim=1)
    predictions = {
        path: [(trained.classes.names[label], probability) for label, probability in zip(labels, values, strict=True)]
        for path, labels, values in zip(paths, likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
    }
    if config.format == "json":
        print(json.dumps({path: [{"class": name, "probability": p} for name, p in ranked]
                          for path, ranked in predictions.items()}, indent=2))  # fmt: skip
        return
    rows = [
        (path if rank == 0 else "", name, percent(probability))
        for path, ranked in predictions.items()
        for rank, (name, probability) in enumerate(ranked)
    ]
    print(format_table(("image", "class", "probability"), rows, align="<<>"))


def main() -> None:
    run_command("predict", predict)


if __name__ == "__main__":
    main()
