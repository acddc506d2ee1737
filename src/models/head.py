"""The last layer of a classifier."""

import torch
from torch import Tensor, nn


class Head(nn.Linear):
    """(N, in_features) of any float dtype -> logits (N, out_features) float32, under autocast too.

    Logits in bfloat16, with 8 significant bits, are often equal, and then the order of classes decides.
    """

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())
