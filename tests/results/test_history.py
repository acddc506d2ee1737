from src.results.history import COLUMNS, read_history, write_history


def test_what_is_written_is_read_digit_for_digit(tmp_path):
    rows = [{"epoch": 1, "train_loss": 1 / 3, "val_top1": None}, {"epoch": 2, "train_loss": 2e-17, "val_top1": 0.5}]
    path = tmp_path / "history.csv"
    write_history(path, rows)
    read = read_history(path)
    assert [row["train_loss"] for row in read] == [1 / 3, 2e-17]
    assert read[0]["epoch"] == 1 and read[0]["val_top1"] is None and read[0]["lr"] is None
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_writing_again_replaces(tmp_path):
    path = tmp_path / "history.csv"
    write_history(path, [{"epoch": 1}, {"epoch": 2}])
    write_history(path, [{"epoch": 1}])
    assert len(read_history(path)) == 1
    assert list(tmp_path.iterdir()) == [path]
