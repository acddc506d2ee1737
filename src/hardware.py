"""What the processors of this machine compute in."""

import torch


def computes_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 in hardware: GPUs since Ampere, x86 CPUs with AVX512-BF16 or AMX.

    Other CPUs compute it too, converting to and fro, slower than float32. A PyTorch without
    `torch.cpu.get_capabilities` cannot tell: False.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
