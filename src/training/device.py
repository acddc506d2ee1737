"""Where a run computes, in which precision and memory layout."""

import contextlib
import logging
import os
import re
from dataclasses import dataclass

import torch
from torch import nn

from src.config import TrainerConfig
from src.errors import UserError, require
from src.hardware import computes_bf16, keep_freed_memory
from src.torchrun import local_rank
from src.training.gpus import claim_gpu, query_gpus
from src.training.ranks import ALONE, Ranks

log = logging.getLogger("cifarlab")

_DTYPES = {"fp32": None, "tf32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Placement:
    """A device with precision and memory layout, and the other ranks; `autocast_dtype` None means fp32 throughout."""

    device: torch.device
    autocast_dtype: torch.dtype | None
    memory_format: torch.memory_format
    ranks: Ranks = ALONE

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)

    def kept_generators(self) -> contextlib.AbstractContextManager[None]:
        """Afterwards the random generators of the CPU and of this device are what they were before."""
        return torch.random.fork_rng([self.device] if self.device.type == "cuda" else [])

    def place(self, model: nn.Module) -> nn.Module:
        return model.to(self.device, memory_format=self.memory_format)

    @property
    def needs_scaler(self) -> bool:
        """fp16 gradients underflow without loss scaling (Micikevicius et al. 2018); bf16 has fp32's range."""
        return self.autocast_dtype == torch.float16

    @property
    def description(self) -> str:
        """ "CPU, 2 threads, fp32", or "2 processes, each on CPU, 1 thread, fp32"."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        precision = next(name for name, dtype in _DTYPES.items() if dtype == self.autocast_dtype)
        if precision == "fp32" and self.device.type == "cuda":
            precision = "tf32" if torch.backends.cudnn.conv.fp32_precision == "tf32" else "fp32"
        count = torch.get_num_threads()
        threads = f", {count} thread{'s' * (count > 1)}" if self.device.type == "cpu" else ""
        ranks = f"{self.ranks.size} processes, each on " if self.ranks.size > 1 else ""
        return f"{ranks}{name}{threads}, {precision}"


def choose_placement(config: TrainerConfig, ranks: Ranks = ALONE) -> Placement:
    """Resolves every `auto`, and tunes the process to the device: the precision of a GPU's kernels, or malloc on a CPU.

    Raises UserError for a device or precision that this machine does not have.
    """
    device = torch.device(_device_type(config.device))
    if device.type == "cuda":
        device = torch.device("cuda", _choose_gpu(ranks))
        torch.cuda.set_device(device)
    precision = config.precision
    if precision in ("auto", "bf16_if_supported"):
        precision = _fastest_precision(device, bf16_on_cpu=precision == "bf16_if_supported")
    if precision in ("fp16", "tf32") and device.type == "cpu":
        raise UserError(f"trainer.precision={precision} is for CUDA devices; on a CPU use fp32 or bf16_if_supported.")
    if config.deterministic:  # cuBLAS reads it when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    if device.type == "cuda":
        kernels = "tf32" if precision == "tf32" else "ieee"  # PyTorch's default for convolutions is tf32
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = kernels
    else:
        keep_freed_memory()  # each step allocates tensors of the same sizes
    channels_last = config.memory_format != "contiguous"
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return Placement(device, _DTYPES[precision], memory_format, ranks)


def _choose_gpu(ranks: Ranks) -> int:
    """The freest GPU, or with several ranks that of this process's number on its machine."""
    uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    if ranks.size == 1:
        return claim_gpu(uuids, query_gpus())
    index = local_rank()
    require(
        index < len(uuids),
        f"process {index} of this machine has no GPU of its own, PyTorch finds {len(uuids)}; start fewer processes",
    )
    claim_gpu(uuids[index : index + 1], query_gpus())  # other runs then take another one
    return index


def _device_type(wanted: str) -> str:
    if wanted == "cpu":
        return "cpu"
    problem = problem_of_gpu()
    if wanted == "cuda" and problem:
        raise UserError(f"trainer.device=cuda, but {problem}; use trainer.device=cpu or auto.")
    if problem and torch.cuda.is_available():
        log.warning(f"WARNING: {problem}; the run computes on the CPU.")
    return "cpu" if problem else "cuda"


def problem_of_gpu() -> str | None:
    """Why no GPU can be used; None where one can."""
    if not torch.cuda.is_available():
        return "PyTorch finds no CUDA device here"
    capability, built = torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
    versions = [match for name in built if (match := re.match(r"(sm|compute)_(\d+)(\d)", name))]
    if not versions:  # of AMD's GPUs: gfx942
        return None
    for kind, major, minor in (match.groups() for match in versions):
        version = int(major), int(minor)
        # machine code runs on later GPUs of the same major version, PTX (compute) on all later ones
        if version <= capability and (kind == "compute" or version[0] == capability[0]):
            return None
    name = torch.cuda.get_device_name()
    return f"this PyTorch has no kernels for {name} (sm_{capability[0]}{capability[1]}; it has {', '.join(built)})"


def _fastest_precision(device: torch.device, bf16_on_cpu: bool) -> str:
    if device.type == "cpu":
        return "bf16" if bf16_on_cpu and computes_bf16(device) else "fp32"
    return "bf16" if computes_bf16(device) else "fp16"
