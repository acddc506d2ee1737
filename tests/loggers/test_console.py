from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from src import screen
from src.data.loader import BatchPlan
from src.loggers import console as console_module
from src.loggers.console import WIDTHS, ConsoleLogger, columns_that_fit
from src.result import Status
from src.training.messages import log_messages
from tests.loggers.conftest import row


@pytest.fixture
def clock(monkeypatch):
    """clock.now is what the console takes for the time, in seconds."""
    stopped = SimpleNamespace(now=100.0)
    monkeypatch.setattr(console_module, "time", SimpleNamespace(perf_counter=lambda: stopped.now))
    return stopped


def use_console(monkeypatch, **options) -> StringIO:
    """What is printed on a console with these options."""
    out = StringIO()
    out.isatty = lambda: "width" in options  # a pipe has none
    monkeypatch.setattr(screen, "console", Console(file=out, highlight=False, markup=False, soft_wrap=True, **options))
    return out


@pytest.fixture
def piped(monkeypatch):
    return use_console(monkeypatch)


def no_validation(epoch, **numbers):
    return row(epoch, val_loss=None, val_top1=None, **numbers)


def rising(done):
    """Of four epochs each of the last two takes three times as long: 8 units in all."""
    return max(done / 2, (6 * done - 2) / 4)


def test_piped_output_is_plain_aligned_rows_and_goes_into_the_log(piped, started):
    run, logger = started("trainer.epochs=12"), ConsoleLogger()
    with log_messages(run.run_dir, on_terminal=True):
        logger.on_run_start(run)
        logger.on_log(epoch=0, batch=3, loss=4.0, top1=0.1)
        for epoch in (1, 2):
            logger.on_epoch_end([no_validation(epoch)], is_best=epoch == 2)
        logger.close(Status.COMPLETED)
    lines = piped.getvalue().splitlines()
    assert lines.pop(0) == "val: images held out of the training set; * marks the best epoch so far"
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["1/12", "4.0000", "10.00", "%", "-", "-", "0.001", "2,400", "1", "min", "00", "s",
                                "11", "min", "00", "s"]  # fmt: skip
    assert "2/12*" in lines[3]
    assert run.run_dir.log_file.read_text() == piped.getvalue()


def test_validation_has_columns_of_its_own(piped, started):
    run, logger = started("trainer.epochs=2"), ConsoleLogger()
    with log_messages(run.run_dir, on_terminal=True):
        logger.on_run_start(run)
        logger.on_epoch_end([row(1)], is_best=False)
    header, _, cells = piped.getvalue().splitlines()[1:]
    assert header.split("  ")[-1] == "left" and cells.split()[4:7] == ["2.0000", "20.00", "%"]


@pytest.mark.parametrize(
    ("validation", "sentence"),
    [
        ("test", "val: the TEST set, watched every epoch (the course report's protocol); nothing may be chosen by it"),
        ("none", "no validation: all training images are used, and the last epoch is evaluated"),
    ],
)
def test_the_table_begins_with_what_is_watched(piped, started, validation, sentence):
    run = started(f"data.validation={validation}")
    with log_messages(run.run_dir, on_terminal=True):
        ConsoleLogger().on_run_start(run)
    assert piped.getvalue().splitlines()[0] == sentence


@pytest.mark.parametrize(("epoch", "left"), [(0, "2 min 36 s"), (2, "1 min 48 s")])
def test_what_is_left_is_told_from_the_first_steps(piped, started, clock, epoch, left):
    run, logger = started("trainer.epochs=4", num_batches=10, time_share=rising), ConsoleLogger()
    logger.on_run_start(run)
    unit = 20.0 if epoch == 0 else 60.0  # seconds of that epoch
    with log_messages(run.run_dir, on_terminal=False):
        for batch in (0, 2):
            clock.now = 100.0 + unit * batch / 10
            logger.on_log(epoch, batch, loss=1.0, top1=0.1)
            logger.on_log(epoch, batch, loss=1.0, top1=0.1)
    text = run.run_dir.log_file.read_text()  # once
    assert text == f"  at the speed of its first steps the run takes about {left} more\n"


def test_a_long_run_is_told_how_it_ends_earlier(piped, started, clock):
    run, logger = started("trainer.epochs=4", num_batches=10), ConsoleLogger()
    logger.on_run_start(run)
    with log_messages(run.run_dir, on_terminal=False):
        for batch in (0, 2):
            clock.now = 100.0 + 50 * batch
            logger.on_log(0, batch, loss=1.0, top1=0.1)
    assert (
        "takes about 31 min 40 s more;\n  trainer.max_minutes=... ends it earlier" in run.run_dir.log_file.read_text()
    )


def test_each_epoch_tells_what_is_left_of_the_run(piped, started):
    run, logger = started("trainer.epochs=4", time_share=rising), ConsoleLogger()
    logger.on_run_start(run)
    with log_messages(run.run_dir, on_terminal=False):
        logger.on_epoch_end([row(2, seconds=40.0)], is_best=False)
    assert run.run_dir.log_file.read_text().endswith(" 2 min 00 s\n")


