"""The user's own images in folders: `train/<class>/*` and `test/<class>/*`, and the layouts of `src.data.layouts`."""

import logging
import os

from src.data.dataset import ImageDataset
from src.data.layouts import find_layout
from src.data.listed_dataset import Reading, read_listings

log = logging.getLogger("cifarlab")


def image_folder(
    root: str,
    image_size: int,
    fit: str = "crop",
    skip_broken: bool = False,
    cache: str | None = None,
    test_share: float = 0.2,
) -> ImageDataset:
    """All images of `root`, (N, 3, image_size, image_size) uint8, decoded when a run first needs them.

    Args:
        root: a folder in one of the layouts of `src.data.layouts`.
        image_size: pixels.
        fit: "crop" or "letterbox", see `src.data.decoding.fit_image`.
        skip_broken: leave out images that cannot be read.
        cache: the folder that keeps the decoded images; None: beside them.
        test_share: of each class, the share that is the test set where there is none.

    Raises UserError for an unknown layout, classes that differ, are empty or fewer than two, and a file that counts
    twice. What is left out is logged.
    """
    folder = os.path.expanduser(root)
    layout = find_layout(folder)
    for note in layout.notes:
        log.info(note)
    reading = Reading(folder, image_size, fit, skip_broken, cache, test_share)
    return read_listings(layout.parts, layout.names, reading)
