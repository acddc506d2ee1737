"""Trains a network: `python -m src.train model=deep data.augment=true`; see `--help`."""

from dataclasses import fields
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.commandline import run_command
from src.config import GROUPS, TrainConfig, check, require
from src.results.run_folder import RunFolder, relative


def train(config: DictConfig) -> None:
    """One run, in the folder that Hydra made for it, or in that of the run to go on with."""
    folder = RunFolder(relative(Path(HydraConfig.get().runtime.output_dir)))
    overrides = list(HydraConfig.get().overrides.task)
    with folder.locked():
        config = resumed(config, folder, overrides) if config.resume else started(config, folder, overrides)
        result = folder.load_result()
        if result.get("status") == "completed" and result["stopped_by"] != "max_minutes":
            print(f"{folder.path} is completed; there is nothing left to do.")
            return

        from src.training.run import execute  # imports torch: not before it is needed

        execute(config, folder)


def started(config: DictConfig, folder: RunFolder, overrides: list[str]) -> DictConfig:
    """The config of a new run, checked, and saved in its folder."""
    unknown = set(config) - {entry.name for entry in fields(TrainConfig)}
    require(not unknown, f"{', '.join(sorted(unknown))} is not a setting of a run")
    check(config, overrides)
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
    check(config)
    return config


def main() -> None:
    run_command("train", train)


if __name__ == "__main__":
    main()
