from io import StringIO

from rich.console import Console

from src.results.terminal import LiveTable, Terminal

ROW = {"train_loss": 4.0, "train_top1": 0.1, "val_loss": None, "val_top1": None, "lr": 1e-3}


def test_piped_output_is_plain_aligned_rows_and_goes_into_the_log(tmp_path):
    out = StringIO()
    terminal = Terminal(tmp_path / "log", console=Console(file=out, highlight=False, markup=False, soft_wrap=True))
    with LiveTable(terminal, epochs=12, batches=5, train_images=100, watched_images=0, watched="") as table:
        table.looked(epoch=0, batch=3, images=60, loss_sum=240.0)
        for epoch in (1, 2):
            table.epoch_ended({**ROW, "epoch": epoch, "images_per_second": 2400.0, "seconds": 60.0 * epoch}, epoch == 2)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["1/12", "4.0000", "10.00", "%", "-", "-", "0.001", "2,400", "1", "min", "00", "s",
                                "11", "min", "00", "s"]  # fmt: skip
    assert "2/12*" in lines[3]
    assert (tmp_path / "log").read_text() == out.getvalue()
