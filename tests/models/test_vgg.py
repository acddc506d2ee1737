import pytest

from src.models.summary import summarize
from src.models.vgg import VGG
from src.targets import build


def test_vgg16_has_the_published_numbers(config_of):
    """github.com/chenyaofo/pytorch-cifar-models: 15.30 million parameters, 313.77 million multiply-adds."""
    summary = summarize(build(config_of("model=vgg16_bn").model, "model"), 32)
    assert (summary.parameters, summary.multiply_adds) == (15_299_748, 313_772_032)


@pytest.mark.parametrize(
    ("blocks", "dropout", "problem"),
    [([], 0.0, "blocks="), ([[4], []], 0.0, "blocks="), ([[0]], 0.0, "blocks="), ([[4]], 1.0, "dropout=1.0")],
)
def test_values_are_checked(blocks, dropout, problem):
    with pytest.raises(ValueError, match=problem):
        VGG(blocks, dropout, num_classes=7)
