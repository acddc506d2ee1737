"""A run that is interrupted and resumed must end where the uninterrupted one ends, bit for bit."""

import shutil
from contextlib import contextmanager

import pytest
import torch

from src.errors import Interrupted, UserError
from src.loggers.history_csv import read_history
from src.run_dir import RunDir
from src.training import saving
from src.training.checkpoint import load_checkpoint, load_last, restore
from src.training.inference import Classifier
from src.training.run import run
from src.training.signals import StopRequest
from src.training.trainer import Trainer
from tests.conftest import create_in, mostly_slow, train_in
from tests.loggers.events import steps_of

TIMES = ("seconds_saving", "seconds", "images_per_second", "clean_train_top1")
# Dropout draws random numbers, batch norm has running statistics, the schedule and Adam have states.
SETTINGS = (
    "data.batch_size=13",  # eight batches an epoch, four steps
    "model.dropout=0.5",
    "model.batch_norm=true",
    "augmentation=affine",
    "scheduler=one_cycle",
    "trainer.epochs=3",
    "trainer.grad_accumulation_steps=2",
)


def interrupted_at(step: int, run_dir: RunDir, monkeypatch) -> None:
    """Runs until the optimizer has made `step` steps, then does what Ctrl-C does."""
    genuine = saving.log_save_or_stop

    def log_save_or_stop(self):
        if self.state.step == step:
            self.stop.signal_number = 2
        return genuine(self)

    with monkeypatch.context() as patch:
        patch.setattr(saving, "log_save_or_stop", log_save_or_stop)
        with pytest.raises(Interrupted):
            run(run_dir.load_config(), run_dir)


def resumed(run_dir: RunDir) -> None:
    torch.manual_seed(999)  # the resuming process is another one
    run(run_dir.load_config(), run_dir)


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


def assert_ends_alike(first: RunDir, second: RunDir, *names: str) -> None:
    for name in names:
        assert_same(load_checkpoint(first.checkpoint(name)), load_checkpoint(second.checkpoint(name)))
    assert_same(read_history(first.history_file), read_history(second.history_file))


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """The run that nobody interrupts."""
    return train_in(tmp_path_factory.mktemp("whole") / "run", tiny(*SETTINGS))


@pytest.mark.parametrize(
    "step", mostly_slow([3, 4, 12, 1, 7], quick=3)
)  # four steps an epoch: within, at the end of one, at the very end
def test_resumed_run_ends_where_the_uninterrupted_one_ends(tiny, whole, tmp_path, monkeypatch, step):
    run_dir = create_in(tmp_path / "resumed", tiny(*SETTINGS))
    interrupted_at(step, run_dir, monkeypatch)
    assert run_dir.load_result()["status"] == "interrupted"
    assert load_checkpoint(run_dir.checkpoint("last"))["step"] == step
    resumed(run_dir)
    assert_ends_alike(whole, run_dir, "last", "best")
    assert run_dir.load_result()["metrics"] == whole.load_result()["metrics"]
    for tag in ("loss/train", "loss/val"):
        assert steps_of(run_dir.path, tag) == [1, 2, 3]


def test_time_that_runs_out_within_an_epoch_leaves_an_exact_checkpoint(tiny, whole, tmp_path, monkeypatch):
    run_dir = create_in(tmp_path / "run", tiny(*SETTINGS))
    with monkeypatch.context() as patch:
        patch.setattr(saving, "is_out_of_time", lambda self: self.state.step == 6)
        run(tiny(*SETTINGS), run_dir)
    result = run_dir.load_result()
    assert (result["status"], result["stopped_by"], result["epochs"], result["steps"]) == (
        "completed", "max_minutes", 1, 6
    )  # fmt: skip
    assert steps_of(run_dir.path, "test/accuracy") == [2]
    resumed(run_dir)
    assert_ends_alike(whole, run_dir, "last")
    assert steps_of(run_dir.path, "test/accuracy") == [4]


