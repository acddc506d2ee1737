import pytest

from tests.conftest import create_in, mostly_slow

BY = "trainer.label_smoothing"


@pytest.fixture
def runs(recorded, tmp_path):
    """Two values with three seeds, and one run that failed."""
    for value in (0, 0.1):
        for seed in range(3):
            test = 0.4 + seed / 100 + value / 5 + seed * value / 100
            recorded(f"{BY}={value}", f"seed={seed}", test=test, overridden=[BY])
    recorded(f"{BY}=0.1", "seed=3", status="failed", overridden=[BY])
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def few_runs(config_of, tmp_path_factory):
    """A folder with `runs`: one of each of two values."""
    place = tmp_path_factory.mktemp("compare")
    for value in (0, 0.1):
        run_dir = create_in(place / "runs" / str(value), config_of(f"{BY}={value}"))
        run_dir.update_result(status="completed", overridden=[BY], metrics={"test": {"top1": 0.4}})
    return place


def test_the_answer_is_printed_and_written(command, runs, tmp_path):
    done = command("compare", f"runs={runs}", "by=trainer.label_smoothing", "hydra.run.dir=answer", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "Does trainer.label_smoothing=0.1 help, compared with 0?\n\n0.1 against 0: helps. +2.10 points"
    )
    assert "Note: of 7 runs some are left out: 1 not completed." in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert sorted(path.name for path in (tmp_path / "answer").iterdir()) == [
        "compare.html",
        "compare.md",
        "differences.pdf",
        "differences.png",
    ]
    markdown = (tmp_path / "answer" / "compare.md").read_text()
    assert markdown.startswith("# Does trainer.label_smoothing=0.1 help, compared with 0?") and "![" in markdown
    again = command("compare", f"runs={runs}", "by=trainer.label_smoothing", "hydra.run.dir=answer", cwd=tmp_path)
    assert again.stdout == done.stdout


def test_values_that_lost_all_their_runs_are_named(command, runs, recorded, tmp_path):
    recorded(f"{BY}=0.2", "seed=0", status="failed", overridden=[BY])
    done = command("compare", f"runs={runs}", f"by={BY}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Note: no run with {BY}=0.2 is left." in done.stdout


def test_two_folders_are_compared(command, recorded, tmp_path):
    for seed in range(2):
        recorded("optimizer=adam", f"seed={seed}", test=0.4 + seed / 100)
    (tmp_path / "runs").rename(tmp_path / "first")
    for seed in range(2):
        recorded("optimizer=sgd", f"seed={seed}", test=0.41 + seed / 99)
    (tmp_path / "runs").rename(tmp_path / "second")
    done = command("compare", "a=first", "b=second", cwd=tmp_path)
    assert done.stdout.startswith("Is second better than first?\n\nsecond against first: helps. +1.01 points"), (
        done.stderr
    )
    assert "the runs differ in optimizer, any of which" in done.stdout


def test_all_settings_are_compared_where_none_is_named(command, runs, tmp_path):
    done = command("compare", f"runs={runs}", cwd=tmp_path)
    assert "0.1 against 0: helps" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    mostly_slow(
        [
            ([], "name the runs: runs=outputs/<sweep> by=<setting>"),
            (["by=optimizer"], "by needs runs; name a folder of runs"),
            (["a=runs"], "name the runs"),
            (["runs=nowhere"], "runs=nowhere is no folder"),
            (["runs=runs", "by=optimizer"], "by=optimizer has one value in all of these runs"),
            (["runs=runs", "by=lr"], "by=lr is not a setting of these runs; they differ in trainer.label_smoothing."),
            (["runs=runs", "by=trainer.label_smoothing", "a=0.2"], "a=0.2 is not one of 0, 0.1."),
            (["runs=runs", "metric=metrics.test.loss"], "say which difference counts, as in margin=0.05"),
            (["runs=runs", "metric=metrics.test.loss", "margin=0.1"], "metric=metrics.test.loss is in no result.json"),
            (["runs=runs", "direction=up"], "direction=up is not one of maximize, minimize"),
            (["runs=runs", "margin=0"], "margin=0.0 must be above 0"),
            (["a=runs", "b=runs"], "a=runs is compared with itself only"),
        ],
        quick=5,
    ),
)
def test_mistakes_get_one_sentence(command, few_runs, arguments, sentence):
    done = command("compare", *arguments, cwd=few_runs)
    assert done.returncode == 1
    assert sentence in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not list((few_runs / "outputs").glob("*/*"))


@pytest.mark.slow
def test_odd_values_are_names_like_others(command, recorded, tmp_path):
    """A list, null, and a loss, of which less is better."""
    for dense, loss in (("[512]", 2.0), ("[512,128]", 1.5)):
        for seed in range(3):
            measured = {"test": {"top1": 0.4, "loss": loss + seed / 10 + seed * loss / 1000}}
            recorded(f"model.dense={dense}", f"seed={seed}").run_dir.update_result(metrics=measured)
    done = command("compare", "runs=runs", "by=model.dense", "a=[512]", "b=[[512,128]]", "metric=metrics.test.loss",
                   "margin=0.1", cwd=tmp_path)  # fmt: skip
    assert "[512,128] against [512]: helps. -0.5" in done.stdout, done.stderr
    for wrong in ("a=", "a={x:1}", "runs=[[runs]]", "b=[[1,2]]"):
        done = command("compare", "runs=runs", "by=model.dense", "a=[512]", wrong, cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
def test_one_common_seed_leaves_the_other_runs_in(command, recorded, tmp_path):
    for width, seeds in ((1, range(5)), (2, range(4, 9))):
        for seed in seeds:
            recorded(f"model.width={width}", f"seed={seed}", test=0.4 + width / 10 + seed % 3 / 1000)
    done = command("compare", "runs=runs", "by=model.width", cwd=tmp_path)
    assert "2 against 1: helps." in done.stdout and "(independent runs)" in done.stdout, done.stderr


def test_folders_with_a_common_run_are_refused(command, few_runs):
    done = command("compare", "a=runs", "b=runs/0", cwd=few_runs)
    assert "runs/0 holds runs of another of these folders" in done.stderr
