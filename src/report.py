"""Compares runs and writes a report on them: `python -m src.report runs=outputs/<sweep>`; see `--help`."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.commandline import run_command
from src.config import require, require_choice
from src.results.comparison import DIRECTIONS, compare
from src.results.records import collect
from src.results.run_folder import RunFolder, relative, write_text
from src.results.sweep_table import sweep_text, write_sweep


def report(config: DictConfig) -> None:
    """Prints the table of all settings and writes the report's folder."""
    require(bool(config.runs), "runs is missing; name a folder of runs, as in runs=outputs/<sweep>")
    require_choice("direction", config.direction, DIRECTIONS)
    paths = [config.runs] if isinstance(config.runs, str) else list(config.runs)
    records = collect(paths)
    comparison = compare(records, config.metric, config.direction)
    require(
        any(row.spread for row in comparison.rows),
        f"metric={config.metric} is in no result.json of these {len(records)} runs; the usual one is metrics.val.top1",
    )
    folder = relative(Path(HydraConfig.get().runtime.output_dir))
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
