"""Groups of runs to compare, and their pairs: runs that share seed, fold and all settings but the compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from src.analysis.compare import CHOICES, format_value
from src.analysis.runs import REPLICATES, RunRecord, group_records
from src.errors import UserError, require, require_choice
from src.overrides import shell_override

MAX_PAIRS = 20


@dataclass(frozen=True)
class Group:
    """The runs of one side of a comparison."""

    name: str
    records: tuple[RunRecord, ...]


@dataclass(frozen=True)
class Pairing:
    """Pairs of runs of two groups; none where the groups share no seed.

    `confounders`: settings, other than those compared, in which the two groups share no value.
    """

    pairs: tuple[tuple[RunRecord, RunRecord], ...]
    confounders: tuple[str, ...]


def group_by(records: Sequence[RunRecord], names: Sequence[str], columns: Sequence[str]) -> list[Group]:
    """One group for each value of the settings or config groups `names`, in the order of their first runs.

    `columns` are the names in which the runs differ. Raises UserError for a name in which they do not.
    """
    others = f"they differ in {', '.join(columns)}" if columns else "they differ in seed and fold at most"
    for name in names:
        known = name in CHOICES or any(name in record.settings for record in records)
        require(known, f"by={name} is not a setting of these runs; {others}")
        values = sorted({value_of(record, name) for record in records})
        require(len(values) > 1, f"by={name} has one value in all of these runs, {values[0]}; {others}")
    grouped = group_records(records, lambda record: [value_of(record, name) for name in names])
    return [Group(_name(members[0], names), tuple(members)) for members in grouped]


def choose_pairs(groups: Sequence[Group], first: str | None, others: Sequence[str]) -> list[tuple[Group, Group]]:
    """All pairs of groups; with `first`, that group with each other; with `others`, with these only.

    Raises UserError for a name of no group, and for more than 20 pairs.
    """
    named = {group.name: group for group in groups}
    for side, names in (("a", [first] if first is not None else []), ("b", others)):
        for name in names:
            require_choice(side, name, list(named))
    null = f"; null as {shell_override('a', 'null')}" if "null" in named else ""  # a=null is what is not given
    require(first is not None or not others, f"b is compared with a; name a too{null}")
    if first is None:
        pairs = list(combinations(groups, 2))
    else:
        pairs = [(named[first], named[name]) for name in dict.fromkeys(others or named) if name != first]
    require(
        len(pairs) <= MAX_PAIRS,
        f"{len(groups)} settings make {len(pairs)} comparisons; name one of them, with which all others are compared: "
        f"{shell_override('a', groups[0].name)}",
    )
    require(bool(pairs), f"a={first} is compared with itself only")
    return pairs


def value_of(record: RunRecord, name: str) -> str:
    """The choice of a config group, or the value of a setting, as it is typed on the command line."""
    return format_value(record.choices.get(name) if name in CHOICES else record.settings.get(name))


def pair_runs(first: Group, second: Group, compared: Sequence[str], columns: Sequence[str]) -> Pairing:
    """The runs of both groups with equal seed, fold and values of `columns`, without the `compared` ones.

    Raises UserError where a group has several runs for one pair.
    """
    others = [name for name in columns if name not in compared]
    separate = [name for name in others if _values(first, name).isdisjoint(_values(second, name))]
    shared = [name for name in (*others, *REPLICATES) if name not in (*separate, *compared)]
    # a setting that only one side has follows from the compared choice: optimizer.momentum of sgd against adam
    records = first.records + second.records
    confounders = tuple(
        name for name in separate if name in CHOICES or all(name in record.settings for record in records)
    )
    of_first, of_second = (_by_key(group, shared) for group in (first, second))
    pairs = tuple((record, of_second[key]) for key, record in of_first.items() if key in of_second)
    return Pairing(pairs, confounders)


def _by_key(group: Group, names: Sequence[str]) -> dict[tuple[str, ...], RunRecord]:
    """The runs of a group by their values of `names`."""
    found: dict[tuple[str, ...], RunRecord] = {}
    for record in group.records:
        key = tuple(value_of(record, name) for name in names)
        if key in found:
            raise UserError(
                f"{group.name} has several runs with seed={value_of(record, 'seed')}: {found[key].run_dir.path} and "
                f"{record.run_dir.path}; compare by a setting in which they differ too, as in by=[...,...]"
            )
        found[key] = record
    return found


def _values(group: Group, name: str) -> set[str]:
    return {value_of(record, name) for record in group.records}


def _name(record: RunRecord, names: Sequence[str]) -> str:
    """As "0.1", or "optimizer=adam model.width=2" where several settings are compared."""
    values = [value_of(record, name) for name in names]
    if len(names) == 1:
        return values[0]
    return " ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
