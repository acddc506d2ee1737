"""Trains a network: `python -m src.train model=deep data.augment=true`; see `--help`."""

import re
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from src.cli import run_command
from src.config import RunConfig, moved
from src.errors import require
from src.extension import change_epochs
from src.overrides import key_of, named_keys
from src.parsing import GROUPS_WITH_TARGET, parse_config
from src.result import StopReason, is_finished
from src.run_dir import RunDir, find_run, relative
from src.sweeps.workers import end_with_parent, is_job
from src.torchrun import is_follower, is_launched
from src.trust import load_trusted_config

RESUME_SETTINGS = ("resume", "pause_at", "trust", "data.root", "trainer.gpus", "trainer.epochs")
SWEEP_SETTING = re.compile(r"hydra[./](sweep|sweeper|launcher)\b")
WAIT_SECONDS = 30.0  # for a job of an earlier start of the sweep, which was killed: it saves and ends


def train(config: DictConfig) -> None:
    """Trains one run: a new one in the folder that Hydra made for it or, with `resume`, the one in that folder.

    The jobs of a sweep are resumed too: the sweeper has created their folders.
    """
    hydra = HydraConfig.get()
    require(
        not hydra.job.chdir, "hydra.job.chdir=true is not supported, run folders are relative to here; leave it out"
    )
    run_dir = RunDir(relative(Path(hydra.runtime.output_dir)))
    with run_dir.locked(WAIT_SECONDS if is_job() else 0):
        if config.resume:
            check_resume(config.resume, run_dir)
            run_config = load_to_resume(config, run_dir)
        else:
            run_config = create_run(config, run_dir)
        result = run_dir.load_result()
        if is_finished(result, config.pause_at) and result.get("stopped_by") != StopReason.MAX_MINUTES:
            print(f"{run_dir.path} is {result['status']}; there is nothing left to do.", flush=True)
            return

        from src.training.run import run  # imports torch: not before it is needed

        run(run_config, run_dir, config.pause_at)


def create_run(config: DictConfig, run_dir: RunDir) -> RunConfig:
    """Checks the settings of a new run and writes them to its folder."""
    of_sweeps = [text for text in HydraConfig.get().overrides.hydra if SWEEP_SETTING.match(key_of(text))]
    require(not of_sweeps, f"{' '.join(of_sweeps)} does nothing without --multirun; add that, or leave it out")
    overrides = list(HydraConfig.get().overrides.task)
    run_config = parse_config(config, overrides)
    if run_config.init.run:
        find_run(run_config.init.run, "init.run")
    run_dir.require_free()
    named = named_keys(overrides)
    own = {
        group: getattr(run_config, group)["_target_"] for group in GROUPS_WITH_TARGET if f"{group}._target_" in named
    }
    run_dir.create(run_config, {**HydraConfig.get().runtime.choices, **own}, named)
    return run_dir.load_config()


def load_to_resume(config: DictConfig, run_dir: RunDir) -> RunConfig:
    """The settings of the run in `run_dir`, perhaps with another data.root, trainer.gpus or trainer.epochs."""
    OmegaConf.to_object(config)  # checks pause_at
    named = named_keys(HydraConfig.get().overrides.task)
    run_config = load_trusted_config(run_dir, config.trust)
    if "trainer.gpus" in named:
        run_config = replace(run_config, trainer=replace(run_config.trainer, gpus=config.trainer.gpus))
    if "trainer.epochs" in named:
        run_config = change_epochs(run_dir, run_config, config.trainer.epochs)
    return moved(run_config, config.data.root if "data.root" in named else None)


def check_resume(resume: str, run_dir: RunDir) -> None:
    """A resumed run has its own folder and its own settings; it may only be told where to pause, and what has moved."""
    overrides = [text for text in HydraConfig.get().overrides.task if key_of(text) not in RESUME_SETTINGS]
    require(not overrides, f"resume={resume} continues with the run's own config; leave {' '.join(overrides)} out")
    require(
        run_dir.path.resolve() == find_run(resume, "resume").path.resolve(),
        f"resume={resume} continues in the run's own folder; leave hydra.run.dir and --multirun out",
    )


def main() -> None:
    end_with_parent()
    if not is_launched():
        run_command("train", train)
    from src.training.launch import dismiss_torchrun  # imports torch

    if is_follower():
        from src.training.follow import follow

        follow()
    try:
        run_command("train", train)
    finally:
        dismiss_torchrun()


if __name__ == "__main__":
    main()
