"""One training run from its config to its folder of results."""

import traceback
from datetime import datetime
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from src.config import typed
from src.data.images import LabelledImages, fingerprint
from src.data.loading import AUGMENTATION
from src.data.seeds import make_generator
from src.data.split import Splits
from src.errors import Interrupted, UserError
from src.models.summary import Summary, summarise
from src.overrides import exact_command
from src.results.board import Board
from src.results.environment import describe_environment
from src.results.history import write_history
from src.results.run_folder import RunFolder, write_text
from src.results.terminal import LiveTable, Terminal
from src.training.checkpoint import Progress, load_checkpoint, require_base, restore
from src.training.closing import close_run, close_rung
from src.training.device import Placement, choose_placement
from src.training.features import cached, can_be_cached
from src.training.interruption import StopRequest, stop_on_signals
from src.training.learner import Learner, Preprocess
from src.training.loop import fit
from src.training.prepare import fit_to_data, load_data, make_learner, make_loader, make_network
from src.training.session import Run
from src.training.sizes import work_until
from src.training.warm_start import seen_by_base
from src.training.wording import heading, next_commands, reason_of, resume_command

WATCHED = {
    "holdout": "val: images held out of the training set; * the best epoch so far",
    "fold": "val: the fold held out of the training set; * the best epoch so far",
    "test": "val: the TEST set, watched every epoch (the report's protocol); nothing may be chosen by it",
    "none": "no validation: all training images are trained on, and the last epoch is evaluated",
}


def execute(config: DictConfig, folder: RunFolder, quiet: bool = False) -> None:
    """Trains, or goes on training, in `folder`, and leaves result.json there however it ends.

    With `quiet` only the run's log is written.

    While it trains the status is "running"; a run that was killed keeps it. Raises UserError for what the user can
    mend, Interrupted after a signal.
    """
    before = folder.load_result()
    facts: dict[str, Any] = {
        "seed": config.seed,
        "started": before.get("started") or datetime.now().isoformat(timespec="seconds"),
        "commands": [*before.get("commands", []), exact_command()],
        "rungs": before.get("rungs", {}),
    }
    terminal, progress = Terminal(folder.log, quiet), Progress()
    _record(folder, "running", progress, facts)
    try:
        with stop_on_signals() as stop:
            train_and_evaluate(config, folder, terminal, progress, stop, facts)
            status = "paused" if facts["stopped_by"] == "pause" else "completed"
            _record(folder, status, progress, facts)
    except Interrupted:
        _record(folder, "interrupted", progress, facts)
        terminal.say(f"\ninterrupted, everything is saved; go on with:\n  {resume_command(folder)}")
        raise
    except Exception as error:
        reason = reason_of(error, config)
        _record(folder, "failed", progress, facts, reason=str(reason or f"{type(error).__name__}: {error}"))
        if reason:
            raise reason from error
        with folder.log.open("a") as log:
            log.write(traceback.format_exc())
        raise
    if status == "paused":
        terminal.say(f"paused after epoch {progress.epoch}, as pause_at says; {resume_command(folder)} goes on")
    else:
        commands = "\n".join(f"  {line}" for line in next_commands(folder))
        terminal.say(f"\neverything is in {folder.path}; next:\n{commands}")
    stop.raise_if_asked()  # it came too late for this run, but not for the rest of a sweep


