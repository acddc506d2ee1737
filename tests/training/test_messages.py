import logging
import warnings
from io import StringIO

import pytest
import torch
from rich.console import Console

from src import screen
from src.errors import UserError
from src.run_dir import RunDir
from src.training.build import load_splits
from src.training.messages import explain_failure, heading, log, log_messages, next_commands, resume_command


@pytest.fixture
def terminal(monkeypatch):
    """What is printed."""
    out = StringIO()
    monkeypatch.setattr(screen, "console", Console(file=out, highlight=False, markup=False, soft_wrap=True))
    return out


def test_messages_and_warnings_go_to_the_log_and_to_the_terminal(tmp_path, terminal):
    run_dir = RunDir(tmp_path)
    with log_messages(run_dir, on_terminal=True):
        log.info("[bold]not markup[/bold] 猫")
        warnings.warn("something odd", stacklevel=1)
    log.info("afterwards")
    text = run_dir.log_file.read_text()
    assert text == terminal.getvalue() and text.startswith("[bold]not markup[/bold] 猫\n")
    assert "UserWarning: something odd" in text and "afterwards" not in text


def test_a_quiet_run_only_writes_its_log_and_a_resumed_one_appends(tmp_path, terminal):
    run_dir = RunDir(tmp_path)
    for text in ("first", "second"):
        with log_messages(run_dir, on_terminal=False):
            log.info(text)
    assert run_dir.log_file.read_text() == "first\nsecond\n" and terminal.getvalue() == ""


def test_no_handler_is_left_behind(tmp_path):
    loggers = (log, logging.getLogger("py.warnings"))
    before = [list(logger.handlers) for logger in loggers]
    with pytest.raises(KeyError), log_messages(RunDir(tmp_path), on_terminal=True):
        raise KeyError
    assert [list(logger.handlers) for logger in loggers] == before


def test_the_heading_says_what_is_trained(tiny):
    config = tiny("seed=3", "trainer.epochs=7")
    choices = {"model": "deep", "data": "synthetic", "loss": "cross_entropy", "optimizer": "adam"}
    lines = heading(config, choices, RunDir("outputs/run"), load_splits(config), "CPU, 2 threads, fp32").splitlines()
    assert lines == [
        "outputs/run",
        "model=deep data=synthetic optimizer=adam",
        "100 training images, 100 held out for validation, 100 test images; 100 classes",
        "7 epochs, batches of 25, seed 3, on CPU, 2 threads, fp32",
    ]


def test_commands_can_be_pasted(config_of):
    config = config_of()
    assert resume_command(RunDir("outputs/run"), config) == "python -m src.train resume=outputs/run"
    assert resume_command(RunDir("out puts/a=b"), config) == """python -m src.train 'resume='"'"'out puts/a=b'"'"''"""
    assert next_commands(RunDir("outputs/run"), config).splitlines() == [
        "  python -m src.evaluate run=outputs/run",
        "  python -m src.predict run=outputs/run images='path/*.png'",
        "  tensorboard --logdir outputs",
    ]


class FakeDynamoError(Exception):
    __module__ = "torch._dynamo.exc"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), r"^out of GPU memory with batches of 25: halve"),
        (
            torch.AcceleratorError("CUDA error: no kernel image\nx"),
            r"^the GPU failed \(CUDA error: no kernel image\): ",
        ),
        (ValueError("Expected more than 1 value per channel when training"), r"^batch norm cannot train on a single"),
        (FakeDynamoError("graph break\nmore"), r"^trainer\.compile=true fails .*\(graph break\); leave it out\.$"),
        (
            OSError(28, "No space left on device"),
            r"the disk is full; make room .*The run continues .*resume=\.\.\.$",
        ),
        (UserError("seed=x is wrong."), r"^seed=x is wrong\.$"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(tiny, error, sentence):
    explained = explain_failure(error, tiny("trainer.compile=true"))
    with pytest.raises(UserError, match=sentence):
        raise explained
    assert "\n" not in str(explained)


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), FakeDynamoError("x")])
def test_faults_of_the_program_are_not_explained_away(tiny, error):
    assert explain_failure(error, tiny()) is None


def test_afterwards_logging_is_set_up_as_before(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "level", logging.ERROR)
    monkeypatch.setattr(log, "propagate", True)
    own, shown = logging.getLogger("py.warnings"), warnings.showwarning
    before = own.level, own.propagate, list(own.handlers), list(log.handlers)
    logging.captureWarnings(True)
    try:
        captured = warnings.showwarning
        with log_messages(RunDir(tmp_path), on_terminal=False):
            assert log.level == logging.INFO and not log.propagate
        assert (log.level, log.propagate) == (logging.ERROR, True) and warnings.showwarning is captured
    finally:
        logging.captureWarnings(False)
    assert warnings.showwarning is shown and before == (
        own.level,
        own.propagate,
        list(own.handlers),
        list(log.handlers),
    )
