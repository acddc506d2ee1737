import pytest
import torch

from src.data.images import LabelledImages
from src.data.loading import Batching, PerImageLoader, ResidentLoader

CPU = torch.device("cpu")


def data(count: int = 50) -> LabelledImages:
    labels = torch.arange(count)
    return LabelledImages(labels.to(torch.uint8).view(-1, 1, 1, 1).expand(count, 3, 4, 4).contiguous(), labels)


def noise(image: torch.Tensor) -> torch.Tensor:
    return image + torch.randint(0, 100, image.shape, dtype=torch.uint8)


def loaders(batch_size: int = 8, seed: int = 0, workers: int = 0):
    return [
        ResidentLoader(data(), Batching(50, batch_size, seed), CPU),
        PerImageLoader(data(), Batching(50, batch_size, seed), CPU, noise, workers),
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_an_epoch_visits_every_image_once_in_an_order_of_its_own(which):
    loader = loaders()[which]
    epochs = [torch.cat([labels for _, labels in loader.batches(epoch)]) for epoch in (0, 1, 0)]
    assert sorted(epochs[0].tolist()) == list(range(50))
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[0], epochs[2])
    assert len(list(loader.batches(0))) == len(loader) == 7


@pytest.mark.parametrize("which", [0, 1])
def test_an_epoch_can_be_entered_at_any_batch(which):
    loader = loaders()[which]
    whole, rest = list(loader.batches(3)), list(loader.batches(3, start=4))
    assert len(rest) == 3
    for (images, labels), (images_again, labels_again) in zip(whole[4:], rest, strict=True):
        assert torch.equal(images, images_again) and torch.equal(labels, labels_again)


def test_the_last_batch_can_be_left_out():
    whole = ResidentLoader(data(), Batching(50, 8, 0), CPU)
    for loader in (
        ResidentLoader(data(), Batching(50, 8, 0, drop_last=True), CPU),
        PerImageLoader(data(), Batching(50, 8, 0, drop_last=True), CPU, lambda image: image, workers=0),
    ):
        batches = [labels for _, labels in loader.batches(0)]
        assert len(loader) == len(batches) == 6 and all(len(labels) == 8 for labels in batches)
        assert all(torch.equal(ours, labels) for ours, (_, labels) in zip(batches, whole.batches(0), strict=False))


def test_both_loaders_go_through_the_images_in_the_same_order():
    resident, per_image = ([labels for _, labels in loader.batches(1)] for loader in loaders())
    assert all(torch.equal(a, b) for a, b in zip(resident, per_image, strict=True))


def test_alternating_flips_show_both_sides_in_two_epochs_and_the_first_by_chance():
    count = 200
    images = torch.arange(4, dtype=torch.uint8).expand(count, 3, 4, 4).contiguous()
    loader = ResidentLoader(
        LabelledImages(images, torch.arange(count)), Batching(count, 16, 0), CPU, alternate_flip=True
    )

    def mirrored(epoch):
        sides = torch.empty(count)
        for batch, labels in loader.batches(epoch):
            sides[labels] = (batch[:, 0, 0, 0] == 3).float()
        return sides

    first = mirrored(0)
    assert 70 < first.sum() < 130
    assert torch.equal(mirrored(1), 1 - first) and torch.equal(mirrored(2), first)


def test_images_stay_with_their_labels():
    for images, labels in loaders()[0].batches(0):
        assert torch.equal(images[:, 0, 0, 0].long(), labels)


def test_transforms_are_drawn_per_image_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    (images, labels), *_ = loaders()[1].batches(0)
    assert torch.equal(torch.get_rng_state(), before)
    draws = images.int() - labels.view(-1, 1, 1, 1)
    assert len(torch.unique(draws.flatten(1), dim=0)) == len(labels)


def test_workers_give_the_same_batches_as_none():
    alone, with_workers = (list(loaders(workers=workers)[1].batches(2)) for workers in (0, 2))
    for (images, _), (images_of_workers, _) in zip(alone, with_workers, strict=True):
        assert torch.equal(images, images_of_workers)


def test_the_order_depends_on_the_seed():
    first, second = (torch.cat([labels for _, labels in loaders(seed=s)[0].batches(0)]) for s in (0, 1))
    assert not torch.equal(first, second)
