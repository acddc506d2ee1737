import pytest
import torch

from src.config import TrainerConfig
from src.errors import UserError
from src.training import device
from src.training.device import Placement, choose_placement


def test_a_cpu_trains_in_fp32_and_channels_last():
    placement = choose_placement(TrainerConfig(device="cpu"))
    assert (placement.autocast_dtype, placement.memory_format) == (None, torch.channels_last)
    assert not placement.needs_scaler


def test_memory_format_contiguous_is_obeyed():
    placement = choose_placement(TrainerConfig(device="cpu", memory_format="contiguous"))
    assert placement.memory_format == torch.contiguous_format


def test_bf16_autocasts_on_a_cpu_too():
    placement = choose_placement(TrainerConfig(device="cpu", precision="bf16"))
    with placement.autocast():
        assert torch.nn.Linear(4, 4)(torch.ones(1, 4)).dtype == torch.bfloat16


@pytest.mark.parametrize(("has_it", "dtype"), [(True, torch.bfloat16), (False, None)])
def test_bf16_if_supported_is_bf16_on_a_cpu_that_computes_in_it(monkeypatch, has_it, dtype):
    monkeypatch.setattr("src.training.device.computes_bf16", lambda device: has_it)
    assert choose_placement(TrainerConfig(device="cpu", precision="bf16_if_supported")).autocast_dtype == dtype
    assert choose_placement(TrainerConfig(device="cpu", precision="auto")).autocast_dtype is None


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_precisions_of_gpus_are_refused_on_a_cpu(precision):
    problem = f"precision={precision} is for CUDA devices; on a CPU use fp32 or bf16_if_supported"
    with pytest.raises(UserError, match=problem):
        choose_placement(TrainerConfig(device="cpu", precision=precision))


@pytest.mark.parametrize(
    ("capability", "built", "runs"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 6), ["sm_80", "sm_90"], True),  # machine code of the same major version
        ((12, 1), ["sm_90", "sm_120", "compute_120"], True),
        ((13, 0), ["sm_120", "compute_120"], True),  # PTX is compiled for later GPUs
        ((7, 0), ["sm_75", "sm_80", "compute_120"], False),
        ((10, 0), ["sm_90a", "sm_120"], False),
        ((9, 4), ["gfx90a", "gfx942"], True),
    ],
)
def test_a_gpu_that_this_pytorch_was_not_built_for_is_not_used(monkeypatch, caplog, capability, built, runs):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert device._device_type("auto") == ("cuda" if runs else "cpu")
    assert ("no kernels for Some GPU" in caplog.text) is not runs
    if not runs:
        with pytest.raises(
            UserError, match=r"trainer\.device=cuda, but this PyTorch has no kernels for Some GPU \(sm_"
        ):
            device._device_type("cuda")


def test_only_fp16_needs_loss_scaling():
    scaled = {
        dtype: Placement(torch.device("cpu"), dtype, torch.channels_last).needs_scaler
        for dtype in (None, torch.bfloat16, torch.float16)
    }
    assert scaled == {None: False, torch.bfloat16: False, torch.float16: True}


def test_cuda_without_a_device_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="PyTorch finds no CUDA device"):
        choose_placement(TrainerConfig(device="cuda"))
    assert choose_placement(TrainerConfig()).device.type == "cpu"


@pytest.mark.parametrize(("threads", "described"), [(1, "CPU, 1 thread, fp32"), (2, "CPU, 2 threads, fp32")])
def test_a_description_names_device_threads_and_precision(monkeypatch, threads, described):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert choose_placement(TrainerConfig(device="cpu")).description == described


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
