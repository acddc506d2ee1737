"""Several jobs at once. The pool is tested with a shell script in place of the training; whole sweeps are slow."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from src.errors import Interrupted
from src.loggers.history_csv import read_history
from src.overrides import COMMAND
from src.sweeps.workers import LIFELINE, ProcessPool
from tests.conftest import process_environment
from tests.quick import QUICK, train_processes

SCRIPT = """#!/bin/sh
shift 2 # -m src.train
name=${1#resume=}
echo "$name $OMP_NUM_THREADS $CIFARLAB_COMMAND" >> started
case $name in
  fail*) echo "a warning" >&2; echo "error: $2." >&2; exit 1 ;;
  die*) kill -9 $$ ;;
  wait*) trap 'kill $!; touch $name.saved; exit 143' TERM; touch $name; sleep 60 & wait ;;
esac
touch $name.done
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A stand-in for Python, in an empty folder that it runs in."""
    path = tmp_path / "python"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path / "place")
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "src.train", "--multirun"])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path / "place"


def test_every_job_is_run_and_a_failing_one_stops_no_other(script, capsys):
    ProcessPool(2).run([["resume=a"], ["resume=fail", "so not"], ["resume=die"], ["resume=b"]])
    assert {path.name for path in script.glob("*.done")} == {"a.done", "b.done"}
    printed = capsys.readouterr()
    assert printed.out == ""  # SweepProgress tells how they ended
    assert set(printed.err.splitlines()) == {"fail: error: so not.", "die: ended with code -9"}


def test_jobs_share_the_threads_and_know_what_was_typed(script, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    ProcessPool(2).run([["resume=a"]])
    assert (script / "started").read_text() == "a 3 python -m src.train --multirun\n"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv(COMMAND, "python -m src.train --multirun seed=0,1")
    ProcessPool(2).run([["resume=b"]])
    assert (script / "started").read_text().splitlines()[1] == "b 5 python -m src.train --multirun seed=0,1"


def test_jobs_import_this_checkout_wherever_they_start(script):
    pool = ProcessPool(1)
    pool.lifeline = 0
    environment = pool._environment()
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(Path(__file__).parents[2])


def test_a_signal_reaches_the_jobs_that_run_and_no_other_is_started(script):
    def interrupt() -> None:
        while not ((script / "wait1").exists() and (script / "wait2").exists()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted) as ending:
        ProcessPool(2).run([["resume=wait1"], ["resume=wait2"], ["resume=third"]])
    thread.join()
    assert ending.value.signal_number == signal.SIGTERM
    assert {path.name for path in script.glob("*.saved")} == {"wait1.saved", "wait2.saved"}
    assert "third" not in (script / "started").read_text()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture
def start_sweep(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    with train_processes(tmp_path) as start:
        yield partial(start, "--multirun", "hydra.sweep.dir=mine")


def results(place: Path) -> dict[str, dict]:
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(place.glob("mine/*/result.json"))}


def statuses(place: Path) -> list[str]:
    return [result["status"] for result in results(place).values()]


def await_history(sweep: subprocess.Popen[str], run: Path) -> Path:
    while not (run / "history.csv").exists():
        assert sweep.poll() is None
        time.sleep(0.02)
    return run / "history.csv"


def worker_of(history: Path) -> int:
    """The process that holds the lock of the run's folder, as Linux lists it."""
    inode = (history.parent / ".lock").stat().st_ino
    (line,) = [line for line in Path("/proc/locks").read_text().splitlines() if f":{inode} " in line]
    return int(line.split()[4])


