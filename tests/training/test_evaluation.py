import torch

from src.training.device import Placement
from src.training.evaluation import BATCH, compute_logits
from src.training.learner import Preprocess

CPU = Placement(torch.device("cpu"), None, torch.contiguous_format)


def test_logits_are_those_of_the_network_in_evaluation_mode_on_normalised_pixels():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.9), torch.nn.Linear(12, 5))
    images = torch.randint(0, 256, (BATCH + 10, 3, 2, 2), dtype=torch.uint8)
    preprocess = Preprocess([0.5, 0.4, 0.3], [0.2, 0.2, 0.1], CPU)
    logits = compute_logits(network.train(), images, preprocess, CPU)
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.2, 0.1]).view(3, 1, 1)
    expected = network[2](((images / 255 - mean) / std).flatten(1))
    assert logits.shape == (BATCH + 10, 5)
    assert torch.allclose(logits, expected, atol=1e-5)


def test_between_batches_is_called_after_each():
    calls = []
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
    images = torch.zeros(2 * BATCH + 1, 3, 2, 2, dtype=torch.uint8)
    compute_logits(network, images, Preprocess([0, 0, 0], [1, 1, 1], CPU), CPU, lambda: calls.append(1))
    assert len(calls) == 3
