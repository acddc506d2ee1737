import multiprocessing
import signal

import pytest
import torch

from src.data.balance import balanced_weights
from src.data.dataset import LabeledImages
from src.data.loader import BatchPlan, DeviceLoader, PerImageLoader, move_if_it_fits

CPU = torch.device("cpu")


def data(count: int = 50) -> LabeledImages:
    labels = torch.arange(count)
    return LabeledImages(labels.to(torch.uint8).view(-1, 1, 1, 1).expand(count, 3, 4, 4).contiguous(), labels)


def noise(image: torch.Tensor) -> torch.Tensor:
    return image + torch.randint(0, 100, image.shape, dtype=torch.uint8)


def count_ignored_signals(image: torch.Tensor) -> torch.Tensor:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return torch.full_like(image, sum(signal.getsignal(number) is signal.SIG_IGN for number in numbers))


def loaders(batch_size: int = 8, seed: int = 0, workers: int = 0):
    return [
        DeviceLoader(data(), BatchPlan(50, batch_size, seed, epochs=9), CPU),
        PerImageLoader(data(), BatchPlan(50, batch_size, seed, epochs=9), CPU, noise, workers),
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


@pytest.mark.parametrize(
    ("num_images", "batch_size", "drop_last", "sizes"),
    [
        (50, 8, False, (8, 8, 8, 8, 8, 8, 2)),
        (48, 8, False, (8,) * 6),
        (50, 8, True, (8,) * 6),
        (65, 64, False, (65,)),  # a single image left over joins the batch before it
        (129, 64, False, (64, 65)),
        (65, 64, True, (64,)),
        (66, 64, False, (64, 2)),
        (1, 64, False, (1,)),  # there is no batch before it
        (3, 1, False, (1, 1, 1)),
        (7, 8, True, ()),
    ],
)
def test_sizes_of_batches(num_images, batch_size, drop_last, sizes):
    plan = BatchPlan(num_images, batch_size, seed=0, drop_last=drop_last)
    assert plan.sizes == sizes and len(plan) == len(sizes)
    assert tuple(len(indices) for indices in plan.indices(epoch=0)) == sizes


@pytest.mark.parametrize("which", [0, 1])
def test_a_single_image_left_over_joins_the_batch_before_it(which):
    plan = BatchPlan(65, 64, seed=0)
    loader = (DeviceLoader(data(65), plan, CPU), PerImageLoader(data(65), plan, CPU, lambda image: image, 0))[which]
    ((images, labels),) = loader.batches(0)
    assert len(loader) == 1 and len(images) == 65 and sorted(labels.tolist()) == list(range(65))


@pytest.mark.parametrize(
    ("num_images", "steps", "groups", "ends"),
    [
        (50, 1, [8, 8, 8, 8, 8, 8, 2], [1, 2, 3, 4, 5, 6, 7]),
        (50, 3, [24, 24, 24, 24, 24, 24, 2], [3, 6, 7]),  # the last group is one batch of two images
        (50, 4, [32, 32, 32, 32, 18, 18, 18], [4, 7]),
        (49, 2, [16, 16, 16, 16, 17, 17], [2, 4, 6]),
        (50, 100, [50] * 7, [7]),
    ],
)
def test_accumulation_groups_end_with_the_epoch_and_know_their_images(num_images, steps, groups, ends):
    plan = BatchPlan(num_images, 8, seed=0, grad_accumulation_steps=steps)
    shares = [size / group for size, group in zip(plan.sizes, groups, strict=True)]
    assert [plan.share_of_step(batch) for batch in range(len(plan))] == shares
    assert [done for done in range(1, len(plan) + 1) if plan.ends_group(done)] == ends
    assert plan.num_steps == len(ends)


@pytest.mark.parametrize(
    ("epochs", "steps", "batches"),
    [
        (2, 1, [7, 7]),
        (1.6, 1, [7, 4]),  # of 4.2 batches
        (0.25, 1, [2]),
        (1.7, 3, [7, 6]),  # steps of 3, 3 and 1 batches: the second is the last
        (0.01, 1, []),
        (1.05, 1, [7]),  # the rest is less than half a step
    ],
)
def test_a_fraction_of_an_epoch_ends_with_a_whole_step(epochs, steps, batches):
    plan = BatchPlan(50, 8, seed=0, epochs=epochs, grad_accumulation_steps=steps)
    assert [plan.batches_in(epoch) for epoch in range(plan.num_epochs)] == batches
    assert plan.batches_in(plan.num_epochs) == 0
    assert [len(plan.indices(epoch)) for epoch in range(len(batches))] == batches


def test_the_share_that_is_done_counts_the_batches_of_the_run():
    plan = BatchPlan(50, 8, seed=0, epochs=1.6)  # 7 and 4 batches
    places = [(0, 0), (0, 7), (1, 0), (1, 2), (1, 4), (2, 0)]
    assert [plan.share_done(*place) for place in places] == [0, 7 / 11, 7 / 11, 9 / 11, 1, 1]


def test_without_the_last_batch_groups_know_their_images_too():
    plan = BatchPlan(50, 8, seed=0, drop_last=True, grad_accumulation_steps=4)
    assert [plan.share_of_step(batch) for batch in range(len(plan))] == [1 / 4] * 4 + [1 / 2] * 2
    assert [plan.ends_group(done) for done in range(1, 7)] == [False, False, False, True, False, True]


def test_shares_of_images_in_a_group_add_up_to_one():
    plan = BatchPlan(66, 64, seed=0, grad_accumulation_steps=2)
    assert [plan.share_of_step(batch) for batch in range(len(plan))] == [64 / 66, 2 / 66]


def test_the_last_batch_can_be_left_out():
    whole = DeviceLoader(data(), BatchPlan(50, 8, 0), CPU)
    for loader in (
        DeviceLoader(data(), BatchPlan(50, 8, 0, drop_last=True), CPU),
        PerImageLoader(data(), BatchPlan(50, 8, 0, drop_last=True), CPU, lambda image: image, workers=0),
    ):
        batches = [labels for _, labels in loader.batches(0)]
        assert len(loader) == len(batches) == 6 and all(len(labels) == 8 for labels in batches)
        assert all(torch.equal(ours, labels) for ours, (_, labels) in zip(batches, whole.batches(0), strict=False))


def test_both_loaders_go_through_the_images_in_the_same_order():
    on_device, per_image = ([labels for _, labels in loader.batches(1)] for loader in loaders())
    assert all(torch.equal(a, b) for a, b in zip(on_device, per_image, strict=True))


def test_alternating_flips_show_both_sides_in_two_epochs_and_the_first_by_chance():
    count = 200
    images = torch.arange(4, dtype=torch.uint8).expand(count, 3, 4, 4).contiguous()
    loader = DeviceLoader(
        LabeledImages(images, torch.arange(count)), BatchPlan(count, 16, 0, epochs=9), CPU, alternate_flip=True
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


def test_workers_ignore_the_signals_that_end_a_run():
    loader = PerImageLoader(data(8), BatchPlan(8, 8, seed=0), CPU, count_ignored_signals, workers=1)
    ((images, _),) = loader.batches(0)
    assert (images == 3).all()


def test_the_order_depends_on_the_seed():
    first, second = (torch.cat([labels for _, labels in loaders(seed=s)[0].batches(0)]) for s in (0, 1))
    assert not torch.equal(first, second)


def test_workers_stay_from_epoch_to_epoch_and_end_with_the_loader():
    before = set(multiprocessing.active_children())
    loader = loaders(workers=2)[1]
    next(loader.batches(0))  # an epoch that is left early
    workers = set(multiprocessing.active_children()) - before
    whole = list(loader.batches(1))
    assert set(multiprocessing.active_children()) - before == workers and len(workers) == 2
    for (images, labels), (expected, same) in zip(whole, loaders()[1].batches(1), strict=True):
        assert torch.equal(images, expected) and torch.equal(labels, same)
    loader.close()
    assert set(multiprocessing.active_children()) == before


@pytest.mark.parametrize(("free", "stays"), [(4800, False), (4799, True)])
def test_images_that_need_more_than_half_of_a_gpus_memory_stay(monkeypatch, free, stays):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 << 30))
    fifty, moved = data(), []  # 50 images of 48 bytes
    monkeypatch.setattr(LabeledImages, "to", lambda self, device: moved.append(device) or self)
    assert move_if_it_fits(fifty, torch.device("cuda")) is fifty and bool(moved) is not stays


