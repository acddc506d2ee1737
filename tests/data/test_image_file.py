import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.data.image_file import BrokenImage, image_extensions, read_rgb, to_rgb

WHITE, BLACK, RED, GRAY = (255, 255, 255), (0, 0, 0), (255, 0, 0), (128, 128, 128)

# mode, the pixel as Pillow holds it, the pixel as RGB
PIXELS = [
    ("1", 1, WHITE),
    ("1", 0, BLACK),
    ("L", 90, (90, 90, 90)),
    ("P", 0, BLACK),
    ("RGB", (1, 2, 3), (1, 2, 3)),
    ("RGBX", (1, 2, 3, 4), (1, 2, 3)),
    ("CMYK", (0, 255, 255, 0), RED),
    ("CMYK", (0, 0, 0, 127), GRAY),
    ("YCbCr", (128, 128, 128), GRAY),
    ("YCbCr", (76, 85, 255), (254, 0, 0)),
    ("HSV", (0, 255, 255), RED),
    ("LAB", (137, 128, 128), GRAY),
    ("LAB", (114, 194, 140), (200, 27, 90)),
    ("RGBA", (0, 0, 0, 0), WHITE),
    ("RGBA", (1, 2, 3, 255), (1, 2, 3)),
    ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
    ("RGBa", (0, 0, 0, 0), WHITE),
    ("RGBa", (128, 0, 0, 128), (255, 127, 127)),
    ("LA", (0, 0), WHITE),
    ("LA", (0, 128), (127, 127, 127)),
    ("La", (0, 0), WHITE),
    ("La", (0, 128), (127, 127, 127)),
    ("PA", (0, 0), WHITE),
    ("PA", (0, 255), BLACK),
    *((mode, value, gray) for mode in ("I;16", "I;16L", "I;16B", "I;16N", "I")
      for value, gray in ((0, BLACK), (256, BLACK), (257, (1, 1, 1)), (32896, GRAY), (65535, WHITE))),
    ("F", 0.0, BLACK),
    ("F", 1.0, WHITE),
    ("F", 0.25, (64, 64, 64)),
    ("F", 1.5, (2, 2, 2)),
    ("F", 128.0, GRAY),
    ("F", 255.0, WHITE),
]  # fmt: skip

REFUSED = [
    ("I", -1, "its pixels are -1 to -1, more than the 16 bits 0 to 65535"),
    ("I", 65536, "its pixels are 65536 to 65536, more than the 16 bits 0 to 65535"),
    ("F", -0.5, r"its pixels are -0\.5 to -0\.5, neither fractions in \[0, 1\] nor bytes in \[0, 255\]"),
    ("F", 256.0, r"its pixels are 256 to 256, neither fractions"),
    ("F", float("nan"), "infinite or not a number"),
    ("F", float("inf"), "infinite or not a number"),
]


@pytest.mark.parametrize(("mode", "pixel", "expected"), PIXELS)
def test_every_mode_has_its_rgb(mode, pixel, expected):
    image = to_rgb(Image.new(mode, (3, 2), pixel))
    assert (image.mode, image.size, image.getcolors()) == ("RGB", (3, 2), [(6, expected)])


@pytest.mark.parametrize(("mode", "pixel", "sentence"), REFUSED)
def test_values_without_a_meaning_are_refused(mode, pixel, sentence):
    with pytest.raises(BrokenImage, match=sentence):
        to_rgb(Image.new(mode, (3, 2), pixel))


def test_the_table_has_every_mode_of_pillow():
    assert {mode for mode, _, _ in PIXELS} >= {*Image.MODES, "I;16", "I;16L", "I;16B", "I;16N"}


def test_fractions_use_the_whole_range_of_bytes():
    values = np.linspace(0, 1, 256, dtype=np.float32)[None]
    assert np.asarray(to_rgb(Image.fromarray(values)))[0, :, 0].tolist() == list(range(256))


def test_a_single_nan_is_refused():
    values = np.zeros((4, 4), dtype=np.float32)
    values[2, 1] = np.nan
    with pytest.raises(BrokenImage, match="not a number"):
        to_rgb(Image.fromarray(values))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_tiff_files_keep_their_brightness(tmp_path, mode):
    Image.new(mode, (2, 2), 0.5 if mode == "F" else 32896).save(tmp_path / "gray.tif")
    assert read_rgb(str(tmp_path / "gray.tif")).getcolors() == [(4, GRAY)]


