"""Evaluates a checkpoint of a run on the run's own data: `python -m src.evaluate run=outputs/<run>`; see `--help`."""

import json

from omegaconf import DictConfig

from src.commandline import run_command
from src.errors import require, require_choice

SPLITS = ("test", "val", "train")


def evaluate(config: DictConfig) -> None:
    """Prints the metrics of one checkpoint on one part of the data, and the run's own number where it has one.

    Where asked for, or where the run had them, also those of each image and its mirror together, apart.
    """
    require(bool(config.run), "run is missing; name it, as in run=outputs/<run>")
    require_choice("split", config.split, SPLITS)
    require_choice("format", config.format, ("table", "json"))

    from src.results.metrics import measure
    from src.tables import percent
    from src.training.closing import metrics_table
    from src.training.prepare import load_data
    from src.training.trained import load_trained

    trained = load_trained(config.run, config.checkpoint, config.device)
    splits = load_data(trained.config)
    data = {"test": splits.test, "val": splits.validation, "train": splits.train}[config.split]
    if data is None and trained.config.data.validation == "test":
        data = splits.test
    require(data is not None, f"split={config.split}: the run held no images out (data.validation=none)")
    logits = trained.logits(data.images)
    metrics = measure(logits, data.labels, splits.classes)
    mirrored = None
    both_sides = trained.config.trainer.both_sides if config.both_sides is None else config.both_sides
    if both_sides:
        logits = (logits + trained.logits(data.images.flip(-1))) / 2
        mirrored = measure(logits, data.labels, splits.classes)

    if config.format == "json":
        print(json.dumps({"run": config.run, "checkpoint": trained.checkpoint, "epoch": trained.epoch,
                          "split": config.split, **metrics.as_dict(),
                          "both_sides": mirrored.as_dict() if mirrored else None}, indent=2))  # fmt: skip
        return
    print(f"{config.run}, {trained.checkpoint} checkpoint (epoch {trained.epoch})\n")
    print(metrics_table({config.split: metrics}, {config.split: mirrored} if mirrored else None))
    result = trained.folder.load_result()
    if result.get("evaluated") == trained.checkpoint and result["metrics"][config.split]:
        own = result["metrics"][config.split]["top1"]
        verdict = "the same" if own == metrics.top1 else f"which differs by {metrics.top1 - own:+.4f}: another device?"
        print(f"\nthe run's own top1: {percent(own)}, {verdict}")


def main() -> None:
    run_command("evaluate", evaluate)


if __name__ == "__main__":
    main()
