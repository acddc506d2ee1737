"""An exported file against PyTorch, on images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from src.config import moved
from src.data.rng import make_generator
from src.errors import UserError, require
from src.exports.formats import Probabilities
from src.training.build import fingerprint_of, load_splits
from src.training.checkpoint import require_same_data
from src.training.trained_model import TrainedModel

NUM_IMAGES = 1000
TOLERANCE = 1e-4  # of a probability; other kernels round otherwise, which costs some 1e-6


@dataclass(frozen=True)
class Check:
    """The outcome: `difference` is the largest of any probability, `changed` counts other most probable classes."""

    images: int
    source: str  # of the images: "test images of the run"
    difference: float
    changed: int

    def __str__(self) -> str:
        same = f"the same for {self.images - self.changed:,}"
        return (
            f"read back and compared with PyTorch on {self.images:,} {self.source}:\n"
            f"largest difference of a probability {self.difference:.1e} (allowed: {TOLERANCE:.0e}),\n"
            f"most probable class {same}"
        )


def choose_images(trained: TrainedModel, root: str | None) -> tuple[Tensor, str]:
    """(N, 3, H, W) uint8 and what they are: the run's test images, evenly spread, else random ones of a fixed seed.

    `root` is where the run's data lies now; None: where it lay in training.
    """
    try:
        splits = load_splits(moved(trained.config, root))
        require_same_data({"fingerprint": trained.fingerprint}, fingerprint_of(splits), trained.run_dir)
    except (UserError, OSError) as error:
        size = trained.config.data.image_size
        images = torch.randint(256, (NUM_IMAGES, 3, size, size), dtype=torch.uint8, generator=make_generator(0))
        return images, f"random images, for the run's own cannot be read ({str(error).rstrip('.')})"
    few = torch.linspace(0, len(splits.test) - 1, min(NUM_IMAGES, len(splits.test))).long()
    return splits.test.images[few], "test images of the run"


def compare(probabilities: Probabilities, images: Tensor, source: str, expected: Tensor) -> Check:
    """Computes `images` one alone and the others in batches. Raises UserError where the difference is not allowed."""
    with torch.no_grad():
        batches = [images[:1], *images[1:].split(NUM_IMAGES // 3)]
        found = torch.cat([probabilities(batch) for batch in batches])
    require(found.shape == expected.shape, f"the file returns {tuple(found.shape)}, not {tuple(expected.shape)}")
    difference = (found - expected).abs().max().item()
    changed = int((found.argmax(dim=1) != expected.argmax(dim=1)).sum())
    check = Check(len(images), source, difference, changed)
    require(
        difference <= TOLERANCE,
        f"the file was read back and differs from PyTorch by {difference:.1e} in a probability, more than "
        f"{TOLERANCE:.0e} ({len(images):,} {source}); it was not kept",
    )
    return check
