import pytest

from src.compose import composed
from src.parsing import parse_config


def parsed(*overrides):
    with composed("train", overrides) as (config, hydra):
        return parse_config(config, list(hydra.overrides.task))


def test_another_optimizer_has_its_own_settings():
    optimizer = parsed("experiment=fast/deep63", "optimizer=adam", "optimizer.eps=1e-3").optimizer
    assert optimizer == parsed("optimizer=adam").optimizer | {"eps": 1e-3}


def test_the_choice_of_the_experiment_keeps_the_settings_of_the_experiment():
    assert parsed("experiment=fast/deep63", "optimizer=muon") == parsed("experiment=fast/deep63")


@pytest.mark.parametrize("choice", ["model=resnet20", "augmentation=none", "augmentation=affine", "scheduler=cosine"])
@pytest.mark.parametrize("experiment", ["fast/deep63", "classic", "course2021/deep_dropout"])
def test_every_group_can_be_chosen_anew(experiment, choice):
    config = parsed(f"experiment={experiment}", choice)
    group = choice.partition("=")[0]
    assert getattr(config, group) == getattr(parsed(choice), group)
    assert config.trainer == parsed(f"experiment={experiment}").trainer


def test_settings_that_follow_from_others_still_follow():
    model = parsed("experiment=fast/deep63", "model=single", "data.num_classes=7", "data.image_size=16").model
    assert (model["num_classes"], model["image_size"]) == (7, 16)
