import torch
from PIL import Image

from src.data.decoding import BORDER, IMAGES_PER_WORKER, decode, fit_image
from src.data.rng import make_generator
from tests.data.images import write_image


class Paths:
    identity = ""

    def __init__(self, paths):
        self.paths = [str(path) for path in paths]

    def __len__(self):
        return len(self.paths)

    def name(self, index):
        return self.paths[index]

    encoded = name


def test_letterbox_shows_the_whole_image_between_gray_borders():
    flag = Image.new("RGB", (60, 20), (255, 0, 0))
    flag.paste((0, 255, 0), (20, 0, 40, 20))
    boxed = fit_image(flag, 30, "letterbox")
    assert boxed.shape == (3, 30, 30)
    assert (boxed[:, :10] == BORDER).all() and (boxed[:, 20:] == BORDER).all()
    assert boxed[:, 15, 2].tolist() == [255, 0, 0] and boxed[:, 15, 15].tolist() == [0, 255, 0]
    assert (fit_image(flag, 20, "crop")[1] == 255).all()


def test_letterbox_keeps_one_pixel_of_the_thinnest_image():
    assert fit_image(Image.new("RGB", (400, 1)), 16, "letterbox").shape == (3, 16, 16)


def test_workers_decode_in_the_order_that_was_asked_for(tmp_path):
    """Many images are read by processes of their own; the global generator is untouched."""
    shades = [write_image(tmp_path / f"{shade}.png", (shade, 0, 0)) for shade in range(8)]
    paths = Paths([shades[number % 8] for number in range(2 * IMAGES_PER_WORKER + 3)])
    wanted = torch.randperm(len(paths), generator=make_generator(1))
    before = torch.get_rng_state()
    chunks = list(decode(paths, wanted, 16, "crop"))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.cat([chunk.indices for chunk in chunks]), wanted)
    assert torch.equal(torch.cat([chunk.images[:, 0, 0, 0] for chunk in chunks]).long(), wanted % 8)
    assert all((chunk.sizes == torch.tensor([12, 8])).all() for chunk in chunks)


def test_what_cannot_be_read_is_told_by_index(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    paths = Paths([write_image(tmp_path / "a.png"), tmp_path / "empty.png", tmp_path / "missing.png"])
    (chunk,) = decode(paths, torch.arange(3), 8, "crop")
    assert chunk.indices.tolist() == [0] and chunk.images.shape == (1, 3, 8, 8)
    assert chunk.broken == {1: "the file is empty", 2: "there is no file"}
