import torch
from torch import nn

from src.models.head import Head


def test_logits_are_float32_under_autocast():
    torch.manual_seed(0)
    head, features = Head(64, 100), torch.randn(8, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits, coarse = head(features.bfloat16()), nn.functional.linear(features, head.weight, head.bias)
    assert (logits.dtype, coarse.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(logits, nn.functional.linear(features.bfloat16().float(), head.weight, head.bias))


def test_gradients_reach_the_features_and_the_weights():
    head, features = Head(4, 3), torch.randn(2, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        head(features).sum().backward()
    assert features.grad.dtype == head.weight.grad.dtype == torch.float32
