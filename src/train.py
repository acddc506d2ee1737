"""Trains a network: `python -m src.train model=deep data.augment=true`; see `--help`."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.cli import run_command
from src.errors import require
from src.run_dir import RunDir, relative
from src.start import train_in
from src.sweeps.workers import end_with_parent, is_job
from src.torchrun import is_follower, is_launched

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
        train_in(run_dir, config, hydra)


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