@pytest.mark.gpu
def test_batches_of_images_that_stay_are_uploaded(monkeypatch):
    device, plan = torch.device("cuda"), BatchPlan(50, 8, 0, epochs=9)
    expected = list(DeviceLoader(data(), plan, device, alternate_flip=True).batches(1))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 80 << 30))
    loader = DeviceLoader(data(), plan, device, alternate_flip=True)
    assert loader.data.images.device.type == "cpu"
    for (images, labels), (same, of_same) in zip(loader.batches(1), expected, strict=True):
        assert images.device.type == "cuda" and torch.equal(images, same) and torch.equal(labels, of_same)


def test_balanced_sampling_draws_all_classes_equally_often():
    labels = torch.tensor([0] * 900 + [1] * 100)
    plan = BatchPlan(1000, 100, seed=0, epochs=10, sampling_weights=balanced_weights(labels))
    drawn = torch.stack([labels[torch.cat(list(plan.indices(epoch)))].bincount() for epoch in range(10)])
    assert (drawn.sum(dim=1) == 1000).all()
    assert (drawn.float().mean(dim=0) - 500).abs().max() < 30  # 3 standard deviations of the mean are 15
    assert not torch.equal(plan.indices(0)[0], plan.indices(1)[0])
    assert torch.equal(plan.indices(3)[2], plan.indices(3)[2])
