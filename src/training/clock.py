"""When a run logs and saves: often enough to lose little, seldom enough to cost little."""

import time

LOG_SECONDS = 1.0  # how often the meter is read within an epoch: every reading waits for the device
SAVE_SHARE = 1 / 20  # of its time that a run may spend on saves at the ends of epochs


class Clock:
    """The times of this process's last events, in seconds of `time.perf_counter`."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Time counts from here."""
        self.started = self.ticked = self.logged = self.saved = time.perf_counter()
        self.save_seconds = 0.0  # that the last save took

    def tick(self) -> float:
        """Seconds since the tick before."""
        before, self.ticked = self.ticked, time.perf_counter()
        return self.ticked - before

    def note_log(self) -> None:
        self.logged = time.perf_counter()

    def note_save(self) -> float:
        """To be called after a save that began at the last tick; the seconds that it took."""
        self.saved = time.perf_counter()
        self.save_seconds = self.saved - self.ticked
        return self.save_seconds

    @property
    def log_is_due(self) -> bool:
        return self.ticked - self.logged >= LOG_SECONDS

    @property
    def save_pays(self) -> bool:
        """Whether a save as long as the last one would take no more than SAVE_SHARE of the time since then."""
        return time.perf_counter() - self.saved >= self.save_seconds / SAVE_SHARE
