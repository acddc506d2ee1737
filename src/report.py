"""Compares runs and writes a report on them: `python -m src.report runs=outputs/<sweep>`; see `--help`."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from src.commandline import run_command
from src.errors import require, require_choice
from src.results.comparison import DIRECTIONS, compare
from src.results.records import collect
from src.results.run_folder import RunFolder, relative, write_text
from src.results.sweep_table import sweep_text, write_sweep


def report(config: DictConfig) -> None:
    """Prints the table of all settings and writes the report's folder."""
    folder = relative(Path(HydraConfig.get().runtime.output_dir))
    try:
        write_report(config, folder)
    finally:
        if not any(folder.iterdir()):  # Hydra has made it before a mistake was seen
            folder.rmdir()


def write_report(config: DictConfig, folder: Path) -> None:
    require(bool(config.runs), "runs is missing; name a folder of runs, as in runs=outputs/<sweep>")
    require_choice("direction", config.direction, DIRECTIONS)
    paths = list(config.runs) if isinstance(config.runs, ListConfig) else [config.runs]
    records = collect(map(str, paths))
    comparison = compare(records, config.metric, config.direction)
    done = [record for record in records if record.status == "completed"]
    require(
        not done or any(row.spread for row in comparison.rows),
        f"metric={config.metric} is in no result.json of these {len(records)} runs; the usual one is metrics.val.top1",
    )
    require(
        not RunFolder(folder).config.exists(), f"{folder} holds a run; choose another folder with hydra.run.dir=..."
    )

    from src.results.document import save_pictures, to_html, to_markdown
    from src.results.report import build_report
    from src.training.trained import best_run

    blocks = build_report(records, comparison, best_run(comparison))
    save_pictures(blocks, folder)
    write_text(folder / "report.md", to_markdown(blocks))
    write_text(folder / "report.html", to_html(blocks, "CIFAR-100 experiments"))
    write_sweep(comparison, folder)
    print(f"{sweep_text(comparison)}\n\nthe report is in {folder}: report.html, report.md, sweep.csv")


def main() -> None:
    run_command("report", report)


if __name__ == "__main__":
    main()
