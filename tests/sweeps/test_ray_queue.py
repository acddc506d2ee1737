"""Tasks of a real Ray, where it is installed."""

import os
import re
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
def cluster(tmp_path):
    """The address of a Ray cluster of two nodes on this machine, and a function that kills the second."""
    pytest.importorskip("ray")
    ray = str(Path(sys.executable).with_name("ray"))
    environment = {**process_environment(), "RAY_USAGE_STATS_ENABLED": "0"}
    common = {"env": environment, "stdout": subprocess.DEVNULL, "start_new_session": True}
    head = ["--head", "--port=16379", "--num-cpus=1", "--include-dashboard=false", "--block", "--disable-usage-stats"]
    nodes = [subprocess.Popen([ray, "start", *head], **common)]
    time.sleep(10)
    second = [ray, "start", "--address=127.0.0.1:16379", "--num-cpus=1", "--block"]
    nodes.append(subprocess.Popen(second, **common))
    time.sleep(10)
    yield "127.0.0.1:16379", lambda: os.killpg(nodes[1].pid, signal.SIGKILL)
    for node in nodes:
        if node.poll() is None:
            os.killpg(node.pid, signal.SIGKILL)


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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_address_without_a_cluster_is_one_sentence(tmp_path):
    pytest.importorskip("ray")
    output, _ = sweep(tmp_path, *SMALL, "seed=0", "hydra.launcher.address=127.0.0.1:1").communicate(timeout=500)
    assert "no Ray cluster answers" in output
