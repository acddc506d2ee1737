"""Runs with several processes, as users start them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.errors import Interrupted, UserError
from src.torchrun import VARIABLES
from src.training.checkpoint import load_checkpoint
from src.training.launch import Order, call_ranks
from src.training.ranks import ALONE
from src.training.signals import StopRequest
from tests.conftest import SMALL, process_environment, run_in_process

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "src.train"]
LONG = [*SMALL, "trainer.epochs=500", "hydra.run.dir=run", "model=speedrun", "model.widths=[8,16,24]"]
LONG = [text for text in LONG if not text.startswith(("model.width=", "model.dense="))]


def test_a_run_with_one_device_is_alone(config_of, tmp_path):
    with call_ranks(Order(config_of(), tmp_path, None), StopRequest()) as ranks:
        assert ranks is ALONE


def test_more_gpus_than_there_are_is_refused(config_of, tmp_path):
    count = torch.cuda.device_count()
    order = Order(config_of(f"trainer.gpus={count + 2}"), tmp_path, None)
    problem = rf"trainer.gpus={count + 2}, but PyTorch finds {count} CUDA devices"
    with pytest.raises(UserError, match=problem), call_ranks(order, StopRequest()):
        pass


@pytest.mark.slow
def test_a_run_with_two_processes_is_one_run(tmp_path):
    settings = [*SMALL, "trainer.device=cpu", "optimizer=sgd"]
    for name, gpus in (("one", 1), ("two", 2)):
        done = run_in_process("train", *settings, f"trainer.gpus={gpus}", f"hydra.run.dir={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "on 2 processes, each on CPU, 1 thread, fp32" in (tmp_path / "two" / "train.log").read_text()
    one, two = (load_checkpoint(tmp_path / name / "checkpoints" / "last.pt") for name in ("one", "two"))
    assert all(torch.allclose(two["model"][name], value, rtol=1e-3, atol=1e-4) for name, value in one["model"].items())
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "two")]
    assert results[1]["metrics"]["test"]["loss"] == pytest.approx(results[0]["metrics"]["test"]["loss"], abs=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.fixture
def start(tmp_path):
    """start("python", "-m", ...) -> the process; at the end of the test no process is left in its folder."""

    def run(*command):
        environment = {**process_environment(), "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **pipes)

    yield run
    for pid in processes_in(tmp_path):
        os.kill(pid, signal.SIGKILL)


def processes_in(folder, variable=""):
    """The processes whose current folder is `folder`, and whose environment holds `variable`."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            variables = Path(f"/proc/{name}/environ").read_text().split("\0")
            if Path(f"/proc/{name}/cwd").resolve() == folder and (not variable or variable in variables):
                found.append(int(name))
        except OSError:  # it has ended, or is not ours
            continue
    return found


def await_epoch(run_dir):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (run_dir / "history.csv").exists() and len((run_dir / "history.csv").read_text().splitlines()) > 1:
            return
        time.sleep(0.1)
    raise AssertionError("no epoch within a minute")


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_any_rank_saves_and_ends_all(start, tmp_path, rank):
    run = start(*TORCHRUN, *LONG)
    await_epoch(tmp_path / "run")
    os.kill(*processes_in(tmp_path, f"RANK={rank}"), signal.SIGTERM)
    output, _ = run.communicate(timeout=60)
    assert "interrupted, everything is saved; continue with:\n  python -m src.train resume=run" in output
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
def test_ctrl_c_at_torchrun_saves(start, tmp_path):
    run = start(*TORCHRUN, *LONG)
    await_epoch(tmp_path / "run")
    os.killpg(run.pid, signal.SIGINT)  # a terminal sends it to all; torchrun then sends its own to each
    output, _ = run.communicate(timeout=60)
    assert "interrupted, everything is saved" in output


@pytest.mark.slow
@pytest.mark.parametrize("command", [TORCHRUN, [sys.executable, "-m", "src.train", "trainer.gpus=2"]])
def test_a_killed_rank_ends_the_run_in_one_sentence(start, tmp_path, command):
    run = start(*command, *LONG, "trainer.device=cpu")
    await_epoch(tmp_path / "run")
    os.kill(*processes_in(tmp_path, "RANK=1"), signal.SIGKILL)
    output, _ = run.communicate(timeout=60)
    told = "error: another process of this run ended unexpectedly; the run continues from its last checkpoint"
    assert told in output, output
    assert run.returncode == 1
    done = run_in_process("train", "resume=run", "pause_at=3", "trainer.gpus=1", cwd=tmp_path)
    assert done.returncode == 0 and "paused after epoch 3" in done.stdout, done.stderr


