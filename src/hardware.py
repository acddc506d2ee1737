"""What the processor and the memory of this machine want."""

import ctypes
import os
import sys

import torch

# mallopt's parameters, from glibc's malloc.h, and the variables with which a person sets them
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_SET_BY_HAND = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")


def computes_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 in hardware: GPUs since Ampere, x86 CPUs with AVX512-BF16 or AMX.

    Other CPUs compute it too, converting to and fro, slower than float32. A PyTorch without
    `torch.cpu.get_capabilities` cannot tell: False.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def keep_freed_memory() -> None:
    """Has glibc keep for the next step what the last one freed; from here on.

    It gives large blocks back to the kernel otherwise, which clears them page by page when they are asked for again:
    a third of a small network's step on a CPU (man 3 mallopt). The process then stays as large as it was at its peak,
    which gaps between the blocks may raise. Left as they are: other C libraries, and a glibc that the environment sets.
    """
    set_by_hand = any(name in os.environ for name in _SET_BY_HAND) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or set_by_hand:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)  # large blocks come from the heap too
        mallopt(_TRIM_THRESHOLD, -1)  # which never shrinks
