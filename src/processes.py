"""What a process that starts others of this project needs to know. Importing this module does not import torch."""

import os

from src.choices import SRC

LIFELINE = "CIFARLAB_LIFELINE"  # the environment variable with a pipe's number: it ends when the starter ends


def num_cpus() -> int:
    """CPUs that this process may use: `taskset`, SLURM or a container may allow fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def python_path() -> str:
    """PYTHONPATH by which a new process, in whatever folder, finds this project."""
    return os.pathsep.join(filter(None, [str(SRC.parent), os.environ.get("PYTHONPATH")]))
