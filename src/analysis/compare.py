"""Runs side by side: the settings in which they differ, one row for each, with mean and spread over seeds and folds."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, mode
from typing import Any, NamedTuple

from src.analysis.runs import REPLICATES, RunRecord, drop_repeats, group_records
from src.analysis.stats import Spread, compute_spread
from src.config import GROUPS
from src.errors import require_choice
from src.formatting import percent
from src.result import Status

METRIC = "metrics.val.top1"
TEST_ACCURACY = "metrics.test.top1"
DIRECTIONS = ("maximize", "minimize")
CHOICES = ("experiment", *(group for group in GROUPS if group not in ("experiment", "logger")))
PRESETS = ("experiment", "budget")  # groups whose choices set settings of any node
LOWER_IS_BETTER = ("loss", "ece", "seconds")  # metrics
FRACTIONS = ("top1", "top5", "superclass", "ece")  # metrics that are shown in percent
MAX_NAME = 40  # characters of a setting's name in a legend


@dataclass(frozen=True)
class SettingRow:
    """All runs of one setting. `spread` is None where the metric was measured in none of them."""

    settings: dict[str, Any]
    records: tuple[RunRecord, ...]
    spread: Spread | None

    @property
    def status(self) -> str:
        """As "completed" where all are equal, else as "2 completed, 1 failed"."""
        counts = sorted(Counter(record.status for record in self.records).items())
        return counts[0][0] if len(counts) == 1 else ", ".join(f"{number} {status}" for status, number in counts)

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        """The runs that are completed or that a search stopped; all runs where there are none."""
        return tuple(record for record in self.records if record.has_ended_well) or self.records

    @property
    def epochs(self) -> float:
        """Mean over the finished runs."""
        return fmean(record.epochs for record in self.finished)

    @property
    def seconds(self) -> float:
        """Of training, mean over the finished runs that have completed an epoch."""
        return fmean([record.seconds for record in self.finished if record.epochs] or [0.0])

    @property
    def rung(self) -> str:
        """Where the runs were stopped, as "rung 1, epoch 2" by successive halving; empty if any was not stopped."""
        if any(record.status != Status.PAUSED for record in self.records):
            return ""
        epoch, first = f"epoch {self.epochs:g}", self.records[0]
        return f"rung {len(first.result['rungs'])}, {epoch}" if first.is_searched else epoch


@dataclass(frozen=True)
class Comparison:
    """Rows, best first, and the names of the settings in which they differ."""

    columns: tuple[str, ...]
    rows: tuple[SettingRow, ...]
    metric: str
    direction: str
    unreadable: tuple[RunRecord, ...] = ()  # runs with a damaged file, which are in no row

    @property
    def records(self) -> list[RunRecord]:
        return [record for row in self.rows for record in row.records]

    @property
    def unfinished(self) -> list[RunRecord]:
        """The runs that are not completed, without those that a search stopped on purpose."""
        return [record for record in self.records if not record.has_ended_well]


def compare(records: Sequence[RunRecord], metric: str = METRIC, direction: str = "maximize") -> Comparison:
    """One row per distinct setting; rows that a search stopped early come after the others."""
    unreadable = tuple(record for record in records if record.status == Status.UNREADABLE)
    records = [record for record in records if record.status != Status.UNREADABLE]
    columns, varying = differing(records), _varying(records)
    rows = []
    for members in group_records(records, lambda record: [record.settings.get(name) for name in varying]):
        values = members[0].settings | members[0].choices
        ordered = tuple(sorted(members, key=lambda record: record.replicate))
        rows.append(SettingRow({name: values.get(name) for name in columns}, ordered, measure_spread(members, metric)))
    # By the metric; then, as sorting is stable, unmeasured rows last, and before them those that a search stopped.
    rows.sort(key=lambda row: row.spread.mean if row.spread else 0.0, reverse=direction == "maximize")
    rows.sort(key=lambda row: (row.spread is None, row.rung != "", -row.epochs if row.rung else 0))
    return Comparison(columns, tuple(rows), metric, direction, unreadable)


def measure_spread(records: Sequence[RunRecord], metric: str) -> Spread | None:
    """The spread of the metric over independent runs; None where no run has measured it."""
    return compute_spread([record.metric(metric) for record in drop_repeats(records, metric)])


def measure_gap(records: Sequence[RunRecord]) -> Spread | None:
    """The spread of top-1 accuracy on training images, without augmentation, minus that on validation images."""
    train, val = "metrics.train.top1", "metrics.val.top1"
    return compute_spread([run.metric(train) - run.metric(val) for run in drop_repeats(records, train, val)])


def count_repeats(records: Sequence[RunRecord]) -> int:
    """The number of evaluated runs that repeat another's settings, seed and fold."""
    evaluated = [record for record in records if any((record.result.get("metrics") or {}).values())]
    return len(evaluated) - len(drop_repeats(evaluated))


