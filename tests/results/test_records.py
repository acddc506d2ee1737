import pytest

from src.errors import UserError
from src.results.records import collect, differences, flatten, read_record
from src.results.run_folder import RunFolder


def test_status_of_a_run_whose_process_is_gone_is_killed(recorded):
    record = recorded(status="running")
    assert record.status == "killed" and "killed, or the machine went down" in record.reason
    with record.folder.locked():
        assert read_record(record.folder).status == "running"


def test_a_folder_without_a_result_waits(recorded):
    record = recorded()
    record.folder.result.unlink()
    assert read_record(record.folder).status == "waiting"


def test_metric_follows_dots_and_knows_what_is_missing(recorded):
    record = recorded(val=0.25, best_epoch=3)
    assert record.metric("metrics.val.top1") == 0.25
    assert record.metric("best_epoch") == 3
    assert record.metric("metrics.test.top1") is None
    assert record.metric("metrics.val") is None
    assert record.metric("no.such.thing") is None


def test_replicate_is_seed_and_fold(recorded):
    assert recorded("seed=3", "data.fold=2").replicate == (3, 2)


def test_what_is_not_used_makes_no_difference(composed):
    off = flatten(composed("augmentation=crop_flip"))
    assert differences(off, flatten(composed("augmentation=affine"))) == []
    on = flatten(composed("augmentation=crop_flip", "data.augment=true"))
    assert "augmentation._target_" in differences(on, off)


def test_what_a_run_finds_in_its_data_is_no_setting(composed):
    found = composed("data=folder")
    found.data.num_classes = 7  # model.num_classes refers to it
    assert differences(flatten(composed("data=folder")), flatten(found)) == []


def test_epochs_of_a_killed_run_are_those_of_its_history(recorded):
    record = recorded(history=[0.1, 0.2, 0.3])
    record.folder.save_result({"status": "running", "epochs": 0, "seconds": 0})
    again = read_record(record.folder)
    assert (again.status, again.epochs) == ("killed", 3)


def test_control_of_a_run_is_no_setting(composed):
    assert differences(flatten(composed("pause_at=3")), flatten(composed())) == []
    assert differences(flatten(composed("seed=3")), flatten(composed())) == ["seed"]


def test_collect_finds_runs_below_and_counts_none_twice(recorded, tmp_path):
    for seed in range(11):
        recorded(f"seed={seed}")
    runs = tmp_path / "runs"
    found = collect([runs, runs / "3_run", runs / ".." / "runs"])
    assert [record.settings["seed"] for record in found] == list(range(11))  # 2 before 10


def test_collect_names_what_is_no_folder_of_runs(tmp_path):
    with pytest.raises(UserError, match=r"nowhere is no folder"):
        collect([tmp_path / "nowhere"])
    with pytest.raises(UserError, match=r"holds no run"):
        collect([tmp_path])


def test_a_damaged_result_is_named(recorded):
    folder = recorded().folder
    folder.result.write_text('{"status": ')
    with pytest.raises(UserError, match=r"result\.json is damaged"):
        read_record(RunFolder(folder.path))
