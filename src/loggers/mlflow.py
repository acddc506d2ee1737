"""MLflow: curves, settings, final numbers and pictures of a run, on a server or in a SQLite file below outputs/.

MLflow no longer maintains its file store (`mlruns/`): a database is its way without a server.
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from src.errors import UserError, first_line
from src.loggers.logger import Logger, Row, RunStart
from src.loggers.tracker import (
    Outage,
    epoch_numbers,
    final_numbers,
    id_file,
    load_id,
    require_package,
    save_id,
    sweep_of,
)
from src.metrics import Metrics
from src.nodes import leaves
from src.result import Status

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger("cifarlab")

LOCAL_FILE = Path("outputs/mlflow.db")  # where MLFLOW_TRACKING_URI names no other place
LOCAL_ARTIFACTS = Path("outputs/mlflow_artifacts")
STATUSES = {Status.FAILED: "FAILED", Status.INTERRUPTED: "KILLED"}  # others: FINISHED
MAX_PARAMS = 100  # that MLflow takes in one request
RETRIES = "3"  # of a server that does not answer; MLflow's own 7 take minutes


class MlflowLogger(Logger):
    """One run of MLflow for each run, continued when it is resumed.

    Args:
        experiment: the name under which MLflow lists the run.
    """

    def __init__(self, experiment: str) -> None:
        require_package("mlflow")
        self.experiment = experiment

    def on_run_start(self, run: RunStart) -> None:
        """Raises UserError where MLflow cannot be reached: nothing is lost yet."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # else it tells of each table that it makes
        logging.getLogger("alembic").setLevel(logging.WARNING)
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        place = "the server of MLFLOW_TRACKING_URI" if uri else LOCAL_FILE  # a URI may hold a password
        try:
            self.client = MlflowClient(uri or local_uri())
            self.run_id = load_id(run, "mlflow") or create_run(self.client, self.experiment, run)
            save_id(run, "mlflow", self.run_id)
            self.client.update_run(self.run_id, status="RUNNING")
            if not self.client.get_run(self.run_id).data.params:
                self._log_settings(dict(leaves(asdict(run.config))))
            self.logged = max((point.step for point in self.client.get_metric_history(self.run_id, "lr")), default=0)
        except MlflowException as error:
            reason = shorten(first_line(error), 120, placeholder=" ...")
            known = id_file(run.run_dir, "mlflow")
            again = f"; to begin a new run there, remove {known}" if known.exists() else ""
            raise UserError(
                f"logger=mlflow cannot use {place} ({reason}); set MLFLOW_TRACKING_URI to a server that answers, or "
                f"unset it to log to {LOCAL_FILE}{again}."
            ) from error
        self.figures_dir = run.run_dir.figures_dir
        self.outage = Outage("MLflow", MlflowException, RequestException)
        log.info(f"MLflow: run {self.run_id} in {place}")

    def on_epoch_end(self, history: Sequence[Row], is_best: bool) -> None:
        if not self.outage.happened:  # else its end logs what is missing: each try may take a minute
            self._log_epochs(history)

    def on_run_end(self, history: Sequence[Row], metrics: Mapping[str, Metrics], figures: Mapping[str, Figure]) -> None:
        self._log_epochs(history)
        with self.outage.warned_of():
            self._log(final_numbers(metrics), step=len(history))
            for name in figures:
                self.client.log_artifact(self.run_id, str(self.figures_dir / f"{name}.png"), "figures")

    def close(self, status: Status) -> None:
        with self.outage.warned_of():
            self.client.set_tag(self.run_id, "status", str(status))
            self.client.set_terminated(self.run_id, STATUSES.get(status, "FINISHED"))

    def _log_settings(self, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in settings.items()]
        for first in range(0, len(params), MAX_PARAMS):
            self.client.log_batch(self.run_id, params=params[first : first + MAX_PARAMS])

    def _log_epochs(self, history: Sequence[Row]) -> None:
        """Logs the epochs that MLflow does not have: those before a resume it has, those of an outage it lacks."""
        with self.outage.warned_of():
            for row in history[self.logged :]:
                self._log(epoch_numbers(row), step=row["epoch"])
                self.logged = row["epoch"]

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        self.client.log_batch(self.run_id, [Metric(tag, number, now, step) for tag, number in numbers.items()])


def local_uri() -> str:
    """The SQLite file, in the current folder's outputs/."""
    LOCAL_FILE.parent.mkdir(exist_ok=True)
    return f"sqlite:///{LOCAL_FILE}"


def create_run(client: "MlflowClient", name: str, run: RunStart) -> str:
    """A new run in the experiment `name`, which is made where it is missing; its id."""
    from mlflow.exceptions import MlflowException

    if client.get_experiment_by_name(name) is None:
        is_local = client.tracking_uri == f"sqlite:///{LOCAL_FILE}"
        try:
            client.create_experiment(name, LOCAL_ARTIFACTS.absolute().as_uri() if is_local else None)
        except MlflowException:
            if client.get_experiment_by_name(name) is None:  # else another job of the sweep has just made it
                raise
    experiment, sweep = client.get_experiment_by_name(name), sweep_of(run.run_dir)
    tags = run.run_dir.load_result().get("choices", {}) | ({"sweep": sweep} if sweep else {})
    return client.create_run(experiment.experiment_id, tags=tags, run_name=run.run_dir.path.name).info.run_id
