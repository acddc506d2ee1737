import csv
import shutil

import pytest


def test_writes_one_folder_with_a_page_that_needs_no_other_file(command, recorded, tmp_path):
    for name in ("deep", "deep_dropout"):
        for seed in (0, 1):
            recorded(f"experiment=course2021/{name}", f"seed={seed}", val=0.4, test=0.4 + seed / 100, train=0.9,
                     history=[0.3, 0.4])  # fmt: skip
    done = command("report", "runs=runs", "hydra.run.dir=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "the report is in mine: report.html, report.md, sweep.csv"
    names = {path.name for path in (tmp_path / "mine").iterdir() if not path.name.startswith("events.")}
    pictures = {
        f"{name}.{end}"
        for name in ("claims", "curves_top1", "curves_minutes", "curves_loss", "gap")
        for end in ("png", "pdf")
    }
    assert names == {"report.md", "report.html", "sweep.csv", "sweep.md"} | pictures
    text = (tmp_path / "mine" / "report.md").read_text()
    assert "| deep | 48.56 % | 36 min 14 s | 40.50 % |" in text
    assert "![" in text and "curves_top1.png" in text


@pytest.mark.slow
def test_a_run_given_twice_and_a_copy_of_its_folder_count_once(command, recorded, tmp_path):
    recorded("seed=0", val=0.4)
    recorded("seed=1", val=0.5)
    shutil.copytree(tmp_path / "runs" / "1_run", tmp_path / "copies" / "again")
    done = command("report", "runs=[runs,runs/0_run,copies]", "hydra.run.dir=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    note = "1 run repeats another's settings, seed and fold and is not counted."
    assert note in done.stdout and note in (tmp_path / "mine" / "report.md").read_text()
    (row,) = csv.DictReader((tmp_path / "mine" / "sweep.csv").read_text().splitlines())
    assert (float(row["mean"]), row["n"], row["runs"]) == (pytest.approx(0.45), "2", "0_run 1_run again")


def test_a_metric_that_was_not_measured_is_answered_by_one_that_was(command, recorded, tmp_path):
    recorded("data.validation=none", test=0.4)
    done = command("report", "runs=runs", cwd=tmp_path)
    assert done.returncode == 1
    assert "metric=metrics.val.top1 is in no result.json of these 1 runs; try metric=metrics.test.top1." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "runs is missing"),
        (["runs=nowhere"], "runs=nowhere is no folder"),
        (["runs=empty"], "runs=empty holds no run"),
        (["runs=runs", "metric=metrics.val.top2"], "metric=metrics.val.top2 is in no result.json of these 1 runs"),
        (["runs=runs", "direction=up"], "direction=up is not one of maximize, minimize"),
        (["runs=runs", "hydra.run.dir=runs/0_run"], "runs/0_run is not empty and holds no report"),
    ],
)
def test_mistakes_get_one_sentence(command, recorded, tmp_path, arguments, sentence):
    recorded(val=0.4)
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = command("report", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and sentence in done.stderr
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != "outputs"] == before
