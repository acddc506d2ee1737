"""Networks of timm (pytorch-image-models), an optional dependency."""

import importlib.util
from pathlib import Path
from typing import Any

from torch import nn

from src.errors import require


def timm_model(name: str, num_classes: int, weights: str | None = None, **settings: Any) -> nn.Module:
    """(N, 3, H, W) float -> logits (N, num_classes): the network `name` of timm with further `settings` (img_size=32).

    Args:
        weights: a local file of pretrained weights; those of its last layer are left out where it has other classes.

    Raises UserError where timm is not installed or `weights` is missing, ValueError for a name that timm does not know.
    """
    require(importlib.util.find_spec("timm") is not None, 'model=timm needs timm: pip install -e ".[timm]"')
    import timm

    if not timm.is_model(name):
        near = timm.list_models(f"{name.partition('_')[0]}_*")[:5]
        raise ValueError(f"name={name} is no network of timm; {'some are ' + ', '.join(near) if near else 'see timm'}")
    if weights is None:
        return timm.create_model(name, num_classes=num_classes, **settings)
    require(Path(weights).is_file(), f"model.weights={weights} is no file")
    source = {"file": weights}
    return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=source, num_classes=num_classes, **settings)
