import os

import pytest
import torch

from src.training.process_state import CUBLAS, kept_process_state


def test_random_numbers_and_switches_are_those_before(monkeypatch):
    monkeypatch.delenv(CUBLAS, raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    precisions = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    assert precisions != ("ieee", "ieee")
    torch.manual_seed(7)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(7))
    with pytest.raises(ValueError), kept_process_state():
        torch.manual_seed(1)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "ieee"
        torch.use_deterministic_algorithms(True)
        os.environ[CUBLAS] = ":4096:8"
        raise ValueError
    assert torch.equal(torch.rand(3), expected)
    assert torch.backends.cudnn.benchmark
    assert precisions == (torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision)
    assert not torch.are_deterministic_algorithms_enabled() and CUBLAS not in os.environ


def test_cuda_that_was_not_in_use_is_seeded_as_the_cpu_was(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    torch.manual_seed(7)
    with kept_process_state():
        torch.manual_seed(1)
    assert seeds[-1] == 7


def test_a_callers_own_choice_of_deterministic_algorithms_stays():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with kept_process_state():
            torch.use_deterministic_algorithms(False)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
