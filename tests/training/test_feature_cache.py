"""Heads on cached features must learn what they learn behind the frozen model itself."""

from dataclasses import replace

import pytest
import torch

from src.errors import Interrupted, UserError
from src.loggers.history_csv import read_history
from src.training import feature_cache
from src.training.build import build_model, build_preprocess, load_splits
from src.training.checkpoint import load_checkpoint
from src.training.device import choose_placement
from src.training.feature_cache import can_cache, load_or_compute_features
from src.training.inference import Classifier
from src.training.initial_weights import load_frozen_parts
from tests.conftest import train_in

# Six training images of each class, three of them held out from the base run.
MODEL = ("model.batch_norm=true", "data.normalize=true", "data.mean=[.5,.5,.5]", "data.std=[1,1,1]")
IMAGES = ("data.source.train_images=600", "data.batch_size=64")
OVER = ("init.freeze=features", "init.images=held_out", "data.holdout=1", "model.dropout=0.3", "trainer.epochs=2")


@pytest.fixture(scope="module")
def base(tiny, tmp_path_factory):
    settings = tiny(*IMAGES, *MODEL, "data.holdout=3", "trainer.epochs=1")
    return train_in(tmp_path_factory.mktemp("base") / "run", settings)


@pytest.fixture(scope="module")
def over(tiny, base):
    return lambda *overrides: tiny(*IMAGES, *MODEL, f"init.run={base.path}", *OVER, *overrides)


def classifier_of(config):
    placement = choose_placement(config.trainer)
    model = build_model(config, 100, placement)
    load_frozen_parts(model, config.init)
    return Classifier(
        model, build_preprocess(config, placement), placement, config.init.frozen_parts, config.init.keeps_base
    )


def test_a_head_on_cached_features_learns_what_it_learns_without_the_cache(over, base, tmp_path):
    with_cache = train_in(tmp_path / "cached", over())
    without = train_in(tmp_path / "uncached", over("init.cache=false"))
    assert len(list((base.path / "features").glob("*.pt"))) == 1
    first, second = (load_checkpoint(run.checkpoint("last"))["model"] for run in (with_cache, without))
    assert first.keys() == second.keys() == {name for name in first if name.startswith("head.")}
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-3, atol=1e-5)
    for one, other in zip(read_history(with_cache.history_file), read_history(without.history_file), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-4)
    one, other = (run.load_result()["metrics"]["test"] for run in (with_cache, without))
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_cached_splits_are_the_features_of_the_same_images(over):
    config = over()
    splits, classifier = load_splits(config), classifier_of(config)
    inputs = load_or_compute_features(splits, classifier, config)
    for part in ("train", "validation", "test"):
        images, given = getattr(splits, part), getattr(inputs, part)
        assert torch.equal(given.labels, images.labels)
        with torch.no_grad():
            normalized = classifier.preprocess.normalize(classifier.preprocess.to_float(images.images))
            expected = classifier.model.eval().features(normalized)
        torch.testing.assert_close(given.images, expected.contiguous(), rtol=1e-4, atol=1e-5)


def test_features_are_computed_once_for_all_runs_over_a_base(over, tmp_path, monkeypatch):
    train_in(tmp_path / "first", over("trainer.epochs=1"))
    monkeypatch.setattr(feature_cache, "_compute", lambda *_: pytest.fail("computed again"))
    train_in(
        tmp_path / "second",
        over("trainer.epochs=1", "model.dense=[8]", "seed=3", "data.validation=fold", "data.folds=3"),
    )


def test_other_preprocessing_has_features_of_its_own(over, base, tmp_path):
    before = set((base.path / "features").glob("*.pt"))
    train_in(tmp_path / "run", over("data.mean=[.1,.1,.1]", "trainer.epochs=1"))
    assert len(set((base.path / "features").glob("*.pt")) - before) == 1


def test_another_precision_has_features_of_its_own(over):
    config = over()
    keys = set()
    for precision in ("fp32", "bf16"):
        chosen = replace(config, trainer=replace(config.trainer, precision=precision))
        keys.add(feature_cache._key(load_splits(chosen).dataset, classifier_of(chosen), chosen))
    assert len(keys) == 2


def test_another_pooling_has_features_of_its_own(over, monkeypatch):
    computed = []
    monkeypatch.setattr(feature_cache, "_compute", lambda path, *_: computed.append(path.name))
    for name in ("max", "average"):
        config = over(f"model.pooling={name}", "data.std=[.2,.2,.2]")
        with pytest.raises(UserError, match="does not exist"):  # nothing was computed
            load_or_compute_features(load_splits(config), classifier_of(config), config)
    assert len(set(computed)) == 2


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], True),
        (["data.augment=true"], False),
        (["augmentation=none"], True),
        (["init.cache=false"], False),
        (["augmentation=crop_flip", "augmentation.pixels=0", "augmentation.flip=alternate"], False),
        (["trainer.progressive_resizing=[[0.5,8]]"], False),
        (["trainer.tta_flip=true", "init.freeze=[features]"], False),
        (["init.freeze=null", "init.images=all"], False),
    ],
)
def test_only_what_cannot_change_is_cached(over, overrides, expected):
    config = over(*overrides)
    model = build_model(config, 100, choose_placement(config.trainer))
    assert can_cache(model, config, num_images=800) is expected
    assert not can_cache(model, config, num_images=10**8)


def test_a_model_without_features_and_head_is_not_cached(over):
    config = over()
    assert not can_cache(torch.nn.Linear(2, 2), config, num_images=800)


def test_frozen_batch_norm_keeps_its_statistics(over, base, tmp_path):
    run = train_in(tmp_path / "run", over("data.augment=true", "trainer.epochs=1"))  # behind the model, not cached
    given = load_checkpoint(base.checkpoint(base.load_result()["evaluated"]))["model"]
    own = classifier_of(run.load_config()).model.state_dict()
    assert all(torch.equal(own[name], given[name]) for name in own if name.startswith("features."))
    assert load_checkpoint(run.checkpoint("last"))["base"] == classifier_of(run.load_config()).frozen_hash


def test_a_signal_ends_the_computation_of_features(over, tmp_path):
    def stop():
        raise Interrupted(15)

    config = over("data.mean=[.3,.3,.3]")
    with pytest.raises(Interrupted):
        load_or_compute_features(load_splits(config), classifier_of(config), config, stop)
