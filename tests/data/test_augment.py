import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from src.data.augment import Affine, Augmentation, Chain, CropFlip, CutMix, Cutout, MixUp, box_mask, warp
from src.data.rng import make_generator
from tests.conftest import mostly_slow

IMAGES = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))

COUNT = 64
# Image i has the value i / 64 everywhere, so that each pixel tells where it comes from.
FLAT = (torch.arange(COUNT) / COUNT).view(-1, 1, 1, 1).expand(COUNT, 3, 32, 32).contiguous()
LABELS = torch.arange(COUNT) % 10


def applied(augmentation: Augmentation, seed: int = 0, images: torch.Tensor = IMAGES) -> torch.Tensor:
    return augmentation(images, augmentation.draw(make_generator(seed), len(images)))


@pytest.mark.parametrize("identity", [Augmentation(), Affine(0, 0, flip="none"), CropFlip(0, flip="none")])
def test_no_strength_is_the_identity(identity):
    assert torch.allclose(applied(identity), IMAGES, atol=1e-5)


@pytest.mark.parametrize("augmentation", [Affine(15, 0.1, flip="random"), CropFlip(4, flip="random")])
def test_every_image_gets_its_own_draw_and_seeds_repeat(augmentation):
    same = IMAGES[:1].expand(16, 3, 32, 32)
    out = applied(augmentation, images=same)
    assert len(torch.unique(out.flatten(1), dim=0)) >= 12
    assert torch.equal(out, applied(augmentation, images=same))
    assert not torch.equal(out, applied(augmentation, seed=1, images=same))


@pytest.mark.parametrize("augmentation", [Affine(0, 0, flip="random"), CropFlip(0, flip="random")])
def test_flip_mirrors_about_half_of_the_images(augmentation):
    images = IMAGES.repeat(25, 1, 1, 1)
    out = applied(augmentation, images=images)
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(out, images, strict=True)]
    kept = [torch.allclose(a, b, atol=1e-5) for a, b in zip(out, images, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 150 < sum(mirrored) < 250


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("reflect", "reflect")])
def test_crop_flip_equals_padding_and_cutting(padding, mode):
    augmentation = CropFlip(4, flip="none", padding=padding)
    shift_x, shift_y, side = augmentation.draw(make_generator(0), len(IMAGES))
    assert shift_x.abs().max() <= 4 and len(torch.unique(shift_x)) > 4
    out = augmentation(IMAGES, (shift_x, shift_y, side))
    padded = torch.nn.functional.pad(IMAGES, (4, 4, 4, 4), mode=mode)
    for image, source, x, y in zip(out, padded, shift_x.int().tolist(), shift_y.int().tolist(), strict=True):
        assert torch.equal(image, source[:, 4 + y : 36 + y, 4 + x : 36 + x])


def test_affine_stays_within_its_ranges_and_fills_them():
    (matrix,) = Affine(15, 0.1, flip="random").draw(make_generator(0), 4000)
    angle = torch.rad2deg(torch.atan2(-matrix[:, 0, 1], matrix[:, 1, 1]))
    shift = matrix[:, :, 2] / 2  # the grid is two units wide
    assert 14.9 < angle.max() <= 15.001 and -15.001 <= angle.min() < -14.9
    assert 0.099 < shift.max() <= 0.1 and -0.1 <= shift.min() < -0.099
    assert torch.allclose(torch.det(matrix[:, :, :2]).abs(), torch.ones(4000), atol=1e-6)


def test_warp_rotates_as_torchvision_does():
    angle = torch.tensor(10.0)
    cos, sin = torch.deg2rad(angle).cos(), torch.deg2rad(angle).sin()
    matrix = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]]).expand(len(IMAGES), 2, 3)
    ours = warp(IMAGES, matrix, mode="bilinear", padding="zeros")
    theirs = reference.rotate(IMAGES, 10.0, interpolation=reference.InterpolationMode.BILINEAR)
    inside = (slice(None), slice(None), slice(6, 26), slice(6, 26))  # away from the border, which they blend otherwise
    assert (ours[inside] - theirs[inside]).abs().max() < 1e-4


def test_affine_fills_with_the_nearest_pixel():
    flat = torch.full((8, 3, 32, 32), 0.25)
    assert torch.allclose(applied(Affine(15, 0.1, flip="random"), images=flat), flat, atol=1e-6)


