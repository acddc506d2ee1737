import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.analysis.compare import compare
from src.analysis.setting_curves import curve_names, mean_curve, write_setting_curves
from src.analysis.stats import compute_spread


def curve(folder, tag):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(tag)}, events.Tags()["scalars"]


@pytest.fixture
def comparison(recorded):
    return compare(
        [recorded("optimizer=adam", f"seed={n}", val=0.4, history=[0.1 + n / 10, 0.4]) for n in range(2)]
        + [recorded("optimizer=adam", "seed=2", status="failed", history=[0.1])]  # does not shorten the curve
        + [recorded("optimizer=sgd", val=0.3, history=[0.2])]
        + [recorded("optimizer=rmsprop", status="failed")]
    )


def test_each_setting_is_a_run_with_mean_and_interval(comparison, tmp_path):
    for _ in range(2):  # the second time in place of the first
        write_setting_curves(comparison, tmp_path)
    page, *runs = sorted((tmp_path / "settings").iterdir())
    assert [path.name for path in runs] == ["optimizer=adam", "optimizer=sgd"]
    events = EventAccumulator(str(page))
    events.Reload()
    assert events.Tags()["images"] == ["settings"]
    assert b"adam" in events.Tensors("sweep/text_summary")[0].tensor_proto.string_val[0]
    mean, tags = curve(tmp_path / "settings" / "optimizer=adam", "accuracy/val")
    assert mean == pytest.approx({1: 0.15, 2: 0.4})
    assert {"loss/val", "interval/val_accuracy_high", "interval/val_loss_low"} <= set(tags)
    low, _ = curve(tmp_path / "settings" / "optimizer=adam", "interval/val_accuracy_low")
    assert low[1] == pytest.approx(compute_spread([0.1, 0.2]).low)
    single, tags = curve(tmp_path / "settings" / "optimizer=sgd", "accuracy/val")
    assert single == pytest.approx({1: 0.2}) and "interval/val_accuracy_low" not in tags
    assert len(list((tmp_path / "settings" / "optimizer=adam").iterdir())) == 1


def test_settings_of_long_or_like_names_have_curves_of_their_own(recorded):
    blocks = ",".join(["[32]"] * 40)
    long = [recorded(f"model.blocks=[{blocks},[{last}]]", val=last / 100, history=[0.1]) for last in (9, 8)]
    names = curve_names(compare(long))
    assert len(set(names)) == 2 and max(map(len, names)) <= 120 and names[0].endswith(" 1")
    like = [recorded(f"init.run=base{sign}x", val=0.1, history=[0.1]) for sign in ("/", "?")]
    assert len(set(curve_names(compare(like)))) == 2


def test_one_setting_needs_no_curves_of_its_own(recorded, tmp_path):
    write_setting_curves(compare([recorded(f"seed={n}", val=0.1, history=[0.1]) for n in range(2)]), tmp_path)
    assert not (tmp_path / "settings").exists()


def test_curves_end_with_the_shortest_run_and_need_every_value(recorded):
    runs = [recorded(history=[0.1, 0.2, 0.3]), recorded(history=[0.3, 0.4])]
    assert [spread.mean for spread in mean_curve(runs, "val_top1")] == pytest.approx([0.2, 0.3])
    assert mean_curve(runs, "train_top1") == []
