"""Weights & Biases: curves, settings, final numbers and pictures, on its server or, offline, in the run folder.

W&B writes to the run folder and sends in the background: a server that cannot be reached does not stop a training.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from src.errors import UserError, first_line, require
from src.loggers.logger import Logger, Row, RunStart
from src.loggers.tracker import (
    ENDED_WELL,
    Outage,
    epoch_numbers,
    final_numbers,
    load_id,
    require_package,
    save_id,
    sweep_of,
)
from src.metrics import Metrics
from src.result import Status
from src.run_dir import relative

log = logging.getLogger("cifarlab")

MODES = ("online", "offline")
FINISH_SECONDS = 300.0  # that the end of a run waits for the server; `wandb sync` sends the rest


class WandbLogger(Logger):
    """One run of W&B for each run, continued when it is resumed.

    Args:
        project, entity: where the run appears; entity None is the user's own.
        mode: online or offline; None: as the environment variable WANDB_MODE says, else online.
    """

    def __init__(self, project: str, entity: str | None = None, mode: str | None = None) -> None:
        require_package("wandb")
        require(mode in (None, *MODES), f"logger.wandb.mode={mode} is not one of {', '.join(MODES)}, or null")
        self.project, self.entity, self.mode = project, entity, mode

    def on_run_start(self, run: RunStart) -> None:
        """Raises UserError where W&B cannot start: nothing is lost yet."""
        import wandb

        run_id = load_id(run, "wandb") or secrets.token_hex(6)
        save_id(run, "wandb", run_id)
        choices = run.run_dir.load_result().get("choices", {})
        try:
            self.run = wandb.init(
                project=self.project,
                entity=self.entity,
                mode=self.mode,
                id=run_id,
                resume="allow",
                name=run.run_dir.path.name,
                group=sweep_of(run.run_dir),
                config={**asdict(run.config), "choices": choices},
                allow_val_change=True,  # of a resumed run, whose data may lie elsewhere now
                dir=str(run.run_dir.path),
                reinit="finish_previous",
                settings=wandb.Settings(silent=True, console="off", finish_timeout=FINISH_SECONDS),
            )
        except wandb.Error as error:
            raise UserError(
                f"logger=wandb cannot start ({first_line(error).rstrip('.')}); use `wandb login`, or "
                "logger.wandb.mode=offline, which needs neither account nor network."
            ) from error
        self.figures_dir = run.run_dir.figures_dir
        self.outage = Outage("W&B", wandb.Error, ConnectionError)  # the latter once its own process has ended
        folder = relative(Path(self.run.settings.sync_dir))
        log.info(
            f"W&B: {f'offline; `wandb sync {folder}` sends it' if self.run.offline else self.run.url or 'disabled'}"
        )

    def on_epoch_end(self, history: Sequence[Row], is_best: bool) -> None:
        row = history[-1]
        with self.outage.warned_of():
            if row["epoch"] >= self.run.step:  # else the server has it from before a resume
                self.run.log(epoch_numbers(row), step=row["epoch"])

    def on_run_end(self, history: Sequence[Row], metrics: Mapping[str, Metrics], figures: Mapping[str, Figure]) -> None:
        import wandb

        files = {name: str(self.figures_dir / f"{name}.png") for name in figures}  # of a Figure, W&B asks for pyplot
        with self.outage.warned_of():
            step = max(len(history), self.run.step)  # the last epoch: a run made longer goes on after it
            self.run.log({f"figures/{name}": wandb.Image(file) for name, file in files.items()}, step=step)
            self.run.summary.update(final_numbers(metrics))

    def close(self, status: Status) -> None:
        with self.outage.warned_of():
            self.run.summary["status"] = str(status)
            self.run.finish(exit_code=0 if status in ENDED_WELL else 1)
