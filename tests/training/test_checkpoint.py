"""A run that is interrupted and resumed must end where the uninterrupted one ends, bit for bit."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.errors import Interrupted, UserError
from src.results.history import read_history
from src.results.run_folder import claim
from src.training import loop
from src.training.checkpoint import load_checkpoint
from src.training.run import execute
from tests.conftest import train_in

TIMES = ("seconds", "images_per_second", "train_seconds", "history")
# Dropout uses torch's global generator, batch norm has running statistics, the schedule and Adam have states.
SETTINGS = (
    "model.dropout=0.5",
    "model.batch_norm=true",
    "data.augment=true",
    "scheduler=one_cycle",
    "trainer.epochs=3",
    "trainer.accumulate=2",
)


def interrupted_at(step: int, config, folder, monkeypatch) -> None:
    """Runs until the optimizer has made `step` steps, then does what Ctrl-C does."""
    genuine = loop.Session.look

    def look(self):
        genuine(self)
        if self.progress.step == step:
            self.run.stop.signal_number = 2

    with monkeypatch.context() as patch:
        patch.setattr(loop.Session, "look", look)
        with pytest.raises(Interrupted):
            execute(config, folder)


def assert_same(first, second) -> None:
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first.keys() - set(TIMES):
            assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    else:
        assert first == second


def history_without_times(folder):
    return [{key: row[key] for key in row if key not in TIMES} for row in read_history(folder.history)]


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """The run that nobody interrupts."""
    return train_in(tmp_path_factory.mktemp("whole") / "run", small(*SETTINGS))


@pytest.mark.parametrize("step", [1, 3, 4, 7, 12])  # four steps an epoch: within, at the end of one, at the very end
def test_resumed_run_ends_where_the_uninterrupted_one_ends(small, whole, tmp_path, monkeypatch, step):
    folder = claim(tmp_path / "resumed")
    folder.save_config(small(*SETTINGS))
    interrupted_at(step, small(*SETTINGS), folder, monkeypatch)
    assert folder.load_result()["status"] == "interrupted"
    torch.manual_seed(999)  # the resuming process is another one
    execute(folder.load_config(), folder)

    for name in ("last", "best"):
        device = torch.device("cpu")
        assert_same(load_checkpoint(whole.checkpoint(name), device), load_checkpoint(folder.checkpoint(name), device))
    assert history_without_times(whole) == history_without_times(folder)
    assert folder.load_result()["metrics"] == whole.load_result()["metrics"]
    for part in ("train", "val"):
        steps = [event.step for event in EventAccumulator(str(folder.path / part)).Reload().Scalars("loss")]
        assert steps == [1, 2, 3]


def test_checkpoints_hold_plain_containers_and_the_promised_names(small, trained):
    content = load_checkpoint(trained(small()).checkpoint("last"), torch.device("cpu"))
    assert {"model", "optimizer", "epoch", "step"} <= content.keys()
    assert (content["epoch"], content["step"]) == (2, 16)
    assert "head.2.weight" in content["model"]


def test_the_first_checkpoint_is_written_before_step_1(small, tmp_path, monkeypatch):
    def crash(*_arguments):
        raise RuntimeError("power cut")

    monkeypatch.setattr(loop, "train_epoch", crash)
    folder = claim(tmp_path / "run")
    with pytest.raises(RuntimeError, match="power cut"):
        execute(small(), folder)
    assert load_checkpoint(folder.checkpoint("last"), torch.device("cpu"))["step"] == 0
    assert folder.load_result()["reason"] == "RuntimeError: power cut"
    assert "Traceback" in folder.log.read_text()


def test_saving_is_atomic(small, trained, monkeypatch):
    folder = trained(small())
    before = folder.checkpoint("last").read_bytes()

    def half(_content, path):
        path.write_bytes(before[:100])
        raise OSError("disk full")

    monkeypatch.setattr("src.training.checkpoint.torch.save", half)
    from src.training.checkpoint import Progress, save_checkpoint
    from src.training.prepare import make_learner

    learner = make_learner(small(), placement(), augmentation(), 1)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(folder.checkpoint("last"), learner, Progress(), classes())
    assert folder.checkpoint("last").read_bytes() == before


def test_a_damaged_checkpoint_is_named(small, trained):
    path = trained(small()).checkpoint("last")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"last\.pt is damaged and cannot be read"):
        load_checkpoint(path, torch.device("cpu"))


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match=r"best\.pt does not exist"):
        load_checkpoint(tmp_path / "best.pt", torch.device("cpu"))


def placement():
    from src.training.device import Placement

    return Placement(torch.device("cpu"), None, torch.channels_last)


def augmentation():
    from src.data.augment import Augmentation

    return Augmentation()


def classes():
    from src.data.images import Classes

    return Classes(("a", "b"))
