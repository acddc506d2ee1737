import csv

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.results.comparison import compare
from src.results.sweep_table import search_lines, sweep_csv, sweep_markdown, sweep_text, write_sweep


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
    assert (tmp_path / "sweep.md").read_text() == sweep_markdown(comparison)
    (events,) = tmp_path.glob("events.out.tfevents.*")
    shown = EventAccumulator(str(events)).Reload()
    (tensor,) = shown.Tensors("sweep/text_summary")
    assert tensor.tensor_proto.string_val[0].decode() == sweep_markdown(comparison)


def test_watching_the_test_set_is_said(recorded):
    records = [recorded("data.validation=test", val=0.4), recorded("data.validation=none", test=0.4)]
    assert "In 1 of 2 runs val is the TEST set" in sweep_text(compare(records))
    assert "TEST" not in sweep_text(compare(records, "metrics.test.top1"))


def test_images_that_the_base_has_seen_are_marked(recorded):
    clean, seen = ({"data": {"seen_by_base": count, "train_images": 100}} for count in (0, 50))
    records = [recorded("model.dropout=0", val=0.4, **clean), recorded("model.dropout=0.5", val=0.9, **seen)]
    text = sweep_text(compare(records))
    assert "90.00 % !" in text and "40.00 % !" not in text
    assert "! In 1 of 2 runs the base (init.run) had been trained on images that validate here" in text


def test_halving_says_what_it_cost(recorded):
    records = [
        recorded("optimizer.lr=0.1", "trainer.epochs=4", status="paused", val=0.1, history=[0.1], rungs={"1": {}}),
        recorded("optimizer.lr=0.2", "trainer.epochs=4", val=0.2, history=[0.1] * 4, rungs={"1": {}}),
        recorded("optimizer.lr=0.3", "trainer.epochs=4", val=0.2, history=[0.1] * 4),  # no part of the search
    ]
    text = sweep_text(compare(records))
    assert "trained 5 epochs of the 8 that all 2 runs would have taken to their ends (62%)" in text
    assert "in 2 min 00 s instead of about 5 min 00 s" in text
    assert "rung 1, epoch 1" in text


def test_search_ends_in_the_reports_two_kinds_of_line(recorded):
    lines = search_lines(two_settings(recorded)).splitlines()
    assert lines == ["best: 0.410000 (0.010000) with optimizer=adam", "", "0.410000 (0.010000) with optimizer=adam"]


def test_numbers_that_are_no_fractions_stay_numbers(recorded):
    records = [recorded(f"seed={seed}", val=0.5, best_epoch=3 + seed) for seed in range(2)]
    row = sweep_text(compare(records, "best_epoch")).splitlines()[2]
    assert row.split()[:2] == ["3.5", "0.71"]