def test_interruption_within_validation_and_within_the_last_evaluation(tiny, whole, tmp_path, monkeypatch):
    run_dir = create_in(tmp_path / "run", tiny(*SETTINGS))
    evaluations = iter([None, None, 15, None, None, 2])  # rehearsal; three epochs, one done again; the end
    requests, genuine = [], Classifier.logits

    @contextmanager
    def stop_when_asked(_log_file):
        requests.append(StopRequest())
        yield requests[-1]

    def logits(self, images, between_batches, mirrored=False):
        requests[-1].signal_number = next(evaluations, None)
        between_batches()
        return genuine(self, images, between_batches, mirrored)

    monkeypatch.setattr("src.training.run.stop_on_signals", stop_when_asked)
    monkeypatch.setattr(Classifier, "logits", logits)
    for number, epochs in ((15, 1), (2, 3)):
        with pytest.raises(Interrupted) as interruption:
            run(run_dir.load_config(), run_dir)
        assert interruption.value.signal_number == number
        assert (run_dir.load_result()["status"], run_dir.load_result()["epochs"]) == ("interrupted", epochs)
    resumed(run_dir)
    assert_ends_alike(whole, run_dir, "last")


def test_a_killed_process_leaves_no_doubled_points(tiny, tmp_path, monkeypatch):
    """Killed between the events of an epoch and its checkpoint, that epoch is done, and drawn, again."""
    run_dir = create_in(tmp_path / "run", tiny(*SETTINGS))
    genuine = saving.save

    def save(self, name):
        if self.state.epoch >= 2:
            raise RuntimeError("killed")
        genuine(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(saving, "save", save)
        with pytest.raises(RuntimeError, match="killed"):
            run(tiny(*SETTINGS), run_dir)
    resumed(run_dir)
    for tag in ("loss/train", "loss/val"):
        assert steps_of(run_dir.path, tag) == [1, 2, 3]


@pytest.fixture
def resumes_exactly(trained, tmp_path, monkeypatch):
    """resumes_exactly(config, step): interrupted after `step` steps it ends where it ends uninterrupted."""

    def compare(config, step: int) -> None:
        uninterrupted = trained(config, "uninterrupted")
        run_dir = create_in(tmp_path / "run", config)
        interrupted_at(step, run_dir, monkeypatch)
        resumed(run_dir)
        assert_ends_alike(uninterrupted, run_dir, "last")

    return compare


def test_the_per_image_loader_resumes_within_an_epoch(tiny, resumes_exactly):
    resumes_exactly(tiny("augmentation=torchvision", "data.workers=0", "trainer.epochs=1"), step=3)


@pytest.mark.slow
def test_averaged_weights_resume_within_an_epoch(tiny, resumes_exactly):
    resumes_exactly(tiny(*SETTINGS, "trainer.ema_decay=0.8"), step=5)


@pytest.mark.parametrize("step", mostly_slow([10, 5], quick=1))  # after and before the average begins
def test_stochastically_averaged_weights_resume_within_an_epoch(tiny, resumes_exactly, step):
    resumes_exactly(tiny(*SETTINGS, "trainer.swa_start=0.5"), step=step)


@pytest.mark.parametrize("adaptive", mostly_slow(["true", "false"], quick=1))
def test_sharpness_aware_steps_resume_within_an_epoch(tiny, resumes_exactly, adaptive):
    resumes_exactly(tiny(*SETTINGS, "trainer.sam_rho=0.5", f"trainer.sam_adaptive={adaptive}"), step=5)


@pytest.mark.parametrize("step", mostly_slow([6, 7], quick=1))  # 7: the last, evaluated after the interruption
def test_a_fraction_of_an_epoch_resumes_within_it(tiny, resumes_exactly, step):
    resumes_exactly(tiny(*SETTINGS, "trainer.epochs=1.75"), step=step)


def test_a_run_of_a_fraction_of_an_epoch_is_evaluated_after_an_interruption(tiny, tmp_path, monkeypatch):
    run_dir = create_in(tmp_path / "run", tiny(*SETTINGS, "trainer.epochs=1.5"))
    with monkeypatch.context() as patch:
        patch.setattr("src.training.run.evaluate_run", lambda trainer: trainer.no_such_thing)
        with pytest.raises(AttributeError):
            run(run_dir.load_config(), run_dir)
    resumed(run_dir)
    assert run_dir.load_result()["epochs"] == 2


@pytest.mark.slow
def test_the_fast_recipe_resumes_within_an_epoch(config_of, resumes_exactly):
    images = ("data=synthetic", "data.image_size=24", "data.source.train_images=100", "data.source.test_images=100")
    recipe = (
        "experiment=fast/speedrun63",
        "model.widths=[8,16,24]",
        "trainer.progressive_resizing=[[0.3,16],[0.6,20]]",
    )
    fast = ("trainer.precision=bf16", "data.batch_size=25", "logger=quiet")
    resumes_exactly(config_of(*images, *recipe, *fast), step=5)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet20", "wrn16_8 model.widths=[16,32,64]", "mobilenetv2"])
def test_networks_of_others_learn_and_resume(config_of, resumes_exactly, tmp_path, model):
    images = ("data=synthetic", "data.source.train_images=200", "data.source.test_images=100", "data.holdout=1")
    short = ("data.limit=96", "data.batch_size=16", "trainer.epochs=3", "logger=quiet", "optimizer.lr=0.003")
    resumes_exactly(config_of(*f"model={model}".split(), *images, *short), step=8)
    losses = [row["train_loss"] for row in read_history(tmp_path / "run/history.csv")]
    assert losses[-1] < losses[0]


def test_other_data_than_the_run_began_with_is_refused(tiny, tmp_path, monkeypatch):
    run_dir = create_in(tmp_path / "run", tiny())
    interrupted_at(3, run_dir, monkeypatch)
    config = run_dir.load_config()
    config.data.source["seed"] = 1
    with pytest.raises(UserError, match=r"the data is not that on which .* was trained"):
        run(config, run_dir)


def test_everything_that_is_saved_is_restored(tiny, plain, trainer_of):
    content = load_checkpoint(plain.checkpoint("last"))
    trainer = trainer_of(tiny())
    trainer.fingerprint = content["fingerprint"]
    restore(content, trainer)
    assert (trainer.state.epoch, trainer.state.step, trainer.scheduler.last_epoch) == (2, 8, 8)
    assert len(trainer.state.history) == 2 and trainer.state.best["epoch"] in (1, 2)
    assert_same(content["model"], trainer.classifier.model.state_dict())
    assert_same(content["optimizer"], trainer.optimizer.state_dict())


def test_checkpoints_hold_plain_containers_and_the_promised_names(plain):
    content = load_checkpoint(plain.checkpoint("last"))
    assert {"model", "optimizer", "epoch", "step"} <= content.keys()
    assert (content["epoch"], content["step"]) == (2, 8)
    assert "head.2.weight" in content["model"]


def test_the_first_checkpoint_is_written_before_step_1(tiny, tmp_path, monkeypatch):
    def crash(_trainer):
        raise RuntimeError("power cut")

    monkeypatch.setattr(Trainer, "train_epoch", crash)
    run_dir = create_in(tmp_path / "run", tiny())
    with pytest.raises(RuntimeError, match="power cut"):
        run(tiny(), run_dir)
    assert load_checkpoint(run_dir.checkpoint("last"))["step"] == 0
    assert run_dir.load_result()["reason"] == "RuntimeError: power cut"
    assert "Traceback" in run_dir.log_file.read_text()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", "half"])
def test_a_damaged_checkpoint_is_named(plain, tmp_path, content):
    path = tmp_path / "last.pt"
    path.write_bytes(plain.checkpoint("last").read_bytes()[:1000] if content == "half" else content)
    with pytest.raises(UserError, match=r"last\.pt is damaged: .*archive"):
        load_checkpoint(path)


def test_a_state_dict_alone_is_no_checkpoint(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "last.pt")
    with pytest.raises(UserError, match=r"last\.pt is no file of cifarlab, or damaged: model is missing"):
        load_checkpoint(tmp_path / "last.pt")


def test_the_advice_names_a_file_only_where_it_is(plain, tmp_path):
    (tmp_path / "last.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"last\.pt is damaged.*; restore it, or train again"):
        load_checkpoint(tmp_path / "last.pt")
    shutil.copy(plain.checkpoint("best"), tmp_path)
    with pytest.raises(UserError, match=r"last\.pt is damaged.*; copy .*best\.pt over it, or train again"):
        load_checkpoint(tmp_path / "last.pt")


def test_where_the_last_two_checkpoints_are_damaged_the_last_is_named(tmp_path):
    run_dir = RunDir(tmp_path)
    run_dir.checkpoint("last").parent.mkdir()
    for name in ("last", "previous"):
        run_dir.checkpoint(name).write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"last\.pt is damaged"):
        load_last(run_dir)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match=r"best\.pt does not exist"):
        load_checkpoint(tmp_path / "best.pt")
