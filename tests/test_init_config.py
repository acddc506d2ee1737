import pytest

from src.errors import UserError
from src.init_config import InitConfig


def test_the_last_frozen_part_is_trained_first():
    init = InitConfig(run="base", freeze=["stem", "body"], unfreeze_epochs=2)
    assert [init.frozen_at(epoch) for epoch in (0, 1, 2, 3, 4, 9)] == [
        ("stem", "body"), ("stem", "body"), ("stem",), ("stem",), (), (),
    ]  # fmt: skip


def test_frozen_parts_stay_in_the_base_run_unless_they_change_or_come_from_a_file():
    assert InitConfig(run="base", freeze="features").keeps_base
    assert InitConfig(run="base", freeze="features").frozen_at(99) == ("features",)
    assert not InitConfig(run="base", freeze="features", unfreeze_epochs=1).keeps_base
    assert not InitConfig(weights="w.pt", freeze="features").keeps_base
    assert not InitConfig(run="base").keeps_base


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"run": "a", "weights": "b"}, r"init\.run=a and init\.weights=b both hold weights"),
        ({"run": "a", "freeze": [3]}, r"init\.freeze=\[3\] must be a part of the model"),
        ({"run": "a", "unfreeze_epochs": 1}, r"init\.unfreeze_epochs=1 does nothing without init\.freeze"),
        ({"run": "a", "freeze": "b", "unfreeze_epochs": 0}, r"init\.unfreeze_epochs=0 must be at least 1"),
        ({"weights": ""}, r"init\.weights must not be empty"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        InitConfig(**settings)
