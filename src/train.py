"""Trains a network: `python -m src.train model=deep data.augment=true`; see `--help`."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from src.commandline import run_command
from src.config import check, note_choices
from src.errors import require
from src.results.run_folder import RunFolder, find, relative
from src.search.apart import run_apart
from src.search.jobs import require_same
from src.search.plugins import register_plugins


def train(config: DictConfig) -> None:
    """One run, in this process or, where several go at once, in one of its own."""
    folder = RunFolder(relative(Path(HydraConfig.get().runtime.output_dir)))
    together = HydraConfig.get().runtime.choices["hydra/launcher"] != "basic"
    if together and HydraConfig.get().mode == RunMode.MULTIRUN:
        run_apart(lambda: train_in(folder, config, quiet=True), str(folder.path))
    else:
        train_in(folder, config)


def train_in(folder: RunFolder, config: DictConfig, quiet: bool = False) -> None:
    """One run, in the folder that Hydra made for it, or in that of the run to go on with."""
    multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    overrides = list(HydraConfig.get().overrides.task)
    with folder.locked():
        if config.resume:
            config = resumed(config, folder, overrides)
        elif multirun and folder.config.exists():
            config = continued(config, folder)
        else:
            config = started(config, folder, overrides)
        result = folder.load_result()
        if nothing_left(result, config.pause_at, multirun):
            print(f"{folder.path} is {result['status']}; there is nothing left to do.")
            return

        from src.training.run import execute  # imports torch: not before it is needed

        execute(config, folder, quiet)
        if quiet:
            print(f"{folder.path}: {folder.load_result()['status']}", flush=True)


def started(config: DictConfig, folder: RunFolder, overrides: list[str]) -> DictConfig:
    """The config of a new run, checked, and saved in its folder."""
    check(config, overrides)
    if config.init.run:
        find(config.init.run, "init.run")
    folder.require_free()
    note_choices(config, HydraConfig.get().runtime.choices, overrides)
    folder.save_config(config)
    return config


def resumed(config: DictConfig, folder: RunFolder, overrides: list[str]) -> DictConfig:
    """The run's own config, checked."""
    others = [text for text in overrides if not text.startswith("resume=")]
    require(not others, f"resume={config.resume} goes on with the run's own config; take {' '.join(others)} away")
    require(
        folder.path.resolve() == Path(config.resume).resolve(),
        f"resume={config.resume} goes on in the run's own folder; take hydra.run.dir or --multirun away",
    )
    config = folder.load_config()
    config.pause_at = None
    check(config)
    return config


def continued(config: DictConfig, folder: RunFolder) -> DictConfig:
    """The config of a sweep's job whose folder is there already: waiting, or from an earlier start of the sweep."""
    require_same(folder, config)
    own = folder.load_config()
    own.pause_at = config.pause_at
    return own


def nothing_left(result: dict[str, Any], pause_at: int | None, multirun: bool) -> bool:
    """Whether the run is at its end, or evaluated where it is to pause. `resume` alone gives it max_minutes again."""
    if result.get("status") == "completed":
        return multirun or result["stopped_by"] != "max_minutes"
    return pause_at is not None and any(int(epoch) >= pause_at for epoch in result.get("rungs", {}))


def main() -> None:
    register_plugins()
    run_command("train", train)


if __name__ == "__main__":
    main()
