import json
from collections.abc import Iterator

import pytest
from torch.nn import functional as F

from src.predictions import load_predictions
from src.run_dir import RunDir
from tests.quick import QUICK, quick_commands


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with quick_commands():
        yield


@pytest.fixture(scope="module")
def place(command, tmp_path_factory):
    """A folder with two runs: `run`, and `flipped`, which trainer.tta_flip evaluates on mirror images too."""
    place = tmp_path_factory.mktemp("evaluate")
    for name, flip in (("run", "false"), ("flipped", "true")):
        done = command(
            "train", *QUICK, "optimizer.lr=0.005", f"trainer.tta_flip={flip}", f"hydra.run.dir={name}", cwd=place
        )
        assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize("split", ["test", "val", "train"])
def test_prints_the_training_runs_own_numbers(command, place, split):
    done = command("evaluate", "run=run", f"split={split}", "format=json", cwd=place)
    assert done.returncode == 0, done.stderr
    own = RunDir(place / "run").load_result()
    printed = json.loads(done.stdout)
    assert {key: printed[key] for key in own["metrics"][split]} == own["metrics"][split]
    assert (printed["checkpoint"], printed["epoch"]) == (own["evaluated"], own["evaluated_epoch"])


def test_mirror_images_count_where_asked_for_or_where_the_run_had_them(command, place):
    own = RunDir(place / "flipped").load_result()
    printed = json.loads(command("evaluate", "run=flipped", "split=val", "format=json", cwd=place).stdout)
    assert (printed["top1"], printed["tta_flip"]) == (own["metrics"]["val"]["top1"], own["tta_flip"]["val"])
    declined = command("evaluate", "run=flipped", "tta_flip=false", "format=json", cwd=place)
    assert json.loads(declined.stdout)["tta_flip"] is None
    assert "top1, tta_flip" in command("evaluate", "run=run", "tta_flip=true", cwd=place).stdout


def test_table_says_that_the_number_is_the_same(command, place):
    done = command("evaluate", "run=run", cwd=place)
    assert "the same" in done.stdout and "differs" not in done.stdout


def test_table_says_that_the_number_differs(command, place):
    run_dir = RunDir(place / "run")
    own = run_dir.load_result()["metrics"]
    try:
        run_dir.update_result(metrics={**own, "test": {**own["test"], "top1": own["test"]["top1"] - 0.01}})
        assert "which differs by +0.0100: another device?" in command("evaluate", "run=run", cwd=place).stdout
    finally:
        run_dir.update_result(metrics=own)


def test_an_ensemble_averages_probabilities(command, place):
    done = command("evaluate", "runs=[run,flipped]", "ensemble=true", "tta_flip=true", "format=json", cwd=place)
    assert done.returncode == 0, done.stderr
    first, second, both = json.loads(done.stdout)
    saved = [load_predictions(RunDir(place / name).test_logits_file) for name in ("run", "flipped")]
    mean = sum(each.logits.softmax(dim=1) for each in saved) / 2
    labels = saved[0].labels
    assert both["top1"] == (mean.argmax(dim=1) == labels).sum().item() / len(labels)
    assert both["loss"] == pytest.approx(F.nll_loss(mean.log(), labels).item(), rel=1e-5)
    assert (both["run"], both["checkpoint"]) == ("ensemble", None)
    assert first["tta_flip"] and second["tta_flip"] and both["tta_flip"]
    rows = command("evaluate", "runs=[run,flipped]", "ensemble=true", cwd=place).stdout.splitlines()
    assert [row.split()[0] for row in rows[2:]] == ["run", "flipped", "ensemble"]
    assert rows[0].split()[:5] == ["run", "test", "top1", "top5", "loss"]
    assert rows[0].endswith("top1, tta_flip") and rows[2].endswith("-") and rows[4].endswith("-")


def test_calibration_is_printed(command, place):
    own = RunDir(place / "run").load_result()
    printed = json.loads(command("evaluate", "run=run", "format=json", cwd=place).stdout)
    assert printed["calibrated"]["loss"] == own["calibration"]["test"]["loss"]
    assert printed["calibrated"]["loss"] <= printed["loss"] + 0.01 and printed["ece"] == own["metrics"]["test"]["ece"]
    text = command("evaluate", "run=run", cwd=place).stdout
    assert f"with temperature {own['calibration']['temperature']:.3f}, fitted on the validation images" in text
    assert max(map(len, text.splitlines())) <= 95
    assert "temperature" not in command("evaluate", "run=run", "split=val", cwd=place).stdout
    assert "temperature" not in command("evaluate", "run=run", "checkpoint=last", cwd=place).stdout or (
        own["evaluated"] == "last"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name a run, as in run=outputs/<run>, or several"),
        (["run=run", "runs=[run,flipped]"], "name a run, as in run=outputs/<run>, or several"),
        (["run=run", "ensemble=true"], "ensemble=true averages several runs"),
        (["runs=[run,3]"], "runs=['run', 3] must be a list of folders of runs"),
        (["runs=[run,nowhere]"], "run=nowhere is not the folder of a run"),
        (["run=nowhere"], "run=nowhere is not the folder of a run"),
        (["run=run", "split=all"], "split=all is not one of test, val, train"),
        (["run=run", "format=xml"], "format=xml is not one of table, json"),
        (["run=run", "checkpoint=first"], "checkpoint=first is not one of best, last"),
        (["run=run", "device=tpu"], "device=tpu is not one of auto, cpu, cuda"),
        (["run=run", "checkpiont=best"], "checkpiont is not a setting; did you mean checkpoint?"),
    ],
)
def test_mistakes_get_one_sentence(command, place, arguments, sentence):
    done = command("evaluate", *arguments, cwd=place)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and sentence in done.stderr


def test_a_run_without_held_out_images_has_no_validation_metrics(command, place):
    paused = ("data.validation=none", "pause_at=1", "hydra.run.dir=whole")
    assert command("train", *QUICK, *paused, cwd=place).returncode == 0
    done = command("evaluate", "run=whole", "split=val", cwd=place)
    assert done.returncode == 1 and "split=val: whole held no images out (data.validation=none)" in done.stderr


def test_a_truncated_checkpoint_is_named(command, place):
    best = RunDir(place / "flipped").checkpoint("best")
    content = best.read_bytes()
    try:
        best.write_bytes(content[:500])
        done = command("evaluate", "run=flipped", cwd=place)
        assert done.returncode == 1 and "best.pt is damaged" in done.stderr and "Traceback" not in done.stderr
        assert command("evaluate", "run=flipped", "checkpoint=last", cwd=place).returncode == 0
    finally:
        best.write_bytes(content)


def test_nothing_is_written(command, place):
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert command("evaluate", "run=run", cwd=place).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
