"""The weights from which a network starts: a base run's or a file's; what is frozen, and when it is trained."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from src.errors import UserError
from src.training.build import build_model, build_optimizer
from src.training.checkpoint import load_checkpoint
from src.training.device import choose_placement
from src.training.feature_cache import can_cache
from src.training.inference import Classifier
from src.training.initial_weights import find_heads, freeze, load_initial_weights, unfreeze_gradually
from src.training.run import run
from tests.conftest import create_in, train_in

DEEP = ("model=deep", "model.width=0.05", "data.source.train_images=600", "data.batch_size=64")


@pytest.fixture(scope="module")
def base(tiny, tmp_path_factory):
    config = tiny(*DEEP, "data.holdout=3", "trainer.epochs=1")
    return train_in(tmp_path_factory.mktemp("base") / "run", config, model="deep", data="synthetic")


@pytest.fixture(scope="module")
def over(tiny, base):
    """over("init.freeze=features", ...) -> the config of a run over the base."""
    return lambda *overrides: tiny(*DEEP, f"init.run={base.path}", *overrides)


def placed(config, num_classes=100):
    """The model of a run before its first step."""
    model = build_model(config, num_classes, choose_placement(config.trainer))
    load_initial_weights(model, config.init, num_classes, config.data.image_size)
    freeze(model, config.init.frozen_parts)
    return model


def weights_of(base):
    return load_checkpoint(base.checkpoint(base.load_result()["evaluated"]))["model"]


def test_starts_from_the_bases_evaluated_weights(over, base):
    config = over()
    own = placed(config).state_dict()
    assert all(torch.equal(own[name], value) for name, value in weights_of(base).items())


def test_a_frozen_part_alone_is_loaded_and_the_head_starts_anew(over, base):
    config = over("init.freeze=features", "seed=7")
    own = placed(config).state_dict()
    for name, value in weights_of(base).items():
        assert torch.equal(own[name], value) == name.startswith("features.") or not value.any()  # biases start at 0


@pytest.mark.parametrize("part", [None, "features"])
def test_a_frozen_part_is_not_trained(over, part):
    config = over(*([f"init.freeze={part}"] if part else []))
    trained = {name for name, weight in placed(config).named_parameters() if weight.requires_grad}
    assert {name.partition(".")[0] for name in trained} == ({"head"} if part else {"features", "head"})


def test_another_head_fits_over_frozen_features(over):
    config = over("init.freeze=features", "model.dense=[16,8]")
    assert placed(config).head[4].weight.shape == (8, 16)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model.width=0.1"], r"does not fit this model in \d+ of \d+ tensors: features\.0\.weight 3x3x3x3 there, "),
        (["model.dense=[16]"], r"head\.2\.weight 32x\d+ there, 16x\d+ here.*or init\.freeze=features"),
        (
            ["model=baseline"],
            r"features\.3\.weight missing there, .*Choose its model \(model=deep model\.width=0\.05\)",
        ),
        (["init.freeze=body"], r"init\.freeze=body is no part of the model; there are: features, head"),
    ],
)
def test_what_does_not_fit_is_named(over, overrides, sentence):
    config = over(*overrides)
    with pytest.raises(UserError, match=sentence):
        placed(config)


def test_the_last_layer_is_new_where_the_classes_differ(over, base, caplog):
    config = over("data.num_classes=7")
    with caplog.at_level("INFO", logger="cifarlab"):
        own = placed(config, num_classes=7).state_dict()
    new = [name for name, value in weights_of(base).items() if not torch.equal(own[name], value)]
    assert new == ["head.4.weight", "head.4.bias"] and own["head.4.weight"].shape == (7, 32)
    sentence = f"head.4.weight, head.4.bias start anew: init.run={base.path} has 100 classes, this run 7"
    assert caplog.messages == [sentence]


def test_several_parts_are_frozen_by_name(over, base):
    model = placed(over("init.freeze=[features.0,features.2]", "seed=7"))
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert frozen == {"features.0.weight", "features.0.bias", "features.2.weight", "features.2.bias"}
    own = model.state_dict()
    assert all(torch.equal(own[n], v) for n, v in weights_of(base).items() if n.startswith("features."))


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda w: w,
        lambda w: {"state_dict": w},
        lambda w: {f"module.{name}": value for name, value in w.items()},
        lambda w: {f"module._orig_mod.{name}": value for name, value in w.items()},
        lambda w: {f"_orig_mod.module.{name}": value for name, value in w.items()},
        lambda w: {f"_orig_mod.{name}": value for name, value in w.items()},
    ],
)
def test_a_file_of_weights(tiny, base, tmp_path, wrapped):
    torch.save(wrapped(weights_of(base)), tmp_path / "w.pt")
    own = placed(tiny(*DEEP, f"init.weights={tmp_path}/w.pt")).state_dict()
    assert all(torch.equal(own[name], value) for name, value in weights_of(base).items())


def test_a_file_of_safetensors(tiny, base, tmp_path):
    save_file({name: value.contiguous() for name, value in weights_of(base).items()}, tmp_path / "w.safetensors")
    own = placed(tiny(*DEEP, f"init.weights={tmp_path}/w.safetensors")).state_dict()
    assert all(torch.equal(own[name], value) for name, value in weights_of(base).items())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"w\.pt is no file"),
        ([1, 2], r"w\.pt holds no state dict, a mapping of names to tensors"),
        ({"a": 1}, "holds no state dict"),
        ({"a": print}, r"w\.pt cannot be read as a file of weights"),
        (
            {"a": torch.zeros(1)},
            r"w\.pt does not fit this model in \d+ of \d+ tensors: .* Choose its model\.",
        ),
    ],
)
def test_a_file_that_holds_no_such_weights_is_refused(tiny, tmp_path, content, sentence):
    if content is not None:
        torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match=sentence):
        placed(tiny(*DEEP, f"init.weights={tmp_path}/w.pt"))


def test_parts_are_unfrozen_one_after_the_other(tiny, base):
    config = tiny(*DEEP, f"init.run={base.path}", "init.freeze=[features.0,features.2]", "init.unfreeze_epochs=2")
    model = build_model(config, 100, choose_placement(config.trainer))
    load_initial_weights(model, config.init, 100, config.data.image_size)
    classifier = Classifier(model, None, None, config.init.frozen_parts)
    optimizer = build_optimizer(config, model)
    for epoch, frozen in ((0, {"0", "2"}), (1, {"0", "2"}), (2, {"0"}), (3, {"0"}), (4, set()), (9, set())):
        unfreeze_gradually(classifier, optimizer, config.init, epoch)
        names = {name.split(".")[1] for name, weight in model.named_parameters() if not weight.requires_grad}
        assert names == frozen and {part[-1] for part in classifier.frozen} == frozen


@pytest.mark.slow
def test_a_gradually_unfrozen_run_resumes_bit_for_bit(tiny, base, tmp_path):
    settings = ("init.freeze=[features.0,features.2]", "init.unfreeze_epochs=1", "trainer.epochs=3")
    config = tiny(*DEEP, f"init.run={base.path}", *settings)
    whole = train_in(tmp_path / "whole", config)
    halves = create_in(tmp_path / "halves", config)
    for pause_at in (1, 2, None):
        run(config, halves, pause_at)
    first, second = (load_checkpoint(run.checkpoint("last"))["model"] for run in (whole, halves))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["features.2.weight"], weights_of(base)["features.2.weight"])  # trained from epoch 2


class HeadFirst(nn.Module):
    """The head is defined before the body, and something without weights comes last."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 7)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))
        self.end = nn.Identity()

    def forward(self, images):
        return self.end(self.fc(self.body(images)))


