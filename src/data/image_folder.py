"""The user's own images in folders: `train/<class>/*` and `test/<class>/*`, and the layouts of `src.data.layouts`."""

import logging
import os
from typing import Any

from src.data.dataset import ImageDataset
from src.data.layouts import find_layout
from src.data.listed_dataset import Reading, read_listings

log = logging.getLogger("cifarlab")


def image_folder(root: str, **settings: Any) -> ImageDataset:
    """The images of the folder `root`, which has one of the layouts of `src.data.layouts`.

    `settings` are those of `Reading`. Raises UserError for an unknown layout, classes that differ, are empty or fewer
    than two, and one file in two classes or two parts. What is left out is logged.
    """
    folder = os.path.expanduser(root)
    layout = find_layout(folder)
    for note in layout.notes:
        log.info(note)
    return read_listings(layout.parts, layout.names, Reading(folder, **settings))
