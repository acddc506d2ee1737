"""Answers "does X help?" from runs: `python -m src.compare runs=outputs/<sweep> by=optimizer`; see `--help`."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from src.analysis.answer import POINT, answer_all
from src.analysis.answer_page import READING, show_answers, show_picture, warn
from src.analysis.compare import CHOICES, choose_direction, differing, format_value, is_fraction
from src.analysis.document import document_folder, save_document, to_text
from src.analysis.pairs import Group, choose_pairs, group_by, pair_runs, value_of
from src.analysis.runs import RunRecord, collect, drop_repeats
from src.cli import run_command
from src.errors import require
from src.result import Status


def compare(config: DictConfig) -> None:
    """Prints the answer and writes it into a folder: compare.html, compare.md, its picture."""
    with document_folder("compare.html") as folder:
        direction = choose_direction(config.metric, config.direction)
        margin = choose_margin(config.metric, config.margin)
        groups, by, notes = read_groups(config)
        columns = differing([record for group in groups for record in group.records])
        pairs = choose_pairs(groups, as_text(config.a), as_list(config.b))
        compared = [(*pair, pair_runs(*pair, by, columns)) for pair in pairs]
        answers = answer_all(compared, config.metric, direction, margin)
        title, *blocks = show_answers(ask(by, pairs), answers, config.metric, margin)
        notes = [f"Note: {text}" for text in (*notes, *warn(answers, config.metric))]
        picture = show_picture(answers, config.metric, margin)
        page = [title, picture, *blocks] if len(answers) > 1 else [title, *blocks, picture]
        save_document([*page, *notes, READING], folder, "compare", title.text)
    print(f"{title.text}\n\n{to_text([*blocks, *notes])}\n\nthe answer is in {folder}:\n  compare.html, compare.md")


def read_groups(config: DictConfig) -> tuple[list[Group], list[str], list[str]]:
    """The groups to compare, the names in which they differ, and notes on the runs that are left out."""
    if config.runs is None and config.by is None:
        require(
            config.a is not None and config.b is not None,
            "name the runs: runs=outputs/<sweep> by=<setting>, or two folders, a=outputs/<sweep> b=outputs/<another>",
        )
        return group_by_folder([as_text(config.a), *as_list(config.b)], config.metric)
    require(config.runs is not None, "by needs runs; name a folder of runs, as in runs=outputs/<sweep>")
    found = collect(as_list(config.runs))
    records, notes = choose_measured(found, config.metric)
    columns = differing(records)
    by = list(columns) if config.by is None else as_list(config.by)
    require(bool(by), "these runs have one setting, so there is nothing to compare")
    groups = group_by(records, by, columns)
    lost = name_lost(found, groups, by)
    return groups, by, [*notes, *([f"no run with {', '.join(lost)} is left."] if lost else [])]


def name_lost(found: Sequence[RunRecord], groups: Sequence[Group], by: Sequence[str]) -> list[str]:
    """The values of `by` of which no run is compared, as "optimizer=rmsprop"."""
    compared = {name_values(record, by) for group in groups for record in group.records}
    lost = {name_values(record, by): None for record in found if record.settings}
    return [name for name in lost if name not in compared]


def name_values(record: RunRecord, by: Sequence[str]) -> str:
    return " ".join(f"{name}={value_of(record, name)}" for name in by)


def group_by_folder(folders: Sequence[str], metric: str) -> tuple[list[Group], list[str], list[str]]:
    """One group for each folder. Raises UserError for folders that share a run."""
    groups, notes, seen = [], [], set()
    for folder in dict.fromkeys(folders):
        records, left_out = choose_measured(collect([folder]), metric)
        paths = {record.run_dir.path.resolve() for record in records}
        require(
            seen.isdisjoint(paths), f"{folder} holds runs of another of these folders; name folders without common runs"
        )
        seen |= paths
        groups.append(Group(folder, tuple(records)))
        notes += left_out
    require(len(groups) > 1, f"a={folders[0]} is compared with itself only")
    return groups, [], notes


def choose_measured(records: Sequence[RunRecord], metric: str) -> tuple[list[RunRecord], list[str]]:
    """The completed runs with the metric, one per setting, seed and fold; a note on the others.

    Raises UserError where there are none.
    """
    completed = [record for record in records if record.status == Status.COMPLETED]
    reasons = [record.reason for record in records if record.reason]
    why = f": {reasons[0].rstrip('.')}" if reasons else ""
    require(bool(completed), f"none of these {len(records)} runs is completed{why}")
    with_metric = [record for record in completed if record.metric(metric) is not None]
    usual = "metrics.test.top1 and metrics.val.top1"
    require(bool(with_metric), f"metric={metric} is in no result.json of these runs; the usual ones are {usual}")
    kept = drop_repeats(with_metric, metric)
    left_out = {
        "not completed": len(records) - len(completed),
        f"without {metric}": len(completed) - len(with_metric),
        "repeats of another": len(with_metric) - len(kept),
    }
    causes = ", ".join(f"{number} {cause}" for cause, number in left_out.items() if number)
    return kept, [f"of {len(records)} runs some are left out: {causes}."] if causes else []


def choose_margin(metric: str, margin: float | None) -> float:
    """One point for accuracies. Raises UserError for another metric without a margin."""
    require(
        margin is not None or is_fraction(metric),
        f"metric={metric} is no accuracy: say which difference counts, as in margin=0.05",
    )
    require(margin is None or margin > 0, f"margin={margin} must be above 0")
    return POINT if margin is None else margin


def ask(by: Sequence[str], pairs: Sequence[tuple[Group, Group]]) -> str:
    """The question in words."""
    first, second = pairs[0]
    if len(pairs) > 1:
        return f"Which {' and '.join(by) or 'folder'} is best?"
    if len(by) == 1 and by[0] not in CHOICES:
        return f"Does {by[0]}={second.name} help, compared with {first.name}?"
    return f"Is {second.name} better than {first.name}?"


def as_text(value: Any) -> str | None:
    """A value of the command line as it was typed; None stays None."""
    if isinstance(value, ListConfig | DictConfig):
        value = OmegaConf.to_container(value)
    return None if value is None else format_value(value)


def as_list(value: Any) -> list[str]:
    """A value of the command line, or a list of several, as texts; None is an empty list."""
    if value is None:
        return []
    return [as_text(each) or "null" for each in (value if isinstance(value, ListConfig) else [value])]


def main() -> None:
    run_command("compare", compare)


if __name__ == "__main__":
    main()
