"""How many epochs fit into trainer.max_minutes, for runs with trainer.epochs=null."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from src.config import RunConfig
from src.data.split import Splits
from src.errors import require
from src.run_dir import RunDir
from src.training.averaging import NUM_INIT_IMAGES
from src.training.final_eval import forward_share, num_evaluated
from src.training.inference import Classifier
from src.training.messages import log
from src.training.progressive_resizing import mean_cost
from src.training.rehearsal import build_double, rehearse
from src.training.trainer import Trainer

USED = 0.92  # of the time is planned; a run that becomes slower than planned ends at max_minutes
STEPS = {"cpu": 2, "cuda": 20}  # timed, after as many that are not
ENDLESS = 1e9  # epochs


def settle_epochs(
    config: RunConfig, classifier: Classifier, splits: Splits, run_dir: RunDir, saved: Mapping[str, Any] | None
) -> RunConfig:
    """The config with a number of epochs: its own, or with null as many as fit into trainer.max_minutes.

    They follow from the speed of a few steps before the run begins. A resumed run keeps those of its checkpoint, which
    is `saved`.

    Raises UserError where not even one step fits, and for what `rehearse` finds.
    """
    trainer = config.trainer
    if trainer.epochs is not None:
        return config
    if saved:
        epochs = saved.get("planned_epochs")
        fits = isinstance(epochs, int | float) and 0 < epochs < ENDLESS
        require(fits, f"{run_dir.checkpoint('last')} has no number of epochs; restore it, or train in another folder")
    else:
        with classifier.placement.kept_generators():
            epochs = classifier.placement.ranks.share(plan_epochs(config, classifier, splits, run_dir))
        log.info(f"trainer.max_minutes={trainer.max_minutes:g} allows {epochs:.2f} epochs on this machine")
    warmup = config.scheduler.get("warmup_epochs", 0)
    require(
        warmup < epochs,
        f"scheduler.warmup_epochs={warmup:g} is longer than the {epochs:.2f} epochs that trainer.max_minutes="
        f"{trainer.max_minutes:g} allows here; lower it, or raise trainer.max_minutes",
    )
    if classifier.placement.ranks.is_leader:
        run_dir.update_result(planned_epochs=epochs)
    return replace(config, trainer=replace(trainer, epochs=epochs))


def plan_epochs(config: RunConfig, classifier: Classifier, splits: Splits, run_dir: RunDir) -> float:
    """Rehearses the run, times its steps at each size of image, and counts the epochs that fit."""
    endless = replace(config, trainer=replace(config.trainer, epochs=ENDLESS))
    trainer = Trainer(endless, classifier, splits, run_dir)
    rehearse(trainer)
    sizes = {size for _, size in config.trainer.progressive_resizing} | {config.data.image_size}
    seconds = {size: step_seconds(endless, classifier, splits, run_dir, size) for size in sizes}
    return count_epochs(config, splits, seconds, trainer.loader.plan.num_steps)


def count_epochs(config: RunConfig, splits: Splits, seconds: Mapping[int, float], num_steps: int) -> float:
    """Epochs of `num_steps` steps that leave time for validation after each and for the final evaluation.

    `seconds`: of a step, per image, with images of so many pixels.
    """
    trainer, full_size, num_images = config.trainer, config.data.image_size, len(splits.train)
    training = num_images * mean_cost(trainer.progressive_resizing, full_size, seconds.__getitem__)
    forward = seconds[full_size] * forward_share(config)
    watched = splits.test if config.data.validation == "test" else splits.validation
    averaged = 0 if trainer.swa_start is None else (1 - trainer.swa_start) * min(NUM_INIT_IMAGES, num_images)
    epoch = training + (len(watched or ()) + averaged) * forward
    evaluation = num_evaluated(splits, trainer.tta_flip) * forward
    steps = math.floor((60 * USED * trainer.max_minutes - evaluation) / epoch * num_steps)
    needed = math.ceil((evaluation + epoch / num_steps) / USED / 60 * 100) / 100
    require(
        steps >= 1,
        f"trainer.max_minutes={trainer.max_minutes:g} is too short for one step and the evaluation, which take about "
        f"{needed:g} minutes; raise it, or use fewer images with data.limit",
    )
    return steps / num_steps


def step_seconds(config: RunConfig, classifier: Classifier, splits: Splits, run_dir: RunDir, size: int) -> float:
    """Time of a training step per image, on a copy of the network, with images of `size` pixels."""
    stages = [] if size == config.data.image_size else [[1 - 1e-9, size]]
    timed = replace(config, trainer=replace(config.trainer, progressive_resizing=stages))
    steps = STEPS[classifier.placement.device.type]
    count = min(steps * config.data.batch_size * config.trainer.grad_accumulation_steps, len(splits.train))
    double = build_double(timed, classifier, splits, run_dir, count, workers=config.data.workers)
    for _ in range(2):  # the first time warms up
        started = time.perf_counter()
        double.train_epoch()  # reads the loss, and so waits for the device
        taken = time.perf_counter() - started
        double.end_epoch(None)
    double.loader.close()
    return taken / count
