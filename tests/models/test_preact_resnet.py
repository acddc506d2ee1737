import pytest
import torch

from src.models.preact_resnet import Block, PreActResNet
from src.models.summary import summarize
from src.targets import build


@pytest.mark.parametrize(
    ("name", "parameters", "millions", "multiply_adds"),
    [
        ("wrn16_8", 11_007_540, 11.0, 1_548.2),
        pytest.param("wrn28_10", 36_536_884, 36.5, 5_243.4, marks=pytest.mark.slow),
    ],
)
def test_wide_networks_have_the_published_numbers_of_parameters(config_of, name, parameters, millions, multiply_adds):
    """Zagoruyko & Komodakis 2016, table 4."""
    summary = summarize(build(config_of(f"model={name}").model, "model"), 32)
    assert summary.parameters == parameters and parameters / 1e6 == pytest.approx(millions, abs=0.05)
    assert summary.multiply_adds / 1e6 == pytest.approx(multiply_adds, abs=0.1)


def test_norm_and_activation_come_before_the_shortcut_that_changes_the_shape():
    x = torch.randn(2, 3, 4, 4)
    same, other = Block(3, 3, stride=1, dropout=0.0), Block(3, 5, stride=2, dropout=0.0)
    for block in (same, other):
        torch.nn.init.zeros_(block.body[4].weight)
    assert torch.equal(same(x), x)
    assert torch.equal(other(x), other.shortcut(torch.relu(other.norm(x))))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"widths": []}, r"widths=\[\]"),
        ({"blocks": 0}, "blocks=0 must be at least 1"),
        ({"dropout": 1.0}, r"dropout=1.0 must lie in \[0, 1\)"),
    ],
)
def test_values_are_checked(settings, problem):
    with pytest.raises(ValueError, match=problem):
        PreActResNet(**{"stem": 4, "widths": [4], "blocks": 1, "dropout": 0.0, "num_classes": 7, **settings})
