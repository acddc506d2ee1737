import os
import platform
import subprocess
import sys

import pytest
import torch

from src.hardware import computes_bf16


@pytest.mark.parametrize(
    ("capabilities", "has_it"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True, "avx512_bf16": False}, True), ({"avx2": True}, False)],
)
def test_a_cpu_computes_in_bf16_where_it_has_the_instructions(monkeypatch, capabilities, has_it):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert computes_bf16(torch.device("cpu")) is has_it


def test_an_older_pytorch_does_not_know(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not computes_bf16(torch.device("cpu"))


KEPT = """
import ctypes
import resource
import sys
import types
sys.modules["torch"] = types.SimpleNamespace(device=object)  # importing torch would take seconds
from src.hardware import keep_freed_memory

def resident():
    return resource.getpagesize() * int(open("/proc/self/statm").read().split()[1])

if {keeps}:
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
before = resident()
block = ctypes.c_void_p(libc.malloc(2**26))
ctypes.memset(block, 1, 2**26)
libc.free(block)
print((resident() - before) // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
@pytest.mark.parametrize(
    ("asked_for", "by_hand", "keeps"),
    [
        (False, {}, False),
        (True, {}, True),
        (True, {"MALLOC_MMAP_THRESHOLD_": "65536"}, False),
        (True, {"MALLOC_MMAP_MAX_": "65536"}, False),
        (True, {"MALLOC_TRIM_THRESHOLD_": "65536"}, False),
        (True, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=65536"}, False),
        (True, {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}, True),
    ],
)
def test_freed_memory_is_kept_where_that_was_asked_for_and_not_set_by_hand(asked_for, by_hand, keeps):
    others = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")  # another allocator would be measured
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)} | by_hand
    command = [sys.executable, "-c", KEPT.format(keeps=asked_for)]
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    assert (int(process.stdout) > 48) is keeps  # MiB, of 64
