"""The story of one run: data, model, training, evaluation; its folder tells all of it afterwards."""

import contextlib
from functools import partial

import torch

from src.checksums import write_checksums
from src.config import RunConfig
from src.data.split import Splits
from src.files import write_text
from src.loggers.logger import RunStart
from src.models.summary import Summary, summarize
from src.overrides import exact_command
from src.result import Status, StopReason
from src.run_dir import RunDir
from src.training.artifacts import save_figures, save_predictions_of
from src.training.build import (
    build_loggers,
    build_model,
    build_preprocess,
    fingerprint_of,
    initialize_from_data,
    load_splits,
)
from src.training.checkpoint import load_last, require_nothing_lost, restore
from src.training.device import Placement, choose_placement
from src.training.ending import call_safely, open_loggers, record_status
from src.training.environment import describe_environment
from src.training.feature_cache import can_cache, load_or_compute_features
from src.training.final_eval import (
    Evaluation,
    describe_calibration,
    evaluate_at_pause,
    evaluate_run,
    forward_share,
    metrics_table,
    num_evaluated,
)
from src.training.finetune import count_seen_by_base
from src.training.inference import Classifier, NoPreprocess
from src.training.initial_weights import freeze, load_frozen_parts, load_initial_weights
from src.training.launch import Order, call_ranks
from src.training.messages import heading, log, log_messages, next_commands, resume_command
from src.training.progressive_resizing import cost_until
from src.training.ranks import Ranks
from src.training.rehearsal import rehearse
from src.training.signals import StopRequest, stop_on_signals
from src.training.sync_batch_norm import synchronize_batch_norms
from src.training.time_budget import settle_epochs
from src.training.trainer import Trainer


def run(config: RunConfig, run_dir: RunDir, pause_at: int | None = None, command: str | None = None) -> None:
    """Trains from where the run in `run_dir` stands, to its end or to the end of epoch `pause_at`, and evaluates it.

    result.json says "running" meanwhile, and how it ended afterwards; `command` is noted there, None being the command
    line of this process. Raises UserError for what the user can mend, Interrupted after a signal.
    """
    with (
        log_messages(run_dir, "console" in config.logger),
        record_status(run_dir, config, command or exact_command()),
        stop_on_signals(run_dir.log_file) as stop,
        call_ranks(Order(config, run_dir, pause_at), stop) as ranks,
    ):
        trainer, splits, summary = prepare(config, run_dir, stop, ranks)
        start = describe_start(trainer, splits, summary)
        with open_loggers(trainer.loggers, start), contextlib.closing(trainer.loader):
            stopped_by = trainer.fit(pause_at)
            if stopped_by == StopReason.PAUSE:
                record_pause(trainer, evaluate_at_pause(trainer))
            else:
                evaluate_and_finish(trainer, splits, stopped_by)
            write_checksums(run_dir.path, run_dir.summed_files)
    stop.raise_if_asked()  # too late for this run, but not for the rest of a sweep


def take_part(config: RunConfig, run_dir: RunDir, pause_at: int | None, ranks: Ranks) -> None:
    """The same for a rank that is not the leader, which alone writes to `run_dir` and to the terminal."""
    with stop_on_signals(log_file=None) as stop:
        trainer, *_ = prepare(config, run_dir, stop, ranks)
        with contextlib.closing(trainer.loader):
            if trainer.fit(pause_at) == StopReason.PAUSE:
                evaluate_at_pause(trainer)
            else:
                evaluate_run(trainer)


def prepare(config: RunConfig, run_dir: RunDir, stop: StopRequest, ranks: Ranks) -> tuple[Trainer, Splits, Summary]:
    """A trainer in the state from which the run continues; the leader's has loggers, and has written the heading."""
    placement = choose_placement(config.trainer, ranks)
    splits = ranks.leader_first(partial(load_splits, config, stop.raise_if_asked))
    fingerprint = fingerprint_of(splits)
    ranks.require_equal(fingerprint, "the data")
    saved = ranks.share(load_last(run_dir) if ranks.is_leader and run_dir.has_checkpoint else None)
    classifier, summary = build_classifier(config, splits, placement, is_resumed=saved is not None)
    inputs = splits
    if can_cache(classifier.model, config, len(splits.dataset.train) + len(splits.dataset.test)):
        inputs = load_or_compute_features(splits, classifier, config, stop.raise_if_asked)
        preprocess = NoPreprocess([0, 0, 0], [1, 1, 1], placement)
        classifier = Classifier(
            classifier.model, preprocess, placement, config.init.frozen_parts, config.init.keeps_base, on_features=True
        )
    config = settle_epochs(config, classifier, inputs, run_dir, saved)
    loggers = build_loggers(config) if ranks.is_leader else []
    trainer = Trainer(config, classifier, inputs, run_dir, fingerprint, loggers, stop)
    if ranks.is_leader:
        record_start(trainer, splits, summary)
    if saved:
        restore(saved, trainer)
        log.info(f"continuing after epoch {trainer.state.epoch}, batch {trainer.state.batch}\n")
    elif ranks.is_leader:
        require_nothing_lost(run_dir)
    if trainer.state.step == 0:
        rehearse(trainer)
    return trainer, splits, summary


