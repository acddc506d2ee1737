import torch
from PIL import Image

from src.config import DataConfig
from src.data import image_batches
from src.data.decoding import read_image
from src.data.image_batches import read_in_batches


def test_batches_hold_the_images_in_order_and_name_those_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(image_batches, "BATCH_SIZE", 3)
    paths = [str(tmp_path / f"{number}.png") for number in range(7)]
    for number in (0, 1, 2, 3, 6):
        Image.effect_noise((12, 9), 40 * number + 1).save(paths[number])
    read = []
    batches = list(read_in_batches(paths, DataConfig(image_size=8), lambda: read.append(1)))
    assert [batch.paths for batch in batches] == [paths[:3], paths[3:4], paths[6:]]
    assert [len(batch.problems) for batch in batches] == [0, 2, 0] and len(read) == 7
    assert batches[1].problems[0].startswith(f"{paths[4]} cannot be read as an image (there is no file)")
    images = torch.cat([batch.images for batch in batches])
    assert torch.equal(images, torch.stack([read_image(paths[number], 8) for number in (0, 1, 2, 3, 6)]))


def test_a_batch_may_hold_no_image(tmp_path):
    (batch,) = read_in_batches([str(tmp_path / "gone.png")], DataConfig(image_size=8))
    assert batch.images.shape == (0, 3, 8, 8) and batch.images.dtype == torch.uint8


def test_batches_are_read_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(image_batches, "BATCH_SIZE", 2)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    read = []
    next(read_in_batches([str(tmp_path / "a.png")] * 10, DataConfig(image_size=8), lambda: read.append(1)))
    assert len(read) == 2
