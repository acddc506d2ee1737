import re

import torch

from src.results.environment import describe_environment, git_commit


def test_names_versions_device_and_command():
    facts = describe_environment("CPU, fp32")
    assert facts["torch"] == torch.__version__ and facts["device"] == "CPU, fp32"
    assert facts["command"].startswith("python ")


def test_commit_is_a_hash_or_unknown(monkeypatch, tmp_path):
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", git_commit() or "0" * 40)
    monkeypatch.setattr("src.results.environment.ROOT", tmp_path)
    assert git_commit() is None
