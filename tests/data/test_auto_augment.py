"""Every operation at every strength against torchvision's, image by image, on whole numbers."""

import pytest
import torch
from torchvision.transforms import v2

from src.data.auto_augment import (
    BINS,
    OPERATIONS,
    PASSES,
    RANDOM,
    SIGNED,
    TRIVIAL,
    RandAugment,
    TrivialAugment,
    apply_operations,
    capacity,
    magnitudes,
)
from src.data.rng import make_generator
from tests.conftest import mostly_slow

THEIRS = {name: "".join(part.capitalize() for part in name.split("_")) for name in OPERATIONS}
THEIRS["autocontrast"] = "AutoContrast"


def drawn_images() -> torch.Tensor:
    """Noise, smooth images, a flat image, an image with a flat channel: (12, 3, 32, 32) uint8."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=generator)
    coarse = torch.rand(6, 3, 5, 5, generator=generator) * 180 + 20
    images[:6] = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear").byte()
    images[6], images[7, 0] = 77, 5
    return images


IMAGES = drawn_images()


def theirs(transform, name: str, magnitude: float) -> torch.Tensor:
    nearest = v2.InterpolationMode.NEAREST
    results = [
        transform._apply_image_or_video_transform(image, THEIRS[name], magnitude, interpolation=nearest, fill={})
        for image in IMAGES
    ]
    return torch.stack(results).float()


def ours(name: str, magnitude: torch.Tensor) -> torch.Tensor:
    operation = torch.full((len(IMAGES),), OPERATIONS.index(name))
    function = next((function for names, function in PASSES.items() if name in names), lambda pixels, *_: pixels)
    return function(IMAGES.float(), operation, magnitude.expand(len(IMAGES)))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(("transform", "largest"), [(v2.TrivialAugmentWide(), TRIVIAL), (v2.RandAugment(), RANDOM)])
def test_operations_are_torchvisions_within_one(transform, largest, name):
    spread, is_signed = transform._AUGMENTATION_SPACE[THEIRS[name]]
    assert is_signed == (name in SIGNED)
    values = spread(BINS, 32, 32)
    for strength, magnitude in enumerate(magnitudes(name, largest)):
        for sign in (1, -1) if is_signed else (1,):
            reference = theirs(transform, name, 0.0 if values is None else sign * float(values[strength]))
            result = ours(name, sign * magnitude)
            assert (result - reference).abs().max() <= 1, (strength, sign)
            assert torch.equal(result, result.round()) and result.min() >= 0 and result.max() <= 255


def test_each_image_gets_its_own_operation_and_no_other():
    operation = torch.arange(len(OPERATIONS)).repeat(4)
    magnitude = torch.stack([magnitudes(name, TRIVIAL)[20] for name in OPERATIONS]).repeat(4)
    images = (IMAGES[:1] / 255).repeat(len(operation), 1, 1, 1)
    results = apply_operations(images, [(operation, magnitude)]).mul(255).round()
    assert torch.equal(images, (IMAGES[:1] / 255).expand_as(images))  # the argument is not changed
    for result, name, strength in zip(results, list(OPERATIONS) * 4, magnitude, strict=True):
        assert torch.equal(result, ours(name, strength)[0]), name


@pytest.mark.parametrize("augmentation", mostly_slow([RandAugment(num_ops=2, strength=9), TrivialAugment()], quick=0))
def test_draws_differ_repeat_and_compile(augmentation):
    images = (IMAGES[:1] / 255).expand(64, -1, -1, -1)
    params = augmentation.draw(make_generator(0), 64)
    out = augmentation(images, params)
    assert len(torch.unique(out.flatten(1), dim=0)) > 30 and out.min() >= 0 and out.max() <= 1
    assert torch.equal(out, augmentation(images, augmentation.draw(make_generator(0), 64)))
    compiled = torch.compile(augmentation, fullgraph=True, backend="aot_eager", dynamic=False)
    assert torch.allclose(compiled(images, params), out, atol=1.5 / 255)


def test_no_strength_is_the_identity():
    images = IMAGES / 255
    augmentation = RandAugment(num_ops=1, strength=0)
    operation, magnitude = augmentation.draw(make_generator(0), len(images))[0]
    kept = operation <= OPERATIONS.index("posterize")  # the others have no strength, or a threshold
    assert kept.sum() > 4
    out = augmentation(images, ((operation, magnitude),))
    assert torch.allclose(out[kept], images[kept], atol=1e-6)


def test_all_images_that_draw_an_operation_are_changed():
    worst = 0
    for seed in range(50):
        operation, _ = TrivialAugment().draw(make_generator(seed), 128)
        worst = max(worst, torch.bincount(operation, minlength=len(OPERATIONS)).max().item())
    assert worst < capacity(128, 1) < 40 and capacity(4, 1) <= 4


@pytest.mark.parametrize(
    ("settings", "problem"), [((0, 9), "num_ops=0"), ((2, 31), r"strength=31 must lie in \[0, 30\]")]
)
def test_values_are_checked(settings, problem):
    with pytest.raises(ValueError, match=problem):
        RandAugment(*settings)
