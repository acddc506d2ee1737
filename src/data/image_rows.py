"""Images that stay in a file until they are used."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from src.errors import UserError
from src.formatting import first_three

if TYPE_CHECKING:
    from src.data.image_cache import ImageCache


class ImageRows:
    """Some images of a cache, read from its file when they are used: in place of a tensor (n, 3, size, size) uint8."""

    dtype, ndim, device = torch.uint8, 4, torch.device("cpu")

    def __init__(self, cache: "ImageCache", indices: Tensor) -> None:
        self.cache, self.indices = cache, indices

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.indices), *self.cache.shape[1:]))

    @property
    def nbytes(self) -> int:
        return self.shape.numel()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: int | slice | Tensor) -> Tensor:
        """A tensor of the images at `key`: an index, a slice, indices or a mask."""
        indices = self.indices[key]
        self.cache.fill(indices.view(-1))
        return self.cache.images[indices]

    def index_select(self, _dim: int, indices: Tensor) -> Tensor:
        return self[indices]

    def split(self, size: int) -> list["ImageRows"]:
        return [ImageRows(self.cache, part) for part in self.indices.split(size)]

    def part(self, indices: Tensor) -> "ImageRows":
        """The images at `indices` (n,) int64 of these, not copied."""
        return ImageRows(self.cache, self.indices[indices])

    def to(self, device: torch.device) -> Tensor:
        """All of them as a tensor on `device`."""
        images = torch.empty(self.shape, dtype=self.dtype, device=device)
        for some, target in zip(self.split(1024), images.split(1024), strict=True):
            target.copy_(some[:])
        return images

    def read(self, between: Callable[[], None] = lambda: None) -> None:
        """Decodes them. Raises UserError for images that cannot be read."""
        self.cache.fill(self.indices, between)
        if broken := self.cache.broken(self.indices):
            them = "it" if len(broken) == 1 else "them"
            raise UserError(
                f"{describe_broken(broken)}; replace or remove {them}, or leave {them} out with data.skip_broken=true."
            )


def read_rows(parts: Sequence[ImageRows], between: Callable[[], None] = lambda: None) -> None:
    """Decodes the images of all parts, those of one cache together; see `ImageRows.read`."""
    for cache in {id(rows.cache): rows.cache for rows in parts}.values():
        indices = torch.cat([rows.indices for rows in parts if rows.cache is cache])
        ImageRows(cache, indices).read(between)


def describe_broken(broken: Mapping[str, str], skipped: bool = False) -> str:
    """ "2 images cannot be read: a.png (the file is empty), b.png (damaged, or no image)"."""
    names = first_three([f"{name} ({reason})" for name, reason in broken.items()])
    one, are = f"{len(broken)} image{'s' * (len(broken) > 1)}", "is" if len(broken) == 1 else "are"
    return f"{one} cannot be read{f' and {are} skipped' if skipped else ''}: {names}"
