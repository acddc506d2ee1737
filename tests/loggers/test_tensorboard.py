"""What TensorBoard shows of a run."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from src.config import GROUPS
from src.loggers.tensorboard import TensorBoardLogger
from src.metrics import Metrics
from src.result import Status
from tests.loggers.conftest import row
from tests.loggers.events import scalars, steps_of

METRICS = {"test": Metrics(loss=2.5, top1=0.5, top5=0.75, superclass=None, ece=0.1, images=10)}
TAGS = ["accuracy/train", "accuracy/val", "loss/train", "loss/val", "lr", "performance/images_per_second"]


def logged(run, epochs=2, history=(), ends=True) -> EventAccumulator:
    """The events of a run of so many epochs, those of `history` done before."""
    logger, history = TensorBoardLogger(), list(history)
    logger.on_run_start(run)
    logger.on_log(0, 3, 4.0, 0.1)
    for epoch in range(len(history) + 1, epochs + 1):
        history.append(row(epoch))
        logger.on_epoch_end(history, is_best=False)
    if ends:
        logger.on_run_end(history, METRICS, {"confusion_matrix": Figure(figsize=(1, 1)), "loss": Figure()})
    logger.close(Status.COMPLETED)
    return EventAccumulator(str(run.run_dir.path), size_guidance={"tensors": 0}).Reload()


def hparams_of(events: EventAccumulator, tag: str) -> HParamsPluginData:
    return HParamsPluginData.FromString(events.summary_metadata[f"_hparams_/{tag}"].plugin_data.content)


def columns_of(events: EventAccumulator) -> dict[str, bool]:
    """The columns of the hparams table in their order, and whether TensorBoard is to show them first."""
    return {column.name: column.differs for column in hparams_of(events, "experiment").experiment.hparam_infos}


def test_the_tags_are_those_that_open_well(started):
    events = logged(started())
    assert sorted(events.Tags()["scalars"]) == [*TAGS, "test/accuracy", "test/loss"]
    assert sorted(events.Tags()["images"]) == ["predictions/confusion_matrix", "predictions/training_images"]
    groups = sorted({tag.partition("/")[0] for tag in events.Tags()["scalars"] + events.Tags()["images"]})
    assert groups == ["accuracy", "loss", "lr", "performance", "predictions", "test"]  # the first two are opened


def test_points_are_the_epochs_numbers(started):
    path = Path(logged(started()).path)
    assert scalars(path, "loss/train") == [(1, 4.0), (2, 4.0)] and scalars(path, "loss/val") == [(1, 2.0), (2, 2.0)]
    assert scalars(path, "accuracy/train") == [(1, 0.1), (2, 0.1)] and scalars(path, "accuracy/val")[0] == (1, 0.2)
    assert scalars(path, "lr") == [(1, 0.001), (2, 0.001)]
    assert scalars(path, "performance/images_per_second") == [(1, 2400), (2, 2400)]
    assert scalars(path, "test/accuracy") == [(3, 0.5)] and scalars(path, "test/loss") == [(3, 2.5)]


def test_points_can_be_read_while_the_run_continues(started):
    run, logger = started(), TensorBoardLogger()
    logger.on_run_start(run)
    logger.on_epoch_end([row(1)], is_best=True)
    assert scalars(run.run_dir.path, "accuracy/val") == [(1, 0.2)]
    logger.close(Status.COMPLETED)


def test_without_validation_there_are_no_such_points(started):
    run, logger = started(), TensorBoardLogger()
    logger.on_run_start(run)
    logger.on_epoch_end([row(1, val_loss=None, val_top1=None)], is_best=False)
    logger.close(Status.COMPLETED)
    tags = EventAccumulator(str(run.run_dir.path)).Reload().Tags()["scalars"]
    assert sorted(tags) == [tag for tag in TAGS if not tag.endswith("/val")]


def test_one_training_is_one_run(started):
    run = started()
    logged(run)
    assert {path.parent for path in run.run_dir.path.rglob("*tfevents*")} == {run.run_dir.path}


def test_training_and_validation_share_a_chart(started):
    content = logged(started(), ends=False).Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    (category,) = Layout.FromString(content).category
    charts = {chart.title: list(chart.multiline.tag) for chart in category.chart}
    assert charts == {"accuracy": ["accuracy/train", "accuracy/val"], "loss": ["loss/train", "loss/val"]}


def test_the_config_and_the_layers_can_be_read(started):
    events = logged(started("optimizer.lr=0.125"), ends=False)
    texts = {tag: events.Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0] for tag in ("config", "network")}
    assert b"      lr: 0.125" in texts["config"] and texts["network"] == b"    layers"


def test_a_resumed_run_has_no_doubled_points(started):
    logged(started(), epochs=3, ends=False)
    events = logged(started(history=[row(1)]), epochs=3, history=[row(1)])  # the checkpoint was from after epoch 1
    for tag in TAGS:
        assert [event.step for event in events.Scalars(tag)] == [1, 2, 3]
    assert [event.step for event in events.Images("predictions/training_images")] == [0]


def test_a_run_that_continues_after_its_end_has_one_end(started):
    logged(started(), epochs=1)
    run = started(history=[row(1)])
    logged(run, epochs=3, history=[row(1)])
    assert steps_of(run.run_dir.path, "test/accuracy") == [4]
    assert steps_of(run.run_dir.path, "loss/val") == [1, 2, 3]


def test_hparams_have_the_same_columns_in_every_run(started):
    first = logged(started("optimizer.lr=0.1", name="a", overridden=("optimizer.lr",)))
    second = logged(started("model=deep", "optimizer.lr=0.2", "seed=1", name="b", overridden=("optimizer.lr",)))
    third = logged(started("model=speedrun", "optimizer=muon", "data.validation=fold", name="c"))
    assert columns_of(first).keys() == columns_of(second).keys() == columns_of(third).keys()
    assert {"optimizer.lr", "seed", "data.batch_size", "trainer.epochs", "model"} < columns_of(first).keys()
    assert not {"experiment", "logger"} & columns_of(first).keys()
    values = [hparams_of(each, "session_start_info").session_start_info.hparams for each in (first, second)]
    assert values[0].keys() == values[1].keys() == columns_of(first).keys()
    assert [value["optimizer.lr"].number_value for value in values] == [0.1, 0.2]


def test_hparams_begin_with_what_the_command_line_named(started):
    named = ("data.source.seed", "optimizer.nesterov", "model")
    events = logged(started("optimizer=sgd", overridden=named))
    columns = columns_of(events)
    assert list(columns)[:3] == list(named)
    assert {name for name, differs in columns.items() if differs} == set(named)
    assert columns.keys() > set(GROUPS) - {"experiment", "logger"}
    values = hparams_of(events, "session_start_info").session_start_info.hparams
    assert values["optimizer.nesterov"].bool_value is False and values["model"].string_value == "deep"


def test_hparams_have_the_metrics_of_the_test_set(started):
    events = logged(started())
    names = [metric.name.tag for metric in hparams_of(events, "experiment").experiment.metric_infos]
    assert names == ["test/accuracy", "test/loss"]
    assert hparams_of(events, "session_end_info").session_end_info.status > 0


@pytest.mark.parametrize(("setting", "shown"), [("data.limit=null", "-"), ("data.mean=[0,0,1]", "[0.0, 0.0, 1.0]")])
def test_hparams_show_what_is_no_number(started, setting, shown):
    events = logged(started("data.normalize=true", setting, overridden=(setting.partition("=")[0],)))
    values = hparams_of(events, "session_start_info").session_start_info.hparams
    assert values[setting.partition("=")[0]].string_value == shown


def test_a_start_that_was_killed_before_its_first_epoch_leaves_no_second_text(started):
    run = started()
    (run.run_dir.path / "events.out.tfevents.1.mine").write_bytes(b"")  # not of this logger
    for _ in range(2):
        logger = TensorBoardLogger()
        logger.on_run_start(run)
        logger.close(Status.COMPLETED)
    events = logged(run)
    assert len(events.Tensors("config/text_summary")) == len(events.Images("predictions/training_images")) == 1
    assert (run.run_dir.path / "events.out.tfevents.1.mine").exists()
