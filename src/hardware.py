"""What the processor of this machine computes fast, and how its C library reuses memory."""

import ctypes
import os
import sys

import torch

# mallopt's parameters, from glibc's malloc.h, and the environment variables that configure malloc
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_SET_BY_HAND = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")


def computes_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 in hardware: GPUs since Ampere, x86 CPUs with AVX512-BF16 or AMX.

    Other CPUs convert to float32 and back, which is slower than float32. Where PyTorch has no
    `torch.cpu.get_capabilities`, the answer is False.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def keep_freed_memory() -> None:
    """Makes glibc reuse the memory that a step frees in the next step, from now on (man 3 mallopt).

    By default glibc returns large blocks to the kernel, which clears their pages when they are allocated again: a third
    of a small network's step on a CPU. The process then never shrinks below its peak. Nothing changes with other C
    libraries, or where the environment configures malloc.
    """
    set_by_hand = any(name in os.environ for name in _SET_BY_HAND) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or set_by_hand:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)  # large blocks come from the heap too
        mallopt(_TRIM_THRESHOLD, -1)  # which never shrinks
