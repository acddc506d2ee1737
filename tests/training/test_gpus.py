import subprocess
import sys

from src.training.gpus import claim_gpu
from tests.conftest import ROOT

CLAIM = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path; from src.training.gpus import *\n"


def test_processes_get_a_gpu_each_and_keep_it(tmp_path):
    locks = tmp_path / "gpus"
    assert claim_gpu(3, locks) == 0
    script = f"{CLAIM}print(claim_gpu(3, Path({str(locks)!r})), flush=True); input()"
    others = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert sorted(other.stdout.readline() for other in others) == ["1\n", "2\n"]
    assert claim_gpu(3, locks) == 0
    for other in others:
        other.communicate("\n")
    # What a process held is free once it is gone.
    last = subprocess.run([sys.executable, "-c", script], input="\n", capture_output=True, text=True)
    assert last.stdout == "1\n"


def test_a_gpu_is_shared_where_all_are_taken(tmp_path):
    locks = tmp_path / "gpus"
    claim_gpu(1, locks)
    script = f"{CLAIM}print(claim_gpu(1, Path({str(locks)!r})))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "0\n"
