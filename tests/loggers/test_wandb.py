"""What Weights & Biases keeps of a run in offline mode, read with its own record format."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from src.errors import UserError
from src.loggers.wandb import WandbLogger
from src.metrics import Metrics
from src.plots import save
from src.result import Status
from tests.loggers.conftest import row

wandb = pytest.importorskip("wandb")

METRICS = {"test": Metrics(loss=2.5, top1=0.5, top5=0.75, superclass=None, ece=0.1, images=10)}
BLOCK = 32768  # bytes: the files are logs of LevelDB, whose records are cut at the ends of blocks
FIRST, LAST, WHOLE = 2, 4, 1  # kinds of pieces of a record; another is 3


def records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file."""
    from wandb.proto import wandb_internal_pb2

    data, position, record = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if (left := BLOCK - position % BLOCK) < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        piece = data[position + 7 : position + 7 + length]
        record = piece if kind in (FIRST, WHOLE) else record + piece
        position += 7 + length
        if kind in (LAST, WHOLE):
            yield wandb_internal_pb2.Record.FromString(record)


def kept(folder: Path) -> list[dict[str, Any]]:
    """Of each start of the run: its id, settings, history, summary, exit code."""
    starts = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        start: dict[str, Any] = {"history": [], "summary": {}}
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                start |= {"id": record.run.run_id, "name": record.run.display_name, "group": record.run.run_group}
                start["config"] = {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "history":
                start["history"].append(_items(record.history.item))
            elif kind == "summary":
                start["summary"] |= _items(record.summary.update)
            elif kind == "exit":
                start["exit"] = record.exit.exit_code
        starts.append(start)
    return starts


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def log_run(run, epochs: int, status: Status = Status.COMPLETED, mode: str | None = "offline") -> None:
    logger, history = WandbLogger("cifarlab", mode=mode), list(run.history)
    logger.on_run_start(run)
    for epoch in range(len(history) + 1, epochs + 1):
        history.append(row(epoch))
        logger.on_epoch_end(history, is_best=False)
    if status == Status.COMPLETED:
        figure = Figure(figsize=(1, 1))
        save(figure, run.run_dir.figures_dir / "confusion_matrix.png")  # W&B sends the file
        logger.on_run_end(history, METRICS, {"confusion_matrix": figure})
    logger.close(status)
    wandb.teardown()  # as at the end of a process: the files are whole then, and the environment is read again


@pytest.mark.slow  # W&B starts a process of its own: a second or two for each start
def test_a_resumed_run_continues_the_same_run_of_wandb(started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = started("optimizer.lr=0.125")
    run.run_dir.update_result(swept=["optimizer.lr"])
    log_run(run, epochs=3, status=Status.INTERRUPTED)
    log_run(started("optimizer.lr=0.125", history=[row(1), row(2)]), epochs=4)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]  # nothing else in the current folder
    first, second = kept(run.run_dir.path)
    assert first["id"] == second["id"] == (run.run_dir.path / "wandb_run_id.txt").read_text().strip()
    assert first["config"]["optimizer"]["lr"] == 0.125 and first["config"]["choices"]["model"] == "deep"
    assert (first["name"], first["exit"], first["summary"]["status"]) == ("run", 1, "interrupted")
    assert [(each["_step"], each["accuracy/val"]) for each in first["history"]] == [(1, 0.2), (2, 0.2), (3, 0.2)]
    assert [each["_step"] for each in second["history"]] == [3, 4]  # the figures join the last epoch
    assert second["history"][-1]["figures/confusion_matrix/_type"] == "image-file"
    assert len(list((run.run_dir.path / "wandb").glob("offline-*/files/media/images/figures/*.png"))) == 1
    assert (second["exit"], second["summary"]["status"]) == (0, "completed")
    assert (second["summary"]["test/accuracy"], second["summary"]["test/loss"]) == (0.5, 2.5)


@pytest.mark.slow
def test_a_training_goes_on_without_the_process_of_wandb(started, monkeypatch, caplog):
    logger = WandbLogger("cifarlab", mode="offline")
    logger.on_run_start(started())

    def fail(*_, **__):
        raise ConnectionResetError("Connection lost")

    for name in ("log", "finish"):
        monkeypatch.setattr(type(logger.run), name, fail)
    logger.on_epoch_end([row(1)], is_best=False)
    logger.on_epoch_end([row(1), row(2)], is_best=False)
    logger.close(Status.COMPLETED)
    warnings = [record.getMessage() for record in caplog.records if "W&B does not take" in record.getMessage()]
    assert len(warnings) == 1 and "(Connection lost); the training goes on" in warnings[0]
    monkeypatch.undo()
    logger.run.finish()
    wandb.teardown()


@pytest.mark.slow
def test_the_environment_chooses_offline(started, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = started()
    log_run(run, epochs=1, mode=None)
    (only,) = kept(run.run_dir.path)
    assert only["group"] == "" and len(only["history"]) == 1


@pytest.mark.slow
def test_without_an_account_it_says_what_to_do(started, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(UserError, match=r"logger=wandb cannot start \(.*`wandb login`.*logger\.wandb\.mode=offline"):
        WandbLogger("cifarlab").on_run_start(started())


def test_an_unknown_mode_is_refused():
    with pytest.raises(UserError, match=r"logger\.wandb\.mode=dryrun is not one of online, offline, or null"):
        WandbLogger("cifarlab", mode="dryrun")