def build_classifier(
    config: RunConfig, splits: Splits, placement: Placement, is_resumed: bool = False
) -> tuple[Classifier, Summary]:
    """The network with the weights from which the run starts, and its description.

    A resumed run has its weights in its checkpoint, but for those that its base run keeps.
    """
    init, num_classes = config.init, len(splits.classes.names)
    model = build_model(config, num_classes, placement)
    if is_resumed and init.keeps_base:
        load_frozen_parts(model, init)
    elif not is_resumed and (init.run or init.weights):
        load_initial_weights(model, init, num_classes, config.data.image_size)
    elif not is_resumed:
        initialize_from_data(model, config, splits.train, placement)
    if init.unfreeze_epochs is None:
        freeze(model, init.frozen_parts)
    summary = summarize(model, config.data.image_size)
    placement.ranks.share_weights(model)  # GPUs of different kinds may compute other ones
    if placement.ranks.size > 1 and config.trainer.sync_batch_norm:
        synchronize_batch_norms(model, placement.ranks)
    preprocess = build_preprocess(config, placement)
    return Classifier(model, preprocess, placement, init.frozen_parts, init.keeps_base), summary


def record_start(trainer: Trainer, splits: Splits, summary: Summary) -> None:
    """Writes what is known before the first step to the run's folder and its log."""
    config, run_dir = trainer.config, trainer.run_dir
    device = trainer.classifier.placement.description
    write_text(run_dir.summary_file, f"{summary}\n")
    seen_by_base = run_dir.load_result().get("data", {}).get("seen_by_base")  # a resumed run may have lost its base
    run_dir.update_result(
        parameters=summary.parameters,
        running_statistics=summary.statistics,
        multiply_adds=summary.multiply_adds,
        data={
            "source": config.data.source["_target_"],
            "validation": config.data.validation,
            "train_images": len(splits.train),
            "validation_images": len(splits.validation or ()),
            "test_images": len(splits.test),
            "seen_by_base": count_seen_by_base(splits, config) if seen_by_base is None else seen_by_base,
            "fingerprint": trainer.fingerprint,
        },
        environment=describe_environment(device),
    )
    log.info(heading(config, run_dir.load_result().get("choices", {}), run_dir, splits, device))
    if config.trainer.cuda_graph and not trainer.is_captured:
        log.warning("trainer.cuda_graph=true does nothing here: it needs one CUDA device")
    last_size = trainer.loader.plan.sizes[-1]
    if last_size > config.data.batch_size:
        log.info(f"the last batch of an epoch has {last_size} images: a single one would be left over")
    log.info(f"\n{summary}\n")


def describe_start(trainer: Trainer, splits: Splits, summary: Summary) -> RunStart:
    """What the loggers are told at the start."""
    config = trainer.config
    schedule, image_size = config.trainer.progressive_resizing, config.data.image_size
    return RunStart(
        run_dir=trainer.run_dir,
        config=config,
        summary=str(summary),
        history=trainer.state.history,
        plan=trainer.loader.plan,
        val_share=len(trainer.validation or ()) / len(splits.train) * forward_share(config),
        time_share=partial(cost_until, schedule=schedule, image_size=image_size),
        sample_images=sample_images(trainer, splits),
    )


def evaluate_and_finish(trainer: Trainer, splits: Splits, stopped_by: StopReason) -> None:
    """Evaluates the run and draws its pictures; one that fails changes no result."""
    run_dir, config, history = trainer.run_dir, trainer.config, trainer.state.history
    count = num_evaluated(splits, config.trainer.tta_flip)
    log.info(f"\nevaluating on {count:,} images ...")
    evaluation = evaluate_run(trainer)
    for row in history:
        is_evaluated = row["epoch"] == evaluation.epoch and evaluation.is_epoch_end
        row["clean_train_top1"] = evaluation.metrics["train"].top1 if is_evaluated else None
    save_predictions_of(run_dir, evaluation, splits)
    run_dir.update_result(stopped_by=stopped_by, **evaluation.as_result())
    shown = {part: m for part, m in evaluation.metrics.items() if part != "val" or splits.validation}
    table = metrics_table(shown, evaluation.tta_flip)
    log.info(f"{evaluation.checkpoint} checkpoint (epoch {evaluation.epoch}):\n\n{table}")
    if evaluation.calibration:
        log.info(f"\n{describe_calibration(*evaluation.calibration, evaluation.metrics['test'])}")
    watches_test = config.data.validation == "test"
    figures = save_figures(run_dir, history, splits, evaluation, watches_test)
    for logger in trainer.loggers:
        call_safely(logger.on_run_end, history, evaluation.metrics, figures)
    run_dir.checkpoint("previous").unlink(missing_ok=True)  # nothing will continue from it
    run_dir.update_result(status=Status.COMPLETED)  # last: a run that is killed before does all of this again
    log.info(f"\neverything is in {run_dir.path}; next:\n{next_commands(run_dir, config)}")


def record_pause(trainer: Trainer, evaluation: Evaluation) -> None:
    """Adds the rung to result.json: by it a search decides whether the run continues."""
    run_dir, config, epoch = trainer.run_dir, trainer.config, trainer.state.epoch
    facts = evaluation.as_result()
    rungs = run_dir.load_result().get("rungs", {}) | {str(epoch): {"metrics": facts["metrics"]}}
    run_dir.update_result(status=Status.PAUSED, stopped_by=StopReason.PAUSE, rungs=rungs, **facts)
    log.info(f"paused after epoch {epoch}; to continue:\n  {resume_command(run_dir, config)}")


def sample_images(trainer: Trainer, splits: Splits) -> torch.Tensor:
    """At most 32 training images, (n, 3, H, W) float32 in [0, 1]; augmented, except where features are cached."""
    if trainer.classifier.on_features:
        return splits.train.images[:32] / 255
    images, _ = next(iter(trainer.loader.batches(0)))
    params = trainer.draw_augmentation(images)
    return trainer.augmentation(trainer.classifier.preprocess.to_float(images), params)[:32]