def differing(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """The names that tell the runs apart: choices first, then settings that do not follow from a choice.

    `optimizer=adam,sgd` differs in lr, betas and momentum too: they follow from the choice if equal choices always go
    with equal values. A setting that the command line named is a column; another one that equals it in every run is
    none.
    """
    columns = []
    for group in CHOICES:
        values = [record.choices.get(group) for record in records]
        if not _follows(values, records, ["experiment"] if group != "experiment" else []):
            columns.append(group)
    values_of = {name: [repr(record.settings.get(name)) for record in records] for name in _varying(records)}
    overridden = {name for record in records for name in record.result.get("overridden", []) if name in values_of}
    for name, values in values_of.items():
        own_group = "augmentation" if name == "data.augment" else name.partition(".")[0]
        interpolated = any(values == values_of[other] for other in overridden)
        if name in overridden or not (interpolated or _follows(values, records, (*PRESETS, own_group))):
            columns.append(name)
    return tuple(columns)


def choose_direction(metric: str, direction: str | None, setting: str = "direction") -> str:
    """`direction`, or by the metric's name where that is None. Raises UserError, which names `setting`, for another."""
    if direction is not None:
        require_choice(setting, direction, DIRECTIONS)
        return direction
    return "minimize" if metric.rpartition(".")[2] in LOWER_IS_BETTER else "maximize"


def is_fraction(metric: str) -> bool:
    return metric.rpartition(".")[2] in FRACTIONS


class Scale(NamedTuple):
    """How numbers of a metric are written."""

    factor: int
    spec: str
    unit: str

    @classmethod
    def of(cls, metric: str) -> "Scale":
        return cls(100, ".2f", " points") if is_fraction(metric) else cls(1, ".4g", "")

    @property
    def percent(self) -> str:
        return " %" if self.unit else ""

    def signed(self, value: float) -> str:
        return f"{self.factor * value:+{self.spec}}"


def format_metric(metric: str, value: float) -> str:
    """ "31.20 %", or four digits of what is no fraction."""
    return percent(value) if is_fraction(metric) else f"{value:.4g}"


def name_metric(metric: str) -> str:
    """metrics.val.top1 as "val top1"."""
    return metric.removeprefix("metrics.").replace(".", " ")


def format_value(value: Any) -> str:
    """A value as it is typed on the command line: null, true, 0.001, [512,128]."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def describe(row: SettingRow) -> str:
    """As "optimizer=adam model.dense=[512,128]"."""
    return " ".join(f"{name}={format_value(value)}" for name, value in row.settings.items()) or "(one setting)"


def short_names(comparison: Comparison) -> list[str]:
    """A name for each row that fits into a legend: its number, and the settings in which it differs from most rows."""
    rows = [[_short_setting(*setting) for setting in row.settings.items()] for row in comparison.rows]
    usual = [mode(column) for column in zip(*rows, strict=True)]
    names = []
    for number, settings in enumerate(rows, 1):
        text = " ".join(settings) or "all runs"
        if len(text) > MAX_NAME:
            text = " ".join(text for text, most in zip(settings, usual, strict=True) if text != most) or "as most"
        names.append(f"{number}. {text if len(text) <= MAX_NAME else f'{text[: MAX_NAME - 3]}...'}")
    return names


def _short_setting(name: str, value: Any) -> str:
    """ "lr=0.1"; of a choice the choice alone: "sgd"."""
    return format_value(value) if name in GROUPS else f"{name.rpartition('.')[2]}={format_value(value)}"


def _varying(records: Sequence[RunRecord]) -> list[str]:
    """The settings with more than one value, in the order of the config, without seeds and folds."""
    names = {name: None for record in records for name in record.settings if name not in REPLICATES}
    return [name for name in names if len({repr(record.settings.get(name)) for record in records}) > 1]


def _follows(values: Sequence[str | None], records: Sequence[RunRecord], groups: Sequence[str]) -> bool:
    """Whether the choices of `groups` decide the value in all runs; for no groups, whether all values are equal."""
    chosen = [tuple(record.choices.get(group) for group in groups) for record in records]
    return len(set(zip(chosen, values, strict=True))) == len(set(chosen))
