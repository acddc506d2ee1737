"""A run that is interrupted and resumed must end where the uninterrupted one ends, bit for bit."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.errors import Interrupted, UserError
from src.results.history import read_history
from src.results.run_folder import RunFolder
from src.training import loop
from src.training.checkpoint import load_checkpoint
from src.training.run import execute
from tests.conftest import SMALL, train_in

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
    folder = new_folder(tmp_path / "resumed")
    folder.save_config(small(*SETTINGS))
    interrupted_at(step, small(*SETTINGS), folder, monkeypatch)
    assert folder.load_result()["status"] == "interrupted"
    torch.manual_seed(999)  # the resuming process is another one
    execute(folder.load_config(), folder)

    for name in ("last", "best"):
        assert_same(load_checkpoint(whole.checkpoint(name)), load_checkpoint(folder.checkpoint(name)))
    assert history_without_times(whole) == history_without_times(folder)
    assert folder.load_result()["metrics"] == whole.load_result()["metrics"]
    for part in ("train", "val"):
        steps = [event.step for event in EventAccumulator(str(folder.path / part)).Reload().Scalars("loss")]
        assert steps == [1, 2, 3]


def resumed(folder) -> None:
    torch.manual_seed(999)
    execute(folder.load_config(), folder)


def test_time_that_runs_out_within_an_epoch_leaves_an_exact_checkpoint(small, whole, tmp_path, monkeypatch):
    folder = new_folder(tmp_path / "run")
    folder.save_config(small(*SETTINGS))
    with monkeypatch.context() as patch:
        patch.setattr(loop.Session, "out_of_time", lambda self: self.progress.step == 6)
        execute(small(*SETTINGS), folder)
    result = folder.load_result()
    assert (result["status"], result["stopped_by"], result["epochs"], result["steps"]) == (
        "completed", "max_minutes", 1, 6
    )  # fmt: skip
    resumed(folder)
    assert_same(load_checkpoint(whole.checkpoint("last")), load_checkpoint(folder.checkpoint("last")))
    assert history_without_times(whole) == history_without_times(folder)
    events = EventAccumulator(str(folder.path)).Reload()
    assert [event.step for event in events.Scalars("final/test_top1")] == [4]


def test_interruption_within_validation_and_within_the_last_evaluation(small, whole, tmp_path, monkeypatch):
    folder = new_folder(tmp_path / "run")
    folder.save_config(small(*SETTINGS))
    evaluations = iter([None, 15, None, None, 2])  # validations of three epochs, one done again; then the test set

    def compute(*arguments, **keywords):
        between = arguments[4] if len(arguments) > 4 else keywords["between_batches"]
        run = monkeypatch.run
        run.stop.signal_number = next(evaluations, None)
        between()
        return genuine(*arguments, **keywords)

    class Session(loop.Session):
        def __init__(self, run, progress):
            monkeypatch.run = run
            super().__init__(run, progress)

    genuine = loop.compute_logits
    monkeypatch.setattr(loop, "Session", Session)
    monkeypatch.setattr(loop, "compute_logits", compute)
    monkeypatch.setattr("src.training.closing.compute_logits", compute)
    for _ in range(2):
        with pytest.raises(Interrupted):
            execute(folder.load_config(), folder)
        assert folder.load_result()["status"] == "interrupted"
    resumed(folder)
    assert_same(load_checkpoint(whole.checkpoint("last")), load_checkpoint(folder.checkpoint("last")))
    assert history_without_times(whole) == history_without_times(folder)


def test_a_killed_process_leaves_no_doubled_points(small, tmp_path, monkeypatch):
    """Killed between the events of epoch 2 and its checkpoint, epoch 2 is done, and drawn, again."""
    folder = new_folder(tmp_path / "run")
    folder.save_config(small(*SETTINGS))
    genuine = loop.Session.save

    def save(self, name):
        if self.progress.epoch == 2:
            raise RuntimeError("killed")
        genuine(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Session, "save", save)
        with pytest.raises(RuntimeError, match="killed"):
            execute(small(*SETTINGS), folder)
    resumed(folder)
    for part in ("train", "val"):
        steps = [event.step for event in EventAccumulator(str(folder.path / part)).Reload().Scalars("loss")]
        assert steps == [1, 2, 3]


@pytest.fixture
def resumes_exactly(trained, tmp_path, monkeypatch):
    """resumes_exactly(config, step): interrupted after `step` steps it ends where it ends uninterrupted."""

    def compare(config, step: int) -> None:
        uninterrupted = trained(config.copy(), "uninterrupted")
        folder = new_folder(tmp_path / "run")
        folder.save_config(config)
        interrupted_at(step, config, folder, monkeypatch)
        resumed(folder)
        assert_same(load_checkpoint(uninterrupted.checkpoint("last")), load_checkpoint(folder.checkpoint("last")))

    return compare


def test_the_per_image_loader_resumes_within_an_epoch(small, resumes_exactly):
    one_by_one = ("data.augment=true", "augmentation=trivial_augment", "data.workers=0")
    resumes_exactly(small(*one_by_one, "trainer.epochs=1"), step=3)


def test_the_fast_recipe_resumes_within_an_epoch(composed, resumes_exactly):
    images = [text for text in SMALL if text.startswith("data")]
    recipe = ("experiment=fast/speedrun63", "model.widths=[8,16,24]", "trainer.sizes=[[0.3,16],[0.6,24]]")
    resumes_exactly(composed(*images, *recipe, "trainer.precision=bf16", "data.batch_size=64"), step=11)


def test_other_data_than_the_run_began_with_is_refused(small, tmp_path, monkeypatch):
    folder = new_folder(tmp_path / "run")
    folder.save_config(small())
    interrupted_at(3, small(), folder, monkeypatch)
    config = folder.load_config()
    config.data.source.seed = 1
    with pytest.raises(UserError, match="the data is no longer that which"):
        execute(config, folder)


def test_a_result_names_every_command_and_keeps_its_start(small, tmp_path, monkeypatch):
    folder = new_folder(tmp_path / "run")
    folder.save_config(small())
    interrupted_at(3, small(), folder, monkeypatch)
    first = folder.load_result()
    resumed(folder)
    second = folder.load_result()
    assert (len(first["commands"]), len(second["commands"])) == (1, 2)
    assert first["started"] == second["started"] and first["data"] == second["data"]


def test_checkpoints_hold_plain_containers_and_the_promised_names(small, trained):
    content = load_checkpoint(trained(small()).checkpoint("last"))
    assert {"model", "optimizer", "epoch", "step"} <= content.keys()
    assert (content["epoch"], content["step"]) == (2, 16)
    assert "head.2.weight" in content["model"]


def test_the_first_checkpoint_is_written_before_step_1(small, tmp_path, monkeypatch):
    def crash(*_arguments):
        raise RuntimeError("power cut")

    monkeypatch.setattr(loop, "train_epoch", crash)
    folder = new_folder(tmp_path / "run")
    with pytest.raises(RuntimeError, match="power cut"):
        execute(small(), folder)
    assert load_checkpoint(folder.checkpoint("last"))["step"] == 0
    assert folder.load_result()["reason"] == "RuntimeError: power cut"
    assert "Traceback" in folder.log.read_text()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", "half"])
def test_a_damaged_checkpoint_is_named(small, trained, content):
    path = trained(small("trainer.epochs=1")).checkpoint("last")
    path.write_bytes(path.read_bytes()[:1000] if content == "half" else content)
    with pytest.raises(UserError, match=r"last\.pt is damaged and cannot be read"):
        load_checkpoint(path)


def test_a_state_dict_alone_is_no_checkpoint(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "last.pt")
    with pytest.raises(UserError, match="it is not a checkpoint of a run"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match=r"best\.pt does not exist"):
        load_checkpoint(tmp_path / "best.pt")


def new_folder(path):
    folder = RunFolder(path)
    folder.path.mkdir()
    return folder
