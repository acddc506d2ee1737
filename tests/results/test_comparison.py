import pytest

from src.results.comparison import brief, compare, described, shown


def test_seeds_and_folds_are_folded_into_one_row(recorded):
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
        recorded("optimizer=adam", "optimizer.lr=0.2", val=0.2, named=["optimizer.lr"]),
        recorded("optimizer=sgd", val=0.1),
    ]
    assert compare(records).columns == ("optimizer", "optimizer.lr")
    assert compare(records).rows[0].settings == {"optimizer": "adam", "optimizer.lr": 0.2}


def test_an_experiment_stands_for_the_choices_in_it(recorded):
    records = [recorded(f"experiment=report/{name}", val=0.1) for name in ("deep", "deep_dropout", "baseline")]
    assert compare(records).columns == ("experiment",)


def test_choices_count_where_the_experiment_leaves_them_open(recorded):
    records = [
        recorded("experiment=report/deep", f"scheduler={name}", val=0.1) for name in ("constant", "cosine", "one_cycle")
    ]
    assert compare(records).columns == ("scheduler",)


def test_one_setting_has_one_row_without_columns(recorded):
    comparison = compare([recorded(f"seed={seed}", val=0.1) for seed in range(2)])
    assert comparison.columns == () and len(comparison.rows) == 1
    assert described(comparison.rows[0]) == "(one setting)"


def test_rows_are_sorted_as_told(recorded):
    records = [recorded(f"optimizer.lr={lr}", val=lr, test=-lr) for lr in (0.1, 0.3, 0.2)]

    def order(*how):
        return [row.settings["optimizer.lr"] for row in compare(records, *how).rows]

    assert order() == [0.3, 0.2, 0.1]
    assert order("metrics.test.top1") == [0.1, 0.2, 0.3]
    assert order("metrics.val.top1", "minimize") == [0.1, 0.2, 0.3]


def test_what_failed_stands_last_with_its_status(recorded):
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


def test_what_a_search_stopped_stands_below_what_it_trained_to_the_end(recorded):
    records = [
        recorded("optimizer.lr=0.1", status="paused", val=0.9, history=[0.1], rungs={"1": {}}),
        recorded("optimizer.lr=0.2", status="paused", val=0.8, history=[0.1, 0.2], rungs={"1": {}, "2": {}}),
        recorded("optimizer.lr=0.3", val=0.1, history=[0.1] * 5, rungs={"1": {}, "2": {}}),
    ]
    comparison = compare(records)
    assert [row.rung for row in comparison.rows] == ["", "rung 2, epoch 2", "rung 1, epoch 1"]
    assert comparison.unfinished == []


def test_brief_names_say_what_is_unusual(recorded):
    records = [
        recorded("model=deep", "optimizer.lr=0.1", "trainer.epochs=2", "model.dense=[512,512,512]", val=0.9),
        recorded("model=baseline", "optimizer.lr=0.2", "trainer.epochs=2", "model.dense=[512,512,512]", val=0.8),
        recorded("model=baseline", "optimizer.lr=0.2", "trainer.epochs=3", "model.dense=[512,512,256]", val=0.7),
    ]
    names = brief(compare(records))
    assert names == ["1. model=deep lr=0.1", "2. as most", "3. epochs=3 dense=[512,512,256]"]
    assert brief(compare(records[:1])) == ["1. all runs"]


def test_values_are_shown_as_they_are_typed():
    values = (None, True, 0.001, 1e-7, [512, 128], "adam")
    assert [shown(value) for value in values] == ["null", "true", "0.001", "1e-07", "[512,128]", "adam"]
