"""Compares runs and writes a report on them: `python -m src.report runs=outputs/<sweep>`; see `--help`."""

from collections.abc import Sequence

from omegaconf import DictConfig, ListConfig

from src.analysis.compare import METRIC, TEST_ACCURACY, Comparison, choose_direction, compare
from src.analysis.document import Block, Heading, document_folder, save_document
from src.analysis.runs import RunRecord, collect
from src.analysis.sweep_table import sweep_blocks, sweep_text, write_sweep
from src.cli import run_command
from src.errors import UserError, require
from src.result import Status


def report(config: DictConfig) -> None:
    """Prints the table of all settings and writes the report's folder."""
    with document_folder("report.html") as folder:
        records, comparison = read_runs(config)
        blocks = build_report(records, comparison)
        save_document(blocks, folder, "report", blocks[0].text)
        write_sweep(comparison, folder)
    print(f"{sweep_text(comparison)}\n\nthe report is in {folder}: report.html, report.md, sweep.csv")


def read_runs(config: DictConfig) -> tuple[list[RunRecord], Comparison]:
    """The runs that the config names, and their comparison. Raises UserError where there is nothing to compare."""
    require(bool(config.runs), "runs is missing; name a folder of runs, as in runs=outputs/<sweep>")
    direction = choose_direction(config.metric, config.direction)
    paths = config.runs if isinstance(config.runs, ListConfig) else [config.runs]
    require(all(isinstance(path, str) for path in paths), f"runs={config.runs} must be a folder or a list of folders")
    from src.analysis.report import check_logits  # imports torch

    comparison = compare(check_logits(collect(paths)), config.metric, direction)
    records = comparison.records
    if not records:
        raise UserError(f"none of these runs can be read: {comparison.unreadable[0].reason}")
    completed = [record for record in records if record.status == Status.COMPLETED]
    there = [name for name in (METRIC, TEST_ACCURACY) if any(record.has_measured(name) for record in completed)]
    require(
        not completed or any(row.spread for row in comparison.rows),
        f"metric={config.metric} is in no result.json of these {len(records)} runs"
        + f"; try metric={there[0]}" * bool(there),
    )
    return records, comparison


def build_report(records: Sequence[RunRecord], comparison: Comparison) -> list[Block]:
    """The sections for which there are runs."""
    from src.analysis import report as analysis  # imports torch
    from src.analysis.headline import show_headline
    from src.course2021 import report as course2021

    experiments, search = course2021.select_experiments(records), course2021.select_search(records)
    rows = experiments or analysis.name_rows(comparison)
    best = analysis.load_best_run(comparison)
    return [
        *(course2021.show_headline() if experiments else show_headline(comparison)),
        *(course2021.show_claims(experiments) if experiments else []),
        *(course2021.show_experiments(experiments, search) if experiments else []),
        analysis.describe_runs(records),
        *analysis.show_curves(rows),
        *analysis.show_overfitting(rows),
        *(course2021.show_search(search) if search else []),
        *analysis.show_mistakes(best),
        Heading("All settings"),
        *sweep_blocks(comparison),
        *analysis.show_commands(records),
    ]


def main() -> None:
    run_command("report", report)


if __name__ == "__main__":
    main()
