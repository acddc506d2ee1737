"""The parts of a start; tests/test_train.py and tests/test_api.py start whole runs."""

import pytest
from hydra.conf import HydraConf, OverridesConf, RuntimeConf

from src.errors import UserError
from src.run_dir import RunDir
from src.start import check_resume, create_run, load_to_resume, train_in
from tests.conftest import compose_fast, create_in
from tests.quick import QUICK


def typed(*overrides: str, of_hydra: tuple[str, ...] = (), **choices: str) -> HydraConf:
    """Hydra's part of a config that was composed with these overrides."""
    listed = OverridesConf(task=list(overrides), hydra=list(of_hydra))
    return HydraConf(overrides=listed, runtime=RuntimeConf(choices=choices))


def test_a_new_run_is_created_with_what_its_overrides_chose(tmp_path):
    run_dir, overrides = RunDir(tmp_path), (*QUICK, "seed=3")
    run_config = create_run(compose_fast(*overrides), typed(*overrides, data="synthetic"), run_dir)
    result = run_dir.load_result()
    assert run_config == run_dir.load_config() and run_config.seed == 3
    assert result["choices"]["data"] == "synthetic" and "seed" in result["overridden"]


def test_a_sweepers_setting_does_nothing_for_one_run(tmp_path):
    with pytest.raises(UserError, match=r"hydra\.sweep\.dir=x does nothing without --multirun"):
        create_run(compose_fast(*QUICK), typed(*QUICK, of_hydra=("hydra.sweep.dir=x",)), RunDir(tmp_path))
    assert not RunDir(tmp_path).holds_run


def test_a_resumed_run_keeps_its_settings_but_for_those_that_may_change(small, tmp_path):
    run_dir = create_in(tmp_path / "run", small("seed=4"))
    resume = str(run_dir.path)
    run_config = load_to_resume(compose_fast("trainer.gpus=2"), typed("trainer.gpus=2"), run_dir)
    assert (run_config.seed, run_config.trainer.gpus) == (4, 2)
    assert load_to_resume(compose_fast(), typed(), run_dir) == run_dir.load_config()
    check_resume(resume, typed("resume=x", "pause_at=3", "data.root=x"), run_dir)
    with pytest.raises(UserError, match="leave seed=5 out"):
        check_resume(resume, typed("seed=5"), run_dir)
    with pytest.raises(UserError, match="continues in the run's own folder"):
        check_resume(resume, typed(), RunDir(tmp_path / "other"))


def test_a_completed_run_is_not_trained_again(small, tmp_path, capsys):
    run_dir = create_in(tmp_path / "run", small())
    run_dir.update_result(status="completed")
    config = compose_fast()
    config.resume = str(run_dir.path)
    train_in(run_dir, config, typed(f"resume={run_dir.path}"))
    assert "is completed; there is nothing left to do." in capsys.readouterr().out
    assert not run_dir.log_file.exists()
