import pytest

from src.torchrun import VARIABLES, is_follower, is_launched, local_rank


@pytest.mark.parametrize(
    ("values", "launched", "follower"),
    [
        (("0", "0", "2", "localhost", "29500"), True, False),
        (("1", "1", "2", "localhost", "29500"), True, True),
        (("0", "0", "1", "localhost", "29500"), False, False),  # torchrun with one process
    ],
)
def test_torchrun_tells_each_process_its_place(monkeypatch, values, launched, follower):
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    assert (is_launched(), is_follower()) == (launched, follower)
    assert local_rank() == int(values[1])


def test_a_plain_process_is_not_launched(monkeypatch):
    monkeypatch.setenv("RANK", "3")  # other programs set it too
    assert not is_launched() and not is_follower() and local_rank() == 0
