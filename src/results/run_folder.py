"""The folder of one run: what lies where in it, and how no run is ever overwritten."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from src.errors import UserError
from src.schemas import TrainConfig


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
        write_text(self.config, OmegaConf.to_yaml(config))

    def load_config(self) -> DictConfig:
        """The run's own config, typed as it was when it was composed."""
        try:
            return OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.load(self.config))
        except (YAMLError, OmegaConfBaseException) as error:
            raise UserError(f"{self.config} cannot be read: {' '.join(str(error).split())}.") from error

    def save_result(self, result: dict[str, Any]) -> None:
        write_text(self.result, json.dumps(result, indent=2, allow_nan=False) + "\n")

    def load_result(self) -> dict[str, Any]:
        """What result.json holds; nothing before the run has begun."""
        if not self.result.exists():
            return {}
        try:
            return json.loads(self.result.read_text())
        except ValueError as error:
            raise UserError(f"{self.result} is damaged ({error}); remove it to go on with the run.") from error

    def require_free(self) -> None:
        """Raises UserError where the folder holds a run that has come to anything: none is ever overwritten."""
        empty = not self.config.exists() or self.load_result().get("status") in ("failed", "waiting")
        if not empty or self.checkpoint("last").exists():
            raise UserError(
                f"{self.path} already holds a run, which is never overwritten; go on with it (resume={self.path}) or "
                "choose another folder with hydra.run.dir=..."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes out of the folder, which is made where it is missing, until this one is done or dead.

        Raises UserError where another one is in it. Takes back a folder that nothing was written to.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = self.path / ".lock"
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(f"{self.path} is in use: another process is training in it.") from error
            try:
                yield
            finally:
                if list(self.path.iterdir()) == [lock]:
                    lock.unlink()
                    self.path.rmdir()


def find(path: str | Path, name: str = "run") -> RunFolder:
    """The folder of a run that exists. Raises UserError, which speaks of the argument `name`, otherwise."""
    folder = RunFolder(Path(path))
    if not folder.config.is_file():
        raise UserError(f"{name}={path} is not the folder of a run: it has no config.yaml; see `ls outputs`.")
    return folder


def relative(path: Path) -> Path:
    """`path` as seen from the current folder where it lies below it: what people read and paste."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` with a file that then takes the place of `path`.

    Readers see the old file or the new one, never half of one, whenever the process dies or the power goes.
    """
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