def write_png(path: Path, depth: int, color_type: int, rows: bytes, transparent: bytes) -> None:
    """A PNG of two pixels in one row; Pillow itself writes no gray of 2 or 4 bits."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 2, 1, depth, color_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(b"\0" + rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))


@pytest.mark.parametrize(
    ("depth", "color_type", "rows", "transparent", "second"),
    [
        (1, 0, b"\x40", b"\0\0", WHITE),
        (2, 0, b"\x10", b"\0\0", (85, 85, 85)),
        (2, 0, b"\x90", b"\0\2", (85, 85, 85)),
        (4, 0, b"\x93", b"\0\x09", (51, 51, 51)),
        (8, 0, b"\x09\x07", b"\0\x09", (7, 7, 7)),
        (16, 0, b"\x09\1\x80\x80", b"\x09\1", GRAY),
        (8, 2, b"\1\2\3\1\2\4", b"\0\1\0\2\0\3", (1, 2, 4)),
        (16, 2, b"\1\0\2\0\3\0\1\0\2\0\4\0", b"\1\0\2\0\3\0", (1, 2, 4)),
    ],
)
def test_the_transparent_color_of_a_png_becomes_white(tmp_path, depth, color_type, rows, transparent, second):
    write_png(tmp_path / "image.png", depth, color_type, rows, transparent)
    image = read_rgb(str(tmp_path / "image.png"))
    assert [image.getpixel((0, 0)), image.getpixel((1, 0))] == [WHITE, second]


@pytest.mark.parametrize("transparent", [3, bytes([255, 255, 255, 0])])
def test_the_transparent_color_of_a_palette_becomes_white(tmp_path, transparent):
    image = Image.new("P", (2, 1), 3)
    image.putpalette([10, 20, 30] * 4)
    image.putpixel((0, 0), 1)
    image.save(tmp_path / "image.png", transparency=transparent)
    colors = read_rgb(str(tmp_path / "image.png"))
    assert [colors.getpixel((0, 0)), colors.getpixel((1, 0))] == [(10, 20, 30), WHITE]


@pytest.mark.parametrize("name", ["image.gif", "image.webp", "image.tif", "image.png"])
def test_the_first_of_several_images_counts(tmp_path, name):
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    first.save(tmp_path / name, save_all=True, append_images=[second], **({"lossless": True} if "webp" in name else {}))
    assert read_rgb(str(tmp_path / name)).getcolors() == [(64, RED)]


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (2, (1, 0)), (3, (1, 2)), (6, (2, 0)), (8, (0, 1))])
def test_the_orientation_of_exif_is_honoured(tmp_path, orientation, corner):
    image = Image.new("RGBA", (2, 3), (0, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "image.png", exif=exif)
    turned = read_rgb(str(tmp_path / "image.png"))
    assert turned.size == ((3, 2) if orientation in (6, 8) else (2, 3))
    assert turned.getpixel(corner) == RED and sorted(turned.getcolors()) == [(1, RED), (5, WHITE)]


@pytest.mark.parametrize("extension", [".jpg", ".png", ".gif", ".jfif", ".jp2", ".webp", ".tiff", ".mpo", ".pgm"])
def test_extensions_of_images(extension):
    assert extension in image_extensions()


@pytest.mark.parametrize(
    "extension", [".pdf", ".eps", ".ps", ".mpg", ".mpeg", ".h5", ".bufr", ".grib", ".wmf", ".txt", ""]
)
def test_extensions_of_other_files(extension):
    assert extension not in image_extensions()


def test_files_that_are_no_images_have_a_reason(tmp_path, monkeypatch):
    Image.effect_noise((64, 64), 90).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "vector.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in (
        ("truncated.png", "^damaged: .*truncated"),
        ("empty.png", "^the file is empty$"),
        ("text.png", "^damaged, or no image$"),
        ("vector.png", "^damaged, or no image$"),
        ("folder.png", "^a folder, no file$"),
        ("pipe.png", "^no regular file$"),
        ("nowhere.png", "^there is no file$"),
    ):
        with pytest.raises(BrokenImage, match=reason):
            read_rgb(str(tmp_path / name))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.raises(BrokenImage, match=r"^more than 4000 pixels$"):
        read_rgb(str(tmp_path / "whole.png"))


def test_a_file_without_permission_is_not_called_damaged(tmp_path, monkeypatch):
    (tmp_path / "image.png").write_bytes(b"some")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(BrokenImage, match=r"^permission denied$"):
        read_rgb(str(tmp_path / "image.png"))
