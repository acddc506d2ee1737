"""Evaluates a checkpoint of a run on the run's own data: `python -m src.evaluate run=outputs/<run>`; see `--help`."""

import json
from dataclasses import asdict

from omegaconf import DictConfig

from src.cli import run_command
from src.config import moved
from src.errors import require, require_choice

SPLITS = ("test", "val", "train")


def evaluate(config: DictConfig) -> None:
    """Prints the metrics of one checkpoint on one part of the data, and the run's own number where it has one."""
    require(bool(config.run), "run is missing; name it, as in run=outputs/<run>")
    require_choice("split", config.split, SPLITS)
    require_choice("format", config.format, ("table", "json"))

    from src.formatting import percent
    from src.metrics import measure
    from src.training.build import fingerprint_of, load_splits
    from src.training.checkpoint import require_same_data
    from src.training.final_eval import metrics_table
    from src.training.inference import average_flips
    from src.training.trained_model import load_trained

    trained = load_trained(config.run, config.checkpoint, config.device, config.trust)
    splits = load_splits(moved(trained.config, config.data.root))
    require_same_data({"fingerprint": trained.fingerprint}, fingerprint_of(splits), trained.run_dir)
    data = {"test": splits.test, "val": splits.validation, "train": splits.train}[config.split]
    if data is None and trained.config.data.validation == "test":
        data = splits.test
    require(data is not None, f"split={config.split}: the run held no images out (data.validation=none)")
    logits = trained.logits(data.images)
    metrics = measure(logits, data.labels, splits.classes)
    flipped = None
    if trained.config.trainer.tta_flip if config.tta_flip is None else config.tta_flip:
        mean_logits = average_flips(logits, data.images, trained.logits)
        flipped = measure(mean_logits, data.labels, splits.classes)

    if config.format == "json":
        described = {"run": config.run, "checkpoint": trained.checkpoint, "epoch": trained.epoch, "split": config.split}
        numbers = {**described, **asdict(metrics), "tta_flip": asdict(flipped) if flipped else None}
        print(json.dumps(numbers, indent=2, allow_nan=False))
        return
    print(f"{config.run}, {trained.checkpoint} checkpoint (epoch {trained.epoch})\n")
    print(metrics_table({config.split: metrics}, {config.split: flipped} if flipped else None))
    result = trained.run_dir.load_result()
    own = ((result.get("metrics") or {}).get(config.split) or {}).get("top1")
    if result.get("evaluated") == trained.checkpoint and own is not None:
        verdict = "the same" if own == metrics.top1 else f"which differs by {metrics.top1 - own:+.4f}: another device?"
        print(f"\nthe run's own top1: {percent(own)}, {verdict}")


def main() -> None:
    run_command("evaluate", evaluate)


if __name__ == "__main__":
    main()
