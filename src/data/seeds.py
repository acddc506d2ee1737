"""Randomness as a function of its place: the generator for (seed, epoch, step) can be made again at any time."""

import numpy as np
import torch


def derive_seed(*place: int) -> int:
    """One well-mixed 32-bit seed from a tuple of non-negative integers (O'Neill's seed_seq, as NumPy has it)."""
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def make_generator(*place: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator on `device` for this place: equal places give equal draws, on one kind of device."""
    return torch.Generator(device).manual_seed(derive_seed(*place))
