from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from src.results.terminal import LiveTable, Terminal

ROW = {"train_loss": 4.0, "train_top1": 0.1, "val_loss": None, "val_top1": None, "lr": 1e-3}


def live_table(terminal, epochs, batches=5, watched_share=0.0, work_until=lambda done: done):
    return LiveTable(terminal, epochs, batches, watched_share, "", work_until)


@pytest.fixture
def clock(monkeypatch):
    """clock.now is what the terminal takes for the time, in seconds."""
    stopped = SimpleNamespace(now=100.0)
    monkeypatch.setattr("src.results.terminal.time", SimpleNamespace(perf_counter=lambda: stopped.now))
    return stopped


def test_piped_output_is_plain_aligned_rows_and_goes_into_the_log(tmp_path):
    out = StringIO()
    terminal = Terminal(tmp_path / "log", console=Console(file=out, highlight=False, markup=False, soft_wrap=True))
    with live_table(terminal, epochs=12) as table:
        table.looked(epoch=0, batch=3, images=60, loss_sum=240.0)
        for epoch in (1, 2):
            table.epoch_ended({**ROW, "epoch": epoch, "images_per_second": 2400.0, "seconds": 60.0 * epoch}, epoch == 2)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["1/12", "4.0000", "10.00", "%", "-", "-", "0.001", "2,400", "1", "min", "00", "s",
                                "11", "min", "00", "s"]  # fmt: skip
    assert "2/12*" in lines[3]
    assert (tmp_path / "log").read_text() == out.getvalue()


@pytest.mark.parametrize(("epoch", "left"), [(0, "2 min 40 s"), (2, "2 min 00 s")])
def test_what_is_left_is_told_from_the_first_steps(tmp_path, clock, epoch, left):
    terminal = Terminal(tmp_path / "log", quiet=True)
    # of four epochs each of the last two takes three times as long: 8 units in all
    table = live_table(terminal, 4, batches=10, work_until=lambda done: max(done / 2, (6 * done - 2) / 4))
    unit = 20.0 if epoch == 0 else 60.0  # seconds of that epoch
    for batch in (0, 2):
        clock.now = 100.0 + unit * batch / 10
        table.looked(epoch, batch, images=64 * batch + 1, loss_sum=1.0)
    assert terminal.log.read_text() == (
        f"  at {128 / (unit / 5):,.0f} images/s (its first steps) the rest takes about {left}\n"
    )


def test_each_epoch_tells_what_is_left_of_the_work(tmp_path):
    terminal = Terminal(tmp_path / "log", quiet=True)
    table = live_table(terminal, 4, work_until=lambda done: max(done / 2, (6 * done - 2) / 4))
    table.epoch_ended({**ROW, "epoch": 2, "images_per_second": 50.0, "seconds": 40.0}, is_best=False)
    assert terminal.log.read_text().endswith(" 2 min 00 s\n")


def test_a_resumed_epoch_is_not_counted_whole_and_validation_is_a_part_of_what_is_left(tmp_path, clock):
    table = live_table(Terminal(tmp_path / "log", quiet=True), epochs=1, batches=100, watched_share=0.6)
    for batch in (90, 95):
        clock.now = 100.0 + batch
        table.looked(epoch=0, batch=batch, images=batch, loss_sum=1.0)
    assert "the rest takes about 12 s" in (tmp_path / "log").read_text()  # 10 batches, and a fifth of that
