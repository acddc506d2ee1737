from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from src.compose import composed, explained
from src.errors import UserError
from src.parsing import parse_config
from tests.conftest import mostly_slow


def test_the_settings_are_those_of_the_command_line(tmp_path):
    overrides = ["model=deep", "optimizer.lr=0.5", f"hydra.run.dir={tmp_path}/run"]
    with composed("train", overrides) as (config, hydra):
        assert "hydra" not in config
        run_config = parse_config(config, list(hydra.overrides.task))
        assert hydra.run.dir == f"{tmp_path}/run" and hydra.runtime.choices["model"] == "deep"
        assert list(hydra.overrides.task) == ["model=deep", "++optimizer.lr=0.5"]
    assert run_config.optimizer["lr"] == 0.5


def test_a_new_folder_is_named_after_the_model():
    with composed("train", ["model=deep"]) as (_, hydra):
        assert hydra.run.dir.startswith("outputs/") and "_deep_" in hydra.run.dir


@pytest.mark.slow
def test_hydra_of_the_caller_is_left_alone(tmp_path):
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    before = HydraConfig.instance().cfg
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        mine = GlobalHydra.instance().hydra
        for overrides in ([], ["model=nope"]):
            try:
                with explained("train"), composed("train", overrides):
                    assert GlobalHydra.instance().hydra is not mine
            except UserError:
                assert overrides
            assert GlobalHydra.instance().hydra is mine and HydraConfig.instance().cfg is before
        assert compose("mine", ["a=2"]) == OmegaConf.create({"a": 2})
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("override", "sentence"),
    mostly_slow(
        [
            ("--multirun", "--multirun belongs to the command line; leave it out"),
            ("hydra.mode=MULTIRUN", "hydra.mode=MULTIRUN belongs to the command line"),
            ("model=nope", "model=nope does not exist; there are: baseline"),
            ("seed=1,2", "Ambiguous value for argument 'seed=1,2'"),
            ("data.batchsize=3", r"data\.batchsize is not a setting; did you mean batch_size"),
            ("data.root=[a", r"data\.root=\[a cannot be read"),
            ("seed=abc", "seed: Value 'abc'"),
        ],
        quick=2,
    ),
)
def test_what_the_command_line_refuses_is_a_user_error(override, sentence):
    with pytest.raises(UserError, match=sentence), explained("train"), composed("train", [override]):
        pass


def test_errors_of_the_system_are_explained():
    with pytest.raises(UserError, match=r"nowhere does not exist, or its folder does not\."), explained("train"):
        Path("nowhere").read_text()
