"""Where a sweep is: a line for each start and end of a job and, on a terminal, a bar; from the jobs' result files."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from src import screen
from src.analysis.compare import format_metric, name_metric
from src.errors import UserError
from src.formatting import duration
from src.result import Status, is_finished
from src.sweeps.job import Job

POLL_SECONDS = 1.0
ENDS = (Status.COMPLETED, Status.PAUSED, Status.INTERRUPTED, Status.FAILED)
COLORS = {Status.FAILED: screen.BAD, Status.INTERRUPTED: screen.DOUBTFUL}


class SweepProgress:
    """Tells how the jobs of a sweep stand.

    Args:
        metric: that the jobs are compared by.
        direction: maximize or minimize.
        one_by_one: whether the jobs run in this process: it then says itself when one starts, and which error ended it.
    """

    def __init__(self, metric: str, direction: str, one_by_one: bool) -> None:
        self.metric, self.direction, self.one_by_one = metric, direction, one_by_one
        self.refreshing = threading.Lock()  # the watcher and the sweep's own thread refresh
        self.seconds = self.trained = 0.0  # time of earlier launches, and how many whole runs they trained in it

    @contextmanager
    def launching(self, jobs: Sequence[Job], others: Sequence[Job], later: int, pause_at: int | None) -> Iterator[None]:
        """Within it `jobs` run to their end, or to the end of epoch `pause_at`.

        `others` are the sweep's other jobs so far, and `later` is the number of those that come after these.
        """
        self.jobs, self.later, self.pause_at = jobs, later, pause_at
        self.before = {job: self.load(job) for job in jobs}
        self.now = dict(self.before)
        self.known = {job: self.load(job) for job in others}
        self.told: dict[Job, Status] = dict.fromkeys(jobs, Status.WAITING)
        self.started = time.monotonic()
        self.estimate()
        bar = Progress(
            TextColumn("sweep"), BarColumn(bar_width=10), _Standing(self),
            console=screen.console, transient=True, disable=not screen.has_bars(),
        )  # fmt: skip
        self.bar, self.task = bar, bar.add_task("", total=len(jobs) + len(others) + later, completed=len(others))
        over = threading.Event()
        watcher = threading.Thread(target=self.watch, args=(over,), daemon=True)
        with bar:
            watcher.start()
            try:
                yield
            finally:
                over.set()
                watcher.join()
        self.seconds += time.monotonic() - self.started
        self.trained += self.trained_now

    def watch(self, over: threading.Event) -> None:
        """Keeps the bar up to date; tells of other processes' jobs, too."""
        while not over.wait(POLL_SECONDS):
            self.refresh(tell=not self.one_by_one)

    def refresh(self, tell: bool) -> None:
        """Reads the result files again; with `tell` prints what has changed since it last did."""
        with self.refreshing:
            self.now = {job: self.load(job, self.now[job]) for job in self.jobs}
            self.estimate()
            self.bar.update(self.task, completed=len(self.known) + sum(self.has_ended(job) for job in self.jobs))
            for job in self.jobs if tell else ():
                status = self.status(job)
                if status not in (Status.WAITING, self.told[job]):
                    self.told[job] = status
                    self.tell_end(job) if self.has_ended(job) else self.tell_start(job)

    def tell_start(self, job: Job) -> None:
        """As "job 2 of 4: seed=0 optimizer.lr=0.1"."""
        until = f" to epoch {self.pause_at}" if self.pause_at else ""
        starts = "" if self.one_by_one else " starts"
        space = "\n" if self.one_by_one and job != self.jobs[0] else ""
        screen.say(f"{space}job {job.number} of {self.total}{starts}{until}: {job.title or job.run_dir.path}")
        self.told[job] = Status.RUNNING

    def tell_end(self, job: Job) -> None:
        """As "job 2 of 4 completed: val top1 31.20 %, 9 s of training"; without a bar, how the sweep stands, too."""
        result = self.now[job]
        value, seconds, status = value_of(result, self.metric), result.get("seconds"), self.status(job)
        facts = [f"{name_metric(self.metric)} {format_metric(self.metric, value)}"] if value is not None else []
        facts += [f"{duration(seconds)} of training"] if seconds else []
        facts += [result["reason"]] if result.get("reason") and not self.one_by_one else []
        text = f"job {job.number} of {self.total} {status}"
        screen.say(f"{text}: {', '.join(facts)}" if facts else text, COLORS.get(status))
        if not screen.has_bars():
            screen.say(f"  {self.standing()}")

    def standing(self) -> str:
        """As "2/4 done, 1 failed, 18 s left, best 31.20 % (job 1)"; what is not known is left out.

        Where a search pauses its jobs: "2/4 at epoch 5".
        """
        counts = Counter(self.status(job) for job in self.jobs)
        ended = sum(self.has_ended(job) for job in self.jobs)
        all_ended = f"{len(self.known) + ended}/{self.total} done"
        parts = [f"{ended}/{len(self.jobs)} at epoch {self.pause_at}" if self.pause_at else all_ended]
        parts += [f"{counts[Status.FAILED]} failed"] if counts[Status.FAILED] else []
        parts += [f"{counts[Status.RUNNING]} running"] if counts[Status.RUNNING] and not self.one_by_one else []
        left = self.ends_at - time.monotonic() if self.ends_at else 0
        parts += [f"{duration(left)} left"] if left > 0 else []
        if best := best_of({**self.known, **self.now}, self.metric, self.direction):
            parts.append(f"best {format_metric(self.metric, best[1])} (job {best[0].number})")
        return ", ".join(parts)

    def estimate(self) -> None:
        """When the sweep ends if it goes on at its present pace; None as long as that is unknown."""
        shares = {job: job.trained_share(self.now[job]) for job in self.jobs}
        self.trained_now = sum(shares[job] - job.trained_share(self.before[job]) for job in self.jobs)
        targets = {job: min(1.0, self.pause_at / job.epochs) if self.pause_at else 1.0 for job in self.jobs}
        missing = sum(max(0.0, targets[job] - shares[job]) for job in self.jobs if not self.has_ended(job))
        now, trained = time.monotonic(), self.trained + self.trained_now
        pace = trained / (self.seconds + now - self.started) if trained > 0 else None
        self.ends_at = now + (missing + self.later) / pace if pace else None

    @property
    def total(self) -> int:
        return len(self.jobs) + len(self.known) + self.later

    def status(self, job: Job) -> Status:
        """Waiting until the job's result file changes, whatever an earlier start has left in it."""
        now = {} if self.now[job] == self.before[job] else self.now[job]
        return Status(now.get("status", Status.WAITING))  # a folder that somebody removed has no result

    def has_ended(self, job: Job) -> bool:
        return self.status(job) in ENDS or is_finished(self.now[job], self.pause_at)

    def load(self, job: Job, otherwise: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The job's result file; `otherwise` while it cannot be read. The table at the end names a damaged one."""
        try:
            return job.run_dir.load_result()
        except (UserError, OSError):
            return otherwise or {}


class _Standing(ProgressColumn):
    """How the sweep stands; its time left runs down between two readings."""

    max_refresh = 0.5

    def __init__(self, progress: SweepProgress) -> None:
        super().__init__()
        self.progress = progress

    def render(self, task: Task) -> Text:
        return Text(self.progress.standing(), no_wrap=True, overflow="ellipsis")


def value_of(result: Mapping[str, Any], metric: str) -> float | None:
    """The number of result.json named metrics.<part>.<name>; None where it was not measured."""
    _, part, name = metric.split(".")
    return ((result.get("metrics") or {}).get(part) or {}).get(name)


def best_of(results: Mapping[Job, Mapping[str, Any]], metric: str, direction: str) -> tuple[Job, float] | None:
    """The best job with its value, of equal ones the first; None as long as none was evaluated."""
    values = {job: value for job, result in results.items() if (value := value_of(result, metric)) is not None}
    if not values:
        return None
    choose = max if direction == "maximize" else min
    best = choose(sorted(values, key=lambda job: job.number), key=values.__getitem__)
    return best, values[best]
