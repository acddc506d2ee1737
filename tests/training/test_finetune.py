"""Starting from another run: its weights, its unseen images, its frozen part."""

import shutil

import pytest
import torch

from src.errors import UserError
from src.run_dir import RunDir
from src.targets import build
from src.training.build import build_model, load_splits
from src.training.checkpoint import load_checkpoint
from src.training.device import choose_placement
from src.training.extension import change_epochs
from src.training.finetune import same_data, seen_by_base, split_as_configured
from src.training.initial_weights import load_initial_weights
from src.training.run import run as run_training
from src.training.trained_model import load_trained
from tests.conftest import train_in

HELD = ("data.holdout=3", "trainer.epochs=1")
DEEP = ("model=deep", "model.width=0.05", "data.source.train_images=600", "data.batch_size=64")


@pytest.fixture(scope="module")
def base(tiny, tmp_path_factory):
    """A run that held half of the training images out: 3 of the 6 of each class."""
    return train_in(tmp_path_factory.mktemp("base") / "run", tiny(*DEEP, *HELD), model="deep", data="synthetic")


@pytest.fixture
def own_base(base, tmp_path):
    """A copy of the base run, to be changed."""
    return RunDir(shutil.copytree(base.path, tmp_path / "base"))


@pytest.fixture(scope="module")
def over(tiny, base):
    """over("init.freeze=features", ...) -> the config of a run over the base, and its data."""

    def configured(*overrides):
        config = tiny(*DEEP, f"init.run={base.path}", *overrides)
        return config, load_splits(config)

    return configured


def test_held_out_images_are_those_the_base_has_not_seen(over):
    config, splits = over("init.freeze=features", "init.images=held_out", "data.validation=fold", "data.folds=3")
    used = torch.cat([splits.train_indices, splits.validation_indices])
    assert len(used) == 300
    assert not torch.isin(used, seen_by_base(splits.dataset, config)).any()
    assert (splits.train.labels.bincount() == 2).all() and (splits.validation.labels.bincount() == 1).all()


def test_with_all_images_some_have_been_seen(over):
    config, splits = over("data.validation=fold", "data.folds=3", "data.fold=1")
    seen = torch.isin(splits.validation_indices, seen_by_base(splits.dataset, config))
    assert 0 < seen.sum() < len(splits.validation)


def test_another_data_set_has_not_been_seen_and_cannot_be_held_out(over):
    config, splits = over("data.source.seed=5")
    assert len(seen_by_base(splits.dataset, config)) == 0
    config.init.images = "held_out"
    with pytest.raises(UserError, match=r"needs the data of init\.run=.*: data=synthetic"):
        split_as_configured(splits.dataset, config)


def test_a_run_without_a_base_has_seen_nothing_before(tiny):
    config = tiny()
    assert len(seen_by_base(load_splits(config).dataset, config)) == 0


def test_the_same_data_may_have_another_size_or_lie_elsewhere(config_of):
    cifar = config_of("data=cifar100")
    assert same_data(cifar, config_of("data=cifar100", "data.root=elsewhere", "data.image_size=64"))
    assert not same_data(cifar, config_of("data=cifar10"))
    mine = config_of("data=folder", "data.root=mine")
    assert not same_data(mine, config_of("data=folder", "data.root=yours"))


def test_a_base_that_held_nothing_out_has_no_held_out_images(tiny, tmp_path):
    base = train_in(tmp_path / "base", tiny("data.validation=none", "trainer.epochs=1"))
    config = tiny(f"init.run={base.path}", "init.images=held_out")
    with pytest.raises(UserError, match=r"held no images out; train a base run that does"):
        split_as_configured(build(config.data.source, "data.source"), config)


def test_a_base_that_has_changed_is_noticed(over, own_base, tmp_path):
    config, _ = over("init.freeze=features", "trainer.epochs=1", f"init.run={own_base.path}")
    run = train_in(tmp_path / "head", config)
    load_trained(str(run.path), None, "cpu", False)
    content = load_checkpoint(own_base.checkpoint("best"))
    content["model"]["features.0.weight"] += 1
    torch.save(content, own_base.checkpoint("best"))
    with pytest.raises(UserError, match=r"the weights of init\.run=.*base have changed since this run was trained"):
        load_trained(str(run.path), None, "cpu", False)


def test_a_run_that_only_began_with_a_base_needs_it_no_more(over, own_base, tmp_path):
    run = train_in(tmp_path / "tuned", over(f"init.run={own_base.path}", "trainer.epochs=1")[0])
    shutil.rmtree(own_base.path)
    assert load_trained(str(run.path), None, "cpu", False).epoch == 1
    seen = run.load_result()["data"]["seen_by_base"]
    run_training(change_epochs(run, run.load_config(), 2), run)
    result = run.load_result()
    assert (result["status"], result["epochs"], result["data"]["seen_by_base"]) == ("completed", 2, seen)


def test_a_run_over_a_frozen_base_is_evaluated_and_is_no_base_itself(over, base, tmp_path):
    config, splits = over("init.freeze=features", "trainer.epochs=1", "init.images=held_out", "data.holdout=1")
    run = train_in(tmp_path / "head", config)
    assert not any(name.startswith("features.") for name in load_checkpoint(run.checkpoint("last"))["model"])
    logits = load_trained(str(run.path), None, "cpu", False).logits(splits.test.images)
    assert torch.equal(logits, torch.load(run.test_logits_file, weights_only=True)["logits"])
    config.init.run = str(run.path)
    with pytest.raises(UserError, match=f"has a frozen part itself; take init.run={base.path}, which trained it"):
        load_initial_weights(
            build_model(config, 100, choose_placement(config.trainer)), config.init, 100, config.data.image_size
        )
