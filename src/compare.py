"""Answers "does X help?" from runs: `python -m src.compare runs=outputs/<sweep> by=optimizer`; see `--help`."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig

from src.analysis.answer import POINT, answer_all
from src.analysis.answer_page import READING, ask, show_answers, show_picture, warn
from src.analysis.compare import DIRECTIONS, differing, format_value, is_fraction
from src.analysis.document import document_folder, save_document, to_text
from src.analysis.pairs import Group, choose_pairs, group_by, pair_runs
from src.analysis.runs import RunRecord, collect, drop_repeats
from src.cli import run_command
from src.errors import require, require_choice
from src.result import Status


def compare(config: DictConfig) -> None:
    """Prints the answer and writes it into a folder: compare.html, compare.md, its picture."""
    with document_folder("compare.html") as folder:
        require_choice("direction", config.direction, DIRECTIONS)
        margin = choose_margin(config.metric, config.margin)
        found = read_runs(config)
        records = choose_measured(found, config.metric)
        columns = differing(records)
        by = as_list(config.by) if config.by is not None else [] if config.runs is None else list(columns)
        groups = group_by(records, by, columns) if by else group_by_folder(records, config)
        pairs = choose_pairs(groups, None if config.a is None else format_value(config.a), as_list(config.b))
        compared = [(*pair, pair_runs(*pair, by, columns)) for pair in pairs]
        question = (
            ask(by, len(pairs) + 1) if by else f"Is {' or '.join(b.name for _, b in pairs)} better than {config.a}?"
        )
        answers = answer_all(compared, config.metric, config.direction, margin)
        title, *blocks = show_answers(question, answers, config.metric, margin)
        notes = [f"Note: {text}" for text in (*count_left_out(found, records), *warn(answers, config.metric))]
        page = [title, *blocks, show_picture(answers, config.metric, margin), *notes, READING]
        save_document(page, folder, "compare", title.text)
    print(f"{title.text}\n\n{to_text([*blocks, *notes])}\n\nthe answer is in {folder}: compare.html, compare.md")


def read_runs(config: DictConfig) -> list[RunRecord]:
    """The runs that the command line names."""
    folders = [config.a, *as_list(config.b)] if config.runs is None and config.by is None else as_list(config.runs)
    require(
        all(isinstance(folder, str) for folder in folders) and len(folders) > (config.runs is None),
        "name the runs: runs=outputs/<sweep> by=<setting>, or two folders, a=outputs/<sweep> b=outputs/<another>",
    )
    return collect(folders)


def choose_measured(records: Sequence[RunRecord], metric: str) -> list[RunRecord]:
    """The completed runs with the metric, one per setting, seed and fold. Raises UserError where there are none."""
    completed = [record for record in records if record.status == Status.COMPLETED]
    require(bool(completed), f"none of these {len(records)} runs is completed")
    measured = drop_repeats(completed, metric)
    usual = "metrics.test.top1 and metrics.val.top1"
    require(bool(measured), f"metric={metric} is in no result.json of these runs; the usual ones are {usual}")
    return measured


def count_left_out(found: Sequence[RunRecord], kept: Sequence[RunRecord]) -> list[str]:
    number = len(found) - len(kept)
    return [f"{number} of {len(found)} runs are left out: not completed, or repeated."] if number else []


def group_by_folder(records: Sequence[RunRecord], config: DictConfig) -> list[Group]:
    """One group for each of the folders `a` and `b`. Raises UserError for a folder without a run to compare."""
    require(config.runs is None, "these runs have one setting, so there is nothing to compare")
    groups = []
    for folder in (config.a, *as_list(config.b)):
        inside = {record.run_dir.path.resolve() for record in collect([folder])}
        members = tuple(record for record in records if record.run_dir.path.resolve() in inside)
        require(bool(members), f"{folder} holds no completed run that has measured {config.metric}, or only repeats")
        groups.append(Group(folder, members))
    return groups


def choose_margin(metric: str, margin: float | None) -> float:
    """One point for accuracies. Raises UserError for another metric without a margin."""
    require(
        margin is not None or is_fraction(metric),
        f"metric={metric} is no accuracy: say which difference counts, as in margin=0.05",
    )
    require(margin is None or margin > 0, f"margin={margin} must be above 0")
    return POINT if margin is None else margin


def as_list(value: Any) -> list[str]:
    """A value of the command line, or a list of several, as texts; None is an empty list."""
    if value is None:
        return []
    return [format_value(each) for each in (value if isinstance(value, ListConfig) else [value])]


def main() -> None:
    run_command("compare", compare)


if __name__ == "__main__":
    main()
