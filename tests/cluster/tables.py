"""The table of one sweep, by whatever launcher."""

import csv
import subprocess
import sys
from pathlib import Path

from tests.conftest import SMALL, process_environment


def table_by(launcher: str, place: Path, *settings: str) -> list[dict[str, str]]:
    """The rows of the sweep.csv of two seeds and two optimizers, trained in place/<launcher>, without times."""
    command = [sys.executable, "-m", "src.train", "--multirun", *SMALL, "seed=0,1", "optimizer=adam,sgd"]
    command += [f"hydra/launcher={launcher}", *settings, f"hydra.sweep.dir={launcher}"]
    done = subprocess.run(command, cwd=place, env=process_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (place / launcher / "sweep.csv").read_text().replace(launcher, "")
    rows = list(csv.DictReader(text.splitlines()))
    return [{name: cell for name, cell in row.items() if "second" not in name and "time" not in name} for row in rows]
