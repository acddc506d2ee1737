"""Runs side by side: which settings differ, one row for each, its seeds and folds folded into mean and spread."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from src.results.records import REPLICATES, Record, statuses
from src.results.statistics import Spread, spread
from src.schemas import GROUPS

METRIC = "metrics.val.top1"
DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True)
class SettingRow:
    """All runs of one setting. `spread` is None where none of them has come to the metric."""

    settings: dict[str, Any]
    records: tuple[Record, ...]
    spread: Spread | None

    @property
    def status(self) -> str:
        return statuses(self.records)

    @property
    def epochs(self) -> float:
        return sum(record.epochs for record in self.records) / len(self.records)

    @property
    def seconds(self) -> float:
        """Of training, per run that has begun."""
        begun = [record.seconds for record in self.records if record.epochs]
        return sum(begun) / len(begun) if begun else 0.0

    @property
    def seen_by_base(self) -> bool:
        return any(record.metric("data.seen_by_base") for record in self.records)

    @property
    def rung(self) -> str:
        """Where a search by halving has stopped it, as "rung 1, epoch 2"; empty for what went to its end."""
        if any(record.status != "paused" for record in self.records):
            return ""
        return f"rung {len(self.records[0].result['rungs'])}, epoch {self.epochs:g}"


@dataclass(frozen=True)
class Comparison:
    """Rows, best first, and the names of the settings in which they differ."""

    columns: tuple[str, ...]
    rows: tuple[SettingRow, ...]
    metric: str
    direction: str

    @property
    def records(self) -> list[Record]:
        return [record for row in self.rows for record in row.records]

    @property
    def unfinished(self) -> list[Record]:
        """The runs that have not come to their end, but for those that a search has stopped on purpose."""
        return [record for record in self.records if record.status not in ("completed", "paused")]


def compare(records: Sequence[Record], metric: str = METRIC, direction: str = "maximize") -> Comparison:
    """One row per distinct setting, found from the configs; what a search stopped early stands below the rest."""
    columns = differing(records)
    varying = _varying(records)
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_key([record.settings.get(name) for name in varying]), []).append(record)
    sign = -1 if direction == "maximize" else 1

    def place(row: SettingRow) -> tuple[Any, ...]:
        return (row.spread is None, row.rung != "", -row.epochs if row.rung else 0, sign * _mean(row))

    rows = [
        SettingRow(
            {name: value_of(members[0], name) for name in columns},
            tuple(sorted(members, key=lambda record: _key(record.replicate))),
            measured(members, metric),
        )
        for members in groups.values()
    ]
    return Comparison(columns, tuple(sorted(rows, key=place)), metric, direction)


def measured(records: Sequence[Record], metric: str) -> Spread | None:
    """The spread over those runs that have come to the metric."""
    values = [value for record in records if (value := record.metric(metric)) is not None]
    return spread(values) if values else None


def differing(records: Sequence[Record]) -> tuple[str, ...]:
    """What tells the runs apart: choices first, then settings that do not follow from a choice.

    `optimizer=adam,sgd` differs in the choice, and in lr, betas, momentum with it: only the choice is named. A setting
    follows from the choices of its group and of the experiment if equal choices always go with equal values, and no
    command line names it.
    """
    groups: list[str] = []
    for group in ("experiment", *(name for name in GROUPS if name != "experiment")):
        chosen = [record.choices.get(group) for record in records]
        if len(set(chosen)) > 1 and not _follows(chosen, records, [name for name in groups if name == "experiment"]):
            groups.append(group)
    columns = list(groups)
    named = {name for record in records for name in record.config.named}
    for name in _varying(records):
        node = name.partition(".")[0]
        explaining = [group for group in ("experiment", node) if group in groups]
        if name in named or not _follows([record.settings.get(name) for record in records], records, explaining):
            columns.append(name)
    return tuple(columns)


def value_of(record: Record, column: str) -> Any:
    return record.choices.get(column) if column in GROUPS else record.settings.get(column)


def shown(value: Any) -> str:
    """As it would be typed: null, true, 0.001, [512,128]."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, separators=(",", ":"))


def described(row: SettingRow) -> str:
    """ "optimizer=adam model.dense=[512,128]"."""
    return " ".join(f"{name}={shown(value)}" for name, value in row.settings.items()) or "(one setting)"


def brief(comparison: Comparison, most: int = 40) -> list[str]:
    """A name for each row that fits beside a curve: its number, and in what it differs from most of the others."""
    usual = {name: _most_common([row.settings[name] for row in comparison.rows]) for name in comparison.columns}
    names = []
    for number, row in enumerate(comparison.rows, 1):
        own = [f"{name.rpartition('.')[2]}={shown(value)}" for name, value in row.settings.items()]
        differing = [text for text, name in zip(own, row.settings, strict=True) if row.settings[name] != usual[name]]
        text = " ".join(own if len(" ".join(own)) <= most else differing or ["as most"]) or "all runs"
        names.append(f"{number}. {text if len(text) <= most else f'{text[: most - 3]}...'}")
    return names


def _most_common(values: Sequence[Any]) -> Any:
    keys = [_key(value) for value in values]
    return values[keys.index(max(keys, key=keys.count))]


def _varying(records: Sequence[Record]) -> list[str]:
    """Names of settings with more than one value, in the order of the config; seeds and folds are no settings."""
    names = {name: None for record in records for name in record.settings if name not in REPLICATES}
    return [name for name in names if len({_key(record.settings.get(name)) for record in records}) > 1]


def _follows(values: Sequence[Any], records: Sequence[Record], groups: Sequence[str]) -> bool:
    """Whether the choices of `groups` decide the value, wherever these choices occur."""
    if not groups:
        return False
    known: dict[str, str] = {}
    for record, value in zip(records, values, strict=True):
        chosen = _key([record.choices.get(group) for group in groups])
        if known.setdefault(chosen, _key(value)) != _key(value):
            return False
    return True


def _mean(row: SettingRow) -> float:
    return row.spread.mean if row.spread else 0.0


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
