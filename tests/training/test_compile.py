"""What trainer.compile=true promises: one graph for each size of images, and none of them twice."""

import functools

import pytest
import torch
from torch._dynamo.utils import counters

from src.loggers.history_csv import read_history
from tests.conftest import train_in

# 300 images, 200 of them trained on: six batches of 32, and eight left over that are left out
IMAGES = (
    "data=synthetic", "data.image_size=24", "data.source.train_images=300", "data.source.test_images=100",
    "data.holdout=1", "data.batch_size=32",
)  # fmt: skip
RECIPE = (
    "model=speedrun", "model.widths=[8,16,24]", "optimizer=muon", "scheduler=triangle", "trainer.epochs=4",
    "augmentation=cutmix", "augmentation.steps.0.flip=alternate", "trainer.label_smoothing=0.2", "logger=quiet",
)  # fmt: skip
SIZES = "trainer.progressive_resizing=[[0.25,16],[0.5,20]]"


@pytest.fixture
def traced(monkeypatch, request):
    """The tracing of the real compiler, whose part alone can break a graph, without its minute of C++."""
    backend = getattr(request, "param", "aot_eager")  # "eager" also leaves out the tracing of the backward pass
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    torch._dynamo.reset()
    counters.clear()


@pytest.fixture
def recipe(config_of):
    return lambda *others: config_of(*IMAGES, *RECIPE, *others)


@pytest.mark.parametrize("traced", ["eager"], indirect=True)
@pytest.mark.slow
def test_a_run_compiles_one_graph_for_each_size_and_learns_what_it_learns_eagerly(traced, tiny, trained):
    resized = ("trainer.progressive_resizing=[[0.5,8]]", "augmentation=crop_flip", "optimizer=sgd")
    eager, compiled = (trained(tiny(*resized, f"trainer.compile={on}"), on) for on in ("false", "true"))
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 2  # two epochs of four steps
    weights = (torch.load(run.checkpoint("last"), weights_only=True)["model"] for run in (eager, compiled))
    for one, other in zip(*(each.values() for each in weights), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "graphs"), [((), 1), ((SIZES,), 3)])
def test_one_graph_for_each_size_without_breaks(traced, recipe, tmp_path, sizes, graphs):
    train_in(tmp_path / "run", recipe("trainer.compile=true", *sizes))
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == graphs  # four epochs of six steps: nothing is compiled again


@pytest.mark.slow
@pytest.mark.parametrize("traced", ["eager"], indirect=True)
def test_graphs_of_many_runs_fit_into_one_process(traced, recipe, tmp_path):
    for width in (8, 9, 10):  # three graphs each, and PyTorch keeps eight of one function
        train_in(tmp_path / str(width), recipe("trainer.compile=true", SIZES, f"model.widths=[{width},16,24]"))
    assert counters["stats"]["unique_graphs"] == 9


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 2e-2)])
def test_compiled_losses_are_the_eager_ones(traced, recipe, tmp_path, precision, tolerance):
    full = ("data.limit=192", SIZES)  # six batches of 32, no part of one
    eager, compiled = (
        train_in(tmp_path / name, recipe(*full, f"trainer.compile={name}", f"trainer.precision={precision}"))
        for name in ("false", "true")
    )
    histories = (read_history(run_dir.history_file) for run_dir in (eager, compiled))
    for one, other in zip(*histories, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=tolerance)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=tolerance)


@pytest.mark.slow
def test_compiled_and_eager_training_agree(small, trained):
    settings = ("augmentation=affine", "trainer.epochs=1", "data.limit=192", "optimizer=sgd")
    runs = [trained(small(*settings, f"trainer.compile={on}"), on) for on in ("false", "true")]
    eager, compiled = (torch.load(run.checkpoint("last"), weights_only=True)["model"] for run in runs)
    for name, value in eager.items():
        assert torch.allclose(value, compiled[name], atol=1e-5)
