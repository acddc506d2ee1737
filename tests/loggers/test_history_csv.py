from src.loggers.history_csv import COLUMNS, HistoryCsvLogger, read_history, write_history
from src.result import Status
from tests.loggers.conftest import row


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


def test_a_row_per_epoch_and_none_before_the_first(started):
    run, logger, history = started(), HistoryCsvLogger(), []
    logger.on_run_start(run)
    logger.on_log(0, 3, 4.0, 0.1)
    assert not run.run_dir.history_file.exists()
    for epoch in (1, 2):
        history.append(row(epoch))
        logger.on_epoch_end(history, is_best=False)
        assert [read["epoch"] for read in read_history(run.run_dir.history_file)] == list(range(1, epoch + 1))
    history[0]["clean_train_top1"] = 0.75  # known after the final evaluation
    logger.on_run_end(history, {}, {})
    logger.close(Status.COMPLETED)
    read = read_history(run.run_dir.history_file)
    assert [each["clean_train_top1"] for each in read] == [0.75, None]
    assert read[1] == {**row(2), "clean_train_top1": None}


def test_on_resume_epochs_after_the_checkpoint_are_dropped(started):
    run = started(history=[row(1)])
    write_history(run.run_dir.history_file, [row(1), row(2)])
    HistoryCsvLogger().on_run_start(run)
    assert [read["epoch"] for read in read_history(run.run_dir.history_file)] == [1]
