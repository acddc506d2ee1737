"""What the processor and the memory of this machine want."""

import ctypes
import sys

import torch

# mallopt's parameters, from glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


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
    """Has glibc keep for the next step what the last one freed; from here on, in the whole process.

    It gives large blocks back to the kernel otherwise, which clears them page by page when they are asked for again:
    a third of a small network's step on a CPU (man 3 mallopt). The process then stays as large as it was at its peak.
    Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)  # no block outside the heap
        mallopt(_TRIM_THRESHOLD, -1)  # the heap never shrinks
