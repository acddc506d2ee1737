from collections.abc import Callable

import pytest
import torch
from torch import nn

from src.errors import UserError
from src.models.convnet import KerasHardSigmoid
from src.models.summary import summarize
from src.targets import build

COURSE_REPORT_DEEP = [  # (layer, output, parameters as Keras counts them), from the course report's own summary
    ("Conv2d 3x3 + ReLU", (64, 32, 32), 1792),
    ("Conv2d 3x3 + ReLU", (64, 32, 32), 36928),
    ("BatchNorm2d", (64, 32, 32), 256),
    ("MaxPool2d", (64, 16, 16), 0),
    ("Conv2d 3x3 + ReLU", (128, 16, 16), 73856),
    ("Conv2d 3x3 + ReLU", (128, 16, 16), 147584),
    ("BatchNorm2d", (128, 16, 16), 512),
    ("MaxPool2d", (128, 8, 8), 0),
    ("Conv2d 3x3 + ReLU", (256, 8, 8), 295168),
    ("Conv2d 3x3 + ReLU", (256, 8, 8), 590080),
    ("Conv2d 3x3 + ReLU", (256, 8, 8), 590080),
    ("BatchNorm2d", (256, 8, 8), 1024),
    ("MaxPool2d", (256, 4, 4), 0),
    ("Conv2d 3x3 + ReLU", (512, 4, 4), 1180160),
    ("Conv2d 3x3 + ReLU", (512, 4, 4), 2359808),
    ("Conv2d 3x3 + ReLU", (512, 4, 4), 2359808),
    ("BatchNorm2d", (512, 4, 4), 2048),
    ("MaxPool2d", (512, 2, 2), 0),
    ("Flatten", (2048,), 0),
    ("Dropout 0", (2048,), 0),
    ("Linear + ReLU", (512,), 1049088),
    ("Linear", (100,), 51300),
]


@pytest.fixture
def network_of(config_of) -> Callable[..., nn.Module]:
    """network_of("model=deep") -> the network of that command line."""
    return lambda *overrides: build(config_of(*overrides).model, "model")


def test_deep_is_the_course_reports_network_row_for_row(network_of):
    summary = summarize(network_of("model=deep"), 32)
    assert [(r.layer, r.output_shape, r.parameters + r.others) for r in summary.rows] == COURSE_REPORT_DEEP
    assert (summary.parameters, summary.statistics, summary.multiply_adds) == (8_737_572, 1_920, 285_984_768)


@pytest.mark.parametrize(
    ("name", "parameters", "statistics", "multiply_adds"),
    [
        ("baseline", 1_193_636, 0, 11_421_696),
        ("single", 33_613_924, 512, 40_683_520),
        ("deeper", 15_034_532 - 2_944, 2_944, 313_509_888),
    ],
)
def test_parameter_counts_of_the_course_report(network_of, name, parameters, statistics, multiply_adds):
    summary = summarize(network_of(f"model={name}"), 32)
    assert (summary.parameters, summary.statistics) == (parameters, statistics)
    assert summary.multiply_adds == sum(row.multiply_adds for row in summary.rows) == multiply_adds


def test_second_dense_layer_of_the_course_report(network_of):
    summary = summarize(network_of("model=deep", "model.dense=[512,512]", "model.activation=sigmoid"), 32)
    assert summary.parameters + summary.statistics == 9_002_148


def test_width_scales_every_convolution(network_of):
    network = network_of("model=deep", "model.width=0.25")
    filters = [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert filters == [16, 16, 32, 32, 64, 64, 64, 128, 128, 128]


def test_no_dense_layer_means_logits_from_the_features(network_of):
    network = network_of("model.dense=[]")
    assert [type(layer).__name__ for layer in network.head] == ["Flatten", "Dropout", "Head"]


def test_dropout_acts_in_training_only(network_of):
    network = network_of("model.dropout=0.5")
    images = torch.rand(4, 3, 32, 32)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_hard_sigmoid_is_keras_own():
    x = torch.tensor([-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0])
    assert torch.allclose(KerasHardSigmoid()(x), torch.tensor([0, 0, 0.3, 0.5, 0.7, 1, 1]))
    assert not torch.allclose(KerasHardSigmoid()(x), nn.Hardsigmoid()(x))


def test_batch_norm_has_keras_constants_and_can_be_left_out(network_of):
    norms = [m for m in network_of("model=deep").modules() if isinstance(m, nn.BatchNorm2d)]
    assert [(norm.momentum, norm.eps) for norm in norms] == [(0.01, 1e-3)] * 4
    bare = network_of("model=deep", "model.batch_norm=false")
    assert not [m for m in bare.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    "override", ["model.width=0", "model.dropout=1", "model.activation=gelu", "model.pooling=min", "model.init=he"]
)
def test_values_out_of_range_are_refused(network_of, override):
    with pytest.raises(UserError, match=override.removeprefix("model.")):
        network_of(override)


def test_too_many_poolings_are_refused(network_of):
    with pytest.raises(UserError, match="5 poolings leave nothing of images of 16 pixels"):
        network_of("model=deeper", "data.image_size=16")


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_the_last_pooling_is_the_plain_one_at_the_datas_size_and_takes_others(network_of, pooling):
    network = network_of("model=deep", "model.width=0.05", f"model.pooling={pooling}").eval()
    images = torch.rand(2, 3, 32, 32)
    plain = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[pooling](2)
    expected = network.head(plain(network.features[:-1](images)))
    assert torch.equal(network(images), expected)
    assert {network(torch.rand(2, 3, size, size)).shape for size in (16, 20, 24, 40)} == {(2, 100)}