@pytest.mark.slow
def test_forward_compiles_as_one_graph_up_to_float():
    augmentation = Affine(15, 0.1, flip="random")
    params = augmentation.draw(make_generator(0), len(IMAGES))
    compiled = torch.compile(augmentation, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(IMAGES, params), augmentation(IMAGES, params), atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("augmentation", [Affine(15, 0.1, flip="random"), CropFlip(4, flip="random")])
def test_cuda_agrees_with_the_cpu(augmentation):
    params = augmentation.draw(make_generator(0), len(IMAGES))
    on_cuda = augmentation(IMAGES.cuda(), tuple(p.cuda() for p in params))
    assert torch.allclose(on_cuda.cpu(), augmentation(IMAGES, params), atol=1e-4)
    drawn = augmentation.draw(make_generator(0, device="cuda"), 4)
    assert all(p.device.type == "cuda" for p in drawn)


@pytest.mark.parametrize("make", [lambda flip: Affine(0, 0, flip), lambda flip: CropFlip(0, flip)])
def test_flip_is_random_alternate_or_none(make):
    assert [(make(flip).flips, make(flip).alternates_flip) for flip in ("random", "alternate", "none")] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    for flip in ("alternate", "none"):
        assert torch.allclose(applied(make(flip)), IMAGES, atol=1e-5)  # mirrored by the loader, or not at all
    for flip in ("sometimes", True, None):
        with pytest.raises(ValueError, match=f"flip={flip} is not one of random, alternate, none"):
            make(flip)


@pytest.mark.parametrize(
    ("flips", "expected"),
    [
        (("none", "none"), (False, False)),
        (("random", "none"), (True, False)),
        (("none", "alternate"), (False, True)),
        (("alternate", "alternate"), (False, True)),
    ],
)
def test_a_chain_flips_as_its_steps_do(flips, expected):
    chain = Chain([CropFlip(2, flip) for flip in flips])
    assert (chain.flips, chain.alternates_flip) == expected


def test_without_steps_that_flip_nothing_flips():
    for augmentation in (Augmentation(), Chain([Cutout(8), CutMix()])):
        assert not augmentation.flips and not augmentation.alternates_flip


def applied_with_targets(augmentation, seed=0):
    params = augmentation.draw(make_generator(seed), COUNT)
    return augmentation(FLAT, params), augmentation.targets(LABELS, params, 10), params


def test_box_mask_covers_what_it_says():
    half = torch.tensor([0.5])
    inside = box_mask(half, half, torch.tensor([0.25]), torch.tensor([0.5]), 8, 8)
    assert inside.shape == (1, 1, 8, 8)
    assert inside[0, 0].any(dim=1).sum() == 2 and inside[0, 0].any(dim=0).sum() == 4 and inside.sum() == 8


def test_cutout_covers_a_square_of_its_own_in_each_image():
    out, targets, _ = applied_with_targets(Cutout(8))
    covered = out != FLAT
    areas = covered[:, 0].sum(dim=(1, 2))[FLAT[:, 0, 0, 0] != 0.5]  # that image is gray itself
    assert areas.max() == 64 and areas.min() >= 16  # a corner at least
    assert len({tuple(torch.nonzero(image[0])[0].tolist()) for image in covered if image.any()}) > 30
    assert torch.equal(targets, LABELS)


def test_cutmix_labels_have_the_share_of_their_pixels():
    out, targets, (*_, partner) = applied_with_targets(CutMix())
    assert torch.allclose(targets.sum(dim=1), torch.ones(COUNT))
    for i in range(COUNT):
        foreign = (out[i, 0] != FLAT[i, 0]).float().mean().item()
        if LABELS[i] != LABELS[partner[i]]:
            assert targets[i, LABELS[i]] == pytest.approx(1 - foreign, abs=0.06)  # whole pixels: 1/32 at each side
            assert targets[i, LABELS[partner[i]]] == pytest.approx(foreign, abs=0.06)


def test_mixup_fades_images_and_labels_alike():
    out, targets, (share, partner) = applied_with_targets(MixUp(0.5))
    expected = share * FLAT[:, 0, 0, 0] + (1 - share) * FLAT[partner, 0, 0, 0]
    torch.testing.assert_close(out[:, 2, 5, 7], expected)
    for i in range(COUNT):
        if LABELS[i] != LABELS[partner[i]]:
            assert targets[i, LABELS[i]] == pytest.approx(share[i].item(), abs=1e-6)


def test_mixups_shares_are_of_the_beta_distribution():
    share, _ = MixUp(0.2).draw(make_generator(0), 20_000)
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.005)


@pytest.mark.parametrize("augmentation", [Cutout(8), MixUp(0.2), CutMix()])
def test_draws_follow_from_the_generator(augmentation):
    first, again, other = (applied_with_targets(augmentation, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_chain_is_one_after_the_other():
    crop, mix = CropFlip(4, flip="random"), CutMix()
    out, targets, (own_crop, own_mix) = applied_with_targets(Chain([crop, mix]))
    assert torch.equal(out, mix(crop(FLAT, own_crop), own_mix))
    assert torch.equal(targets, mix.targets(LABELS, own_mix, 10))


@pytest.mark.parametrize(
    "augmentation", mostly_slow([Cutout(8), MixUp(0.2), Chain([CropFlip(4, flip="random"), CutMix()])], quick=1)
)
def test_compiles_as_one_graph(augmentation):
    params = augmentation.draw(make_generator(0), COUNT)
    compiled = torch.compile(
        lambda images, labels, draws: (augmentation(images, draws), augmentation.targets(labels, draws, 10)),
        fullgraph=True, backend="aot_eager",
    )  # fmt: skip
    for ours, theirs in zip(compiled(FLAT, LABELS, params), applied_with_targets(augmentation)[:2], strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: MixUp(0), "alpha=0"),
        (lambda: Cutout(-1), "pixels=-1"),
        (lambda: CropFlip(4, "random", "edge"), "padding=edge is not one of zeros, reflect"),
        (lambda: Chain([CutMix(), Cutout(8)]), "only the last"),
        (lambda: Chain([]), "one at least"),
        (lambda: Chain([torch.nn.Identity()]), "must be augmentations"),
        (lambda: Chain([CropFlip(4, "random"), Affine(0, 0, "alternate")]), "must not combine flip=random"),
    ],
)
def test_values_are_checked(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
