import pytest
import torch

from src.analysis.compare import compare
from src.analysis.document import Heading, Picture, PictureFile, Table, to_html
from src.analysis.report import (
    BestRun,
    describe_runs,
    load_best_run,
    name_rows,
    show_commands,
    show_curves,
    show_mistakes,
    show_overfitting,
)
from src.analysis.sweep_table import sweep_blocks
from src.data.dataset import Classes
from src.predictions import Predictions
from src.report import build_report

FLAT = [0.1, 0.2, 0.3, 0.3, 0.3]
CLASSES = Classes(("cat", "dog", "oak_tree"), ("animals", "plants"), (0, 0, 1))
LOGITS, LABELS = torch.eye(3)[torch.tensor([0, 1, 1, 1, 2, 2, 0])], torch.tensor([0, 0, 0, 1, 2, 2, 2])


def table_of(blocks):
    """The rows of the first table as dictionaries."""
    table = next(block for block in blocks if isinstance(block, Table))
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def save_test_logits(record):
    classes = {"names": list(CLASSES.names), "superclass_names": list(CLASSES.superclass_names),
               "superclass_of": list(CLASSES.superclass_of)}  # fmt: skip
    torch.save({"logits": LOGITS, "labels": LABELS, "classes": classes}, record.run_dir.test_logits_file)


def test_all_runs_get_curves_and_a_table(recorded):
    records = [recorded(f"optimizer={name}", val=0.3, train=0.5, history=FLAT) for name in ("adam", "sgd")]
    blocks = build_report(records, compare(records))
    headings = [block.text for block in blocks if isinstance(block, Heading)]
    assert headings == ["Which optimizer is better?", "Curves", "Overfitting", "All settings",
                        "Commands that trained these runs"]  # fmt: skip
    pictures = [block.name for block in blocks if isinstance(block, Picture)]
    assert pictures == ["settings", "curves_top1", "curves_minutes", "curves_loss", "gap"]
    assert {row["setting"] for row in table_of(blocks)} == {"1. adam", "2. sgd"}


def test_overfitting_shows_the_gap_and_the_lowest_validation_loss(recorded):
    pairs = [("deep", 0.9, 0.4), ("deep", 0.7, 0.4), ("baseline", None, 0.1)]
    records = [
        recorded(f"model={model}", f"seed={seed}", train=train, val=val, history=[0.1, 0.4, 0.3])
        for seed, (model, train, val) in enumerate(pairs)
    ]
    (row,) = table_of(show_overfitting(name_rows(compare(records))))
    assert list(row.values())[:4] == ["1. deep", "80.00 %", "40.00 %", "40.00"]
    assert row["95 %"].startswith("± ") and row["epoch of the lowest validation loss"] == "2, 2"


def test_rows_hold_independent_runs_with_the_metric(recorded):
    records = [recorded("seed=0", val=0.4), recorded("seed=0", val=0.4), recorded("seed=1", val=0.2),
               recorded("seed=2", status="failed", history=[0.1]),
               recorded("model.width=0.5", status="failed")]  # fmt: skip
    ((name, runs),) = name_rows(compare(records)).items()
    assert name == "1. width=1" and list(runs) == [records[0], records[2]]


def test_curves_need_a_whole_history(recorded):
    blocks = show_curves({"deep": [recorded(history=[0.1, 0.3]), recorded(history=[0.3, 0.5]), recorded()]})
    accuracy = next(block for block in blocks if isinstance(block, Picture)).figure.axes[0]
    assert list(accuracy.lines[0].get_ydata()) == pytest.approx([0.2, 0.4])


def test_accuracy_is_drawn_against_the_mean_minutes(recorded):
    fast, slow = recorded(history=[0.1, 0.3]), recorded(history=[0.3, 0.5])
    for minutes, record in ((1, fast), (2, slow)):
        for row in record.history:
            row["seconds"] = 60 * minutes * row["epoch"]
    _, _, picture, _ = show_curves({"deep": [fast, slow]})
    (line,) = picture.figure.axes[0].lines
    assert list(line.get_xdata()) == [1.5, 3] and list(line.get_ydata()) == pytest.approx([0.2, 0.4])


def test_the_best_run_is_read_from_its_test_logits(recorded):
    records = [recorded(f"optimizer.lr={lr}", val=val) for lr, val in ((0.1, 0.3), (0.2, 0.5), (0.3, 0.9))]
    assert load_best_run(compare(records)) is None
    save_test_logits(records[0])
    save_test_logits(records[1])
    best = load_best_run(compare(records))
    assert best.record == records[1]  # the run with 0.9 was not evaluated on the test set
    logits, labels, classes = best.predictions
    assert classes == CLASSES and torch.equal(logits, LOGITS) and torch.equal(labels, LABELS)
    assert load_best_run(compare(records, direction="minimize")).record == records[0]


def test_mistakes_of_the_best_run(recorded):
    blocks = show_mistakes(BestRun(recorded(test=4 / 7), Predictions(LOGITS, LABELS, CLASSES)))
    hardest = table_of(blocks)
    assert [hardest[0][key] for key in ("class", "recall", "most often taken for")] == [
        "cat",
        "33.33 %",
        "dog (66.67 %)",
    ]
    (pairs,) = [block for block in blocks if isinstance(block, Table) and block.header[0] == "one"]
    assert pairs.rows == [("cat", "dog", "2", "0"), ("cat", "oak tree", "0", "1")]
    assert any("57.14 % on the test set" in block for block in blocks if isinstance(block, str))
    assert show_mistakes(None) == []


def test_the_pictures_of_mistakes_are_the_runs_own(recorded):
    record = recorded(test=4 / 7)
    record.run_dir.figures_dir.mkdir()
    (record.run_dir.figures_dir / "mistakes.png").write_bytes(b"\x89PNG...")
    blocks = show_mistakes(BestRun(record, Predictions(LOGITS, LABELS, CLASSES)))
    assert [block.png for block in blocks if isinstance(block, PictureFile)] == [b"\x89PNG..."]


def test_commands_are_listed_once(recorded):
    records = [recorded(f"seed={seed % 2}", commands=[f"train seed={seed % 2}"]) for seed in range(4)]
    (_, commands) = show_commands([*records, recorded()])
    assert commands.lines == ["train seed=0", "train seed=1"]


def test_opening_counts_runs_and_warns_of_the_test_set(recorded):
    records = [recorded(), recorded(status="failed")]
    opening = describe_runs(records)
    assert opening.startswith("2 runs, 1 of them completed, 2 min 00 s of training in all, on CPU.")
    assert "the validation images are the test set" not in opening
    assert "the validation images are the test set" in describe_runs([recorded("data.validation=test")])


def test_unfinished_and_repeated_runs_are_noted_and_the_page_holds_everything(recorded):
    records = [recorded(f"seed={seed}", val=0.3, train=0.5, history=FLAT) for seed in (0, 0, 1)]
    records.append(recorded("model=deep", status="failed", reason="out of memory"))
    comparison = compare(records)
    save_test_logits(records[0])
    page = to_html(build_report(records, comparison), "Runs")
    assert "out of memory" in page and page.count("data:image/png") == 6
    assert "1 run repeats another&#x27;s settings, seed and fold and is not counted." in page
    assert [table["n"] for table in table_of(sweep_blocks(comparison))] == ["2", "0"]
