import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from src.training.averaging import recompute_batch_norm
from src.training.device import Placement
from src.training.inference import Classifier, NoPreprocess

CPU = Placement(torch.device("cpu"), None, torch.contiguous_format)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.head = nn.BatchNorm1d(2, momentum=0.3), nn.BatchNorm1d(2, momentum=0.3)

    def forward(self, x):
        return self.head(self.features(x))


def classifier(**settings):
    return Classifier(Net(), NoPreprocess([0, 0, 0], [1, 1, 1], CPU), CPU, **settings)


def test_statistics_are_the_means_over_all_batches():
    batches = torch.randn(3, 50, 2) * 3 + 7
    ours = classifier()
    recompute_batch_norm(ours, batches)
    torch.testing.assert_close(ours.model.features.running_mean, batches.mean(dim=(0, 1)))
    torch.testing.assert_close(ours.model.features.running_var, batches.var(dim=1).mean(dim=0))
    assert ours.model.features.momentum == 0.3


def test_statistics_are_those_of_pytorchs_update_bn():
    batches = torch.randn(3, 50, 2) * 3 + 7
    ours, reference = classifier(), Net()
    recompute_batch_norm(ours, batches)
    update_bn(batches, reference)
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], value)


def test_a_frozen_part_keeps_its_statistics():
    ours = classifier(frozen=("features",))
    recompute_batch_norm(ours, torch.randn(3, 50, 2) + 7)
    assert ours.model.features.running_mean.tolist() == [0, 0]
    assert ours.model.head.running_mean.min() > 5


def test_a_network_without_batch_norm_is_left_alone():
    ours = classifier()
    ours.model.features = ours.model.head = nn.Linear(2, 2)
    recompute_batch_norm(ours, iter([None]))  # no batch is taken
