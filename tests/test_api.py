import logging
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from src import api
from src.data.decoding import read_image
from src.loggers.logger import Logger
from src.trust import TRUSTED
from tests.conftest import mostly_slow, process_environment
from tests.quick import QUICK, quick_commands

QUIET = [*QUICK, "logger=quiet"]  # without TensorBoard
DEFAULT_LOGGERS = [text for text in QUICK if not text.startswith("~")]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The working folder of the program; runs are quick."""
    monkeypatch.chdir(tmp_path)
    with quick_commands():
        yield tmp_path


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> api.Run:
    folder = tmp_path_factory.mktemp("api") / "run"
    with quick_commands():
        return api.train([*QUIET, f"hydra.run.dir={folder}"])


def process_state() -> list[object]:
    """What a program might have set up, and a run would change."""
    loggers = [logging.getLogger(name) for name in (None, "cifarlab", "py.warnings")]
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    return [
        torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),
        torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,
        [signal.getsignal(number) for number in numbers],
        [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers],
        warnings.showwarning, threading.excepthook, sys.stdout, sys.stderr, list(sys.argv), os.getcwd(),
        dict(os.environ), matplotlib.rcParams.copy(),
    ]  # fmt: skip


def test_a_run_is_that_of_the_command(run, command, tmp_path):
    done = command("train", *QUIET, "hydra.run.dir=typed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    typed = api.load_run("typed")
    assert run.result["status"] == "completed" and run.result["metrics"] == typed.result["metrics"]
    assert [row["val_loss"] for row in run.history] == [row["val_loss"] for row in typed.history]
    weights, typed_weights = run.model.state_dict(), typed.model.state_dict()
    assert all(torch.equal(weights[name], typed_weights[name]) for name in weights) and not run.model.training
    assert run.config == typed.config and run.config.trainer.epochs == 2
    assert run.path.is_absolute() and typed.path == Path("typed")
    assert repr(typed) == "Run('typed', completed)"


def test_result_json_has_the_command_that_does_the_same(run):
    (command,) = run.result["commands"]
    assert command.startswith("python -m src.train data=synthetic ") and f"hydra.run.dir={run.path}" in command
    assert "'model.blocks=[[8]]'" in command


@pytest.mark.parametrize(
    "overrides", mostly_slow([[], ["model=nope"], ["trainer.deterministic=true", "seed=1"], ["optimizer.lr=1e30"]], 2)
)
def test_a_run_leaves_the_process_as_it_was(overrides, capsys):
    torch.manual_seed(3)
    before = process_state()
    try:
        finished = api.train([*DEFAULT_LOGGERS, *overrides])
        assert finished.path.parent == Path("outputs") and finished.result["status"] == "completed"
    except api.UserError:
        assert overrides in (["optimizer.lr=1e30"], ["model=nope"])
    assert process_state() == before


@pytest.mark.slow
def test_runs_in_one_process_do_not_depend_on_each_other(run):
    again = api.train([*QUIET, "hydra.run.dir=again"])
    other = api.train([*QUIET, "hydra.run.dir=other", "seed=1"])
    last = [each.history[-1]["train_loss"] for each in (run, again, other)]
    assert last[0] == last[1] != last[2]
    assert not (Path("other") / "train.log").read_text().count("again")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    mostly_slow(
        [
            (["trainer.epochs=0"], "trainer.epochs=0 must be above 0"),
            (["model=nope"], "model=nope does not exist"),
            (["--multirun"], "--multirun belongs to the command line"),
            (["resume=nowhere"], "resume=nowhere is not the folder of a run"),
            (["hydra.sweep.dir=x"], "does nothing without --multirun"),
        ],
        quick=1,
    ),
)
def test_a_mistake_is_a_user_error_and_leaves_no_folder(overrides, sentence, place):
    with pytest.raises(api.UserError, match=sentence):
        api.train([*QUIET, *overrides])
    assert not list(place.rglob("*.yaml"))


@pytest.mark.slow
def test_a_run_is_paused_and_resumed():
    paused = api.train([*QUIET, "hydra.run.dir=run", "pause_at=1"])
    assert paused.result["status"] == "paused" and len(paused.history) == 1
    resumed = api.train(["resume=run"])
    assert resumed.result["status"] == "completed" and len(paused.history) == 2
    assert resumed.result["commands"][1] == "python -m src.train resume=run"


class Interrupting(Logger):
    """Sends this process a signal after the first epoch."""

    number = signal.SIGINT

    def on_epoch_end(self, history, is_best):
        if len(history) == 1:
            signal.raise_signal(self.number)


def interrupt(folder: str) -> api.Run:
    own = f"+logger.own._target_={__name__}.Interrupting"
    return api.train([*QUIET, own, f"hydra.run.dir={folder}"])


@pytest.fixture
def trusts_this_file(monkeypatch):
    monkeypatch.setattr("src.trust.TRUSTED", (*TRUSTED, __name__))


@pytest.fixture
def own_ctrl_c():
    """The program hears Ctrl-C: in the background of a shell Python would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_saves_everything_and_is_then_the_callers(trusts_this_file, own_ctrl_c, capsys):
    with pytest.raises(KeyboardInterrupt):
        interrupt("run")
    interrupted = api.load_run("run")
    assert interrupted.result["status"] == "interrupted" and interrupted.result["epochs"] == 1
    assert api.train(["resume=run"]).result["status"] == "completed"