def several_processes(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that starts several, each of which imports torch: minutes on a busy machine."""
    return pytest.mark.slow(pytest.mark.timeout(400)(test))


TWO_AT_ONCE = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@several_processes
def test_jobs_side_by_side_have_the_results_of_jobs_one_after_the_other(command, tmp_path):
    arguments = ("--multirun", *QUICK, "data.augment=true", "model.dropout=0.5,0.25,0", "hydra.sweep.dir=mine")
    (tmp_path / "both").mkdir()
    done = command("train", *arguments, *TWO_AT_ONCE, cwd=tmp_path / "both")
    assert done.returncode == 0, done.stderr
    assert all(f"job {number} of 3 completed: val top1 " in done.stdout for number in (1, 2, 3))
    assert command("train", *arguments, cwd=tmp_path).returncode == 0
    both, one = results(tmp_path / "both"), results(tmp_path)
    assert len(both) == 3
    assert [result["metrics"] for result in both.values()] == [result["metrics"] for result in one.values()]


@several_processes
@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="finds the process by /proc/locks")
def test_of_several_at_once_one_that_is_killed_takes_none_with_it(start_sweep, tmp_path):
    sweep = start_sweep("seed=0,1", "trainer.epochs=100000", *TWO_AT_ONCE)
    first, second = (await_history(sweep, tmp_path / "mine" / name) for name in ("0_seed-0", "1_seed-1"))
    os.kill(worker_of(first), signal.SIGKILL)
    rows = len(read_history(second))
    while len(read_history(second)) < rows + 3:  # continues
        assert sweep.poll() is None
        time.sleep(0.02)
    sweep.send_signal(signal.SIGTERM)
    output, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 143
    assert "Traceback" not in output and "to continue with what is not completed:" in output
    assert statuses(tmp_path) == ["running", "interrupted"]
    assert re.search(r"0_seed-0 +killed +the process ended without a message", output)
    assert all("hydra/launcher=joblib" in result["commands"][0] for result in results(tmp_path).values())


@several_processes
def test_a_signal_finds_the_last_job_while_other_workers_are_idle(start_sweep, tmp_path):
    sweep = start_sweep("trainer.epochs=1,100000", *TWO_AT_ONCE)
    await_history(sweep, tmp_path / "mine" / "1_trainer.epochs-100000")
    while results(tmp_path)["0_trainer.epochs-1"]["status"] != "completed":
        assert sweep.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)  # its process is gone
    sweep.send_signal(signal.SIGTERM)
    output, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 143 and "Traceback" not in output
    assert statuses(tmp_path) == ["completed", "interrupted"]


@several_processes
def test_a_killed_sweep_continues_with_what_is_missing(command, start_sweep, tmp_path):
    arguments = ("seed=0,1,2", "trainer.epochs=60")
    run = start_sweep(*arguments)
    await_history(run, tmp_path / "mine" / "1_seed-1")
    run.kill()
    run.communicate()
    before = results(tmp_path)
    assert statuses(tmp_path) == ["completed", "running", "waiting"]
    done = command("train", "--multirun", *QUICK, "hydra.sweep.dir=mine", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = results(tmp_path)
    assert after["0_seed-0"] == before["0_seed-0"]  # untouched
    assert "0_seed-0 is completed; there is nothing left to do" in done.stdout
    assert "continuing after epoch" in (tmp_path / "mine" / "1_seed-1" / "train.log").read_text()
    whole = command("train", *QUICK, "seed=1", "trainer.epochs=60", "hydra.run.dir=whole", cwd=tmp_path)
    assert whole.returncode == 0
    assert after["1_seed-1"]["metrics"] == json.loads((tmp_path / "whole" / "result.json").read_text())["metrics"]
    assert after["2_seed-2"]["status"] == "completed"


@several_processes
def test_a_sweep_outlives_its_terminal(start_sweep, tmp_path):
    """`| head -3` closes the pipe after three lines, a closed terminal sends SIGHUP."""
    sweep = start_sweep("seed=0,1")
    for _ in range(3):
        sweep.stdout.readline()
    sweep.stdout.close()
    sweep.send_signal(signal.SIGHUP)
    assert sweep.wait(timeout=120) == 0
    assert statuses(tmp_path) == ["completed", "completed"]
    assert "completed" in (tmp_path / "mine" / "sweep.md").read_text()


def test_a_job_ends_when_its_sweep_has_been_killed():
    """The sweep's end of the pipe is closed by the system, however its process ends."""
    lifeline, other_end = os.pipe()
    code = (
        "import time; from src.sweeps.workers import end_with_parent; end_with_parent(); print('on', flush=True); "
        "time.sleep(60)"
    )
    job = subprocess.Popen(
        [sys.executable, "-c", code], pass_fds=(lifeline,), stdout=subprocess.PIPE, text=True,
        env={**process_environment(), LIFELINE: str(lifeline)},
    )  # fmt: skip
    assert job.stdout.readline() == "on\n"
    assert job.poll() is None
    os.close(other_end)
    assert job.wait(timeout=30) == -signal.SIGTERM
    job.stdout.close()
    os.close(lifeline)
