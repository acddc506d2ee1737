"""README.md beside an exported file, its model card, and the same facts within the file."""

import json
from collections.abc import Mapping
from typing import Any

from src.exports.check import Check
from src.exports.formats import FORMATS
from src.formatting import format_markdown, percent
from src.training.trained_model import TrainedModel

HEAD = """\
# {network}: an image classifier as {title}

`{file}` is the network of the run `{run}`, {checkpoint} checkpoint (epoch {epoch}), exported by cifarlab.
It distinguishes {count} classes: `classes.json` has their names in the order of the labels.
`example.py` shows how the file is used, without cifarlab.
"""
PIXELS = """\
- Input `images`: uint8 (N, 3, {size}, {size}), RGB, for any N. The normalization is inside the file.
  An image of another size: resize its {fitted}.
  A gray image: three equal channels.
- Output `probabilities`: float32 (N, {count}), in the order of `classes.json`: the softmax of {logits}.
"""
WEIGHTS = """\
The file holds the state dict of `{target}` with these arguments:

    {arguments}

- Input of the network: float32 (N, 3, {size}, {size}), RGB: (pixels / 255 - mean) / std, for each channel with
  mean {mean} and std {std}.
- Output: logits (N, {count}), in the order of `classes.json`.

The metadata of the file has these facts as JSON: `safetensors.safe_open(path, "pt").metadata()`.
"""


def make_metadata(trained: TrainedModel) -> dict[str, str]:
    """What the file itself says, as JSON by name: all that must be known to use its weights."""
    data = trained.config.data
    facts = {
        "classes": trained.classes.names,
        "image_size": data.image_size,
        "mean": data.pixel_mean,
        "std": data.pixel_std,
        "model": _model_node(trained),
    }
    return {name: json.dumps(value) for name, value in facts.items()}


def make_card(name: str, trained: TrainedModel, check: Check, tta_flip: bool) -> str:
    """The text of README.md for an export in the format `name`."""
    result, chosen = trained.run_dir.load_result(), FORMATS[name]
    head = HEAD.format(
        network=result.get("choices", {}).get("model") or trained.config.model["_target_"],
        title=chosen.title,
        file=chosen.file,
        run=trained.run_dir.path.name,
        checkpoint=trained.checkpoint,
        epoch=trained.epoch,
        count=len(trained.classes.names),
    )
    use = describe_weights(trained) if name == "safetensors" else describe_pixels(trained, tta_flip)
    accuracy = describe_accuracy(trained, result, tta_flip)
    sections = {"Use": use, "Accuracy": accuracy, "Training": describe_training(trained, result), "Check": f"{check}\n"}
    return "\n".join([head, *(f"## {title}\n\n{text}" for title, text in sections.items())])


def describe_pixels(trained: TrainedModel, tta_flip: bool) -> str:
    logits = "the mean logits of each image and its mirror image (tta_flip)" if tta_flip else "the logits"
    size = trained.config.data.image_size
    fitted = {
        "crop": f"shorter side to {size} pixels (bilinear, antialiased), then crop the center",
        "letterbox": f"longer side to {size} pixels (bilinear, antialiased), then add gray borders (128)",
    }[trained.config.data.fit]
    return PIXELS.format(size=size, fitted=fitted, count=len(trained.classes.names), logits=logits)


def describe_weights(trained: TrainedModel) -> str:
    data, node = trained.config.data, _model_node(trained)
    arguments = ", ".join(f"{key}={value!r}" for key, value in node.items() if key != "_target_")
    return WEIGHTS.format(
        target=node["_target_"],
        arguments=arguments,
        size=data.image_size,
        mean=data.pixel_mean,
        std=data.pixel_std,
        count=len(trained.classes.names),
    )


def describe_accuracy(trained: TrainedModel, result: Mapping[str, Any], tta_flip: bool) -> str:
    """The run's own numbers in result.json, which are those of the checkpoint that it evaluated."""
    if not result.get("metrics") or result.get("evaluated") != trained.checkpoint:
        return f"The run did not evaluate its {trained.checkpoint} checkpoint; `python -m src.evaluate` does.\n"
    measured = {
        f"{part}{suffix}": (result.get(key) or {}).get(part)
        for key, suffix in (("metrics", ""), ("tta_flip", ", with mirror images"))
        for part in ("val", "test")
    }
    rows = [
        (name, f"{m['images']:,}", percent(m["top1"]), percent(m["top5"]), f"{m['loss']:.4f}")
        for name, m in measured.items()
        if m
    ]
    table = format_markdown(("images", "number", "top-1 accuracy", "top-5", "loss"), rows, "<>>>>")
    notes = [f"The run's evaluation. The export is {'with' if tta_flip else 'without'} mirror images."]
    if result.get("calibration"):
        notes.append(f"The run's temperature, {result['calibration']['temperature']:.3f}, is not applied.")
    return f"{table}\n\n{' '.join(notes)}\n"


def describe_training(trained: TrainedModel, result: Mapping[str, Any]) -> str:
    """Data, length, optimizer, device and command lines."""
    config, data, environment = trained.config, result.get("data", {}), result.get("environment", {})
    optimizer = ", ".join(f"{key}={value}" for key, value in config.optimizer.items() if not key.startswith("_"))
    augmentation = config.augmentation["_target_"] if config.data.augment else "none"
    commands = "\n".join(f"    {command}" for command in result.get("commands", []))
    return (
        f"- Data: `{config.data.source['_target_']}`, {data.get('train_images', 0):,} training images, fingerprint "
        f"`{trained.fingerprint}`\n"
        f"- Augmentation: {augmentation}\n"
        f"- Epochs: {trained.epoch}, in batches of {config.data.batch_size}; seed {config.seed}\n"
        f"- Optimizer: `{config.optimizer['_target_']}` ({optimizer}); schedule `{config.scheduler['_target_']}`\n"
        f"- Device: {environment.get('device', 'unknown')}; PyTorch {environment.get('torch', 'unknown')}\n"
        f"\nThe command lines:\n\n{commands}\n"
    )


def _model_node(trained: TrainedModel) -> dict[str, Any]:
    """The network's class and arguments, with the number of classes where that followed the data."""
    node = trained.config.model
    return node | ({"num_classes": len(trained.classes.names)} if "num_classes" in node else {})
