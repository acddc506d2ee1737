import pytest
import torch
from torch import nn
from torch.nn import functional as F

from src.models.summary import summarize


def test_counts_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    summary = summarize(network, image_size=8)
    conv, flatten, linear = summary.rows
    assert (conv.layer, conv.parameters, conv.multiply_adds) == ("Conv2d 3x3 + ReLU", 108, 8 * 8 * 4 * 27)
    assert (flatten.parameters, flatten.multiply_adds) == (0, 0)
    assert (linear.parameters, linear.multiply_adds) == (2570, 2560)
    assert "2,678 trainable parameters" in str(summary)


def test_totals_are_the_networks_whatever_took_part_in_the_pass():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(5))
            self.twice = nn.Linear(12, 12)
            self.unused = nn.Linear(3, 3)

        def forward(self, images):
            return self.twice(self.twice(images.flatten(1))) * self.scale.sum()

    summary = summarize(Odd(), image_size=2)
    assert summary.parameters == 5 + 156 + 12
    assert [(row.layer, row.parameters) for row in summary.rows] == [("Linear", 156), ("Linear", 0), ("(other)", 17)]


class Attention(nn.Module):
    """Pixels attend to each other: 16 tokens of 3 channels, embedded in 8, two heads."""

    def __init__(self, need_weights: bool, frozen: bool = False):
        super().__init__()
        self.embed, self.head = nn.Linear(3, 8), nn.Linear(8, 2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.need_weights = need_weights
        self.requires_grad_(not frozen)

    def forward(self, images):
        tokens = self.embed(images.flatten(2).transpose(1, 2))
        attended, _ = self.attention(tokens, tokens, tokens, need_weights=self.need_weights)
        return self.head(attended.mean(dim=1))


@pytest.mark.parametrize("frozen", [False, True])  # frozen weights would take PyTorch's fused kernel
@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_counts_its_multiply_adds(need_weights, frozen):
    summary = summarize(Attention(need_weights, frozen), image_size=4)
    projections, products = 4 * 16 * 8 * 8, 2 * 16 * 16 * 8  # query, key, value, output; scores, weighted values
    assert [(row.layer, row.output_shape, row.multiply_adds) for row in summary.rows] == [
        ("Linear", (16, 8), 16 * 3 * 8),
        ("MultiheadAttention", (16, 8), projections + products),
        ("Linear", (2,), 16),
    ]
    assert summary.rows[1].parameters + summary.rows[1].others == 4 * (8 * 8 + 8)
    assert summary.multiply_adds == 16 * 3 * 8 + projections + products + 16


def test_attention_by_a_function_counts_in_the_last_row():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, images):
            tokens = images.flatten(2).transpose(1, 2)[:, None]
            return self.head(F.scaled_dot_product_attention(tokens, tokens, tokens).mean(dim=(1, 2)))

    summary = summarize(Functional(), image_size=4)
    assert [(row.layer, row.multiply_adds) for row in summary.rows] == [("Linear", 6), ("(other)", 2 * 16 * 16 * 3)]
    assert summary.multiply_adds == 6 + 2 * 16 * 16 * 3


def test_the_setting_for_fused_attention_is_restored():
    assert torch.backends.mha.get_fastpath_enabled()
    summarize(Attention(need_weights=False), image_size=4)
    assert torch.backends.mha.get_fastpath_enabled()


def test_grouped_and_transposed_convolutions_count():
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3), nn.ConvTranspose2d(6, 2, 2, stride=2))
    grouped, transposed = summarize(network, image_size=4).rows
    assert (grouped.multiply_adds, transposed.multiply_adds) == (16 * 6 * 9, 16 * 6 * 2 * 4)


def test_parts_in_evaluation_mode_stay_there():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval(), nn.Flatten(), nn.Linear(144, 2))
    summarize(network, image_size=8)
    assert [module.training for module in network.modules()] == [True, True, False, True, True]


def test_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    summarize(network, image_size=8)
    assert network.training and all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())


def test_frozen_parameters_are_not_trainable():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).requires_grad_(False)
    summary = summarize(network, 2)
    assert (summary.parameters, summary.frozen, summary.statistics) == (0, 26, 0)
    assert "0 trainable parameters + 26 frozen + 0 running statistics" in str(summary)
