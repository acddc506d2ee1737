import copy
import json

import pytest

from src.config import RunConfig
from src.errors import UserError
from src.result import Status, StopReason
from src.run_dir import FORMAT, RunDir, find_run, relative
from tests.conftest import create_in


@pytest.fixture(scope="module")
def config(config_of) -> RunConfig:
    return config_of("model=deep", "trainer.epochs=3", "trainer.progressive_resizing=[[0.5,16]]")


def test_a_folder_that_holds_a_run_is_not_free(tmp_path, config):
    run_dir = RunDir(tmp_path / "run")
    run_dir.require_free()
    create_in(run_dir.path, config)
    run_dir.update_result(status=Status.RUNNING)
    with pytest.raises(UserError, match=r"already holds a run, which is never overwritten; continue it \(resume="):
        run_dir.require_free()


@pytest.mark.parametrize("status", [Status.FAILED, Status.WAITING])
def test_a_run_that_ended_before_its_first_step_may_be_started_again(tmp_path, config, status):
    run_dir = create_in(tmp_path / "run", config)
    run_dir.update_result(status=status, reason="no such file")
    run_dir.require_free()
    create_in(run_dir.path, config)
    assert "reason" not in run_dir.load_result()
    run_dir.checkpoint("last").parent.mkdir()
    run_dir.checkpoint("last").write_bytes(b"something to lose")
    with pytest.raises(UserError, match="already holds a run"):
        run_dir.require_free()


def test_of_two_runs_in_one_folder_one_is_refused(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    assert not run_dir.is_locked()
    with run_dir.locked():
        assert run_dir.is_locked()
        with pytest.raises(UserError, match="another process is training in it"), RunDir(tmp_path / "run").locked():
            pass
        run_dir.result_file.write_text("{}")
    assert not run_dir.is_locked()
    with run_dir.locked():
        assert run_dir.result_file.exists()


def test_a_folder_that_nothing_was_written_to_is_removed_again(tmp_path):
    with pytest.raises(UserError), RunDir(tmp_path / "run").locked():
        raise UserError("a mistake")
    assert not (tmp_path / "run").exists()


def test_damaged_files_are_named(tmp_path):
    run_dir = RunDir(tmp_path)
    run_dir.result_file.write_text('{"status": "comp')
    with pytest.raises(UserError, match=r"result\.json is damaged"):
        run_dir.load_result()


@pytest.mark.parametrize("content", ["data: [unclosed", "- a list", f"format: {FORMAT}\nunheard_of: 1"])
def test_a_damaged_config_is_named(tmp_path, content):
    run_dir = RunDir(tmp_path)
    run_dir.config_file.write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml (cannot be read|is damaged)"):
        run_dir.load_config()


@pytest.mark.parametrize(("line", "named"), [("", "of an unreleased version"), ("format: 99\n", "99")])
def test_another_format_is_refused_in_one_sentence(tmp_path, config, line, named):
    run_dir = create_in(tmp_path / "run", config)
    lines = run_dir.config_file.read_text().splitlines(keepends=True)
    assert lines[0] == f"format: {FORMAT}\n"
    (run_dir.path / "SHA256SUMS").unlink()
    run_dir.config_file.write_text(line + "".join(lines[1:]))
    with pytest.raises(
        UserError, match=f"has the run folder format {named}, and this version .* reads format {FORMAT}"
    ):
        run_dir.load_config()


def test_a_run_folder_of_before_is_refused_too(tmp_path):
    run_dir = RunDir(tmp_path)
    run_dir.config_file.write_text("seed: 0\nchoices:\n  model: deep\ntrainer:\n  both_sides: false\n")
    with pytest.raises(
        UserError, match=r"^[^\n]*has the run folder format of an unreleased version[^\n]*train it again"
    ):
        run_dir.load_config()


def test_find_refuses_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"init\.run=.* is not the folder of a run: it has no config\.yaml"):
        find_run(tmp_path, "init.run")


def test_the_home_folder_may_be_abbreviated(tmp_path, config, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    create_in(tmp_path / "run", config)
    assert find_run("~/run").path == tmp_path / "run"


def test_the_saved_config_comes_back_typed(tmp_path, config):
    before = copy.deepcopy(config)
    run_dir = create_in(tmp_path / "run", config)
    assert find_run(tmp_path / "run").load_config() == config == before
    assert isinstance(run_dir.load_config(), RunConfig)


def test_a_new_run_waits_and_knows_what_was_chosen(tmp_path, config):
    run_dir = RunDir(tmp_path / "run")
    choices = {"model": "deep", "data": "cifar100", "experiment": None, "hydra/launcher": "basic"}
    run_dir.create(config, {**choices, "augmentation": "affine"}, ["trainer.epochs"])
    result = json.loads(run_dir.result_file.read_text())
    assert (result["format"], result["status"], result["seed"]) == (FORMAT, "waiting", 0)
    assert result["choices"] == {"model": "deep", "data": "cifar100", "augmentation": "off"}  # data.augment is false
    assert result["overridden"] == ["trainer.epochs"]


def test_facts_are_added_in_place_of_older_ones(tmp_path):
    run_dir = RunDir(tmp_path)
    assert run_dir.load_result() == {}
    run_dir.update_result(status=Status.RUNNING, epochs=1)
    run_dir.update_result(epochs=2, stopped_by=StopReason.MAX_MINUTES)
    result = run_dir.load_result()
    assert (result["status"], result["epochs"], result["stopped_by"]) == ("running", 2, "max_minutes")
    assert "T" in result["updated"]


def test_a_number_that_is_not_finite_is_no_json(tmp_path):
    run_dir = RunDir(tmp_path)
    run_dir.update_result(loss=1.0)
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_dir.update_result(loss=float("nan"))
    assert run_dir.load_result()["loss"] == 1.0


def test_paths_are_shown_relative_to_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(relative(tmp_path / "outputs" / "run")) == "outputs/run"
    assert relative(tmp_path.parent) == tmp_path.parent