def train_and_evaluate(
    config: DictConfig,
    folder: RunFolder,
    terminal: Terminal,
    progress: Progress,
    stop: StopRequest,
    facts: dict[str, Any],
) -> None:
    """The run itself. `progress` and `facts`, for result.json, are filled as they become known."""
    data, settings = typed(config)
    placement = choose_placement(settings)
    splits = load_data(config)
    folder.save_config(config)
    network = make_network(config, placement)
    fit_to_data(network, config, splits.train, placement)
    on_features = can_be_cached(network, config, len(splits.dataset.train) + len(splits.dataset.test))
    inputs = splits
    if on_features:
        inputs = cached(splits, network, config, placement, terminal.say, stop.raise_if_asked)
    loader, augmentation = make_loader(config, inputs.train, placement)
    learner = make_learner(config, network, placement, augmentation, len(loader), on_features)
    summary = summarise(network, data.image_size)
    write_text(folder.summary, f"{summary}\n")
    facts |= _known_at_the_start(config, splits, summary, placement)
    _record(folder, "running", progress, facts)
    terminal.say(heading(config, folder, splits, placement.description))
    terminal.say(f"\n{summary}\n")

    if folder.checkpoint("last").exists():
        resume_from(folder, learner, progress, facts["data"]["fingerprint"], config.init.run)
        terminal.say(f"going on after epoch {progress.epoch}, batch {progress.batch}\n")

    watched = inputs.test if data.validation == "test" else inputs.validation
    table = _live_table(terminal, config, len(loader), len(watched or ()) / len(splits.train))
    with Board(folder.path, purge_step=progress.epoch + 1 if progress.step else 0) as board:
        if progress.step == 0:
            board.opening(OmegaConf.to_yaml(config), str(summary), _as_trained(config, splits.train, placement))
        run = Run(
            learner=learner,
            loader=loader,
            validation=watched.to(placement.device) if watched else None,
            classes=splits.classes,
            seed=config.seed,
            settings=settings,
            pause_at=config.pause_at,
            chooses_checkpoint=data.chooses_checkpoint,
            closing_images=_closing_images(splits, settings.both_sides),
            folder=folder,
            fingerprint=facts["data"]["fingerprint"],
            observers=(table, board),
            stop=stop,
        )
        with table:
            facts["stopped_by"] = fit(run, progress)
        if facts["stopped_by"] == "pause":
            facts |= close_rung(run)
            facts["rungs"][str(config.pause_at)] = {"metrics": facts["metrics"]}
        else:
            facts |= close_run(run, progress, splits, inputs, config, board, terminal)


def _live_table(terminal: Terminal, config: DictConfig, batches: int, watched_share: float) -> LiveTable:
    data, settings = typed(config)
    work = partial(work_until, settings=settings, image_size=data.image_size)
    return LiveTable(terminal, settings.epochs, batches, watched_share, WATCHED[data.validation], work)


def resume_from(folder: RunFolder, learner: Learner, progress: Progress, fingerprint: str, base: str | None) -> None:
    """Puts everything into the state of the last checkpoint.

    Raises UserError where the data, or the frozen part of `base`, has changed since.
    """
    content = load_checkpoint(folder.checkpoint("last"))
    if content["fingerprint"] != fingerprint:
        raise UserError(
            f"the data is no longer that which {folder.path} began with (fingerprint {fingerprint} instead of "
            f"{content['fingerprint']}); put back what data.root held, or start a new run."
        )
    require_base(content, learner.frozen_hash, base)
    restore(content, learner, progress)
    write_history(folder.history, progress.history)


def _known_at_the_start(config: DictConfig, splits: Splits, summary: Summary, placement: Placement) -> dict[str, Any]:
    return {
        "parameters": summary.parameters,
        "running_statistics": summary.statistics,
        "multiply_adds": summary.multiply_adds,
        "data": {
            "source": config.data.source["_target_"],
            "validation": config.data.validation,
            "train_images": len(splits.train),
            "validation_images": len(splits.validation or ()),
            "test_images": len(splits.test),
            "seen_by_base": _seen(splits, config),
            "fingerprint": fingerprint(splits.train, splits.validation, splits.test),
        },
        "environment": describe_environment(placement.description),
    }


def _as_trained(config: DictConfig, train: LabelledImages, placement: Placement) -> torch.Tensor:
    """The first 32 training images of the run as the network gets them, before normalisation."""
    loader, augmentation = make_loader(config, train, placement)
    images, _ = next(iter(loader.batches(0)))
    draws = augmentation.draw(make_generator(config.seed, 0, 0, AUGMENTATION, device=images.device), len(images))
    return augmentation(Preprocess([0, 0, 0], [1, 1, 1], placement).pixels(images), draws)[:32]


def _closing_images(splits: Splits, both_sides: bool) -> int:
    unseen = len(splits.validation or ()) + len(splits.test)
    return len(splits.train) + unseen * (2 if both_sides else 1)


def _seen(splits: Splits, config: DictConfig) -> int:
    """How many of the images that validate had trained the base: they make its heads look better than they are."""
    if splits.validation_indices is None:
        return 0
    return int(torch.isin(splits.validation_indices, seen_by_base(splits.dataset, config)).sum())


def _record(
    folder: RunFolder, status: str, progress: Progress, facts: dict[str, Any], reason: str | None = None
) -> None:
    folder.save_result(
        {
            "status": status,
            **({"reason": reason} if reason else {}),
            "epochs": progress.epoch,
            "steps": progress.step,
            "seconds": round(progress.seconds, 3),
            "best_epoch": progress.best_epoch or None,
            "best_val_top1": progress.best_top1,
            **facts,
            "updated": datetime.now().isoformat(timespec="seconds"),
        }
    )
