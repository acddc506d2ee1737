import stat
import subprocess
import sys

import pytest

from src.training.gpus import Gpu, claim_gpu, query_gpus
from tests.conftest import process_environment

UUIDS = ["a", "b", "c"]
CLAIM = "from pathlib import Path\nfrom src.training.gpus import Gpu, claim_gpu\n"


def start(script):
    return subprocess.Popen(
        [sys.executable, "-c", f"{CLAIM}{script}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=process_environment(),
    )  # fmt: skip


def test_processes_get_a_gpu_each_and_keep_it(tmp_path):
    locks = tmp_path / "gpus"
    assert claim_gpu(UUIDS, {}, locks) == 0
    # another process numbers the same GPUs differently
    script = f"print(claim_gpu(['c', 'b', 'a'], {{}}, Path({str(locks)!r})), flush=True); input()"
    others = [start(script) for _ in range(2)]
    assert sorted(other.stdout.readline() for other in others) == ["0\n", "1\n"]
    assert claim_gpu(UUIDS, {}, locks) == 0
    for other in others:
        other.communicate("\n")
    # What a process held is free once it is gone.
    assert start(script).communicate("\n")[0] == "0\n"


def test_a_claim_follows_the_gpus_that_a_run_may_use(tmp_path):
    locks = tmp_path / "gpus"
    assert claim_gpu(["a", "b"], {}, locks) == 0
    assert claim_gpu(["b"], {}, locks) == 0  # "a" is free again
    assert start(f"print(claim_gpu(['b', 'a'], {{}}, Path({str(locks)!r})))").communicate()[0] == "1\n"


def test_a_gpu_is_shared_where_all_are_taken(tmp_path):
    locks = tmp_path / "gpus"
    claim_gpu(["a"], {}, locks)
    assert start(f"print(claim_gpu(['a'], {{}}, Path({str(locks)!r})))").communicate()[0] == "0\n"


def test_the_freest_gpu_comes_first(tmp_path):
    gpus = {"a": Gpu(100, "1"), "c": Gpu(300, "1")}  # of "b", perhaps a part of a GPU, nvidia-smi says nothing
    assert claim_gpu(UUIDS, gpus, tmp_path / "gpus") == 2


@pytest.fixture(autouse=True)
def forgotten():
    """nvidia-smi is asked anew."""
    query_gpus.cache_clear()
    yield
    query_gpus.cache_clear()


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """nvidia_smi("text") puts a program of that name that prints the text first on the path."""

    def install(text):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{text}'\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return install


def test_nvidia_smi_is_asked_for_memory_and_driver(nvidia_smi):
    nvidia_smi("GPU-8d2f91a0-00ff, 80123, 580.65.06\nGPU-11111111-2222, [N/A], 580.65.06")
    assert query_gpus() == {"8d2f91a0-00ff": Gpu(80123, "580.65.06"), "11111111-2222": Gpu(0, "580.65.06")}


@pytest.mark.parametrize("text", ["No devices were found", "", "Failed to initialize NVML, try later, again, please"])
def test_messages_of_nvidia_smi_are_no_gpus(nvidia_smi, text):
    nvidia_smi(text)
    assert query_gpus() == {}


def test_without_nvidia_smi_nothing_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert query_gpus() == {}
