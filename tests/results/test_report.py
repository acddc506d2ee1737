import pytest
import torch

from src.data.images import Classes
from src.results.comparison import compare
from src.results.document import Commands, Heading, Paragraph, Picture, Table, to_html
from src.results.report import BestRun, build_report, commands, gap, overfitting, report_rows, searched

FLAT = [0.1, 0.2, 0.3, 0.3, 0.3]
CLASSES = Classes(("cat", "dog", "oak_tree"), ("animals", "plants"), (0, 0, 1))


def study(recorded, rows=("deep", "deep_dropout"), seeds=2, **numbers):
    numbers = {"history": FLAT, "train": 0.9, "val": 0.3, **numbers}
    return [
        recorded(f"experiment=report/{name}", "trainer.epochs=5", f"seed={seed}", test=0.3 + place / 10 + seed / 1000,
                 commands=[f"python -m src.train --multirun seed={seed}"], **numbers)
        for place, name in enumerate(rows) for seed in range(seeds)
    ]  # fmt: skip


def table_below(blocks, title):
    """The first table behind the heading: a list of its rows, as dictionaries."""
    start = next(n for n, block in enumerate(blocks) if isinstance(block, Heading) and block.text.startswith(title))
    table = next(block for block in blocks[start:] if isinstance(block, Table))
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def test_rows_stand_beside_the_reports(recorded):
    records = study(recorded)
    blocks = build_report(records, compare(records), None)
    rows = {row["experiment"]: row for row in table_below(blocks, "The course report's experiments")}
    assert (rows["deep"]["report"], rows["deep"]["its time"]) == ("48.56 %", "36 min 14 s")
    ours = [rows["deep_dropout"][name] for name in ("ours", "n", "epochs", "images", "width", "time", "device")]
    assert ours == ["40.05 %", "2", "5", "50,000", "1", "1 min 00 s", "CPU"]
    assert rows["single"]["ours"] == "-"


def test_claims_get_a_difference_and_a_verdict(recorded):
    records = study(recorded)
    rows = {row["claim"]: row for row in table_below(build_report(records, compare(records), None), "What the course")}
    dropout = rows["Dropout helps."]
    assert (dropout["points"], dropout["n"], dropout["verdict"]) == ("+10.00", "2", "supported")
    assert rows["Augmentation helps."]["verdict"] == "not enough runs"
    assert rows["Overfitting is the main enemy."]["points"] == "+60.00"
    assert rows["Overfitting is the main enemy."]["verdict"] == "supported"


def test_overfitting_is_a_gap_of_ten_points(recorded):
    near = study(recorded, rows=["deep"], train=0.35, val=0.3)
    assert gap(near).mean == pytest.approx(0.05)
    assert overfitting({"deep": near}).verdict == "not supported"
    assert overfitting({"deep": near[:1]}).verdict == "not enough runs"
    assert overfitting({}).verdict == "not enough runs"


def test_rows_are_those_of_one_budget_and_one_setting(recorded):
    records = study(recorded, rows=["deep", "deep_dropout"])
    short = [recorded("experiment=report/deep", "trainer.epochs=2", test=0.1)]
    narrow = [recorded("experiment=report/deep", "trainer.epochs=5", "model.width=0.5", test=0.1)]
    failed = [recorded("experiment=report/deep", "trainer.epochs=5", "seed=5", status="failed")]
    rows = report_rows([*short, *narrow, *failed, *records])
    assert list(rows) == ["deep", "deep_dropout"]
    assert [record.metric("metrics.test.top1") for record in rows["deep"]] == [0.3, 0.301]


def test_runs_that_are_not_the_reports_get_curves_and_a_table_all_the_same(recorded):
    records = [recorded(f"optimizer={name}", val=0.3, train=0.5, history=FLAT) for name in ("adam", "sgd")]
    blocks = build_report(records, compare(records), None)
    headings = [block.text for block in blocks if isinstance(block, Heading)]
    assert headings == ["CIFAR-100 experiments", "Curves", "Overfitting", "All settings",
                        "How to get these figures again"]  # fmt: skip
    assert [block.name for block in blocks if isinstance(block, Picture)] == ["curves_top1", "curves_loss", "gap"]
    assert {row["row"] for row in table_below(blocks, "Overfitting")} == {"1. optimizer=adam", "2. optimizer=sgd"}


def test_search_is_compared_by_validation_and_shown_with_its_lines(recorded):
    found = [
        recorded("experiment=report/search", "init.run=base", f"model.activation={name}", f"data.fold={k}", val=value)
        for name, value in (("relu", 0.2), ("sigmoid", 0.4)) for k in (0, 1)
    ]  # fmt: skip
    assert searched(found).rows[0].settings == {"model.activation": "sigmoid"}
    records = [*study(recorded), *found]
    blocks = build_report(records, compare(records), None)
    assert any("best: 0.400000" in line for block in blocks if isinstance(block, Commands) for line in block.lines)
    beside = {row["experiment"]: row for row in table_below(blocks, "The course report's experiments")}
    assert (beside["search"]["ours"], beside["search"]["n"]) == ("40.00 %", "2")


def test_mistakes_of_the_best_run(recorded):
    record = study(recorded)[0]
    logits = torch.eye(3)[torch.tensor([0, 1, 1, 1, 2, 2, 0])]
    best = BestRun(record, logits, torch.tensor([0, 0, 0, 1, 2, 2, 2]), CLASSES)
    blocks = build_report([record], compare([record]), best)
    hardest = table_below(blocks, "What the best run gets wrong")
    assert [hardest[0][key] for key in ("class", "found", "most often taken for")] == [
        "cat",
        "33.33 %",
        "dog (66.67 %)",
    ]
    (pairs,) = [block for block in blocks if isinstance(block, Table) and block.header[0] == "one"]
    assert pairs.rows == [("cat", "dog", "2", "0"), ("cat", "oak tree", "0", "1")]


def test_commands_are_listed_once(recorded):
    records = study(recorded)
    assert commands(records) == ["python -m src.train --multirun seed=0", "python -m src.train --multirun seed=1"]


def test_unfinished_runs_are_told_and_the_page_holds_everything(recorded):
    records = [*study(recorded), recorded("experiment=report/single", status="failed", reason="out of memory")]
    blocks = build_report(records, compare(records), None)
    page = to_html(blocks, "CIFAR-100 experiments")
    assert "out of memory" in page and page.count("data:image/png") == 3
    (opening, *_) = [block.text for block in blocks if isinstance(block, Paragraph)]
    assert opening.startswith("5 runs, 4 of them completed, 5 min 00 s of training in all, on CPU.")
