"""Heads on cached features must learn what they learn behind the frozen network itself."""

import pytest
import torch

from src.results.history import read_history
from src.training import features
from src.training.checkpoint import load_checkpoint
from src.training.device import choose_placement
from src.training.features import cached, can_be_cached
from src.training.learner import Preprocess
from src.training.prepare import load_data, make_network
from tests.conftest import train_in

OVER = ("init.freeze=features", "init.images=held_out", "data.holdout=1", "model.dropout=0.3", "trainer.epochs=3")


@pytest.fixture(scope="module")
def base(small, tmp_path_factory):
    settings = small("data.holdout=3", "model.batch_norm=true", "data.mean=[.5,.5,.5]", "trainer.epochs=1")
    return train_in(tmp_path_factory.mktemp("base") / "run", settings)


@pytest.fixture(scope="module")
def over(small, base):
    return lambda *overrides: small(
        "model.batch_norm=true", "data.mean=[.5,.5,.5]", f"init.run={base.path}", *OVER, *overrides
    )


def test_a_head_on_cached_features_learns_what_it_learns_without_the_cache(over, base, tmp_path):
    with_cache = train_in(tmp_path / "cached", over())
    without = train_in(tmp_path / "uncached", over("init.cache=false"))
    assert len(list((base.path / "features").glob("*.pt"))) == 1
    first, second = (load_checkpoint(run.checkpoint("last"))["model"] for run in (with_cache, without))
    assert first.keys() == second.keys() == {name for name in first if name.startswith("head.")}
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-3, atol=1e-5)
    for one, other in zip(read_history(with_cache.history), read_history(without.history), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-4)
    one, other = (run.load_result()["metrics"]["test"] for run in (with_cache, without))
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_cached_splits_are_the_features_of_the_same_images(over):
    config = over()
    placement = choose_placement(config.trainer)
    splits, network = load_data(config), make_network(config, placement)
    inputs = cached(splits, network, config, placement, print)
    preprocess = Preprocess(config.data.mean, config.data.std, placement)
    for part in ("train", "validation", "test"):
        images, given = getattr(splits, part), getattr(inputs, part)
        assert torch.equal(given.labels, images.labels)
        with torch.no_grad():
            expected = network.eval().features(preprocess.normalise(preprocess.pixels(images.images)))
        torch.testing.assert_close(given.images, expected.contiguous(), rtol=1e-4, atol=1e-5)


def test_features_are_computed_once_for_all_runs_over_a_base(over, base, tmp_path, monkeypatch):
    train_in(tmp_path / "first", over("trainer.epochs=1"))
    monkeypatch.setattr(features, "_compute", lambda *_: pytest.fail("computed again"))
    train_in(
        tmp_path / "second",
        over("trainer.epochs=1", "model.dense=[8]", "seed=3", "data.validation=fold", "data.folds=3"),
    )


def test_other_preprocessing_has_features_of_its_own(over, base, tmp_path):
    before = set((base.path / "features").glob("*.pt"))
    train_in(tmp_path / "run", over("data.mean=[.1,.1,.1]", "trainer.epochs=1"))
    assert len(set((base.path / "features").glob("*.pt")) - before) == 1


def test_another_pooling_has_features_of_its_own(over, tmp_path, monkeypatch):
    computed = []
    monkeypatch.setattr(features, "_compute", lambda path, *_: computed.append(path.name))
    for name in ("max", "average"):
        config = over(f"model.pooling={name}", "data.std=[.2,.2,.2]")
        placement = choose_placement(config.trainer)
        splits = load_data(config)
        with pytest.raises(FileNotFoundError):  # nothing was computed
            cached(splits, make_network(config, placement), config, placement, print)
    assert len(set(computed)) == 2


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], True),
        (["data.augment=true"], False),
        (["data.augment=true", "augmentation=none"], True),
        (["init.cache=false"], False),
        (["data.augment=true", "augmentation=none", "data.alternate_flip=true"], False),
        (["init.freeze=null", "init.images=all"], False),
    ],
)
def test_only_what_cannot_change_is_cached(over, overrides, expected):
    config = over(*overrides)
    config.data.num_classes = 100
    network = make_network(config, choose_placement(config.trainer))
    assert can_be_cached(network, config, images=800) is expected
    assert not can_be_cached(network, config, images=10**8)


def test_frozen_batch_norm_keeps_its_statistics(over, base, tmp_path):
    run = train_in(tmp_path / "run", over("data.augment=true", "trainer.epochs=1"))  # behind the network, not cached
    config = run.load_config()
    given = load_checkpoint(base.checkpoint(base.load_result()["evaluated"]))["model"]
    own = make_network(config, choose_placement(config.trainer)).state_dict()
    assert all(torch.equal(own[name], given[name]) for name in own if name.startswith("features."))