def test_the_head_is_found_by_what_it_returns():
    model = HeadFirst().train()
    assert find_heads(model, 7, 8) == ["fc"] and model.training
    assert find_heads(nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), 5, 8) == ["1"]


def test_a_head_of_other_classes_cannot_be_kept(over):
    with pytest.raises(UserError, match=r"init\.freeze=head keeps a head of 100 classes, this run has 7"):
        placed(over("data.num_classes=7", "init.freeze=head"), num_classes=7)


def test_something_must_be_trained(over):
    with pytest.raises(UserError, match=r"init\.freeze=\['features', 'head'\] leaves nothing to train"):
        placed(over("init.freeze=[features,head]"))


def test_a_resumed_run_does_not_need_the_file_of_weights(tiny, base, tmp_path):
    torch.save(weights_of(base), tmp_path / "w.pt")
    run_dir = create_in(tmp_path / "run", tiny(*DEEP, f"init.weights={tmp_path}/w.pt", "trainer.epochs=2"))
    run(run_dir.load_config(), run_dir, 1)
    (tmp_path / "w.pt").unlink()
    run(run_dir.load_config(), run_dir)
    assert run_dir.load_result()["status"] == "completed"


@pytest.mark.parametrize("source", ["file", "unfrozen"])
def test_features_that_change_or_have_no_base_are_not_cached(tiny, over, base, tmp_path, source):
    torch.save(weights_of(base), tmp_path / "w.pt")
    weights = tiny(*DEEP, f"init.weights={tmp_path}/w.pt", "init.freeze=features")
    config = weights if source == "file" else over("init.freeze=features", "init.unfreeze_epochs=1")
    assert not can_cache(build_model(config, 100, choose_placement(config.trainer)), config, 10)