def test_a_process_that_dies_while_it_starts_is_noticed(config_of, tmp_path, monkeypatch):
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    order = Order(config_of("trainer.gpus=2", "trainer.device=cpu"), tmp_path, None)
    with pytest.raises(UserError, match="ended while it started"), call_ranks(order, StopRequest()):
        pass


def test_a_signal_while_the_others_start_is_heard(config_of, tmp_path, monkeypatch):
    (tmp_path / "python").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr("src.training.launch.END_SECONDS", 0.1)
    stop = StopRequest()
    stop.signal_number = signal.SIGINT
    order = Order(config_of("trainer.gpus=2", "trainer.device=cpu"), tmp_path, None)
    with pytest.raises(Interrupted), call_ranks(order, stop):
        pass


@pytest.mark.slow
def test_a_port_in_use_is_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        place = dict(zip(VARIABLES, ("0", "0", "2", "127.0.0.1", str(port)), strict=True))
        command = [sys.executable, "-m", "src.train", *SMALL]
        done = subprocess.run(command, cwd=tmp_path, env=process_environment() | place, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"cannot meet at 127.0.0.1:{port}, another program may use it" in done.stderr


@pytest.mark.slow
def test_followers_end_with_a_killed_leader(start, tmp_path):
    run = start(sys.executable, "-m", "src.train", "trainer.gpus=2", "trainer.device=cpu", *LONG)
    await_epoch(tmp_path / "run")
    assert processes_in(tmp_path, "RANK=1")
    run.kill()
    deadline = time.monotonic() + 30
    while processes_in(tmp_path, "RANK=1") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_in(tmp_path, "RANK=1")


@pytest.mark.slow
def test_resumed_with_as_many_ranks_a_run_ends_bit_for_bit_as_uninterrupted(tmp_path):
    settings = [*LONG, "trainer.epochs=3", "trainer.device=cpu", "trainer.gpus=2", "trainer.ema_decay=0.9"]
    for name, pauses in (("whole", ()), ("paused", ("pause_at=1",))):
        done = run_in_process("train", *settings, f"hydra.run.dir={name}", *pauses, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert run_in_process("train", "resume=paused", cwd=tmp_path).returncode == 0
    whole, paused = (load_checkpoint(tmp_path / name / "checkpoints" / "last.pt") for name in ("whole", "paused"))
    assert all(paused["model"][name].equal(value) for name, value in whole["model"].items())


@pytest.mark.slow
def test_a_run_continues_with_fewer_and_more_ranks(tmp_path):
    done = run_in_process("train", *LONG, "trainer.device=cpu", "trainer.gpus=2", "pause_at=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for gpus, epoch in ((1, 2), (3, 3)):
        done = run_in_process("train", "resume=run", f"pause_at={epoch}", f"trainer.gpus={gpus}", cwd=tmp_path)
        assert done.returncode == 0 and f"paused after epoch {epoch}" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_sweep_under_torchrun_is_one_folder_per_job(start, tmp_path):
    run = start(*TORCHRUN, *SMALL, "--multirun", "optimizer=adam,nadam", "seed=0", "hydra.sweep.dir=sweep")
    output, _ = run.communicate(timeout=110)
    assert run.returncode == 0 and output.count("completed") == 4, output  # a line and a row of the table for each job
    jobs = sorted(path.name for path in (tmp_path / "sweep").iterdir() if (path / "result.json").exists())
    assert jobs == ["0_optimizer-adam", "1_optimizer-nadam"]


@pytest.mark.slow
def test_a_job_that_fails_does_not_end_a_sweep_under_torchrun(start, tmp_path):
    values = "optimizer.lr=1e30,0.001"
    run = start(*TORCHRUN, *SMALL, "--multirun", "optimizer=sgd", values, "hydra.sweep.dir=sweep")
    output, _ = run.communicate(timeout=110)
    assert run.returncode == 1 and "1 of 2 jobs did not complete" in output
    assert output.count("the loss is no longer a finite number") >= 1


@pytest.mark.slow
def test_a_mistake_is_one_sentence_and_leaves_no_process(start, tmp_path):
    run = start(*TORCHRUN, *SMALL, "optimizer.lr=-1")
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 1 and output.count("error: ") >= 1 and "optimizer" in output
    assert not processes_in(tmp_path)
