import logging
import os
import socket
import sys

import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from src.data import image_folder as module
from src.data.class_folders import list_images
from src.data.decoding import read_image
from src.data.image_rows import read_rows
from src.errors import UserError


def image_folder(root, image_size, **options):
    """The data set, decoded."""
    data = module.image_folder(root, image_size=image_size, **options)
    read_rows([data.train.images, data.test.images])
    return data


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
    assert (image == (0 if mode == "P" else 90)).all()


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
    with pytest.raises(UserError, match=r"1 image cannot be read: .*/bad\.png \(damaged, or no image\); replace"):
        image_folder(str(images), 16)
    with pytest.raises(UserError, match=r"/bad\.png cannot be read as an image \(damaged, or no image\)"):
        read_image(bad, 16)


def test_a_truncated_image_is_named(images):
    whole = images / "train" / "blue" / "0.jpg"
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(UserError, match=r"1 image cannot be read: .*/train/blue/0\.jpg \(damaged: "):
        image_folder(str(images), 16)


def lines_of(caplog, images, **options) -> tuple[int, list[str]]:
    """The number of training images and the logged lines."""
    with caplog.at_level(logging.WARNING, logger="cifarlab"):
        data = image_folder(str(images), 16, **options)
    return len(data.train), caplog.messages


def test_the_order_is_that_of_torchvision(images):
    for name in ("b/1.png", "a/2.png", "a-b/3.png", "a/x/4.PNG", "Z.png", "ä.png"):
        write(images / "train" / "red" / name, (255, 0, 0))
    listing, expected = list_images(str(images / "train")), ImageFolder(str(images / "train"))
    assert [(image.path, image.label) for image in listing.images] == expected.samples
    assert listing.classes == expected.classes and len(listing.images) == 12


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_link_to_a_folder_above_is_not_followed(images, caplog, target):
    (images / "train" / "red" / "loop").symlink_to(target, target_is_directory=True)
    assert lines_of(caplog, images) == (6, ["1 link to a folder above it is not followed: train/red/loop."])


def test_a_link_beside_the_classes_to_a_folder_above_is_no_class(images, caplog):
    (images / "train" / "loop").symlink_to("..", target_is_directory=True)
    assert lines_of(caplog, images) == (6, ["1 link to a folder above it is not followed: train/loop."])


def test_folders_that_link_to_each_other_count_once(images):
    for name, other in (("a", "b"), ("b", "a")):
        write(images / "train" / "red" / name / "own.png", (255, 0, 0))
        (images / "train" / "red" / name / "other").symlink_to(f"../{other}", target_is_directory=True)
    assert len(image_folder(str(images), 16).train) == 8