def test_a_resumed_epoch_is_not_counted_whole_and_validation_is_a_part_of_what_is_left(piped, started, clock):
    run, logger = started("trainer.epochs=1", num_batches=100, val_share=0.2), ConsoleLogger()
    logger.on_run_start(run)
    with log_messages(run.run_dir, on_terminal=False):
        for batch in (90, 95):
            clock.now = 100.0 + batch
            logger.on_log(epoch=0, batch=batch, loss=1.0, top1=0.1)
    assert "takes about 6 s more" in run.run_dir.log_file.read_text()  # 5 batches, and a fifth of that


@pytest.mark.parametrize(
    ("width", "dropped"),
    [
        (None, []),
        (200, []),
        (102, []),
        (101, ["left"]),
        (80, ["left", "images/s"]),
        (77, ["left", "images/s"]),
        (76, ["left", "images/s", "lr"]),
        (40, ["left", "images/s", "lr"]),
    ],
)
def test_columns_drop_out_by_importance(width, dropped):
    assert columns_that_fit(width) == [name for name in WIDTHS if name not in dropped]


def test_rows_fit_a_terminal_of_80_columns(monkeypatch, started):
    out = use_console(monkeypatch, force_terminal=True, width=80, legacy_windows=False, color_system=None)
    run, logger = started("trainer.epochs=120"), ConsoleLogger()
    with log_messages(run.run_dir, on_terminal=True):
        logger.on_run_start(run)
        logger.on_epoch_end([row(120, seconds=40_000.0, train_loss=10.1234, lr=1.23e-5)], is_best=True)
        logger.close(Status.COMPLETED)
    rows = run.run_dir.log_file.read_text().splitlines()[1:]
    assert len(rows) == 3 and {len(line) for line in rows} == {77}
    assert all(line in out.getvalue() for line in rows)
    assert rows[2].split()[-4:] == ["11", "h", "06", "min"] and "left" not in rows[0] and "lr" in rows[0]


def test_the_bar_shows_accuracy_and_time_left(monkeypatch, started, clock):
    use_console(monkeypatch, force_terminal=True, width=80, legacy_windows=False, color_system=None)
    run, logger = started("trainer.epochs=2", num_batches=10), ConsoleLogger()
    logger.on_run_start(run)
    try:
        logger.bar.live.auto_refresh = False
        logger.on_log(0, 2, loss=4.5678, top1=0.0123)
        assert shown(logger).split() == ["epoch", "1", "━━━━", "2/10", "loss", "4.568,", "acc", "1.23", "%"]
        clock.now += 6.0
        logger.on_log(0, 5, loss=4.0, top1=0.5)
        assert shown(logger).endswith("5/10 loss 4.000, acc 50.00 %, 30 s left")
        logger.on_epoch_end([row(1)], is_best=False)
        assert shown(logger).endswith("0/10")
    finally:
        logger.close(Status.COMPLETED)


def test_the_bar_of_a_long_run_fits_a_terminal_of_80_columns(monkeypatch, started, clock):
    use_console(monkeypatch, force_terminal=True, width=80, legacy_windows=False, color_system=None)
    run, logger = started("trainer.epochs=150", num_batches=1000), ConsoleLogger()
    logger.on_run_start(run)
    try:
        logger.bar.live.auto_refresh = False
        for batch in (999, 1000):
            clock.now += 1000.0
            logger.on_log(119, batch, loss=4.5678, top1=0.1023)
        assert shown(logger).endswith("1000/1000 loss 4.568, acc 10.23 %, 8333 h 20 min left")
    finally:
        logger.close(Status.COMPLETED)


def shown(logger) -> str:
    """The bar as text; a terminal of 80 columns has it on one line."""
    out = Console(file=StringIO(), width=80, color_system=None)
    out.print(logger.bar.get_renderable())
    (line,) = out.file.getvalue().splitlines()
    return line.rstrip()


def test_piped_output_has_no_bar(piped, started):
    logger = ConsoleLogger()
    logger.on_run_start(started())
    logger.on_log(0, 3, loss=4.0, top1=0.1)
    logger.close(Status.COMPLETED)
    assert "acc" not in piped.getvalue()


def test_the_best_epoch_is_green_on_a_terminal_alone(monkeypatch, started):
    out = use_console(monkeypatch, force_terminal=True, width=80, legacy_windows=False, color_system="standard")
    run, logger = started("trainer.epochs=2"), ConsoleLogger()
    with log_messages(run.run_dir, on_terminal=True):
        logger.on_run_start(run)
        for epoch, is_best in ((1, True), (2, False)):
            logger.on_epoch_end([row(epoch)], is_best)
        logger.close(Status.COMPLETED)
    first, second = (line for line in out.getvalue().splitlines() if "20.00 %" in line)
    assert first.startswith("\x1b[2K\x1b[32m     1/2*") and "\x1b[32m" not in second
    assert "\x1b" not in run.run_dir.log_file.read_text()


def test_the_length_of_a_run_is_that_of_its_plan(piped, started):
    """100 batches in groups of 64 are 2 steps: 1.2 epochs are 2 steps, too."""
    plan = BatchPlan(num_images=100, batch_size=1, seed=0, epochs=1.2, grad_accumulation_steps=64)
    run, logger = started("trainer.epochs=1.2", plan=plan), ConsoleLogger()
    logger.on_run_start(run)
    with log_messages(run.run_dir, on_terminal=False):
        logger.on_epoch_end([row(1)], is_best=False)
    assert " 1/1 " in run.run_dir.log_file.read_text()
