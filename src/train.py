"""Trains a network: `python -m src.train model=deep data.augment=true`; see `--help`."""

from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.commandline import run_command
from src.config import GROUPS, TrainConfig, check, require
from src.errors import UserError
from src.results.run_folder import RunFolder, claim, find, relative


def train(config: DictConfig) -> None:
    """One run, in the folder that Hydra made for it, or in that of the run to go on with."""
    path = relative(Path(HydraConfig.get().runtime.output_dir))
    overrides = list(HydraConfig.get().overrides.task)
    try:
        config, folder = resumed(config, path, overrides) if config.resume else started(config, path, overrides)
    except UserError:
        with suppress(OSError):  # only an empty folder goes: this command made it, for nothing
            path.rmdir()
        raise
    if folder.load_result().get("stopped_by") in ("epochs", "patience"):
        print(f"{folder.path} is completed; there is nothing left to do.")
        return

    from src.training.run import execute  # imports torch: not before it is needed

    execute(config, folder)


def started(config: DictConfig, path: Path, overrides: list[str]) -> tuple[DictConfig, RunFolder]:
    """A new run in `path`, its config checked and saved."""
    unknown = set(config) - {entry.name for entry in fields(TrainConfig)}
    require(not unknown, f"{', '.join(sorted(unknown))} is not a setting of a run")
    check(config, overrides)
    config.choices = {group: HydraConfig.get().runtime.choices.get(group) for group in GROUPS}
    folder = claim(path)
    folder.save_config(config)
    return config, folder


def resumed(config: DictConfig, path: Path, overrides: list[str]) -> tuple[DictConfig, RunFolder]:
    """The run named by `resume`, with its own config."""
    others = [text for text in overrides if not text.startswith("resume=")]
    if others:
        raise UserError(f"resume={config.resume} goes on with the run's own config; take {' '.join(others)} away.")
    folder = find(config.resume, "resume")
    if path.resolve() != folder.path.resolve():
        raise UserError(
            f"resume={config.resume} goes on in the run's own folder; take hydra.run.dir or --multirun away."
        )
    config = folder.load_config()
    check(config)
    return config, folder


def main() -> None:
    run_command("train", train)


if __name__ == "__main__":
    main()
