"""What the processors of this machine compute in."""

import torch


def computes_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 in hardware: GPUs since Ampere, x86 CPUs with AVX512-BF16 or AMX.

    A CPU without computes it too, converting to and fro, slower than float32; so does PyTorch before
    `torch.cpu.get_capabilities`, as far as it can tell.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
