import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.results.board import Board


def row(epoch: int) -> dict:
    numbers = {"train_loss": 1.0, "train_top1": 0.1, "val_loss": 2.0, "val_top1": 0.2, "lr": 1e-3}
    return {"epoch": epoch, "images_per_second": 100.0, **numbers}


def scalars(path, tag) -> list[tuple[int, float]]:
    events = EventAccumulator(str(path)).Reload()
    return [(event.step, round(event.value, 4)) for event in events.Scalars(tag)]


def test_train_and_val_of_one_quantity_share_a_tag(tmp_path):
    with Board(tmp_path) as board:
        board.epoch_ended(row(1), True)
    assert scalars(tmp_path / "train", "loss") == [(1, 1.0)]
    assert scalars(tmp_path / "val", "loss") == [(1, 2.0)]
    assert scalars(tmp_path, "lr") == [(1, 0.001)]


def test_a_resumed_run_has_no_doubled_points(tmp_path):
    with Board(tmp_path) as board:
        for epoch in (1, 2, 3):
            board.epoch_ended(row(epoch), False)
    with Board(tmp_path, purge_step=2) as board:  # the checkpoint was from after epoch 1
        for epoch in (2, 3):
            board.epoch_ended(row(epoch), False)
    for folder, tag in (("", "lr"), ("train", "top1"), ("val", "top1")):
        assert [step for step, _ in scalars(tmp_path / folder, tag)] == [1, 2, 3]


def test_hparams_go_through_the_main_writer(tmp_path):
    from matplotlib.figure import Figure

    with Board(tmp_path) as board:
        board.opening("seed: 0", "layers", torch.rand(4, 3, 8, 8))
        board.closing({"optimizer.lr": 0.1, "model": "deep"}, {"final/test_top1": 0.5}, Figure(), 3)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["train", "val"]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert scalars(tmp_path, "final/test_top1") == [(4, 0.5)]
    assert {"confusion_matrix", "training_images"} <= set(events.Tags()["images"])
