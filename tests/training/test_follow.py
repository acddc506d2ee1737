"""The loop of the other processes; whole runs with them are in test_launch.py."""

import pytest
import torch.distributed as dist

from src.errors import UserError
from src.training import follow as module
from src.training.launch import Order, dismiss
from src.training.ranks import Ranks


@pytest.fixture
def ranks() -> Ranks:
    return Ranks(1, 2, dist.HashStore())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("no room."), "(number 1) failed: no room."),
        (ValueError("a fault"), "(number 1) failed: ValueError: a fault"),
        (FileNotFoundError(2, "No such file or directory", "data"), "(number 1) failed: data does not exist"),
    ],
)
def test_the_leader_learns_why_a_follower_failed(config_of, ranks, monkeypatch, capsys, tmp_path, error, told):
    def fail(*_):
        raise error

    monkeypatch.setattr(module, "take_part", fail)
    module._take_part(Order(config_of(), tmp_path, None), ranks)
    assert ranks.store.get("failure").decode().startswith(told)
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, ValueError)


def test_a_run_that_the_leader_has_ended_is_no_failure(config_of, ranks, monkeypatch, tmp_path):
    def fail(*_):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")

    monkeypatch.setattr(module, "take_part", fail)
    module._take_part(Order(config_of(), tmp_path, None), ranks)
    assert not ranks.store.check(["failure"])


def test_without_a_further_order_the_follower_ends(monkeypatch):
    store = dist.HashStore()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(module, "torchrun_store", lambda: store)
    monkeypatch.setattr(module.log, "disabled", False)  # restored afterwards
    dismiss(store, 0)
    with pytest.raises(SystemExit) as ended:
        module.follow()
    assert ended.value.code == 0


def test_a_store_that_cannot_be_reached_is_told(monkeypatch):
    def refuse():
        raise UserError("the processes of this run cannot meet.")

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(module, "torchrun_store", refuse)
    monkeypatch.setattr(module.log, "disabled", False)
    with pytest.raises(SystemExit, match="error: the processes of this run cannot meet"):
        module.follow()
