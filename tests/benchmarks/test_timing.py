import time

import pytest
import torch

from src.benchmarks.timing import images_per_second, in_turns, microseconds_per_image, time_call

CPU = torch.device("cpu")


def test_both_sides_take_turns_in_beginning():
    order = []
    measured = in_turns(lambda: order.append("ours") or 1.0, lambda: order.append("other") or 2.0, rounds=3)
    assert order == ["ours", "other", "other", "ours", "ours", "other"]
    assert measured == [(1.0, 2.0)] * 3


def test_a_call_is_timed_in_seconds():
    assert 0.02 <= time_call(lambda: time.sleep(0.02), CPU) < 1


def test_a_gpu_is_idle_before_and_after(monkeypatch):
    order = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: order.append(str(device)))
    time_call(lambda: order.append("call"), torch.device("cuda", 1))
    assert order == ["cuda:1", "call", "cuda:1"]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it: clock[0] += seconds."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_speed_is_images_by_seconds(clock):
    def call():
        clock[0] += 0.5

    assert images_per_second(call, 100, CPU) == 200


def test_cost_is_the_time_of_a_call_by_its_images_with_one_thread():
    threads = []

    def call():
        threads.append(torch.get_num_threads())
        time.sleep(0.001)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert 10 <= microseconds_per_image(call, 100, seconds=0.05) < 100
        assert set(threads) == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
