"""Another length for a run that has begun or ended: `resume=outputs/<run> trainer.epochs=20`.

It must not change what the run has done so far: the result is that of a run of the new length from the start.
"""

from dataclasses import replace

from src.config import RunConfig
from src.errors import require
from src.overrides import shell_override
from src.result import Status, StopReason
from src.run_dir import RunDir
from src.targets import build

POINTS = 1000  # of the schedule, at which both lengths are compared


def change_epochs(run_dir: RunDir, config: RunConfig, epochs: float | None) -> RunConfig:
    """The settings with `epochs`, written to the run's config.yaml; the run is then not finished.

    Raises UserError, which says how to start from its weights instead, where the epochs that are done would have been
    others.
    """
    trainer, result = config.trainer, run_dir.load_result()
    if epochs == trainer.epochs:
        return config
    done = result.get("epochs", 0)
    is_between = result.get("status") in (Status.COMPLETED, Status.PAUSED)
    begun = done if is_between and result.get("stopped_by") != StopReason.MAX_MINUTES else done + 1
    require(epochs is not None, "trainer.epochs=null plans a new run; name a number of epochs, or leave it out")
    require(
        epochs > done and epochs >= begun,
        f"trainer.epochs={epochs:g}: {run_dir.path} is in epoch {begun}; name a larger number"
        if begun > done
        else f"trainer.epochs={epochs:g}: {run_dir.path} has done {done} epochs; name a larger number",
    )
    problem = _find_dependence(config, begun, epochs)
    base = shell_override("init.run", run_dir.path)
    require(
        problem is None,
        f"trainer.epochs={epochs:g} would change what {run_dir.path} has done so far: {problem}; start a new "
        f"run from its weights with {base}",
    )
    config = replace(config, trainer=replace(trainer, epochs=epochs))
    run_dir.write_config(config)
    if result.get("status") == Status.COMPLETED:
        run_dir.update_result(status=Status.INTERRUPTED)
    return config


def _find_dependence(config: RunConfig, begun: int, epochs: float) -> str | None:
    """Which setting makes the first `begun` epochs, of which the last may be under way, depend on the run's length."""
    trainer = config.trainer
    if trainer.epochs is None:
        return f"trainer.max_minutes={trainer.max_minutes:g} has chosen their number"
    if begun > trainer.epochs:
        return f"the last one was a part of an epoch (trainer.epochs={trainer.epochs:g})"
    for setting in ("progressive_resizing", "swa_start"):
        if getattr(trainer, setting):
            return f"trainer.{setting} counts in shares of the run"
    schedule = build(config.scheduler, "scheduler")
    points = [begun * point / POINTS for point in range(POINTS + 1)]  # the end is the next step's
    if any(schedule(point, trainer.epochs) != schedule(point, epochs) for point in points):
        return f"the learning rates of its scheduler ({config.scheduler['_target_']}) follow from its length"
    return None
