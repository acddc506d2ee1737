from src.training.clock import Clock


def at(monkeypatch, seconds: float) -> None:
    monkeypatch.setattr("src.training.clock.time.perf_counter", lambda: seconds)


def test_ticks_tell_the_time_since_the_last(monkeypatch):
    at(monkeypatch, 100.0)
    clock = Clock()
    at(monkeypatch, 103.0)
    assert clock.tick() == 3.0 and clock.log_is_due
    clock.note_log()
    at(monkeypatch, 103.5)
    assert clock.tick() == 0.5 and not clock.log_is_due


def test_a_save_pays_after_twenty_times_its_own_time(monkeypatch):
    at(monkeypatch, 0.0)
    clock = Clock()
    assert clock.save_pays  # nobody knows yet how long one takes
    at(monkeypatch, 10.0)
    clock.tick()
    at(monkeypatch, 12.0)
    assert clock.note_save() == 2.0
    for seconds, pays in ((13.0, False), (51.9, False), (52.0, True)):
        at(monkeypatch, seconds)
        assert clock.save_pays is pays
