from io import StringIO

from rich.console import Console

from src.results.terminal import LiveTable, Terminal

ROW = {"train_loss": 4.0, "train_top1": 0.1, "val_loss": None, "val_top1": None, "lr": 1e-3}


def live_table(terminal, epochs, train_images, watched_images=0, work_until=lambda done: done):
    return LiveTable(terminal, epochs, 5, train_images, watched_images, "", work_until)


def test_piped_output_is_plain_aligned_rows_and_goes_into_the_log(tmp_path):
    out = StringIO()
    terminal = Terminal(tmp_path / "log", console=Console(file=out, highlight=False, markup=False, soft_wrap=True))
    with live_table(terminal, epochs=12, train_images=100) as table:
        table.looked(epoch=0, batch=3, images=60, loss_sum=240.0)
        for epoch in (1, 2):
            table.epoch_ended({**ROW, "epoch": epoch, "images_per_second": 2400.0, "seconds": 60.0 * epoch}, epoch == 2)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["1/12", "4.0000", "10.00", "%", "-", "-", "0.001", "2,400", "1", "min", "00", "s",
                                "11", "min", "00", "s"]  # fmt: skip
    assert "2/12*" in lines[3]
    assert (tmp_path / "log").read_text() == out.getvalue()


def test_what_is_left_is_told_from_the_first_steps_and_from_each_epoch(tmp_path, monkeypatch):
    terminal = Terminal(tmp_path / "log", quiet=True)
    now = iter([100.0, 104.0])
    monkeypatch.setattr("src.results.terminal.time.perf_counter", lambda: next(now))
    # of four epochs the last two are three times the work of the first two: 8 units of work in all
    table = live_table(terminal, epochs=4, train_images=1000, work_until=lambda done: max(done / 2, (6 * done - 2) / 4))
    table.looked(epoch=0, batch=1, images=100, loss_sum=1.0)
    table.looked(epoch=0, batch=2, images=300, loss_sum=1.0)  # 200 images in 4 s: 20 s for one unit
    table.epoch_ended({**ROW, "epoch": 2, "images_per_second": 50.0, "seconds": 40.0}, is_best=False)
    told, row = terminal.log.read_text().splitlines()
    assert told.startswith("  at 50 images/s (its first steps) the 4 epochs take about 2 min 40 s")
    assert row.endswith("2 min 00 s")


def test_validation_is_a_part_of_what_is_left(tmp_path, monkeypatch):
    now = iter([100.0, 104.0])
    monkeypatch.setattr("src.results.terminal.time.perf_counter", lambda: next(now))
    table = live_table(Terminal(tmp_path / "log", quiet=True), epochs=1, train_images=1000, watched_images=600)
    table.looked(epoch=0, batch=1, images=100, loss_sum=1.0)
    table.looked(epoch=0, batch=2, images=300, loss_sum=1.0)
    assert "the epoch takes about 24 s" in (tmp_path / "log").read_text()
