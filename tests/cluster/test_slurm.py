"""Sweeps on a real SLURM cluster of one node, which slurm.sh starts: pytest -m slurm."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.tables import table_by
from tests.conftest import SMALL, process_environment

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not shutil.which("slurmctld") or os.getuid() != 0, reason="needs root and Debian's slurmctld"),
]
SCRIPT = Path(__file__).with_name("slurm.sh")
LAUNCHER = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem=1GB"]
LONG = [*SMALL, "data.image_size=16", "trainer.epochs=100", "trainer.checkpoint_minutes=0.02"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], None]]:
    """cluster("kill-controller") -> calls slurm.sh; SLURM runs until the end of the tests."""
    folder = tmp_path_factory.mktemp("slurm")

    def control(action: str) -> None:
        subprocess.run([str(SCRIPT), action, str(folder)], check=True, timeout=60, stdout=subprocess.DEVNULL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("OMP_NUM_THREADS", "1")
        control("start")
        yield control
        slurm("scancel", "--user", "root")
        control("stop")


@pytest.fixture
def sweep(cluster, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """sweep("seed=0,1") -> the process of a sweep into tmp_path/sweep; at the end none is left."""
    processes = []

    def start(*overrides: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "src.train", "--multirun", *LONG, *overrides, *LAUNCHER]
        command += ["hydra.sweep.dir=sweep"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen(command, cwd=tmp_path, env=process_environment(), start_new_session=True, **pipes)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()  # one whose test has failed


def slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def running() -> list[str]:
    return slurm("squeue", "--noheader", "--array", "--states", "RUNNING", "--format", "%i").split()


def await_that(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)


def status(run_dir: Path) -> dict[str, object]:
    return json.loads((run_dir / "result.json").read_text()) if (run_dir / "result.json").exists() else {}


def has_trained(run_dir: Path) -> bool:
    return bool(status(run_dir).get("epochs"))


def test_preempted_and_requeued_jobs_continue_and_a_failing_one_is_a_row(sweep, tmp_path):
    run = sweep("optimizer=sgd", "seed=0,1", "optimizer.lr=0.01,1e30")
    first = tmp_path / "sweep" / "0_seed-0_optimizer.lr-0.01"
    await_that(lambda: has_trained(first))
    slurm("sbatch", "--partition=high", "--ntasks=2", "--mem=10", "--output=/dev/null", "--wrap=sleep 3")  # preempts
    await_that(lambda: status(first)["status"] == "interrupted")
    await_that(lambda: status(first)["status"] == "running", 240)
    slurm("scontrol", "requeue", running()[0])
    output, _ = run.communicate(timeout=500)
    assert run.returncode == 1 and "2 of 4 jobs did not complete" in output, output
    assert re.search(r"0.01 .* 2 +100 .*completed", output) and output.count("no longer a finite number") >= 2
    assert "continuing after epoch" in (first / "train.log").read_text()


def test_after_its_terminal_is_gone_the_same_command_waits_for_the_same_array(sweep, tmp_path):
    run = sweep("seed=0,1")
    await_that(lambda: has_trained(tmp_path / "sweep" / "0_seed-0"))
    submitted = (tmp_path / "sweep" / "submitted.json").read_text()
    os.killpg(run.pid, signal.SIGKILL)
    output, _ = sweep("seed=0,1").communicate(timeout=300)
    assert "waiting for 2 jobs already queued or running" in output and "submitted" not in output
    assert (tmp_path / "sweep" / "submitted.json").read_text() == submitted
    assert re.search(r" 2 +100 .*completed", output), output
    report = [sys.executable, "-m", "src.report", "runs=sweep"]
    done = subprocess.run(report, cwd=tmp_path, env=process_environment(), capture_output=True, text=True)
    assert done.returncode == 0 and "completed" in done.stdout


def test_an_array_of_a_command_that_was_killed_while_it_submitted_is_replaced(sweep, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sbatch").write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@" > sbatch.txt; kill -9 $PPID\n')
    (tmp_path / "bin" / "sbatch").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        run = sweep("seed=0,1")
        output, _ = run.communicate(timeout=300)
    assert run.returncode == -signal.SIGKILL and "Submitted batch job" in (tmp_path / "sbatch.txt").read_text(), output
    first = re.search(r"\d+", (tmp_path / "sbatch.txt").read_text())[0]
    run = sweep("seed=0,1")
    submitted = next(line for line in run.stdout if line.startswith("submitted 2 jobs"))
    states = slurm("squeue", "--noheader", "--states", "all", "--jobs", first, "--format", "%T").split()
    assert f"{first}_0" not in submitted and set(states) <= {"CANCELLED", "COMPLETING"}
    output, _ = run.communicate(timeout=300)
    assert re.search(r" 2 +100 .*completed", output), output


def test_a_killed_controller_is_waited_for(cluster, sweep, tmp_path):
    run = sweep("seed=0,1")
    await_that(lambda: has_trained(tmp_path / "sweep" / "0_seed-0"))
    cluster("kill-controller")
    time.sleep(5)
    cluster("start-controller")
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0 and re.search(r" 2 +100 .*completed", output), output


def test_a_cancelled_job_is_saved_and_continues_with_the_same_command(sweep, tmp_path):
    run = sweep("seed=0,1")
    await_that(lambda: has_trained(tmp_path / "sweep" / "0_seed-0"))
    slurm("scancel", json.loads((tmp_path / "sweep" / "submitted.json").read_text())["0_seed-0"])
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 1 and re.search(r"0_seed-0 +interrupted", output), output
    output, _ = sweep("seed=0,1").communicate(timeout=300)
    assert output.count("submitted 1 job:") == 1 and re.search(r" 2 +100 .*completed", output), output


def test_a_time_limit_that_is_too_short_is_several_turns(sweep, tmp_path):
    run = sweep("seed=0", "trainer.epochs=5000", "hydra.launcher.time=2", "hydra.launcher.signal_delay_s=20")
    log = tmp_path / "sweep" / "0" / "train.log"  # a setting with one value does not name the folder
    await_that(lambda: log.exists() and "continuing after epoch" in log.read_text(), 400)
    slurm("scancel", "--user", "root")
    run.communicate(timeout=120)


def test_a_sweep_by_slurm_gives_the_table_of_one_without(cluster, tmp_path):
    assert table_by("slurm", tmp_path, *LAUNCHER[1:]) == table_by("basic", tmp_path)


def test_a_misspelled_setting_of_the_launcher_is_one_sentence(sweep):
    output, _ = sweep("seed=0,1", "hydra.launcher.partion=low").communicate(timeout=60)
    assert output.startswith("error: ") and "partion" in output and len(output.splitlines()) <= 2
