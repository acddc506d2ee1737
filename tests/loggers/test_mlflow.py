"""What MLflow keeps of a run in its SQLite file, read with its own client; and what a run does without its server."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from src.errors import UserError
from src.loggers.mlflow import MlflowLogger
from src.loggers.tracker import Outage
from src.metrics import Metrics
from src.plots import save
from src.result import Status
from tests.loggers.conftest import row

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")  # mlflow-skinny leaves it out
from mlflow.exceptions import MlflowException

METRICS = {"test": Metrics(loss=2.5, top1=0.5, top5=0.75, superclass=None, ece=0.1, images=10)}
FIGURES = {"confusion_matrix": Figure(figsize=(1, 1))}  # the loggers send its file


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, without a server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def start(run) -> MlflowLogger:
    logger = MlflowLogger("cifarlab")
    logger.on_run_start(run)
    return logger


def read(logger):
    """The run as MLflow's client returns it."""
    from mlflow import MlflowClient

    return MlflowClient("sqlite:///outputs/mlflow.db").get_run(logger.run_id)


@pytest.mark.slow  # MLflow makes some fifty tables: several seconds
def test_a_resumed_run_continues_the_same_run_of_mlflow(started, place):
    logger, history = start(started("optimizer.lr=0.125")), []
    for epoch in (1, 2, 3):
        history.append(row(epoch))
        logger.on_epoch_end(history, is_best=False)
    logger.close(Status.INTERRUPTED)
    assert read(logger).info.status == "KILLED"

    resumed = start(started("optimizer.lr=0.125", "data.root=elsewhere", history=[row(1), row(2)]))
    assert read(resumed).info.status == "RUNNING" and resumed.run_id == logger.run_id
    assert (place / "run" / "mlflow_run_id.txt").read_text().strip() == logger.run_id
    history = [row(1), row(2)]
    for epoch in (3, 4):
        history.append(row(epoch))
        resumed.on_epoch_end(history, is_best=False)
    save(FIGURES["confusion_matrix"], place / "run" / "figures" / "confusion_matrix.png")
    resumed.on_run_end(history, METRICS, FIGURES)
    resumed.close(Status.COMPLETED)

    found = read(resumed)
    assert (found.info.status, found.info.run_name, found.data.tags["status"]) == ("FINISHED", "run", "completed")
    assert found.data.params["optimizer.lr"] == "0.125" and found.data.tags["model"] == "deep"
    assert found.data.metrics["test/accuracy"] == 0.5 and found.data.metrics["accuracy/val"] == 0.2
    points = resumed.client.get_metric_history(resumed.run_id, "loss/train")
    assert [(point.step, point.value) for point in points] == [(1, 4.0), (2, 4.0), (3, 4.0), (4, 4.0)]  # 3 once
    assert [file.path for file in resumed.client.list_artifacts(resumed.run_id, "figures")] == [
        "figures/confusion_matrix.png"
    ]
    assert sorted(path.name for path in place.iterdir()) == ["outputs", "run"]
    assert sorted(path.name for path in (place / "outputs").iterdir()) == ["mlflow.db", "mlflow_artifacts"]


class Away:
    """A client of a server that is away for some calls."""

    def __init__(self, failures: int) -> None:
        self.failures, self.steps, self.tags = failures, [], {}

    def log_batch(self, run_id, metrics) -> None:
        if self.failures:
            self.failures -= 1
            raise MlflowException("no answer\nfrom the server")
        self.steps.append(metrics[0].step)

    def log_artifact(self, run_id, file, folder) -> None:
        pass

    def set_tag(self, run_id, name, value) -> None:
        self.tags[name] = value

    def set_terminated(self, run_id, status) -> None:
        self.tags["mlflow"] = status


def in_outage(failures: int) -> MlflowLogger:
    logger = MlflowLogger("cifarlab")
    logger.client, logger.run_id, logger.logged = Away(failures), "id", 0
    logger.outage = Outage("MLflow", MlflowException)
    logger.figures_dir = Path("figures")
    return logger


def test_a_training_goes_on_without_the_server_and_its_end_logs_what_is_missing(caplog):
    logger, history = in_outage(failures=1), []
    for epoch in (1, 2, 3):
        history.append(row(epoch))
        logger.on_epoch_end(history, is_best=False)  # waits for the server once, not in each epoch
    assert logger.client.steps == []
    logger.on_run_end(history, METRICS, FIGURES)
    logger.close(Status.COMPLETED)
    assert logger.client.steps == [1, 2, 3, 3] and logger.client.tags == {"status": "completed", "mlflow": "FINISHED"}
    warnings = [record.getMessage() for record in caplog.records if "MLflow" in record.getMessage()]
    assert len(warnings) == 1 and "(no answer)" in warnings[0] and "the training goes on" in warnings[0]


def test_a_server_that_stays_away_is_one_warning(caplog):
    logger = in_outage(failures=100)
    logger.on_epoch_end([row(1)], is_best=False)
    logger.on_run_end([row(1)], METRICS, FIGURES)
    logger.close(Status.FAILED)
    assert logger.client.tags["mlflow"] == "FAILED"
    assert len([record for record in caplog.records if "MLflow" in record.getMessage()]) == 1


@pytest.mark.slow
def test_a_server_that_is_away_at_the_start_is_one_sentence(started, place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        UserError, match=r"cannot use the server of MLFLOW_TRACKING_URI \(.*unset it to log to outputs/"
    ):
        start(started())
