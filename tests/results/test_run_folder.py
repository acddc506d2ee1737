from concurrent.futures import ThreadPoolExecutor

import pytest

from src.errors import UserError
from src.results.run_folder import claim, find


def test_a_folder_that_holds_a_run_is_never_claimed_again(tmp_path):
    claim(tmp_path / "run")
    with pytest.raises(UserError, match="already holds a run"):
        claim(tmp_path / "run")


def test_of_two_runs_that_start_at_once_one_is_refused(tmp_path):
    def attempt(_):
        try:
            return claim(tmp_path / "run") is not None
        except UserError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_a_run_that_failed_before_it_began_may_be_started_again(tmp_path):
    folder = claim(tmp_path / "run")
    folder.save_result({"status": "failed"})
    claim(tmp_path / "run")
    folder.checkpoint("last").write_bytes(b"something to lose")
    with pytest.raises(UserError, match="already holds a run"):
        claim(tmp_path / "run")


def test_find_refuses_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is not the folder of a run"):
        find(tmp_path)


def test_the_saved_config_comes_back_typed(tmp_path, composed):
    config = composed("model=deep", "trainer.epochs=3")
    folder = claim(tmp_path / "run")
    folder.save_config(config)
    assert find(tmp_path / "run").load_config() == config
