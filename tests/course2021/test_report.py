import ast
from pathlib import Path

import pytest

import src
from src.analysis.compare import compare
from src.analysis.document import Commands, Heading, Picture, Table, to_html
from src.course2021.report import select_experiments, select_search, show_claims, show_experiments
from src.report import build_report

FLAT = [0.1, 0.2, 0.3, 0.3, 0.3]


def study(recorded, rows=("deep", "deep_dropout"), seeds=2, **numbers):
    numbers = {"history": FLAT, "val": 0.3, **numbers}
    return [
        recorded(f"experiment=course2021/{name}", "trainer.epochs=5", f"seed={seed}", train=0.9 + seed / 100_000,
                 test=0.3 + place / 10 + seed * (1 + place / 100) / 1000,
                 commands=[f"python -m src.train --multirun seed={seed}"], **numbers)
        for place, name in enumerate(rows) for seed in range(seeds)
    ]  # fmt: skip


def table_below(blocks, title):
    """The rows of the first table below the heading, as dictionaries."""
    start = next(n for n, block in enumerate(blocks) if isinstance(block, Heading) and block.text.startswith(title))
    table = next(block for block in blocks[start:] if isinstance(block, Table))
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def test_rows_stand_beside_those_of_the_course_report(recorded):
    records = study(recorded)
    blocks = build_report(records, compare(records))
    rows = {row["experiment"]: row for row in table_below(blocks, "The course report's experiments")}
    assert (rows["deep"]["course report"], rows["deep"]["its time"]) == ("48.56 %", "36 min 14 s")
    names = ("these runs", "n", "width", "time", "device")
    assert [rows["deep_dropout"][name] for name in names] == ["40.05 %", "2", "1", "1 min 00 s", "CPU"]
    assert rows["single"]["these runs"] == "-"


def test_claims_get_a_difference_and_a_verdict(recorded):
    records = study(recorded)
    rows = {row["claim"]: row for row in table_below(build_report(records, compare(records)), "The claims")}
    dropout = rows["Dropout helps."]
    assert (dropout["points"], dropout["n"], dropout["verdict"]) == ("+10.00", "2", "supported")
    assert rows["Augmentation helps."]["verdict"] == "not enough runs"
    assert rows["Overfitting is the main enemy."]["points"] == "+60.00"
    assert rows["Overfitting is the main enemy."]["verdict"] == "supported"


@pytest.mark.slow
def test_repeated_runs_count_once(recorded):
    records = [*study(recorded), *study(recorded)]
    rows = select_experiments(records)
    assert {name: len(runs) for name, runs in rows.items()} == {"deep": 2, "deep_dropout": 2}
    (deep, *_) = [row for row in table_below(show_experiments(rows, None), "The") if row["experiment"] == "deep"]
    assert (deep["these runs"], deep["n"], deep["time"]) == ("30.05 %", "2", "1 min 00 s")
    dropout = table_below(show_claims(rows), "The")[1]
    assert (dropout["claim"], dropout["n"]) == ("Dropout helps.", "2")
    page = to_html(build_report(records, compare(records)), "Runs")
    assert "4 runs repeat another&#x27;s settings, seed and fold and are not counted." in page


def test_rows_are_those_of_one_budget_and_one_setting(recorded):
    records = study(recorded, rows=["deep", "deep_dropout"])
    short = [recorded("experiment=course2021/deep", "trainer.epochs=2", test=0.1)]
    narrow = [recorded("experiment=course2021/deep", "trainer.epochs=5", "model.width=0.5", test=0.1)]
    failed = [recorded("experiment=course2021/deep", "trainer.epochs=5", "seed=5", status="failed")]
    rows = select_experiments([*short, *narrow, *failed, *records])
    assert list(rows) == ["deep", "deep_dropout"]
    assert [record.metric("metrics.test.top1") for record in rows["deep"]] == [0.3, 0.301]


def test_rows_of_unequal_width_are_noted(recorded):
    deep = [recorded("experiment=course2021/deep", test=0.1)]
    wide = [recorded("experiment=course2021/deeper", "model.width=0.5", test=0.1)]
    blocks = show_experiments({"deep": deep, "deeper": wide}, None)
    assert blocks[-1] == "Rows of different width cannot be compared with each other."
    assert len(show_experiments({"deep": deep}, None)) == 4


def test_other_runs_get_no_section(recorded):
    records = [recorded(val=0.3)]
    assert (select_experiments(records), select_search(records)) == ({}, None)
    headings = [block.text for block in build_report(records, compare(records)) if isinstance(block, Heading)]
    assert not any("course report" in text for text in headings)


@pytest.mark.slow
def test_search_is_compared_by_validation_and_shown_with_its_lines(recorded):
    found = [
        recorded("experiment=course2021/search", "init.run=base", f"model.activation={name}", "data.validation=fold",
                 f"data.fold={k}", val=value)
        for name, value in (("relu", 0.2), ("sigmoid", 0.4)) for k in (0, 1)
    ]  # fmt: skip
    assert select_search(found).rows[0].settings == {"model.activation": "sigmoid"}
    records = [*study(recorded), *found]
    blocks = build_report(records, compare(records))
    assert any("best: 0.400000" in line for block in blocks if isinstance(block, Commands) for line in block.lines)
    beside = {row["experiment"]: row for row in table_below(blocks, "The course report's experiments")}
    assert (beside["search"]["these runs"], beside["search"]["n"]) == ("40.00 %", "2")


def test_commands_and_unfinished_runs_are_told_and_the_page_holds_everything(recorded):
    records = [*study(recorded), recorded("experiment=course2021/single", status="failed", reason="out of memory")]
    blocks = build_report(records, compare(records))
    assert isinstance(blocks[-1], Commands)
    assert blocks[-1].lines == ["python -m src.train --multirun seed=0", "python -m src.train --multirun seed=1"]
    page = to_html(blocks, "CIFAR-100 experiments")
    assert "out of memory" in page and page.count("data:image/png") == 5
    pictures = [block.name for block in blocks if isinstance(block, Picture)]
    assert pictures == ["claims", "curves_top1", "curves_minutes", "curves_loss", "gap"]
    opening = next(block for block in blocks if isinstance(block, str) and "completed" in block)
    assert opening.startswith("5 runs, 4 of them completed, 5 min 00 s of training in all, on CPU.")


def test_only_the_report_command_imports_this_package():
    importing = {
        path
        for path in Path(src.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and "course2021" in f"{node.module} {[name.name for name in node.names]}"
    }
    outside = {path.name for path in importing if path.parent.name != "course2021"}
    assert outside == {"report.py"}
