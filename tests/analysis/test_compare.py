import pytest

from src.analysis.compare import (
    compare,
    count_repeats,
    describe,
    format_value,
    measure_gap,
    short_names,
)
from src.analysis.runs import drop_repeats

RUNG = {"metrics": None}


def test_whole_numbers_are_equal_however_they_were_typed(recorded):
    records = [
        recorded(f"model.dropout={dropout}", f"optimizer.betas=[{beta},0.9]", f"seed={seed}", val=0.4)
        for seed, (dropout, beta) in enumerate((("0", "0"), ("0.0", "0.0")))
    ]
    comparison = compare(records)
    assert comparison.columns == () and comparison.rows[0].spread.n == 2


def test_seeds_and_folds_share_one_row(recorded):
    records = [recorded(f"model.dropout={p}", f"seed={s}", val=p / 2 + s / 100) for p in (0, 0.5) for s in (0, 1, 2)]
    comparison = compare(records)
    assert comparison.columns == ("model.dropout",)
    best, worst = comparison.rows
    assert (best.settings, worst.settings) == ({"model.dropout": 0.5}, {"model.dropout": 0})
    assert (best.spread.mean, best.spread.std, best.spread.n) == (pytest.approx(0.26), pytest.approx(0.01), 3)
    assert best.status == "completed"


def test_a_choice_stands_for_all_that_follows_from_it(recorded):
    records = [recorded(f"optimizer={name}", val=0.1) for name in ("adam", "sgd", "rmsprop")]
    assert compare(records).columns == ("optimizer",)


def test_a_setting_that_varies_within_a_choice_is_named_beside_it(recorded):
    records = [recorded(f"optimizer={n}", f"optimizer.lr={lr}", val=0.1) for n in ("adam", "sgd") for lr in (0.1, 0.2)]
    assert compare(records).columns == ("optimizer", "optimizer.lr")
    assert len(compare(records).rows) == 4


def test_a_setting_that_was_named_is_a_column_though_it_follows(recorded):
    records = [
        recorded("optimizer=adam", "optimizer.lr=0.2", val=0.2, overridden=["optimizer.lr"]),
        recorded("optimizer=sgd", val=0.1),
    ]
    assert compare(records).columns == ("optimizer", "optimizer.lr")
    assert compare(records).rows[0].settings == {"optimizer": "adam", "optimizer.lr": 0.2}


def test_an_experiment_stands_for_the_choices_in_it(recorded):
    records = [recorded(f"experiment=course2021/{name}", val=0.1) for name in ("deep", "deep_dropout", "baseline")]
    assert compare(records).columns == ("experiment",)


def test_choices_count_where_the_experiment_leaves_them_open(recorded):
    records = [
        recorded("experiment=course2021/deep", f"scheduler={name}", val=0.1)
        for name in ("constant", "cosine", "one_cycle")
    ]
    assert compare(records).columns == ("scheduler",)


def test_one_setting_has_one_row_without_columns(recorded):
    comparison = compare([recorded(f"seed={seed}", val=0.1) for seed in range(2)])
    assert comparison.columns == () and len(comparison.rows) == 1
    assert describe(comparison.rows[0]) == "(one setting)"


def test_rows_are_sorted_by_metric_and_direction(recorded):
    records = [recorded(f"optimizer.lr={lr}", val=lr, test=1 - lr) for lr in (0.1, 0.3, 0.2)]

    def order(*how):
        return [row.settings["optimizer.lr"] for row in compare(records, *how).rows]

    assert order() == [0.3, 0.2, 0.1]
    assert order("metrics.test.top1") == [0.1, 0.2, 0.3]
    assert order("metrics.val.top1", "minimize") == [0.1, 0.2, 0.3]


def test_failed_runs_come_last_with_their_status(recorded):
    records = [
        recorded("optimizer.lr=0.1", status="failed", reason="the loss is no longer a finite number"),
        recorded("optimizer.lr=0.2", "seed=0", val=0.2),
        recorded("optimizer.lr=0.2", "seed=1", status="running"),
    ]
    comparison = compare(records)
    first, last = comparison.rows
    assert (first.status, first.spread.n) == ("1 completed, 1 killed", 1)
    assert (last.status, last.spread) == ("failed", None)
    assert [record.status for record in comparison.unfinished] == ["killed", "failed"]


def test_what_a_run_counted_before_it_failed_is_no_result(recorded):
    records = [
        recorded("optimizer.lr=0.1", "seed=0", val=0.4, best_val_top1=0.4, seconds=60.0),
        recorded("optimizer.lr=0.1", "seed=1", status="running", best_val_top1=0.9, seconds=1.0),
        recorded("optimizer.lr=0.2", status="failed", best_val_top1=0.9, seconds=1.0),
    ]
    for how in (("best_val_top1", "maximize"), ("seconds", "minimize")):
        best, failed = compare(records, *how).rows
        assert (best.settings["optimizer.lr"], best.spread.n, failed.spread) == (0.1, 1, None)


def test_epochs_and_time_of_a_row_are_those_of_its_finished_runs(recorded):
    done, cut = recorded("seed=0", val=0.4, epochs=3, seconds=60.0), recorded("seed=1", status="interrupted", epochs=1)
    row = compare([done, cut]).rows[0]
    assert (row.epochs, row.seconds, row.status) == (3, 60.0, "1 completed, 1 interrupted")
    assert compare([cut]).rows[0].epochs == 1


