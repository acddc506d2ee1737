"""Starts a run from a config that Hydra composed: a new run, or the rest of one that is resumed.

Importing this module does not import torch.
"""

import re
from dataclasses import replace

from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from src.config import RunConfig, moved
from src.errors import require
from src.overrides import key_of, name_choices, named_keys
from src.parsing import parse_config
from src.result import StopReason, is_finished
from src.run_dir import RunDir, find_run
from src.training.extension import change_epochs
from src.trust import load_trusted_config

RESUME_SETTINGS = ("resume", "pause_at", "trust", "data.root", "trainer.gpus", "trainer.epochs")
SWEEP_SETTING = re.compile(r"hydra[./](sweep|sweeper|launcher)\b")


def train_in(run_dir: RunDir, config: DictConfig, hydra: HydraConf, command: str | None = None) -> None:
    """Trains the run that `config`, a TrainConfig, describes, in the folder `run_dir`, which the caller has locked.

    Args:
        run_dir: the new run's folder; with `resume` that of the run to resume.
        config: the composed settings.
        hydra: Hydra's own part of them: the overrides, and what was chosen from each group.
        command: for result.json; None: the command line of this process.
    """
    if config.resume:
        check_resume(config.resume, hydra, run_dir)
        run_config = load_to_resume(config, hydra, run_dir)
    else:
        run_config = create_run(config, hydra, run_dir)
    result = run_dir.load_result()
    if is_finished(result, config.pause_at) and result.get("stopped_by") != StopReason.MAX_MINUTES:
        print(f"{run_dir.path} is {result['status']}; there is nothing left to do.", flush=True)
        return

    from src.training.run import run  # imports torch: not before it is needed

    run(run_config, run_dir, config.pause_at, command)


def create_run(config: DictConfig, hydra: HydraConf, run_dir: RunDir) -> RunConfig:
    """Checks the settings of a new run and writes them to its folder."""
    of_sweeps = [text for text in hydra.overrides.hydra if SWEEP_SETTING.match(key_of(text))]
    require(not of_sweeps, f"{' '.join(of_sweeps)} does nothing without --multirun; add that, or leave it out")
    overrides = list(hydra.overrides.task)
    run_config = parse_config(config, overrides)
    if run_config.init.run:
        find_run(run_config.init.run, "init.run")
    run_dir.require_free()
    run_dir.create(run_config, name_choices(hydra.runtime.choices, run_config, overrides), named_keys(overrides))
    return run_dir.load_config()


def load_to_resume(config: DictConfig, hydra: HydraConf, run_dir: RunDir) -> RunConfig:
    """The settings of the run in `run_dir`, perhaps with another data.root, trainer.gpus or trainer.epochs."""
    OmegaConf.to_object(config)  # checks pause_at
    named = named_keys(hydra.overrides.task)
    run_config = load_trusted_config(run_dir, config.trust)
    if "trainer.epochs" in named:
        run_config = change_epochs(run_dir, run_config, config.trainer.epochs)
    if "trainer.gpus" in named:
        run_config = replace(run_config, trainer=replace(run_config.trainer, gpus=config.trainer.gpus))
    return moved(run_config, config.data.root if "data.root" in named else None)


def check_resume(resume: str, hydra: HydraConf, run_dir: RunDir) -> None:
    """A resumed run has its own folder and its own settings; it may only be told where to pause, and what has moved."""
    overrides = [text for text in hydra.overrides.task if key_of(text) not in RESUME_SETTINGS]
    require(not overrides, f"resume={resume} continues with the run's own config; leave {' '.join(overrides)} out")
    require(
        run_dir.path.resolve() == find_run(resume, "resume").path.resolve(),
        f"resume={resume} continues in the run's own folder; leave hydra.run.dir and --multirun out",
    )
