import os
import subprocess
import sys

from src.processes import num_cpus, python_path


def test_only_the_cpus_count_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    assert num_cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert num_cpus() == 1


def test_a_process_in_another_folder_finds_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert python_path().endswith(f"{os.pathsep}/somewhere")
    environment = {**os.environ, "PYTHONPATH": python_path()}
    subprocess.run([sys.executable, "-c", "import src.errors"], cwd=tmp_path, env=environment, check=True)
