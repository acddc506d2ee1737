import pytest
import torch

from src.data.augment import Chain, CropFlip
from src.data.mixing import CutMix, MixUp, RandomErasing, box
from src.data.seeds import make_generator

COUNT = 64
# Image i has the value i / 64 everywhere, so that each pixel tells where it comes from.
IMAGES = (torch.arange(COUNT) / COUNT).view(-1, 1, 1, 1).expand(COUNT, 3, 32, 32).contiguous()
LABELS = torch.arange(COUNT) % 10


def applied(augmentation, seed=0):
    params = augmentation.draw(make_generator(seed), COUNT)
    return augmentation(IMAGES, params), augmentation.targets(LABELS, params, 10), params


def test_box_covers_what_it_says():
    half = torch.tensor([0.5])
    inside = box(half, half, torch.tensor([0.25]), torch.tensor([0.5]), 8, 8)
    assert inside.shape == (1, 1, 8, 8)
    assert inside[0, 0].any(dim=1).sum() == 2 and inside[0, 0].any(dim=0).sum() == 4 and inside.sum() == 8


def test_erasing_covers_a_square_of_its_own_in_each_image():
    out, targets, _ = applied(RandomErasing(8))
    covered = out != IMAGES
    areas = covered[:, 0].sum(dim=(1, 2))[IMAGES[:, 0, 0, 0] != 0.5]  # that image is grey itself
    assert areas.max() == 64 and areas.min() >= 16  # a corner at least
    assert len({tuple(torch.nonzero(image[0])[0].tolist()) for image in covered if image.any()}) > 30
    assert torch.equal(targets, LABELS)


def test_cutmix_labels_have_the_share_of_their_pixels():
    out, targets, (*_, partner) = applied(CutMix())
    assert torch.allclose(targets.sum(dim=1), torch.ones(COUNT))
    for i in range(COUNT):
        foreign = (out[i, 0] != IMAGES[i, 0]).float().mean().item()
        if LABELS[i] != LABELS[partner[i]]:
            assert targets[i, LABELS[i]] == pytest.approx(1 - foreign, abs=0.06)  # whole pixels: 1/32 at each side
            assert targets[i, LABELS[partner[i]]] == pytest.approx(foreign, abs=0.06)


def test_mixup_fades_images_and_labels_alike():
    out, targets, (share, partner) = applied(MixUp(0.5))
    expected = share * IMAGES[:, 0, 0, 0] + (1 - share) * IMAGES[partner, 0, 0, 0]
    torch.testing.assert_close(out[:, 2, 5, 7], expected)
    for i in range(COUNT):
        if LABELS[i] != LABELS[partner[i]]:
            assert targets[i, LABELS[i]] == pytest.approx(share[i].item(), abs=1e-6)


def test_mixups_shares_are_of_the_beta_distribution():
    share, _ = MixUp(0.2).draw(make_generator(0), 20_000)
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.005)


@pytest.mark.parametrize("augmentation", [RandomErasing(8), MixUp(0.2), CutMix()])
def test_draws_follow_from_the_generator(augmentation):
    first, again, other = applied(augmentation)[0], applied(augmentation)[0], applied(augmentation, seed=1)[0]
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_chain_is_one_after_the_other():
    crop, mix = CropFlip(4, flip=True), CutMix()
    out, targets, (own_crop, own_mix) = applied(Chain([crop, mix]))
    assert torch.equal(out, mix(crop(IMAGES, own_crop), own_mix))
    assert torch.equal(targets, mix.targets(LABELS, own_mix, 10))


@pytest.mark.parametrize("augmentation", [Chain([CropFlip(4, flip=True), CutMix()]), MixUp(0.2), RandomErasing(8)])
def test_compiles_as_one_graph(augmentation):
    params = augmentation.draw(make_generator(0), COUNT)
    compiled = torch.compile(
        lambda images, labels, draws: (augmentation(images, draws), augmentation.targets(labels, draws, 10)),
        fullgraph=True, backend="aot_eager",
    )  # fmt: skip
    for ours, theirs in zip(compiled(IMAGES, LABELS, params), applied(augmentation)[:2], strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: MixUp(0), "alpha=0"),
        (lambda: RandomErasing(-1), "pixels=-1"),
        (lambda: Chain([CutMix(), RandomErasing(8)]), "only the last"),
        (lambda: Chain([]), "one at least"),
        (lambda: Chain([torch.nn.Identity()]), "must be augmentations"),
    ],
)
def test_values_are_checked(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
