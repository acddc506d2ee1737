"""Random numbers as a function of where they are used: the generator for (seed, epoch, batch, use) can be remade."""

import numpy as np
import torch

ORDER, AUGMENTATION, TRANSFORM, FLIP_SIDE, DROPOUT = range(5)  # uses, the last number of a place


def derive_seed(*place: int) -> int:
    """A 32-bit seed from non-negative integers, well mixed (NumPy's SeedSequence, after O'Neill's seed_seq)."""
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def make_generator(*place: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A new generator on `device`; equal places give equal numbers on devices of the same kind."""
    return torch.Generator(device).manual_seed(derive_seed(*place))
