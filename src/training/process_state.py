"""What a run changes in its process, for programs that go on afterwards: PyTorch's random numbers and switches."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # set by trainer.deterministic=true
SWITCHES = (
    (torch.backends.cudnn, "benchmark"),
    (torch.backends.cudnn.conv, "fp32_precision"),
    (torch.backends.cuda.matmul, "fp32_precision"),
)


@contextmanager
def kept_process_state() -> Iterator[None]:
    """Afterwards PyTorch's generators, its current GPU and its switches are what they were before.

    What stays: the memory that glibc keeps for the next run (`src.hardware.keep_freed_memory`).
    """
    was_initialized = torch.cuda.is_initialized()
    gpus = list(range(torch.cuda.device_count())) if was_initialized else []
    current = torch.cuda.current_device() if gpus else None
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    switches = [getattr(*switch) for switch in SWITCHES]
    cublas = os.environ.get(CUBLAS)
    cpu_seed = torch.initial_seed()
    with torch.random.fork_rng(gpus):
        try:
            yield
        finally:
            if not was_initialized:
                _reset_cuda(cpu_seed)
            for switch, value in zip(SWITCHES, switches, strict=True):
                if getattr(*switch) != value:
                    setattr(*switch, value)
            torch.use_deterministic_algorithms(deterministic, warn_only=warns_only)
            if cublas is None:
                os.environ.pop(CUBLAS, None)
            if current is not None:
                torch.cuda.set_device(current)


def _reset_cuda(seed: int) -> None:
    """Leaves CUDA, which was not in use before, as if it were used first now: seeded as the CPU, GPU 0 is current."""
    torch.cuda.manual_seed_all(seed)
    if torch.cuda.is_initialized():
        torch.cuda.set_device(0)
