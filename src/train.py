"""Trains a network: `python -m src.train model=deep data.augment=true`; see `--help`."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from src.commandline import run_command
from src.config import GROUPS, TrainConfig, check, require
from src.results.run_folder import RunFolder, find, relative
from src.search.jobs import require_same
from src.search.plugins import register_sweepers


def train(config: DictConfig) -> None:
    """One run, in the folder that Hydra made for it, or in that of the run to go on with."""
    folder = RunFolder(relative(Path(HydraConfig.get().runtime.output_dir)))
    overrides = list(HydraConfig.get().overrides.task)
    with folder.locked():
        if config.resume:
            config = resumed(config, folder, overrides)
        elif HydraConfig.get().mode == RunMode.MULTIRUN and folder.config.exists():
            config = continued(config, folder)
        else:
            config = started(config, folder, overrides)
        result = folder.load_result()
        if nothing_left(result, config.pause_at):
            print(f"{folder.path} is {result['status']}; there is nothing left to do.")
            return

        from src.training.run import execute  # imports torch: not before it is needed

        together = HydraConfig.get().runtime.choices["hydra/launcher"] != "basic"
        execute(config, folder, quiet=together)
        if together:
            print(f"{folder.path}: {folder.load_result()['status']}", flush=True)


def started(config: DictConfig, folder: RunFolder, overrides: list[str]) -> DictConfig:
    """The config of a new run, checked, and saved in its folder."""
    unknown = set(config) - {entry.name for entry in fields(TrainConfig)}
    require(not unknown, f"{', '.join(sorted(unknown))} is not a setting of a run")
    check(config, overrides)
    if config.init.run:
        find(config.init.run, "init.run")
    folder.require_free()
    config.choices = {group: HydraConfig.get().runtime.choices.get(group) for group in GROUPS}
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


def nothing_left(result: dict[str, Any], pause_at: int | None) -> bool:
    if result.get("status") == "completed":
        return result["stopped_by"] != "max_minutes"
    return pause_at is not None and result.get("epochs", 0) >= pause_at


def main() -> None:
    register_sweepers()
    run_command("train", train)


if __name__ == "__main__":
    main()
