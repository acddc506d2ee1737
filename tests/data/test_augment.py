import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from src.data.augment import Affine, Augmentation, CropFlip, warp
from src.data.seeds import make_generator

IMAGES = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def applied(augmentation: Augmentation, seed: int = 0, images: torch.Tensor = IMAGES) -> torch.Tensor:
    return augmentation(images, augmentation.draw(make_generator(seed), len(images)))


@pytest.mark.parametrize("identity", [Augmentation(), Affine(0, 0, flip=False), CropFlip(0, flip=False)])
def test_no_strength_is_the_identity(identity):
    assert torch.allclose(applied(identity), IMAGES, atol=1e-5)


@pytest.mark.parametrize("augmentation", [Affine(15, 0.1, flip=True), CropFlip(4, flip=True)])
def test_every_image_gets_its_own_draw_and_seeds_repeat(augmentation):
    same = IMAGES[:1].expand(16, 3, 32, 32)
    out = applied(augmentation, images=same)
    assert len(torch.unique(out.flatten(1), dim=0)) >= 12
    assert torch.equal(out, applied(augmentation, images=same))
    assert not torch.equal(out, applied(augmentation, seed=1, images=same))


@pytest.mark.parametrize("augmentation", [Affine(0, 0, flip=True), CropFlip(0, flip=True)])
def test_flip_mirrors_about_half_of_the_images(augmentation):
    images = IMAGES.repeat(25, 1, 1, 1)
    out = applied(augmentation, images=images)
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(out, images, strict=True)]
    kept = [torch.allclose(a, b, atol=1e-5) for a, b in zip(out, images, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 150 < sum(mirrored) < 250


def test_crop_flip_equals_padding_and_cutting():
    augmentation = CropFlip(4, flip=False)
    shift_x, shift_y, side = augmentation.draw(make_generator(0), len(IMAGES))
    assert shift_x.abs().max() <= 4 and len(torch.unique(shift_x)) > 4
    out = augmentation(IMAGES, (shift_x, shift_y, side))
    padded = torch.nn.functional.pad(IMAGES, (4, 4, 4, 4))
    for image, source, x, y in zip(out, padded, shift_x.int().tolist(), shift_y.int().tolist(), strict=True):
        assert torch.equal(image, source[:, 4 + y : 36 + y, 4 + x : 36 + x])


def test_affine_stays_within_its_ranges_and_fills_them():
    (matrix,) = Affine(15, 0.1, flip=True).draw(make_generator(0), 4000)
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
    assert torch.allclose(applied(Affine(15, 0.1, flip=True), images=flat), flat, atol=1e-6)


def test_forward_compiles_as_one_graph_up_to_float():
    augmentation = Affine(15, 0.1, flip=True)
    params = augmentation.draw(make_generator(0), len(IMAGES))
    compiled = torch.compile(augmentation, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(IMAGES, params), augmentation(IMAGES, params), atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("augmentation", [Affine(15, 0.1, flip=True), CropFlip(4, flip=True)])
def test_cuda_agrees_with_the_cpu(augmentation):
    params = augmentation.draw(make_generator(0), len(IMAGES))
    on_cuda = augmentation(IMAGES.cuda(), tuple(p.cuda() for p in params))
    assert torch.allclose(on_cuda.cpu(), augmentation(IMAGES, params), atol=1e-4)
    drawn = augmentation.draw(make_generator(0, device="cuda"), 4)
    assert all(p.device.type == "cuda" for p in drawn)
