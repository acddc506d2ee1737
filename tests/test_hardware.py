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
