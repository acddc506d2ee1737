import json

import pytest

from tests.conftest import train_in


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    return train_in(tmp_path_factory.mktemp("evaluate") / "run", small("optimizer.lr=0.005"))


@pytest.mark.slow
@pytest.mark.parametrize("split", ["test", "val", "train"])
def test_gives_the_training_runs_own_numbers(command, run, split):
    done = command("evaluate", f"run={run.path}", f"split={split}", "format=json")
    assert done.returncode == 0, done.stderr
    own = run.load_result()
    printed = json.loads(done.stdout)
    assert {key: printed[key] for key in own["metrics"][split]} == own["metrics"][split]
    assert (printed["checkpoint"], printed["epoch"]) == (own["evaluated"], own["evaluated_epoch"])


@pytest.mark.slow
def test_both_sides_stand_apart_where_asked_for_or_where_the_run_had_them(command, small, run, tmp_path):
    mirrored = train_in(tmp_path / "mirrored", small("optimizer.lr=0.005", "trainer.both_sides=true"))
    own = mirrored.load_result()
    printed = json.loads(command("evaluate", f"run={mirrored.path}", "split=val", "format=json").stdout)
    assert (printed["top1"], printed["both_sides"]) == (own["metrics"]["val"]["top1"], own["both_sides"]["val"])
    declined = json.loads(command("evaluate", f"run={mirrored.path}", "both_sides=false", "format=json").stdout)
    assert declined["both_sides"] is None
    assert "top1, both sides" in command("evaluate", f"run={run.path}", "both_sides=true").stdout


@pytest.mark.slow
def test_table_says_that_the_number_is_the_same(command, run):
    done = command("evaluate", f"run={run.path}")
    assert "the same" in done.stdout and "NOT" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "run is missing"),
        (["run=nowhere"], "run=nowhere is not the folder of a run"),
        (["run={run}", "split=all"], "split=all is not one of test, val, train"),
        (["run={run}", "checkpoint=first"], "checkpoint=first is not one of best, last"),
        (["run={run}", "checkpiont=best"], "checkpiont is not a setting; did you mean checkpoint?"),
    ],
)
def test_mistakes_get_one_sentence(command, run, arguments, sentence):
    done = command("evaluate", *[argument.format(run=run.path) for argument in arguments])
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and sentence in done.stderr


@pytest.mark.slow
def test_a_truncated_checkpoint_is_named(command, small, tmp_path):
    run = train_in(tmp_path / "run", small("trainer.epochs=1"))
    best = run.checkpoint("best")
    best.write_bytes(best.read_bytes()[:500])
    done = command("evaluate", f"run={run.path}")
    assert done.returncode == 1 and "best.pt is damaged" in done.stderr and "Traceback" not in done.stderr
    assert command("evaluate", f"run={run.path}", "checkpoint=last").returncode == 0
