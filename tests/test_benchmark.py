import json

import pytest

from src.benchmark import to_json, to_table
from src.benchmarks import comparisons
from src.benchmarks.comparisons import Comparison, Training
from tests.conftest import mostly_slow

QUICK = [
    "rounds=2",
    "seconds=0.02",
    "data.source.train_images=300",
    "data.source.test_images=100",
    "data.image_size=16",
    "data.batch_size=16",
    "model.width=0.1",
]
NO_SPEED = ["loops=[]", "pipelines=[]", "augmentations=[]"]
ROWS = [Comparison("a loop", "images/s", "CPU", [(3.0, 2.0)]), Training("a run", "CPU", [0], [1.5], [0.5])]


def test_rows_are_printed_as_a_table_or_as_json():
    lines = to_table(ROWS, rounds=1).splitlines()
    assert lines[0] == "medians: of the rounds (1), of the seeds of a training"
    assert lines[2].split() == ["what", "cifarlab", "other", "unit", "cifarlab", "/", "other", "on"]
    assert lines[4].split() == ["a", "loop", "3.0", "2.0", "images/s", "1.500", "CPU"] and len(lines) == 6
    assert json.loads(to_json(ROWS))["rows"][0]["ratio"] == 1.5


@pytest.mark.slow
def test_measures_every_row_it_was_asked_for(command):
    asked = ("loops=[quickstart,course2021/deep]", "trainer.epochs=1")
    done = command("benchmark", *QUICK, *asked, "trainings=[quickstart]", "seeds=[3,4]", "format=json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    names = [*["quickstart", "course2021/deep"] * 2, "quickstart", "affine", "crop_flip", "quickstart"]
    assert [row["what"].rsplit(", ", 1)[1] for row in rows] == names
    assert all(row["cifarlab"] > 0 and row["other"] > 0 and len(row["rounds"]) == 2 for row in rows[:-1])
    assert rows[-1]["seeds"] == [3, 4] and len(rows[-1]["minutes"]) == 2
    assert rows[-1]["test_top1"][0] != rows[-1]["test_top1"][1]


@pytest.mark.slow
def test_what_was_measured_before_a_failure_is_printed(command):
    asked = ("loops=[]", "pipelines=[]", "augmentations=[crop_flip]", "trainings=[quickstart]")
    done = command("benchmark", *QUICK, *asked, "trainer.progressive_resizing=[[0.5,2]]")
    assert done.returncode == 1 and "crop_flip" in done.stdout
    progress, error = done.stderr.splitlines()
    assert progress.startswith("1 of 2 measured: augmentation") and "does not take images of 2 pixels" in error


@pytest.fixture
def planned(monkeypatch):
    """The arguments of each measurement, in order, by the function that would measure; none of them computes."""
    calls = []

    def record(name):
        return lambda *arguments: calls.append((name, *arguments)) or ROWS[0]

    for name in ("compare_loop", "compare_arithmetic", "compare_pipeline", "compare_augmentation", "measure_trainings"):
        monkeypatch.setattr(comparisons, name, record(name))
    return calls


@pytest.mark.slow
def test_by_default_three_loops_their_arithmetic_a_pipeline_and_two_augmentations_are_measured(command, planned):
    done = command("benchmark", "data.batch_size=256")
    assert done.returncode == 0, done.stderr
    assert [(name, asked) for name, _, asked, *_ in planned] == [
        ("compare_loop", "quickstart"),
        ("compare_loop", "course2021/deep_augmented"),
        ("compare_loop", "fast/speedrun75"),
        ("compare_arithmetic", "quickstart"),
        ("compare_arithmetic", "course2021/deep_augmented"),
        ("compare_arithmetic", "fast/speedrun75"),
        ("compare_pipeline", "quickstart"),
        ("compare_augmentation", "affine"),
        ("compare_augmentation", "crop_flip"),
    ]
    assert [effort for *_, rounds, effort in planned] == [3.0] * 7 + [3.0 / 5] * 2
    assert planned[0][3] == 7 and planned[0][1].optimizer["lr"] == 0.002 and planned[0][1].data.batch_size == 256
    assert "SpeedrunNet" in planned[2][1].model["_target_"]
    assert planned[2][1].data.source["_target_"] == "src.data.synthetic.synthetic"


@pytest.mark.slow
def test_an_augmentation_is_measured_with_its_own_settings(command, planned):
    asked = ("loops=[quickstart]", "pipelines=[]", "augmentations=[crop_flip]")
    named = ("augmentation=cutmix", "augmentation.steps.0.pixels=1")
    done = command("benchmark", *asked, *named, "data.batch_size=16")
    assert done.returncode == 0, done.stderr
    loop, _, augmentation = (call[1] for call in planned)
    assert loop.data.augment and loop.augmentation["steps"][0]["pixels"] == 1
    crop_flip = {"_target_": "src.data.augment.CropFlip", "pixels": 4, "flip": "random", "padding": "zeros"}
    assert augmentation.augmentation == crop_flip
    assert augmentation.data.batch_size == 16


@pytest.mark.slow
def test_trainings_have_the_experiments_data_and_the_settings_of_the_command_line(command, planned):
    """Accumulation and clipping are refused for the other rows only: both sides must do the same."""
    asked = ("trainings=[course2021/deep]", "seeds=[3,4]", "budget=evening")
    done = command("benchmark", *NO_SPEED, *asked, "trainer.grad_accumulation_steps=2", "trainer.grad_clip_norm=1")
    assert done.returncode == 0, done.stderr
    ((name, configs, experiment),) = planned
    assert (name, experiment, [config.seed for config in configs]) == ("measure_trainings", "course2021/deep", [3, 4])
    for config in configs:
        assert (config.trainer.grad_accumulation_steps, config.trainer.grad_clip_norm) == (2, 1.0)
        assert config.data.validation == "none" and "cifar100" in config.data.source["_target_"]
        assert config.trainer.epochs < 120


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    mostly_slow(
        [
            (["loops=[fast/depp]"], "loops=fast/depp is not one of"),
            (["loops=[course2021/_protocol]"], "loops=course2021/_protocol is not one of"),
            (["augmentations=[cutmix]"], "augmentations=cutmix is not one of affine, crop_flip"),
            (NO_SPEED, "all lists are empty"),
            (["format=xml"], "format=xml is not one of table, json"),
            (["rounds=0"], "rounds=0 must be at least 1"),
            (["seconds=0"], "seconds=0.0 must be above 0"),
            (["trainings=[quickstart]", "seeds=[]"], "seeds=[] trains nothing"),
            (["loops=[course2021/search]", "init.run=outputs/x"], "trains a head on another run"),
            (["trainings=[quickstart]", "trainer.max_minutes=1"], "would end early what is measured"),
            ([*NO_SPEED, "trainings=[quickstart]", "trainer.max_minutes=1"], "would end early"),
            ([*NO_SPEED, "trainings=[quickstart]", "seeds=[-1]"], "seeds=[-1] must not hold a number below 0"),
            (["trainer.grad_accumulation_steps=2"], "change one side only"),
            (["trainer.grad_clip_norm=1"], "change one side only"),
            (["pause_at=1"], "pause_at is not a setting"),
        ],
        quick=4,
    ),
)
def test_mistakes_get_one_sentence(command, arguments, sentence):
    done = command("benchmark", *arguments)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and not done.stdout
    assert sentence in done.stderr
