"""Tasks of a real Ray, where it is installed."""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.errors import UserError
from src.sweeps import ray_queue
from tests.conftest import SMALL, process_environment

LONG = [*SMALL, "data.image_size=16", "trainer.epochs=100", "trainer.checkpoint_minutes=0.02"]


def test_without_ray_its_launcher_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r'needs Ray: pip install -e "\.\[ray\]"'):
        ray_queue.import_ray()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The address of a Ray cluster of two nodes on this machine, and a function that kills the second."""
    pytest.importorskip("ray")
    (tmp_path / "token").write_text(secrets.token_hex(32))
    for name, value in (("USAGE_STATS_ENABLED", "0"), ("AUTH_MODE", "token"), ("AUTH_TOKEN_PATH", tmp_path / "token")):
        monkeypatch.setenv(f"RAY_{name}", str(value))
    nodes = [start_node(tmp_path / "head.log", "--head", "--port=6479", "--include-dashboard=false")]
    try:
        nodes.append(start_node(tmp_path / "second.log", "--address=127.0.0.1:6479"))
        yield "127.0.0.1:6479", lambda: os.killpg(nodes[1].pid, signal.SIGKILL)
    finally:
        for node in nodes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)


def start_node(log, *arguments):
    """A node of one CPU, in a process group of its own."""
    command = [str(Path(sys.executable).with_name("ray")), "start", "--num-cpus=1", "--block", *arguments]
    with log.open("w") as file:
        node = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    deadline = time.monotonic() + 100
    while "Ray runtime started" not in log.read_text():
        assert node.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    return node


def sweep(tmp_path, *overrides):
    command = [sys.executable, "-m", "src.train", "--multirun", *overrides, "hydra/launcher=ray"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(
        [*command, "hydra.sweep.dir=sweep"], cwd=tmp_path, env=process_environment(), start_new_session=True, **pipes
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_by_ray_on_this_machine(tmp_path):
    pytest.importorskip("ray")
    output, _ = sweep(tmp_path, *SMALL, "seed=0,1").communicate(timeout=500)
    assert re.search(r" 2 +2 .*completed", output), output


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_runs_of_a_killed_node_continue_on_another(cluster, tmp_path):
    address, kill_second_node = cluster
    run = sweep(tmp_path, *LONG, "seed=0,1,2", f"hydra.launcher.address={address}")
    folders = [tmp_path / "sweep" / f"{seed}_seed-{seed}" for seed in range(3)]
    deadline = time.monotonic() + 200
    while sum((folder / "history.csv").exists() for folder in folders) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    kill_second_node()
    output, _ = run.communicate(timeout=400)
    assert run.returncode == 0 and re.search(r" 3 +100 .*completed", output), output
    assert any("continuing after epoch" in (folder / "train.log").read_text() for folder in folders)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}, True),
        ({"Alive": True, "Resources": {"CPU": 4.0}}, False),
        ({"Alive": True, "Resources": {"CPU": 1.0, "GPU": 1.0}}, False),
        ({"Alive": False, "Resources": {"CPU": 4.0, "GPU": 1.0}}, False),
    ],
)
def test_a_job_fits_a_node_that_lives_and_has_all_it_wants(node, expected):
    assert ray_queue.fits(node, {"CPU": 2, "GPU": 1}) is expected


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_too_large_for_every_node_is_one_sentence(cluster, tmp_path):
    """The cluster's two nodes have one CPU each."""
    local, _ = sweep(tmp_path, *SMALL, "seed=0,1", "hydra.launcher.num_cpus=1000").communicate(timeout=200)
    assert re.search(r"^error: hydra.launcher.num_cpus=1000 .* more than this machine has; lower them", local, re.M)
    address = f"hydra.launcher.address={cluster[0]}"
    run = sweep(tmp_path, *SMALL, "seed=0,1", "hydra.launcher.num_cpus=2", address)
    assert any("no node of the cluster has so many; jobs wait until one joins" in line for line in run.stdout)
    run.terminate()
    output, _ = run.communicate(timeout=100)
    assert run.returncode == 128 + signal.SIGTERM and "to continue with what is not completed" in output
    assert "SIGTERM" not in output  # Ray's own answer is a stack


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_without_a_cluster_is_one_sentence(address):
    with pytest.raises(UserError, match=f"hydra.launcher.address={address}: no Ray cluster answers there"):
        ray_queue.require_reachable(address)
    ray_queue.require_reachable("auto")  # Ray looks for it
