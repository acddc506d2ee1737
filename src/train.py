"""Trains a network: `python -m src.train model=deep data.augment=true`; see `--help`."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from src.cli import run_command
from src.config import parse_config
from src.errors import require
from src.overrides import named_keys
from src.run_dir import RunDir, StopReason, find_run, is_finished, relative


def train(config: DictConfig) -> None:
    """Trains one run: a new one in the folder that Hydra made for it or, with `resume`, the one in that folder.

    The jobs of a sweep are resumed too: the sweeper has created their folders.
    """
    run_dir = RunDir(relative(Path(HydraConfig.get().runtime.output_dir)))
    with run_dir.locked():
        if config.resume:
            check_resume(config.resume, run_dir)
            OmegaConf.to_object(config)  # checks pause_at
        else:
            create_run(config, run_dir)
        result = run_dir.load_result()
        if is_finished(result, config.pause_at) and result["stopped_by"] != StopReason.MAX_MINUTES:
            print(f"{run_dir.path} is {result['status']}; there is nothing left to do.", flush=True)
            return

        from src.training.run import run  # imports torch: not before it is needed

        run(run_dir.load_config(), run_dir, config.pause_at)


def create_run(config: DictConfig, run_dir: RunDir) -> None:
    """Checks the settings of a new run and writes them to its folder."""
    overrides = list(HydraConfig.get().overrides.task)
    run_config = parse_config(config, overrides)
    if run_config.init.run:
        find_run(run_config.init.run, "init.run")
    run_dir.require_free()
    run_dir.create(run_config, HydraConfig.get().runtime.choices, named_keys(overrides))


def check_resume(resume: str, run_dir: RunDir) -> None:
    """A resumed run has its own folder and its own settings; it may only be told where to pause."""
    overrides = [text for text in HydraConfig.get().overrides.task if not text.startswith(("resume=", "pause_at="))]
    require(not overrides, f"resume={resume} continues with the run's own config; leave {' '.join(overrides)} out")
    require(
        run_dir.path.resolve() == find_run(resume, "resume").path.resolve(),
        f"resume={resume} continues in the run's own folder; leave hydra.run.dir and --multirun out",
    )


def main() -> None:
    run_command("train", train)


if __name__ == "__main__":
    main()