@pytest.mark.slow
def test_a_callers_handler_of_a_signal_is_called_once_all_is_saved(trusts_this_file, monkeypatch):
    monkeypatch.setattr(Interrupting, "number", signal.SIGTERM)
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(api.load_run("run").result["status"]))
    try:
        assert interrupt("run").result["status"] == "interrupted"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == ["interrupted"]


@pytest.mark.slow
def test_a_thread_may_train():
    finished = []
    thread = threading.Thread(target=lambda: finished.append(api.train([*QUIET])))
    thread.start()
    thread.join()
    assert finished[0].result["status"] == "completed"


def test_predictions_are_the_models_own(run, tmp_path):
    Image.effect_noise((30, 20), 90).convert("RGB").save(tmp_path / "noise.png")
    torch.manual_seed(4)
    before = process_state()
    classified = api.load_run(run.path, device="cpu").predict([tmp_path / "noise.png"] * 3)
    assert process_state() == before
    images = read_image(tmp_path / "noise.png", 8)[None]
    with torch.inference_mode():
        expected = run.model(images / 255).softmax(dim=1)
    assert torch.allclose(classified.probabilities, expected.expand(3, -1), atol=1e-6)
    assert classified.classes == [run.class_names[expected.argmax()]] * 3
    assert torch.equal(run.predict(images).probabilities, run.predict(Image.open("noise.png")).probabilities)


def test_what_cannot_be_loaded_is_a_user_error(run):
    with pytest.raises(api.UserError, match="run=nowhere is not the folder of a run"):
        api.load_run("nowhere")
    with pytest.raises(api.UserError, match="checkpoint=middle is not one of best, last"):
        _ = api.load_run(run.path, checkpoint="middle").model
    with pytest.raises(api.UserError, match="images must be a path"):
        run.predict(3)


def test_runs_are_rows_of_a_table(run):
    row, other = api.load_runs([run.path, str(run.path), f"{run.path.parent}/r*"])[0], api.load_runs(run.path.parent)
    assert other == [row]
    assert (row["run"], row["status"], row["model"], row["epochs"]) == (str(run.path), "completed", "baseline", 2)
    assert row["data.batch_size"] == 64 and row["optimizer.lr"] == 0.001
    assert row["metrics.test.top1"] == run.result["metrics"]["test"]["top1"]
    with pytest.raises(api.UserError, match=r"runs=no\*where is no folder"):
        api.load_runs("no*where")


@pytest.mark.slow
def test_the_import_is_quick():
    code = "import sys\nfrom src import api\nprint('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=process_environment())
    assert done.stdout == "False False\n", done.stderr
