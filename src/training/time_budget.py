"""How many epochs fit into trainer.max_minutes, for runs with trainer.epochs=null."""

import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from src.config import RunConfig
from src.data.split import Splits
from src.errors import require
from src.run_dir import RunDir
from src.training.final_eval import num_evaluated
from src.training.inference import Classifier
from src.training.messages import log
from src.training.rehearsal import build_double

USED = 0.92  # of the time is planned; what a machine loses by slowing down ends at max_minutes
FORWARD = 1 / 3  # of a step's time is its forward pass
WARM_UP, MEASURED = 2, 3  # steps


def settle_epochs(config: RunConfig, classifier: Classifier, splits: Splits, run_dir: RunDir) -> RunConfig:
    """The config with a number of epochs: its own, or with null as many as fit into trainer.max_minutes.

    They are computed from the speed of a few steps before the run begins, and written to result.json, so that the run
    continues with the same number. Raises UserError where not even one step fits.
    """
    if config.trainer.epochs is not None:
        return config
    epochs = run_dir.load_result().get("planned_epochs")
    if epochs is None:
        with torch.random.fork_rng():
            sizes = {size for _, size in config.trainer.progressive_resizing} | {config.data.image_size}
            seconds = {size: step_seconds(config, classifier, splits, run_dir, size) for size in sizes}
        epochs = count_epochs(config, splits, seconds)
        run_dir.update_result(planned_epochs=epochs)
    log.info(f"trainer.max_minutes={config.trainer.max_minutes:g} allows {epochs:g} epochs on this machine")
    return replace(config, trainer=replace(config.trainer, epochs=epochs))


def count_epochs(config: RunConfig, splits: Splits, seconds: Mapping[int, float]) -> float:
    """Epochs, in hundredths, that leave time for validation after each and for the final evaluation.

    `seconds`: of a step, per image, with images of so many pixels.
    """
    trainer, full_size, num_images = config.trainer, config.data.image_size, len(splits.train)
    training = start = 0.0
    for end, size in [*trainer.progressive_resizing, (1.0, full_size)]:
        training += (end - start) * num_images * seconds[size]
        start = end
    full = seconds[full_size]
    watched = splits.test if config.data.validation == "test" else splits.validation
    per_epoch = training + len(watched or ()) * full * FORWARD
    left = 60 * USED * trainer.max_minutes - num_evaluated(splits, trainer.tta_flip) * full * FORWARD
    epochs = round(left / per_epoch, 2)
    step = per_epoch / num_images * config.data.batch_size
    short = (60 * USED * trainer.max_minutes - left + step) / USED / 60
    require(
        left >= step and epochs > 0,
        f"trainer.max_minutes={trainer.max_minutes:g} is too short for one step and the evaluation, which take about "
        f"{short:.1f} minutes; raise it, or use fewer images with data.limit",
    )
    return epochs


def step_seconds(config: RunConfig, classifier: Classifier, splits: Splits, run_dir: RunDir, size: int) -> float:
    """Time of a training step per image, on a copy of the network, with images of `size` pixels."""
    stages = [] if size == config.data.image_size else [[1 - 1e-9, size]]
    settings = replace(config.trainer, epochs=WARM_UP + MEASURED, progressive_resizing=stages)
    batch = min(config.data.batch_size * config.trainer.grad_accumulation_steps, len(splits.train))
    double = build_double(replace(config, trainer=settings), classifier, splits, run_dir, batch)
    for _ in range(WARM_UP):
        double.train_epoch()
    started = time.perf_counter()
    for _ in range(MEASURED):
        double.train_epoch()  # reads the loss, and so waits for the device
    return (time.perf_counter() - started) / (MEASURED * batch)