def test_a_class_folder_may_be_a_link(images, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "red"
    (images / "train" / "red").rename(elsewhere)
    (images / "train" / "red").symlink_to(elsewhere, target_is_directory=True)
    assert len(image_folder(str(images), 16).train) == 6


def test_links_to_a_file_of_the_same_class_count_once(images, caplog):
    red = images / "train" / "red"
    (red / "soft.png").symlink_to("0.png")
    (red / "hard.png").hardlink_to(red / "1.png")
    sentence = "2 repeated files or links count once: train/red/hard.png, train/red/soft.png."
    assert lines_of(caplog, images) == (6, [sentence])


@pytest.mark.parametrize("method", ["symlink_to", "hardlink_to"])
def test_a_file_in_two_classes_is_refused(images, method):
    getattr(images / "train" / "red" / "x.jpg", method)(images / "train" / "blue" / "0.jpg")
    with pytest.raises(UserError, match=r"/red/x\.jpg and .*/blue/0\.jpg are the same file in two classes; remove one"):
        image_folder(str(images), 16)


@pytest.mark.parametrize("method", ["symlink_to", "hardlink_to"])
def test_a_file_in_train_and_test_is_refused(images, method):
    getattr(images / "test" / "red" / "x.png", method)(images / "train" / "red" / "0.png")
    with pytest.raises(
        UserError, match=r"/test/red/x\.png and .*/train/red/0\.png are the same file in test and train"
    ):
        image_folder(str(images), 16)


@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_left_out(images, caplog, monkeypatch):
    red = images / "train" / "red"
    (red / "broken.png").symlink_to("nowhere.png")
    (red / "itself.png").symlink_to("itself.png")
    os.mkfifo(red / "pipe.png")
    monkeypatch.chdir(red)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        num_train, lines = lines_of(caplog, images)
    names = "train/red/broken.png, train/red/itself.png, train/red/pipe.png and 1 more"
    assert (num_train, lines) == (6, [f"4 files are no images and are left out: {names}."])


def test_hidden_names_are_passed_over(images, caplog):
    for name in ("train/.ipynb_checkpoints/0.png", "train/__MACOSX/0.png", "train/red/.ipynb_checkpoints/0.png",
                 "train/red/._0.png", "test/red/@eaDir/0.png"):  # fmt: skip
        write(images / name, (255, 0, 0))
    for name in (".DS_Store", "train/.DS_Store", "train/red/.DS_Store", "train/blue/Thumbs.db", "test/desktop.ini"):
        (images / name).write_bytes(b"\0")
    assert lines_of(caplog, images) == (6, [])
    assert list_images(str(images / "train")).classes == ["blue", "red"]


def test_a_class_without_images_is_named(images):
    (images / "train" / "green").mkdir()
    (images / "train" / "green" / "notes.txt").write_text("later")
    with pytest.raises(UserError, match="/train/green holds no images; add some, or remove the class"):
        image_folder(str(images), 16)


def test_every_extension_that_pillow_opens_is_read(images, caplog):
    for name in ("1.gif", "2.jfif", "3.JP2", "4.PNG", "5.Tiff", "6.webp", "7.tga", "8.ico"):
        write(images / "train" / "red" / name, (255, 0, 0))
    assert lines_of(caplog, images) == (14, [])


def test_files_that_are_no_images_are_named(images, caplog):
    for name in ("train/red/a.txt", "train/blue/b.pdf", "train/blue/c", "test/red/d.eps"):
        (images / name).write_text("no image")
    write(images / "train" / "lost.png", (255, 0, 0))
    assert lines_of(caplog, images)[1] == [
        "4 files are no images and are left out: train/blue/b.pdf, train/blue/c, train/red/a.txt and 1 more.",
        "1 file is in no class and is left out: train/lost.png.",
    ]


@pytest.fixture
def damaged(images):
    """Five files of the class red cannot be read."""
    red = images / "train" / "red"
    (red / "a.png").write_bytes(b"")
    (red / "b.png").write_text("no image")
    (red / "c.png").write_bytes((red / "0.png").read_bytes()[:60])
    (red / "d.png").mkdir()
    (images / "test" / "red" / "e.png").write_bytes(b"")
    return images


def test_images_that_cannot_be_read_are_counted_and_three_named(damaged):
    with pytest.raises(UserError) as refusal:
        image_folder(str(damaged), 16)
    red = damaged / "train" / "red"
    assert str(refusal.value) == (
        f"5 images cannot be read: {red}/a.png (the file is empty), {red}/b.png (damaged, or no image), "
        f"{red}/c.png (damaged: image file is truncated) and 2 more; replace or remove them, or leave them out with "
        "data.skip_broken=true."
    )


def test_images_that_cannot_be_read_can_be_skipped(damaged, caplog):
    num_train, lines = lines_of(caplog, damaged, skip_broken=True)
    assert num_train == 6 and len(lines) == 1
    assert lines[0].startswith("5 images cannot be read and are skipped: ") and lines[0].endswith(" and 2 more.")


def test_labels_stay_with_their_images_where_some_are_skipped(damaged):
    train = image_folder(str(damaged), 16, skip_broken=True).train
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (train.images[train.labels == 1][:, 0] == 255).all()


def test_a_class_that_loses_all_its_images_is_refused(images):
    (images / "test" / "red" / "0.png").write_bytes(b"")
    with pytest.raises(UserError, match="test has no readable image of red; add images"):
        image_folder(str(images), 16, skip_broken=True)


def test_a_decompression_bomb_is_refused(images, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # 64 x 64 are more than twice as many
    with pytest.raises(UserError, match=r"4 images cannot be read: .*/0\.jpg \(more than 4000 pixels\)"):
        image_folder(str(images), 16)


def test_a_missing_root_or_part_gets_one_sentence(images, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    for root, sentence in (
        ("nowhere", r"^data\.root=.*/nowhere does not exist; data=folder expects <data\.root>/train/<class>"),
        ("file", r"^data\.root=.*/file is no folder; data=folder expects"),
        ("link", r"^data\.root=.*/link is a link that leads nowhere; data=folder expects"),
    ):
        with pytest.raises(UserError, match=sentence):
            image_folder(str(tmp_path / root), 16)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", [".", "train", "train/red", "train/red/0.png"])
def test_missing_permission_gets_one_sentence(images, name):
    (images / name).chmod(0)
    try:
        with pytest.raises(UserError, match=r"cannot be read: .*permission denied"):
            image_folder(str(images), 16)
    finally:
        (images / name).chmod(0o755)


@pytest.mark.parametrize("function", ["listdir", "stat"])
def test_a_folder_without_permission_gets_one_sentence(images, monkeypatch, function):
    original = getattr(os, function)

    def refuse(path, *others, **options):
        if str(path).endswith("train/red"):
            raise PermissionError(13, "Permission denied", path)
        return original(path, *others, **options)

    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(UserError, match="/train/red cannot be read: permission denied; change"):
        image_folder(str(images), 16)


@pytest.mark.skipif(sys.platform == "darwin", reason="names are always UTF-8 there")
def test_strange_names_are_shown_escaped(images, caplog):
    names = (b"new\nline", b"\x1b[31mred", b"not_utf8_\xff", "grün_猫_🐈".encode())
    for part in ("train", "test"):
        for number, name in enumerate(names):
            write(images / part / os.fsdecode(name) / "0.png", number)
    (images / "train" / "red" / "a\tb\u202e.txt").write_text("")
    assert lines_of(caplog, images)[1] == [r"1 file is no image and is left out: train/red/a\tb\u202e.txt."]
    classes = image_folder(str(images), 16).classes.names
    assert classes == (r"\x1b[31mred", "blue", "grün_猫_🐈", r"new\nline", r"not_utf8_\udcff", "red")
    (images / "train" / "red" / os.fsdecode(b"\xfe\n.png")).write_bytes(b"")
    with pytest.raises(UserError, match=r"/red/\\udcfe\\n\.png \(the file is empty\)"):
        image_folder(str(images), 16)


def test_classes_that_are_shown_alike_are_refused(images):
    for part in ("train", "test"):
        for name in ("a\nb", r"a\nb"):
            write(images / part / name / "0.png", 0)
    with pytest.raises(UserError, match=r"two classes are both shown as a\\nb; rename one"):
        image_folder(str(images), 16)
