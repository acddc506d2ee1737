import torch

from src.training.environment import describe_environment, git_commit


def test_names_versions_and_device():
    facts = describe_environment("CPU, fp32")
    assert facts["torch"] == torch.__version__ and facts["device"] == "CPU, fp32"
    assert {"python", "torchvision", "numpy", "platform", "threads", "commit", "cuda", "cudnn", "driver"} < facts.keys()


def test_commit_is_a_hash_or_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr("src.training.environment._git", lambda *arguments: "0" * 40 if "HEAD" in arguments else "M x")
    assert git_commit() == "0" * 40 + "-dirty"
    monkeypatch.setattr("src.training.environment._git", lambda *arguments: "0" * 40 if "HEAD" in arguments else "")
    assert git_commit() == "0" * 40
    monkeypatch.undo()
    monkeypatch.setattr("src.training.environment.ROOT", tmp_path)
    assert git_commit() is None
