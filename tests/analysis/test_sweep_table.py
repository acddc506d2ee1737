import csv

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.analysis.compare import compare
from src.analysis.document import to_markdown
from src.analysis.sweep_table import sweep_blocks, sweep_csv, sweep_text, write_sweep

RUNGS = {"1": {"metrics": None}}
SEARCHED = {"rungs": RUNGS, "swept": ["optimizer.lr"]}


def unwrapped(text):
    return " ".join(text.split())


def two_settings(recorded):
    return compare(
        [recorded("optimizer=adam", f"seed={seed}", val=0.4 + seed / 100) for seed in range(3)]
        + [recorded("optimizer=sgd", status="failed", reason="the loss is no longer a finite number")]
    )


def test_text_has_mean_spread_interval_and_reasons(recorded):
    lines = sweep_text(two_settings(recorded)).splitlines()
    assert lines[0].split() == ["optimizer", "val", "top1", "std", "95", "%", "interval", "n", "epochs", "time",
                                "status"]  # fmt: skip
    assert " ".join(lines[2].split()[:9]) == "adam 41.00 % 1.00 38.52 .. 43.48 % 3"
    assert lines[3].split()[:5] == ["sgd", "-", "-", "-", "0"]
    assert lines[-1].split(maxsplit=2) == ["3_run", "failed", "the loss is no longer a finite number"]


def test_csv_has_unrounded_numbers(recorded):
    first, second = csv.DictReader(sweep_csv(two_settings(recorded)).splitlines())
    assert (first["optimizer"], first["n"], first["runs"]) == ("adam", "3", "0_run 1_run 2_run")
    assert abs(float(first["mean"]) - 0.41) < 1e-15 and abs(float(first["std"]) - 0.01) < 1e-15
    assert (second["mean"], second["status"]) == ("", "failed")
    assert second["reason"] == "the loss is no longer a finite number"


def test_the_written_table_is_in_tensorboard_once(recorded, tmp_path):
    comparison = two_settings(recorded)
    for _ in range(2):  # the second start of a sweep
        write_sweep(comparison, tmp_path)
    assert (tmp_path / "sweep.md").read_text() == to_markdown(sweep_blocks(comparison))
    (events,) = tmp_path.glob("events.out.tfevents.*")
    shown = EventAccumulator(str(events)).Reload()
    (tensor,) = shown.Tensors("sweep/text_summary")
    assert tensor.tensor_proto.string_val[0].decode() == to_markdown(sweep_blocks(comparison))


def test_other_event_files_stay(recorded, tmp_path):
    others = ["events.out.tfevents.1.host.1.0", "events.out.tfevents.2.host.2.0.sweeps", "x.sweep"]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    for _ in range(2):
        write_sweep(two_settings(recorded), tmp_path)
    names = {path.name for path in tmp_path.iterdir() if path.is_file()} - {"sweep.csv", "sweep.md"}
    (table,) = names - set(others)
    assert set(others) < names and table.endswith(".sweep")


def test_repeated_runs_are_noted(recorded):
    comparison = compare([recorded("seed=0", val=0.4), recorded("seed=0", val=0.4), recorded("seed=1", val=0.6)])
    assert "1 run repeats another's settings, seed and fold and is not counted." in sweep_text(comparison)
    row = next(csv.DictReader(sweep_csv(comparison).splitlines()))
    assert (row["n"], row["runs"]) == ("2", "0_run 1_run 2_run")
    comparison = compare([recorded(val=0.4) for _ in range(3)])
    assert "2 runs repeat another's settings, seed and fold and are not counted." in to_markdown(
        sweep_blocks(comparison)
    )
    assert "repeat" not in sweep_text(two_settings(recorded))


def test_watching_the_test_set_is_noted(recorded):
    records = [recorded("data.validation=test", val=0.4), recorded("data.validation=none", test=0.4)]
    assert "In 1 of 2 runs val is the TEST set" in sweep_text(compare(records))
    assert "TEST" not in sweep_text(compare(records, "metrics.test.top1"))


def test_images_that_the_base_has_seen_are_marked(recorded):
    clean, seen = ({"data": {"seen_by_base": count, "train_images": 100}} for count in (0, 50))
    records = [recorded("model.dropout=0", val=0.4, **clean), recorded("model.dropout=0.5", val=0.9, **seen)]
    text = sweep_text(compare(records))
    assert "90.00 % !" in text and "40.00 % !" not in text
    assert "! In 1 of 2 runs the base (init.run) had been trained on images that validate here" in unwrapped(text)


def test_halving_states_its_cost(recorded):
    records = [
        recorded("optimizer.lr=0.1", "trainer.epochs=4", status="paused", val=0.1, history=[0.1], **SEARCHED),
        recorded("optimizer.lr=0.2", "trainer.epochs=4", val=0.2, history=[0.1] * 4, **SEARCHED),
        recorded("optimizer.lr=0.3", "trainer.epochs=4", val=0.2, history=[0.1] * 4),  # no part of the search
    ]
    text = sweep_text(compare(records))
    assert "trained 5 epochs, 62% of the 8 that training all 2 runs to their last epoch takes" in unwrapped(text)
    assert "in 2 min 00 s instead of about 5 min 00 s" in unwrapped(text)
    assert "rung 1, epoch 1" in text


def test_a_run_that_was_paused_by_hand_is_no_search(recorded):
    records = [
        recorded("trainer.epochs=null", "trainer.max_minutes=60", status="paused", val=0.1, history=[0.1], rungs=RUNGS),
        recorded("trainer.epochs=20", status="paused", val=0.2, history=[0.1], rungs=RUNGS),
    ]
    text = sweep_text(compare(records))
    assert text.count("epoch 1") == 2 and "rung" not in text and "The search trained" not in text


def test_a_spread_has_columns_only_where_a_setting_is_repeated(recorded):
    once = sweep_text(compare([recorded(f"optimizer={name}", val=0.4) for name in ("adam", "sgd")]))
    assert once.splitlines()[0].split() == ["optimizer", "val", "top1", "n", "epochs", "time", "status"]
    assert once.splitlines()[2].split()[:5] == ["adam", "40.00", "%", "1", "0"]


def test_numbers_that_are_no_fractions_are_not_in_percent(recorded):
    records = [recorded(f"seed={seed}", val=0.5, best_epoch=3 + seed) for seed in range(2)]
    row = sweep_text(compare(records, "best_epoch")).splitlines()[2]
    assert row.split()[:2] == ["3.5", "0.71"]
