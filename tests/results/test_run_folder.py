import pytest

from src.errors import UserError
from src.results.run_folder import RunFolder, find, write_atomically, write_text


def test_a_folder_that_holds_a_run_is_not_free(tmp_path, composed):
    folder = RunFolder(tmp_path)
    folder.require_free()
    folder.save_config(composed())
    with pytest.raises(UserError, match="already holds a run"):
        folder.require_free()


def test_a_run_that_failed_before_it_began_may_be_started_again(tmp_path, composed):
    folder = RunFolder(tmp_path)
    folder.save_config(composed())
    folder.save_result({"status": "failed"})
    folder.require_free()
    folder.checkpoint("last").parent.mkdir()
    folder.checkpoint("last").write_bytes(b"something to lose")
    with pytest.raises(UserError, match="already holds a run"):
        folder.require_free()


def test_of_two_runs_in_one_folder_one_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        with pytest.raises(UserError, match="another process is training in it"), RunFolder(tmp_path / "run").locked():
            pass
        folder.result.write_text("{}")
    with folder.locked():
        assert folder.result.exists()


def test_a_folder_that_nothing_was_written_to_is_taken_back(tmp_path):
    with pytest.raises(UserError), RunFolder(tmp_path / "run").locked():
        raise UserError("a mistake")
    assert not (tmp_path / "run").exists()


def test_damaged_files_are_named(tmp_path):
    folder = RunFolder(tmp_path)
    folder.result.write_text('{"status": "comp')
    with pytest.raises(UserError, match=r"result\.json is damaged"):
        folder.load_result()
    folder.config.write_text("data: [unclosed")
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        folder.load_config()


def test_writing_is_atomic(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")

    def half(file):
        file.write(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, half)
    assert path.read_text() == "old"


def test_find_refuses_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is not the folder of a run"):
        find(tmp_path)


def test_the_saved_config_comes_back_typed(tmp_path, composed):
    config = composed("model=deep", "trainer.epochs=3")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.save_config(config)
    assert find(tmp_path / "run").load_config() == config
