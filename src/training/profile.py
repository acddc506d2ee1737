"""A trace of a few training steps: which operators and GPU kernels run when, and for how long."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.profiler import ProfilerActivity

from src.files import PART
from src.training.messages import log

if TYPE_CHECKING:
    from src.training.trainer import Trainer

WAIT, WARMUP, ACTIVE = 5, 1, 4  # steps: the first ones compile and choose kernels, the profiler's own first one is slow


@contextmanager
def profile_steps(trainer: "Trainer") -> Iterator[None]:
    """Within it, with trainer.profile, the leader writes a trace of ACTIVE optimizer steps to trace.json."""
    if not (trainer.config.trainer.profile and trainer.ranks.is_leader):
        yield
        return
    path, is_on_gpu = trainer.run_dir.trace_file, trainer.classifier.placement.device.type == "cuda"
    part = path.with_name(f"{path.name}{PART}")

    def write(profiler: torch.profiler.profile) -> None:
        if steps := profiler.step_num - WAIT - WARMUP:  # fewer than ACTIVE where the run ended before
            profiler.export_chrome_trace(str(part))
            part.replace(path)
            log.info(f"the times of {steps} steps are in {path}: open it at https://ui.perfetto.dev")

    profiler = torch.profiler.profile(
        activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_on_gpu else [])],
        schedule=torch.profiler.schedule(wait=WAIT, warmup=WARMUP, active=ACTIVE, repeat=1),
        on_trace_ready=write,
    )
    with profiler:
        hook = trainer.optimizer.register_step_post_hook(lambda *_: profiler.step())
        try:
            yield
        finally:
            hook.remove()
    if profiler.step_num <= WAIT + WARMUP:
        log.warning(f"trainer.profile=true records from step {WAIT + WARMUP + 1} on; the training ended before")
