import pytest
import torch

from src.data.dataset import Classes, ImageDataset, LabeledImages, fingerprint


def some_images(seed: int = 0) -> LabeledImages:
    generator = torch.Generator().manual_seed(seed)
    return LabeledImages(
        torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8, generator=generator), torch.arange(6) % 3
    )


def test_fingerprint_tells_pixels_labels_order_and_split_apart():
    data = some_images()
    other_label = LabeledImages(data.images, data.labels.flip(0))
    other_pixel = LabeledImages(data.images.clone(), data.labels)
    other_pixel.images[0, 0, 0, 0] ^= 1
    swapped = data[torch.tensor([1, 0, 2, 3, 4, 5])]
    prints = [fingerprint(data), *map(fingerprint, (other_label, other_pixel, swapped)), fingerprint(data, None)]
    assert len(set(prints)) == 5
    assert fingerprint(some_images()) == fingerprint(data)


def test_resized_keeps_flat_images_and_dtype():
    flat = LabeledImages(torch.full((2, 3, 32, 32), 77, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    small = flat.resized(20).images
    assert small.shape == (2, 3, 20, 20) and small.dtype == torch.uint8
    assert (small == 77).all()
    assert flat.resized(32) is flat


def test_classes_from_groups_are_numbered_alphabetically():
    classes = Classes.from_groups({"pets": ("dog", "cat"), "birds": ("wren",)})
    assert classes.names == ("cat", "dog", "wren")
    assert classes.superclass_names == ("birds", "pets")
    assert classes.superclass_of == (1, 1, 0)
    assert classes.by_superclass() == [2, 0, 1]


def test_a_data_set_of_one_class_is_refused():
    data = LabeledImages(some_images().images, torch.zeros(len(some_images()), dtype=torch.int64))
    with pytest.raises(ValueError, match="there is one class only"):
        ImageDataset(data, data, Classes(("cat",))).check()
