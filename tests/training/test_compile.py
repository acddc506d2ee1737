"""What trainer.compile=true promises: one graph for each size of images, and none of them twice."""

import functools

import pytest
import torch
from torch._dynamo.utils import counters

from src.results.history import read_history
from tests.conftest import SMALL, train_in

RECIPE = (
    "model=speedrun", "model.widths=[8,16,24]", "optimizer=muon", "scheduler=triangle", "trainer.epochs=4",
    "data.augment=true", "augmentation=cutmix", "augmentation.steps.0.flip=false", "data.alternate_flip=true",
    "trainer.label_smoothing=0.2",
)  # fmt: skip


@pytest.fixture
def traced(monkeypatch):
    """The tracing of the real compiler, whose part alone can break a graph, without its minute of C++."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    counters.clear()


@pytest.fixture
def recipe(composed):
    overrides = [text for text in SMALL if not text.startswith(("model", "trainer"))]
    return lambda *others: composed(*overrides, *RECIPE, *others)


@pytest.mark.parametrize(("sizes", "graphs"), [("[]", 1), ("[[0.25,16],[0.5,24]]", 3)])
def test_one_graph_for_each_size_without_breaks(traced, recipe, tmp_path, sizes, graphs):
    train_in(tmp_path / "run", recipe("trainer.compile=true", f"trainer.sizes={sizes}"))
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == graphs  # four epochs of seven steps: nothing is compiled again


def test_graphs_of_many_runs_fit_into_one_process(traced, recipe, tmp_path):
    for width in (8, 9, 10):  # three graphs each, and PyTorch keeps eight of one function
        train_in(
            tmp_path / str(width),
            recipe("trainer.compile=true", "trainer.sizes=[[0.25,16],[0.5,24]]", f"model.widths=[{width},16,24]"),
        )
    assert counters["stats"]["unique_graphs"] == 9


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 2e-2)])
def test_compiled_losses_are_the_eager_ones(traced, recipe, tmp_path, precision, tolerance):
    full = ("data.limit=448", "trainer.sizes=[[0.25,16],[0.5,24]]")  # seven batches of 64, no part of one
    eager, compiled = (
        train_in(tmp_path / name, recipe(*full, f"trainer.compile={name}", f"trainer.precision={precision}"))
        for name in ("false", "true")
    )
    for one, other in zip(read_history(eager.history), read_history(compiled.history), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=tolerance)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=tolerance)
