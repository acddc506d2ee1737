import pytest
import torch

from src.errors import UserError
from src.schemas import TrainerConfig
from src.training.device import choose_placement


def test_a_cpu_trains_in_fp32_and_channels_last():
    placement = choose_placement(TrainerConfig(device="cpu"))
    assert (placement.autocast_dtype, placement.memory_format) == (None, torch.channels_last)
    assert not placement.needs_scaler


def test_bf16_autocasts_on_a_cpu_too():
    placement = choose_placement(TrainerConfig(device="cpu", precision="bf16"))
    with placement.autocast():
        assert torch.nn.Linear(4, 4)(torch.ones(1, 4)).dtype == torch.bfloat16


@pytest.mark.parametrize(("has_it", "dtype"), [(True, torch.bfloat16), (False, None)])
def test_fast_is_bf16_on_a_cpu_that_computes_in_it(monkeypatch, has_it, dtype):
    monkeypatch.setattr("src.training.device.computes_bf16", lambda device: has_it)
    assert choose_placement(TrainerConfig(device="cpu", precision="fast")).autocast_dtype == dtype
    assert choose_placement(TrainerConfig(device="cpu", precision="auto")).autocast_dtype is None


def test_fp16_on_a_cpu_is_refused():
    with pytest.raises(UserError, match="precision=fp16 is for CUDA devices"):
        choose_placement(TrainerConfig(device="cpu", precision="fp16"))


def test_cuda_without_a_device_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="PyTorch finds no CUDA device"):
        choose_placement(TrainerConfig(device="cuda"))
    assert choose_placement(TrainerConfig()).device.type == "cpu"


@pytest.fixture
def kept(monkeypatch):
    """One entry for each time that freed memory is to be kept."""
    calls = []
    monkeypatch.setattr("src.training.device.keep_freed_memory", lambda: calls.append("kept"))
    return calls


def test_freed_memory_is_kept_on_a_cpu(kept):
    choose_placement(TrainerConfig(device="cpu"))
    assert kept


@pytest.mark.gpu
def test_cuda_is_chosen_where_it_is(kept):
    placement = choose_placement(TrainerConfig())
    assert placement.device.type == "cuda" and placement.autocast_dtype is not None
    assert not kept
