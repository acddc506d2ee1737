"""The jobs of a sweep as tasks of Ray, on this machine or on the nodes of a cluster."""

import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from src.errors import UserError, first_line, require
from src.processes import python_path
from src.sweeps.cluster import TrainJob

CONNECT_SECONDS = 10


class RayQueue:
    """Ray's tasks, each with its own CPUs and GPUs; they end with the command.

    A task whose node fails is started again on another one, and continues its run from the folder, which must lie on a
    disk that all nodes share.
    """

    poll_seconds, outlives_command = 0.5, False

    def __init__(self, address: str | None, num_cpus: float, num_gpus: float) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.ray = import_ray()
        if address:
            require_reachable(address)
        variables = {"PYTHONPATH": python_path()}
        if "OMP_NUM_THREADS" not in os.environ:
            variables["OMP_NUM_THREADS"] = str(max(1, int(num_cpus)))
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            self.ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level="error",
                runtime_env={"env_vars": variables},
                **({} if address else {"include_dashboard": False}),
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            if not address:
                raise UserError(f"Ray cannot be started on this machine ({first_line(error).rstrip('.')}).") from error
            raise UserError(
                f"hydra.launcher.address={address}: no Ray cluster answers ({first_line(error).rstrip('.')}); one that "
                "wants a token needs RAY_AUTH_MODE=token."
            ) from error
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray's prints a stack, and aborts three seconds later
        wanted = {"CPU": num_cpus, "GPU": num_gpus}
        if not any(fits(node, wanted) for node in self.ray.nodes()):
            asked = f"hydra.launcher.num_cpus={num_cpus:g} and num_gpus={num_gpus:g}"
            require(address is not None, f"{asked} are more than this machine has; lower them, or name a cluster")
            print(f"{asked}: no node of the cluster has so many; jobs wait until one joins", flush=True)
        options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": -1}
        self.train = self.ray.remote(**options)(run_job)
        self.tasks: dict[str, Any] = {}

    def submit(self, jobs: Sequence[TrainJob]) -> list[str]:
        """As one task each; Ray starts as many as there are CPUs and GPUs for."""
        tasks = [self.train.remote(job) for job in jobs]
        self.tasks.update({task.hex()[:16]: task for task in tasks})
        return [task.hex()[:16] for task in tasks]

    def unfinished(self, ids: Sequence[str]) -> set[str]:
        """Those of this process; tasks end with the process that has submitted them."""
        own = {self.tasks[number]: number for number in ids if number in self.tasks}
        if not own:
            return set()
        _, waiting = self.ray.wait(list(own), num_returns=len(own), timeout=0)
        return {own[task] for task in waiting}

    def problem(self, number: str) -> str:
        """The error of a task that could not start its training."""
        try:
            return f"the training ended with code {self.ray.get(self.tasks[number])}"
        except self.ray.exceptions.RayError as error:
            return str(error).strip().splitlines()[-1]

    def close(self) -> None:
        """Leaves the cluster, or ends the one of this machine."""
        self.ray.shutdown()


def fits(node: Mapping[str, Any], wanted: Mapping[str, float]) -> bool:
    """Whether a node, as ray.nodes() describes it, could run a job that wants so many of each resource."""
    return node["Alive"] and all(number <= node["Resources"].get(name, 0) for name, number in wanted.items())


def require_reachable(address: str) -> None:
    """Raises UserError where nothing listens at a host:port: Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):  # auto
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"hydra.launcher.address={address}: no Ray cluster answers there ({error}).") from error


def run_job(job: TrainJob) -> int:
    """What a task does."""
    return job()


def import_ray() -> Any:
    """The module ray. Raises UserError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise UserError('hydra/launcher=ray needs Ray: pip install -e ".[ray]".') from error
    return ray
