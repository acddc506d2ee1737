import shutil

import pytest
import torch
from torch.nn import functional as F

from src.models.speedrun import Group, SpeedrunNet, whitening_filters
from src.models.summary import summarize
from src.targets import build
from tests.conftest import SMALL, train_in


def images(count=200):
    """Smooth images: neighboring pixels are similar, as in photographs."""
    noise = torch.randn(count, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 3, stride=1, padding=1) * 2


def test_has_the_speedruns_size(config_of):
    summary = summarize(build(config_of("model=speedrun").model, "model"), 32)
    assert (summary.parameters, summary.frozen) == (8_605_056, 288 + 2_944)  # whitening, scales of the norms
    assert summary.multiply_adds == 174_979_872


@pytest.mark.parametrize("size", [9, 16, 20, 24, 32])
def test_takes_images_of_any_size(size):
    network = SpeedrunNet((8, 16, 24), whitening=True, dirac=True, logit_scale=0.1, num_classes=7)
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 7)


@pytest.mark.parametrize("silu_of", ["pair", "sum"])
def test_a_group_ends_with_a_silu_of_the_pair_or_of_the_sum(silu_of):
    group = Group(4, 8, inner=6, kernels=(3, 3, 1), silu_of=silu_of).eval()
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    start = group.enter(x)
    ends = {"pair": start + F.silu(group.pair(start)), "sum": F.silu(start + group.pair(start))}
    assert torch.equal(group(x), ends[silu_of])
    with pytest.raises(ValueError, match="silu_of=none is not one of pair, sum"):
        SpeedrunNet((8, 16, 24), True, True, 0.1, 7, silu_of="none")


def test_whitened_patches_are_uncorrelated_and_of_unit_variance():
    filters = whitening_filters(images(), eps=1e-8)
    assert filters.shape == (24, 3, 2, 2)
    assert torch.equal(filters[:12], -filters[12:])
    responses = F.conv2d(images(), filters[:12]).transpose(0, 1).reshape(12, -1)
    moments = responses @ responses.T / responses.shape[1]
    torch.testing.assert_close(moments, torch.eye(12), atol=1e-2, rtol=0)


def test_dirac_copies_channels():
    network = SpeedrunNet((8, 16, 24), whitening=True, dirac=True, logit_scale=0.1, num_classes=7)
    first = network.features[3].enter[0]
    x = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first(x)[:, :8], x)


@pytest.mark.slow
def test_whitening_comes_from_the_training_images_and_stays(config_of, tmp_path):
    overrides = [text for text in SMALL if not text.startswith("model")]
    run = train_in(
        tmp_path / "run",
        config_of(
            *overrides,
            "logger=quiet",
            "model=speedrun",
            "model.widths=[8,16,24]",
            "optimizer=muon",
            "scheduler=triangle",
        ),
    )
    state = torch.load(run.checkpoint("last"), weights_only=True)["model"]
    assert state["features.0.weight"].shape == (24, 3, 2, 2)
    assert torch.equal(state["features.0.weight"][:12], -state["features.0.weight"][12:])


NEEDS_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles for CPUs with g++")


@pytest.mark.slow
@pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=NEEDS_COMPILER), pytest.param("cuda", marks=pytest.mark.gpu)]
)
def test_compiled_gradients_are_as_exact_as_eager_ones_in_bf16(device):
    torch.manual_seed(0)
    network = SpeedrunNet((8, 16, 24), whitening=False, dirac=True, logit_scale=0.1, num_classes=7).to(device)
    x = torch.randn(64, 3, 32, 32, device=device)

    def gradients(model, in_bf16=True):
        network.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=in_bf16):
            logits = model(x)
        logits.float().square().sum().backward()
        return [weight.grad.clone() for weight in network.parameters() if weight.requires_grad]

    exact, eager = gradients(network, in_bf16=False), gradients(network)
    compiled = gradients(torch.compile(network, fullgraph=True, dynamic=False))
    for reference, one, other in zip(exact, eager, compiled, strict=True):
        rounding = (one - reference).norm() / reference.norm()
        assert (other - reference).norm() / reference.norm() < 2 * rounding + 0.05  # NaN is not below


@pytest.mark.parametrize("trained", [True, False])
def test_bias_of_the_stem_and_weights_of_the_norms_are_trained_where_asked_for(trained):
    network = SpeedrunNet(
        (8, 16, 24), True, True, 0.1, 7, stem_bias=trained, norm_weights=trained, batch_norm_momentum=0.1
    )
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert len(norms) == 9 and {(n.weight.requires_grad, n.momentum) for n in norms} == {(trained, 0.1)}
    stem = network.features[0]
    assert not stem.weight.requires_grad and (stem.bias is not None) is trained
    assert not trained or (stem.bias.requires_grad and not stem.bias.any())


def test_widths_are_checked():
    with pytest.raises(ValueError, match="three numbers of channels"):
        SpeedrunNet((8, 16), whitening=True, dirac=True, logit_scale=0.1, num_classes=7)
