from types import SimpleNamespace

import pytest
import torch

from src.data.images import LabelledImages
from src.data.loading import Batching, ResidentLoader
from src.schemas import TrainerConfig
from src.training import session
from src.training.checkpoint import Progress


@pytest.mark.parametrize(("sizes", "epoch", "ends"), [([], 0, False), ([[0.5, 16]], 0, True), ([[0.5, 16]], 2, False)])
def test_max_minutes_leaves_time_to_evaluate_images_of_full_size(monkeypatch, sizes, epoch, ends):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(session, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    images = LabelledImages(torch.zeros(64, 3, 32, 32, dtype=torch.uint8), torch.zeros(64, dtype=torch.int64))
    run = SimpleNamespace(
        settings=TrainerConfig(epochs=4, max_minutes=1.0, sizes=sizes),
        loader=ResidentLoader(images, Batching(64, 8, seed=0), torch.device("cpu")),
        learner=SimpleNamespace(placement=SimpleNamespace(device="cpu")),
        closing_images=3000,
    )
    progress = Progress(epoch=epoch, images=400, train_seconds=4.0)  # 100 images/s: 10 s, or 26 s from 16 pixels to 32
    watch = session.Session(run, progress)
    clock.now = 40.0
    assert watch.out_of_time() is ends
