from dataclasses import replace

import pytest

from src.analysis.compare import SettingRow
from src.analysis.runs import collect, differences, flatten, read_record
from src.checksums import write_checksums
from src.errors import UserError
from src.run_dir import RunDir


def test_status_of_a_run_whose_process_is_gone_is_killed(recorded):
    record = recorded(status="running")
    assert record.status == "killed" and "killed, or the machine went down" in record.reason
    with record.run_dir.locked():
        assert read_record(record.run_dir).status == "running"


def test_a_run_that_ends_while_it_is_read_is_not_killed(recorded, monkeypatch):
    run_dir = recorded(status="running").run_dir

    locked = iter([True, False])
    monkeypatch.setattr(RunDir, "is_locked", lambda self: next(locked))
    assert read_record(run_dir).status == "running"


def test_a_folder_without_a_result_waits(recorded):
    record = recorded()
    record.run_dir.result_file.unlink()
    assert read_record(record.run_dir).status == "waiting"


def test_metric_follows_dots_and_knows_what_is_missing(recorded):
    record = recorded(val=0.25, best_epoch=3)
    assert record.metric("metrics.val.top1") == 0.25
    assert record.metric("best_epoch") == 3
    assert record.metric("metrics.test.top1") is None
    assert record.metric("metrics.val") is None
    assert record.metric("no.such.thing") is None


def test_replicate_is_seed_and_fold(recorded):
    assert recorded("seed=3", "data.validation=fold", "data.fold=2").replicate == (3, 2)


def test_choices_and_overridden_settings_come_from_the_result(recorded):
    record = recorded("optimizer=sgd", "optimizer.lr=0.2", overridden=["optimizer.lr"])
    assert (record.choices["optimizer"], record.choices["augmentation"]) == ("sgd", "off")
    assert record.result["overridden"] == ["optimizer.lr"]
    assert record.settings["optimizer.lr"] == 0.2


def test_what_is_not_used_makes_no_difference(config_of):
    on, other = config_of("augmentation=crop_flip"), config_of("augmentation=affine")
    assert "augmentation._target_" in differences(flatten(on), flatten(other))
    off, other_off = (replace(config, data=replace(config.data, augment=False)) for config in (on, other))
    assert differences(flatten(off), flatten(other_off)) == []
    assert "augmentation._target_" in differences(flatten(on), flatten(off))


def test_loggers_are_no_settings(config_of):
    config = config_of()
    assert config.logger
    assert differences(flatten(config), flatten(replace(config, logger={}))) == []
    assert not any(name.startswith("logger") for name in flatten(config))


@pytest.mark.parametrize("setting", ["data.cache=elsewhere", "trainer.checkpoint_minutes=1"])
def test_what_changes_no_metric_is_no_setting_of_a_record(recorded, config_of, setting):
    assert differences(recorded("data=folder", setting).settings, recorded("data=folder").settings) == []
    assert differences(flatten(config_of("data=folder", setting)), flatten(config_of("data=folder")))


def test_what_a_run_finds_in_its_data_is_no_setting(recorded):
    records = [recorded("data=folder", data={"train_images": n, "fingerprint": str(n)}) for n in (7, 8)]
    assert differences(records[0].settings, records[1].settings) == []
    assert (records[0].settings["data.num_classes"], records[0].settings["model.num_classes"]) == (None, None)


def test_status_of_several_runs_is_summarized(recorded):
    done, failed = recorded(), recorded(status="failed")
    assert SettingRow({}, (done, done), None).status == "completed"
    assert SettingRow({}, (failed, done, done), None).status == "2 completed, 1 failed"


def test_epochs_of_a_killed_run_are_those_of_its_history(recorded):
    record = recorded(history=[0.1, 0.2, 0.3])
    record.run_dir.update_result(status="running", epochs=0, seconds=0)
    again = read_record(record.run_dir)
    assert (again.status, again.epochs) == ("killed", 3)


def test_control_of_a_run_is_no_setting(config_of):
    assert differences(flatten(config_of("pause_at=3")), flatten(config_of())) == []
    assert differences(flatten(config_of("seed=3")), flatten(config_of())) == ["seed"]


def test_collect_finds_runs_below_and_counts_none_twice(recorded, tmp_path):
    config = recorded().run_dir.load_config()
    runs = tmp_path / "runs"
    for seed in range(1, 11):
        RunDir(runs / f"{seed}_run").create(replace(config, seed=seed), {}, [])
    found = collect([runs, runs / "3_run", runs / ".." / "runs"])
    assert [record.settings["seed"] for record in found] == list(range(11))  # 2 before 10


def test_collect_passes_over_what_lies_in_a_run(recorded):
    """W&B keeps a config.yaml of its own below the run's folder."""
    folder = recorded().run_dir.path
    (folder / "wandb" / "files").mkdir(parents=True)
    (folder / "wandb" / "files" / "config.yaml").write_text("wandb_version: 1\n")
    assert [record.run_dir.path for record in collect([folder.parent])] == [folder]


def test_collect_names_what_is_no_folder_of_runs(tmp_path):
    with pytest.raises(UserError, match=r"nowhere is no folder"):
        collect([tmp_path / "nowhere"])
    with pytest.raises(UserError, match=r"holds no run"):
        collect([tmp_path])


def test_a_damaged_result_is_named(recorded):
    run_dir = recorded().run_dir
    run_dir.result_file.write_text('{"status": ')
    record = read_record(RunDir(run_dir.path))
    assert (record.status, record.settings) == ("unreadable", {}) and "result.json is damaged" in record.reason


def test_a_run_that_lacks_its_settings_is_unreadable_and_the_others_are_read(recorded, tmp_path):
    recorded("seed=0").run_dir.config_file.unlink()
    recorded("seed=1")
    lost, found = collect([tmp_path / "runs"])
    assert (lost.status, found.status) == ("unreadable", "completed") and "config.yaml does not exist" in lost.reason


def test_a_table_of_classes_that_differs_from_its_checksum_makes_the_run_unreadable(recorded):
    run_dir = recorded(test=0.4).run_dir
    run_dir.per_class_file.write_text("name\na\n")
    write_checksums(run_dir.path, run_dir.summed_files)
    assert read_record(run_dir).status == "completed"
    run_dir.per_class_file.write_text("name\nb\n")
    record = read_record(run_dir)
    assert record.status == "unreadable" and "per_class.csv is damaged, or was edited" in record.reason
