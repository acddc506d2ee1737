"""One image file as 8-bit RGB: which files are images, and what each of Pillow's pixel modes becomes."""

import functools
import os
import stat
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from src.formatting import printable

# Pillow opens these too: containers of measurements, videos, vector graphics, descriptions of other files.
NO_RASTER_IMAGES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"})
# What PNG's transparent color is in Pillow's pixels, by the raw mode of the file: it keeps the bits of the file.
COLOR_KEY_SCALES = {"L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}


class BrokenImage(Exception):
    """A file that holds no image that can be used; the text is the reason: "the file is empty"."""


@functools.cache
def image_formats() -> tuple[str, ...]:
    """The formats that are read: all that the installed Pillow opens, but for NO_RASTER_IMAGES."""
    Image.init()
    first = ("JPEG", "PNG")  # most files are: Pillow tries the formats in this order
    return (*first, *sorted(set(Image.OPEN) - NO_RASTER_IMAGES - set(first)))


@functools.cache
def image_extensions() -> frozenset[str]:
    """The extensions of `image_formats`, in lower case: ".jpg". MPO is JPEG with more than one image."""
    formats = {*image_formats(), "MPO"}
    return frozenset(extension for extension, name in Image.registered_extensions().items() if name in formats)


def read_rgb(source: str | bytes) -> Image.Image:
    """The first image of a file, upright (EXIF), as RGB of 8 bits; `source` is its path, or what it holds.

    Raises BrokenImage where there is none.
    """
    if isinstance(source, str):
        _require_content(source)
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=image_formats()) as file:
            _scale_color_key(file)
            return to_rgb(ImageOps.exif_transpose(file))
    except (BrokenImage, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise BrokenImage("damaged, or no image") from error
    except PermissionError as error:
        raise BrokenImage("permission denied") from error
    except Image.DecompressionBombError as error:
        raise BrokenImage(f"more than {2 * Image.MAX_IMAGE_PIXELS} pixels") from error
    except Exception as error:  # the decoders raise errors of any type for damaged bytes
        raise BrokenImage(f"damaged: {printable(str(error)) or type(error).__name__}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """The image as RGB of 8 bits. Raises BrokenImage where its values have no such meaning.

    - 1, L, P, RGB, RGBX, CMYK, YCbCr, HSV, LAB: Pillow's conversion.
    - Transparency (RGBA, LA, PA, La, RGBa, and a transparent color of P, 1, L, RGB, 16 bits): laid over white.
    - I;16, I;16L, I;16B, I;16N (16 bits of gray): divided by 257, rounded down.
    - I (32 bits of gray): the same, since many 16-bit files arrive so; values outside 0 ... 65535 are refused.
    - F (floating point): values in [0, 1] are multiplied by 255, values in [0, 255] are kept; both are rounded. Other
      values, infinity and NaN are refused.
    """
    if image.mode == "F":
        return _gray(_bytes_of_floats(np.asarray(image)))
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _gray(_bytes_of_integers(np.asarray(image), image.info.get("transparency")))
    return _over_white(image) if _is_transparent(image) else image.convert("RGB")


def _require_content(path: str) -> None:
    """Raises BrokenImage unless `path` is a file with content; to open a pipe would wait for its other end."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise BrokenImage("permission denied" if isinstance(error, PermissionError) else "there is no file") from error
    if stat.S_ISDIR(status.st_mode):
        raise BrokenImage("a folder, no file" if os.access(path, os.R_OK | os.X_OK) else "permission denied")
    if not stat.S_ISREG(status.st_mode):
        raise BrokenImage("no regular file")
    if status.st_size == 0:
        raise BrokenImage("the file is empty")


def _scale_color_key(file: Image.Image) -> None:
    """Brings the transparent color of an opened PNG from the bits of the file to those of Pillow's pixels."""
    key = file.info.get("transparency")
    if file.format != "PNG" or key is None or isinstance(key, bytes) or not getattr(file, "tile", None):
        return
    scale = COLOR_KEY_SCALES.get(str(file.tile[0][3]), 1)
    if isinstance(key, tuple):
        file.info["transparency"] = tuple(int(value * scale) for value in key)
    elif file.mode == "1":
        file.info["transparency"] = 255 if key else 0
    else:
        file.info["transparency"] = int(key * scale)


def _bytes_of_floats(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    if not np.isfinite(values).all():
        raise BrokenImage("some of its pixels are infinite or not a number")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        raise BrokenImage(f"its pixels are {low:g} to {high:g}, neither fractions in [0, 1] nor bytes in [0, 255]")
    return np.rint(values * 255 if high <= 1 else values).astype(np.uint8)


def _bytes_of_integers(values: NDArray[np.integer], color_key: object) -> NDArray[np.uint8]:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise BrokenImage(f"its pixels are {low} to {high}, more than the 16 bits 0 to 65535")
    gray = (values // 257).astype(np.uint8)
    return np.where(values == color_key, np.uint8(255), gray) if isinstance(color_key, int) else gray


def _gray(values: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(values).convert("RGB")


def _is_transparent(image: Image.Image) -> bool:
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa")
    in_palette = image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A")
    return has_alpha or in_palette or "transparency" in image.info


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
