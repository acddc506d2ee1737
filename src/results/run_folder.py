"""The folder of one run: what lies where in it, and how it is claimed so that no run is ever overwritten."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config import TrainConfig
from src.errors import UserError


@dataclass(frozen=True)
class RunFolder:
    """Paths inside `path`; which of them exist depends on how far the run came."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        return self.path / "train.log"

    @property
    def history(self) -> Path:
        return self.path / "history.csv"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def summary(self) -> Path:
        return self.path / "summary.txt"

    @property
    def per_class(self) -> Path:
        return self.path / "per_class.csv"

    @property
    def test_logits(self) -> Path:
        return self.path / "test_logits.pt"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def checkpoint(self, name: str) -> Path:
        """The file of the checkpoint `last` or `best`."""
        return self.path / "checkpoints" / f"{name}.pt"

    def save_config(self, config: DictConfig) -> None:
        write_atomically(self.config, OmegaConf.to_yaml(config))

    def load_config(self) -> DictConfig:
        """The run's own config, typed as it was when it was composed."""
        return OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.load(self.config))

    def save_result(self, result: dict[str, Any]) -> None:
        write_atomically(self.result, json.dumps(result, indent=2) + "\n")

    def load_result(self) -> dict[str, Any]:
        """What result.json holds; nothing while the run has not ended."""
        return json.loads(self.result.read_text()) if self.result.exists() else {}


def claim(path: Path) -> RunFolder:
    """Makes `path` the folder of a new run. Raises UserError where it holds a run that has come to anything.

    Creating `checkpoints` is what claims it: of two runs that start at once in one folder, one is refused.
    """
    folder = RunFolder(path)
    if folder.load_result().get("status") == "failed" and not folder.checkpoint("last").exists():
        return folder
    try:
        folder.checkpoint("last").parent.mkdir(parents=True)
    except FileExistsError as error:
        raise UserError(
            f"{path} already holds a run, which is never overwritten; go on with it (resume={path}) or choose another "
            "folder with hydra.run.dir=..."
        ) from error
    return folder


def find(path: str | Path, name: str = "run") -> RunFolder:
    """The folder of a run that exists. Raises UserError, which speaks of the argument `name`, otherwise."""
    folder = RunFolder(Path(path))
    if not folder.config.is_file():
        raise UserError(f"{name}={path} is not the folder of a run: it has no config.yaml; see `ls outputs`.")
    return folder


def relative(path: Path) -> Path:
    """`path` as seen from the current folder where it lies below it: what people read and paste."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old file or the new one, never half of one, whenever the process dies."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)
