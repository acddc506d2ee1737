import pytest
from omegaconf import OmegaConf

from src.choices import CONFIG_DIR
from src.course2021.experiments import CLAIMS, EXPERIMENTS

PRESETS = CONFIG_DIR / "experiment" / "course2021"


def test_every_preset_is_a_row_and_every_row_a_preset():
    assert set(EXPERIMENTS) == {path.stem for path in PRESETS.glob("[!_]*.yaml")}


def test_claims_speak_of_rows_and_weigh_them_fairly():
    for claim in CLAIMS:
        assert set(claim.weights) <= set(EXPERIMENTS)
        assert sum(claim.weights.values()) == 0  # equal accuracies make no difference
        assert claim.expected in ("positive", "negative", "nothing")


def test_formula_can_be_read():
    assert [claim.formula for claim in CLAIMS[:3]] == [
        "deep_augmented - deep",
        "deep_dropout - deep",
        "deep - deep_no_batch_norm",
    ]
    assert CLAIMS[4].formula == "deep_dropout + deep_no_batch_norm - 2 deep"


def test_presets_open_with_the_accuracy_in_the_course_report():
    for name, experiment in EXPERIMENTS.items():
        head = (PRESETS / f"{name}.yaml").read_text()
        told = f"{experiment.accuracy:.6f}".rstrip("0") if experiment.accuracy else "Not in the course report"
        assert told in head
        assert f"python -m src.train experiment=course2021/{name}" in head


@pytest.mark.slow
def test_presets_follow_the_course_reports_protocol(composed):
    for name in set(EXPERIMENTS) - {"search"}:
        config = composed(f"experiment=course2021/{name}")
        assert config.data.validation == "test"
        assert config.optimizer["_target_"] == "torch.optim.Adam"
        assert (config.optimizer.lr, config.optimizer.eps) == (1e-3, 1e-7)
        assert config.model.init == "keras"
        assert bool(config.data.augment) == ("augmented" in name or name == "single")
        assert config.model.dropout == (0.5 if "dropout" in name else 0)
        assert (config.data.batch_size, config.data.limit) == (128, None)
        assert not OmegaConf.missing_keys(config)