def test_runs_that_a_search_stopped_come_after_those_it_completed(recorded):
    first, second = ({"rungs": dict.fromkeys(rungs, RUNG), "swept": ["optimizer.lr"]} for rungs in ("1", "12"))
    records = [
        recorded("optimizer.lr=0.1", status="paused", val=0.9, history=[0.1], **first),
        recorded("optimizer.lr=0.2", status="paused", val=0.8, history=[0.1, 0.2], **second),
        recorded("optimizer.lr=0.3", val=0.1, history=[0.1] * 5, **second),
    ]
    comparison = compare(records)
    assert [row.rung for row in comparison.rows] == ["", "rung 2, epoch 2", "rung 1, epoch 1"]
    assert comparison.unfinished == []


def test_a_repeated_run_counts_once(recorded):
    records = [recorded("seed=0", val=0.4), recorded("seed=0", val=0.4), recorded("seed=1", val=0.6)]
    row = compare(records).rows[0]
    assert (row.spread.mean, row.spread.n, len(row.records)) == (pytest.approx(0.5), 2, 3)
    assert compare(records[:2]).rows[0].spread.std is None  # not 0 with n = 2
    assert (count_repeats(records), count_repeats(records[1:])) == (1, 0)


def test_other_folds_and_settings_are_no_repetition(recorded):
    folds = [recorded("data.validation=fold", f"data.fold={fold}", val=0.4) for fold in (0, 1)]
    rates = [recorded(f"optimizer.lr={lr}", val=0.4) for lr in (0.1, 0.2)]
    assert drop_repeats([*folds, *rates]) == [*folds, *rates]
    assert compare(folds).rows[0].spread.n == 2


def test_of_repeated_runs_the_completed_one_counts_then_the_longest(recorded):
    failed = recorded(status="failed", val=0.1, history=[0.1] * 3)
    paused = recorded(status="paused", val=0.2, history=[0.1] * 4)
    assert drop_repeats([failed, paused]) == [paused]
    completed = recorded(val=0.3, history=[0.1] * 2)
    assert drop_repeats([failed, completed, paused]) == [completed]
    assert compare([failed, completed, paused]).rows[0].spread.mean == 0.3


def test_a_failed_run_without_numbers_hides_no_repetition(recorded):
    records = [recorded(status="failed", history=[0.1] * 9), recorded(status="paused", val=0.2, history=[0.1])]
    assert compare(records).rows[0].spread.mean == 0.2
    assert count_repeats(records) == 0


def test_gap_is_training_minus_validation_and_counts_repetitions_once(recorded):
    records = [recorded(f"seed={seed}", train=train, val=0.3) for seed, train in ((0, 0.5), (0, 0.5), (1, 0.6))]
    assert (measure_gap(records).mean, measure_gap(records).n) == (pytest.approx(0.25), 2)
    assert measure_gap([recorded(val=0.3)]) is None


def test_a_setting_that_refers_to_a_named_one_is_no_column(recorded):
    records = [
        recorded(f"trainer.label_smoothing={value}", overridden=["trainer.label_smoothing"], val=0.1)
        for value in (0, 0.1)
    ]
    assert {record.settings["loss.label_smoothing"] for record in records} == {0, 0.1}
    assert compare(records).columns == ("trainer.label_smoothing",)
    classes = [recorded(f"data.num_classes={n}", overridden=["data.num_classes"], val=0.1) for n in (10, 100)]
    assert {record.settings["model.num_classes"] for record in classes} == {10, 100}
    assert compare(classes).columns == ("data.num_classes",)


def test_settings_that_were_named_are_columns_though_they_are_equal(recorded):
    named = ["optimizer.lr", "optimizer.weight_decay"]
    records = [
        recorded("optimizer=sgd", f"optimizer.lr={value}", f"optimizer.weight_decay={value}", overridden=named, val=0.1)
        for value in (0.1, 0.2)
    ]
    assert compare(records).columns == ("optimizer.lr", "optimizer.weight_decay")


def test_a_setting_that_equals_a_named_one_in_some_runs_is_a_column(recorded):
    records = [
        recorded(f"trainer.label_smoothing={value}", f"loss.label_smoothing={loss}",
                 overridden=["trainer.label_smoothing"], val=0.1)
        for value, loss in ((0, 0), (0.1, 0.1), (0.2, 0.1))
    ]  # fmt: skip
    assert compare(records).columns == ("trainer.label_smoothing", "loss.label_smoothing")


def test_a_budget_stands_for_the_settings_in_it(recorded):
    records = [recorded(f"budget={name}", val=0.1) for name in ("full", "evening")]
    assert compare(records).columns == ("budget",)


def test_an_augmentation_stands_for_being_on_or_off(recorded):
    records = [recorded("augmentation=cutmix", "data.augment=true", val=0.1), recorded(val=0.2)]
    assert [row.settings for row in compare(records).rows] == [{"augmentation": "off"}, {"augmentation": "cutmix"}]


def test_short_names_say_what_is_unusual(recorded):
    records = [
        recorded("model=deep", "optimizer.lr=0.1", "trainer.epochs=2", "model.dense=[512,512,512,512]", val=0.9),
        recorded("model=baseline", "optimizer.lr=0.2", "trainer.epochs=2", "model.dense=[512,512,512,512]", val=0.8),
        recorded("model=baseline", "optimizer.lr=0.2", "trainer.epochs=3", "model.dense=[512,512,512,256]", val=0.7),
    ]
    names = short_names(compare(records))
    assert names == ["1. deep lr=0.1", "2. as most", "3. epochs=3 dense=[512,512,512,256]"]
    assert short_names(compare(records[:1])) == ["1. all runs"]


def test_values_are_formatted_as_on_the_command_line():
    values = (None, True, 0.001, 1e-7, [512, 128], "adam")
    assert [format_value(value) for value in values] == ["null", "true", "0.001", "1e-07", "[512,128]", "adam"]
