"""The times of the last log and the last save, by which a run decides when the next is due."""

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
        """Notes the end of a save that began at the last tick; returns its seconds."""
        self.saved = time.perf_counter()
        self.save_seconds = self.saved - self.ticked
        return self.save_seconds

    @property
    def log_is_due(self) -> bool:
        return self.ticked - self.logged >= LOG_SECONDS

    @property
    def save_pays(self) -> bool:
        """Whether the last save took at most SAVE_SHARE of the time that has passed since."""
        return time.perf_counter() - self.saved >= self.save_seconds / SAVE_SHARE
