import pytest
import torch
from PIL import Image

from src.data.image_folder import image_folder, read_image
from src.errors import UserError


def write(path, color, size=(40, 30), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)


@pytest.fixture
def images(tmp_path):
    for part, count in (("train", 3), ("test", 1)):
        for index in range(count):
            write(tmp_path / part / "red" / f"{index}.png", (255, 0, 0))
            write(tmp_path / part / "blue" / f"{index}.jpg", (0, 0, 255), size=(64, 64))
    return tmp_path


def test_reads_every_image_with_its_class(images):
    data = image_folder(str(images), image_size=16)
    assert data.classes.names == ("blue", "red")
    assert data.train.images.shape == (6, 3, 16, 16) and data.test.images.shape == (2, 3, 16, 16)
    red = data.train.images[data.train.labels == 1]
    assert (red[:, 0] == 255).all() and (red[:, 1:] == 0).all()


@pytest.mark.parametrize(("mode", "color"), [("L", 90), ("RGBA", (90, 90, 90, 255)), ("P", 0)])
def test_reads_any_color_mode_and_shape(tmp_path, mode, color):
    write(tmp_path / "image.png", color, size=(100, 20), mode=mode)
    image = read_image(tmp_path / "image.png", 32)
    assert image.shape == (3, 32, 32) and image.dtype == torch.uint8


def test_reads_16_bits_of_gray_at_their_own_brightness(tmp_path):
    Image.new("I;16", (32, 32), 32896).save(tmp_path / "gray.png")
    assert (read_image(tmp_path / "gray.png", 32) == 128).all()


def test_turns_a_photograph_as_its_camera_was_held(tmp_path):
    photograph = Image.new("RGB", (32, 32), (255, 0, 0))
    photograph.paste((0, 0, 255), (0, 0, 32, 16))  # blue above
    exif = photograph.getexif()
    exif[0x0112] = 3  # held upside down
    photograph.save(tmp_path / "photograph.png", exif=exif)
    image = read_image(tmp_path / "photograph.png", 32)
    assert (image[0, :16] == 255).all() and (image[2, 16:] == 255).all()


def test_keeps_the_aspect_ratio_and_cuts_out_the_center(tmp_path):
    picture = Image.new("RGB", (60, 20), (255, 0, 0))
    picture.paste((0, 255, 0), (20, 0, 40, 20))
    picture.save(tmp_path / "flag.png")
    assert (read_image(tmp_path / "flag.png", 20)[1] == 255).all()


def test_one_class_only_is_refused(images):
    for part in ("train", "test"):
        for path in (images / part / "blue").iterdir():
            path.unlink()
        (images / part / "blue").rmdir()
    with pytest.raises(UserError, match=r"holds one class only \(red\)"):
        image_folder(str(images), 16)


def test_differing_classes_are_refused(images):
    write(images / "train" / "green" / "0.png", (0, 255, 0))
    with pytest.raises(UserError, match="must hold the same classes; only one of them has: green"):
        image_folder(str(images), 16)


def test_tilde_is_the_home_folder(images, monkeypatch):
    monkeypatch.setenv("HOME", str(images.parent))
    assert len(image_folder(f"~/{images.name}", 16).train) == 6


def test_missing_folder_says_how_it_should_look(tmp_path):
    with pytest.raises(UserError, match=r"<data\.root>/train/<class>"):
        image_folder(str(tmp_path), 16)


def test_a_file_that_is_no_image_is_named(images):
    bad = images / "train" / "red" / "bad.png"
    bad.write_text("no image")
    with pytest.raises(UserError, match=r"bad\.png cannot be read as an image"):
        image_folder(str(images), 16)


def test_a_truncated_image_is_named(images):
    whole = images / "train" / "blue" / "0.jpg"
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(UserError, match=r"0\.jpg cannot be read"):
        image_folder(str(images), 16)
