"""The loop itself: what one step, one epoch and one run compute, and why a run ends."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from src.data.augment import CutMix
from src.errors import UserError
from src.loggers.history_csv import read_history
from src.metrics import measure
from src.optim.schedules import cosine
from src.run_dir import RunDir
from src.training import saving
from src.training import trainer as trainer_module
from src.training.build import build_model
from src.training.checkpoint import load_checkpoint
from src.training.device import choose_placement
from src.training.trainer import Trainer
from tests.conftest import SMALL, mostly_slow
from tests.training.conftest import SPY

EIGHT = "data.batch_size=13"  # of 100 images: eight batches an epoch
SGD = ("optimizer=sgd", "optimizer.lr=0.1")


def weights(run_dir, name="last"):
    return torch.load(run_dir.checkpoint(name), weights_only=True)["model"]


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_equal_configs_give_equal_weights_and_another_seed_others(tiny, plain, trained):
    runs = [plain, trained(tiny("seed=0"), "b"), trained(tiny("seed=1"), "c")]
    assert equal(weights(runs[0]), weights(runs[1]))
    assert not equal(weights(runs[0]), weights(runs[2]))
    splits = [run.load_result()["data"]["fingerprint"] for run in runs]
    assert splits[0] == splits[2]  # the held-out images are chosen by data.split_seed


def test_a_batch_has_its_mean_loss_and_its_correct_predictions(tiny, trainer_of):
    trainer = trainer_of(tiny())
    images, labels = next(trainer.loader.batches(0))
    loss, correct = trainer.batch_loss(images, labels, (), None)
    logits = trainer.classifier.model(images / 255)
    assert loss.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert correct == (logits.argmax(dim=1) == labels).sum()


def test_a_mixed_image_counts_by_the_larger_shares_label(tiny, trainer_of):
    trainer = trainer_of(tiny("augmentation=cutmix"))
    images, labels = next(trainer.loader.batches(0))
    params = trainer.draw_augmentation(images)
    loss, correct = trainer.batch_loss(images, labels, params, None)
    targets = trainer.augmentation.targets(labels, params, 100)
    logits = trainer.classifier.model(trainer.augmentation(images / 255, params))
    assert isinstance(trainer.augmentation.steps[-1], CutMix) and targets.shape == (25, 100)
    assert loss.item() == pytest.approx(-(targets * logits.log_softmax(dim=1)).sum(dim=1).mean().item(), rel=1e-5)
    assert correct == (logits.argmax(dim=1) == targets.argmax(dim=1)).sum()


def test_what_is_drawn_depends_on_seed_epoch_and_batch_alone(tiny, trainer_of):
    trainer = trainer_of(tiny("augmentation=affine"))
    images, _ = next(trainer.loader.batches(0))
    (first,) = trainer.draw_augmentation(images)
    torch.rand(5)
    assert torch.equal(first, *trainer.draw_augmentation(images))
    trainer.state.batch = 1
    assert not torch.equal(first, *trainer.draw_augmentation(images))


def test_accumulating_two_batches_is_one_batch_of_twice_the_size(tiny, trained):
    whole = trained(tiny("data.batch_size=20", "trainer.epochs=1", *SGD), "whole")
    two = ("data.batch_size=10", "trainer.grad_accumulation_steps=2")
    halves = trained(tiny(*two, "trainer.epochs=1", *SGD), "halves")
    assert whole.load_result()["steps"] == halves.load_result()["steps"] == 5
    for name, value in weights(whole).items():
        assert torch.allclose(value, weights(halves)[name], atol=1e-6)


@pytest.mark.parametrize(
    ("images", "batch_size", "accumulated", "groups"),
    [
        (65, 64, 2, [65]),  # the single image left over joins the batch before it
        (70, 64, 2, [70]),  # of 64 and 6 images: their means do not weigh the same
        (100, 30, 3, [90, 10]),  # the last group is one smaller batch
        (100, 24, 2, [48, 48, 4]),
        (97, 24, 3, [72, 25]),
        (5, 1, 2, [2, 2, 1]),
    ],
)
def test_a_group_of_batches_is_one_batch_of_all_its_images(tiny, trainer_of, images, batch_size, accumulated, groups):
    settings = (f"data.limit={images}", f"data.batch_size={batch_size}")
    config = tiny(*settings, f"trainer.grad_accumulation_steps={accumulated}", *SGD)
    trainer, reference = trainer_of(config), trainer_of(config)
    assert trainer.train_epoch()
    assert trainer.state.step == len(groups)

    of_epoch = (torch.cat(parts) for parts in zip(*reference.loader.batches(0), strict=True))
    for group in zip(*(part.split(groups) for part in of_epoch), strict=True):
        reference.batch_loss(*group, (), None)[0].backward()
        reference.optimizer.step()
        reference.optimizer.zero_grad()
    for name, value in reference.classifier.model.state_dict().items():
        torch.testing.assert_close(trainer.classifier.model.state_dict()[name], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", [("data.limit=30",), ("data.limit=30", "data.validation=none")])
def test_fewer_images_than_classes_train_to_the_end(tiny, trained, settings):
    assert trained(tiny(*settings)).load_result()["status"] == "completed"


def test_weights_that_the_last_step_destroyed_are_not_evaluated(tiny, trained, tmp_path):
    one_step = ("data.limit=25", "trainer.epochs=1", "data.validation=none")
    with pytest.raises(UserError, match="no longer a finite number"):
        trained(tiny("optimizer=sgd", "optimizer.lr=1e38", *one_step))
    assert RunDir(tmp_path / "run").load_result()["status"] == "failed"


@pytest.mark.parametrize("settings", [("optimizer=sgd", "optimizer.lr=1e30"), ("optimizer.lr=1e30",)])
def test_a_loss_that_is_not_finite_ends_the_run_with_advice(tiny, trained, tmp_path, settings):
    with pytest.raises(UserError, match=r"no longer a finite number.*lower optimizer.lr"):
        trained(tiny(*settings))
    run_dir = RunDir(tmp_path / "run")
    assert run_dir.load_result()["status"] == "failed"
    assert "no longer a finite number" in run_dir.load_result()["reason"]
    assert all(value.isfinite().all() for value in weights(run_dir).values())


def test_clipping_bounds_the_step(tiny, trained):
    settings = ("optimizer=sgd", "optimizer.lr=1", "trainer.epochs=1", "trainer.grad_clip_norm=0.001", EIGHT)
    run_dir = trained(tiny(*settings))
    config = run_dir.load_config()
    start = build_model(config, 100, choose_placement(config.trainer)).state_dict()
    moved = sum((weights(run_dir)[name] - start[name]).square().sum() for name in start).sqrt()
    assert 0.0005 < moved <= 8 * 0.001 * 1.001  # eight steps of at most 0.001


def test_the_schedule_moves_with_every_step(tiny, trained):
    run_dir = trained(tiny("scheduler=cosine", "trainer.epochs=2", EIGHT))
    lrs = [row["lr"] for row in read_history(run_dir.history_file)]
    assert lrs == pytest.approx([1e-3 * cosine(7 / 8, 2), 1e-3 * cosine(15 / 8, 2)])


def test_norms_and_biases_are_not_decayed_on_request(tiny, trainer_of):
    decay = ("optimizer=sgd", "optimizer.lr=0", "optimizer.weight_decay=0.1", "trainer.decay_norms_and_biases=false")
    trainer = trainer_of(tiny(*decay, "model.batch_norm=true"))
    kernels, others = trainer.optimizer.param_groups
    assert kernels["weight_decay"] == 0.1 and all(weight.ndim >= 2 for weight in kernels["params"])
    assert others["weight_decay"] == 0 and all(weight.ndim == 1 for weight in others["params"])


def test_patience_ends_a_run_that_no_longer_improves(tiny, trained):
    run_dir = trained(tiny("trainer.epochs=30", "trainer.patience=2", "optimizer.lr=0"))
    result = run_dir.load_result()
    assert (result["stopped_by"], result["epochs"], result["evaluated_epoch"]) == ("patience", 3, 1)


def test_max_minutes_ends_a_run_with_everything_saved(tiny, trained):
    run_dir = trained(tiny("trainer.epochs=100000", "trainer.max_minutes=0.02"))
    result = run_dir.load_result()
    assert (result["status"], result["stopped_by"]) == ("completed", "max_minutes")
    assert 0 < result["epochs"] < 100000 and result["seconds"] < 10
    assert result["metrics"]["test"]["images"] == 100


@pytest.mark.parametrize(
    "model", mostly_slow([["model=speedrun", "model.widths=[8,16,24]"], ["model=deep", "model.width=0.1"]], quick=1)
)
def test_images_are_trained_on_at_their_sizes_and_evaluated_at_full_size(config_of, trained, spy, monkeypatch, model):
    seen, genuine = [], trainer_module.resize_batch
    monkeypatch.setattr(trainer_module, "resize_batch", lambda images, size: seen.append(size) or genuine(images, size))
    overrides = [text for text in SMALL if not text.startswith("model")]
    config = config_of(*overrides, "logger=quiet", SPY, *model, "trainer.progressive_resizing=[[0.5,16]]")
    run_dir = trained(config)
    assert seen == [16] + [16] * 8 + [None] * 8  # the rehearsal's; 500 images in batches of 64, twice
    method, (start,) = spy.calls[0]
    assert method == "on_run_start"
    assert start.time_share(0.5) == pytest.approx(1 / (1 + 2**1.4))  # what the table takes the first half for
    assert run_dir.load_result()["status"] == "completed"


def test_per_image_augmentation_trains_in_the_same_loop(tiny, plain, trained):
    run_dir = trained(tiny("augmentation=torchvision", "data.workers=0"))
    assert run_dir.load_result()["status"] == "completed"
    assert not equal(weights(run_dir), weights(plain))


def test_label_smoothing_changes_the_training_loss_alone(tiny, trained):
    smooth = trained(tiny("trainer.label_smoothing=0.5", "trainer.epochs=1", "optimizer.lr=0"))
    plain = trained(tiny("trainer.epochs=1", "optimizer.lr=0"), "plain")
    rows = [read_history(run_dir.history_file)[0] for run_dir in (smooth, plain)]
    assert rows[0]["val_loss"] == rows[1]["val_loss"]
    assert rows[0]["train_loss"] != rows[1]["train_loss"]


class Reads(TorchDispatchMode):
    """Counts how often the host waits for a number of the device: in `item`, `bool`, `nonzero` and the like."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        waits = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        self.count += operation in waits
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer=muon", "augmentation=cutmix", "trainer.grad_clip_norm=1"),
        (
            "optimizer=sgd",
            "augmentation=affine",
            "trainer.progressive_resizing=[[0.5,8]]",
            "trainer.grad_accumulation_steps=2",
        ),
        ("data.limit=81", "data.batch_size=10", "augmentation=mixup", "augmentation.steps.0.flip=alternate"),
    ],
)
def test_no_step_waits_for_the_device(tiny, trained, monkeypatch, overrides):
    counts, genuine = [], Trainer.train_epoch

    def watched(self):
        with Reads() as reads:
            done = genuine(self)
        counts.append(reads.count)
        return done

    monkeypatch.setattr(Trainer, "train_epoch", watched)
    monkeypatch.setattr("src.training.clock.LOG_SECONDS", 1e9)
    run_dir = trained(tiny(EIGHT, *overrides))
    assert counts == [1, 1]  # the sum of the losses, once per epoch of eight batches
    assert run_dir.load_result()["status"] == "completed"


def test_a_moving_average_of_the_weights_is_evaluated_and_saved(tiny, trained, trainer_of, monkeypatch):
    seen, genuine = [], Trainer.optimizer_step

    def watched(self):
        genuine(self)
        if self.average and self.config.data.batch_size > 8:  # not the rehearsal's
            seen.append({name: value.clone() for name, value in self.classifier.model.state_dict().items()})

    monkeypatch.setattr(Trainer, "optimizer_step", watched)
    run_dir = trained(tiny("model.batch_norm=true", "trainer.ema_decay=0.8", "data.validation=none"))
    content = load_checkpoint(run_dir.checkpoint("last"))
    average = dict(seen[0])
    for weights in seen[1:]:
        average = {name: 0.8 * value + 0.2 * weights[name] for name, value in average.items()}
    for name, value in content["model"].items():
        if value.is_floating_point():
            torch.testing.assert_close(value, average[name])
        assert torch.equal(content["raw"][name], seen[-1][name])
    trainer = trainer_of(tiny("model.batch_norm=true"))
    trainer.classifier.load_trained_state(content["model"])
    logits = trainer.classifier.logits(trainer.splits.test.images)
    top1 = measure(logits, trainer.splits.test.labels, trainer.splits.classes).top1
    assert run_dir.load_result()["metrics"]["test"]["top1"] == top1


def test_a_fraction_of_an_epoch_ends_the_run_within_it(tiny, trained):
    run_dir = trained(tiny("trainer.epochs=2.75", "data.validation=none", "scheduler=cosine", "data.batch_size=50"))
    result, history = run_dir.load_result(), read_history(run_dir.history_file)
    assert (result["epochs"], result["steps"], result["stopped_by"]) == (3, 11, "epochs")
    assert history[-1]["lr"] == pytest.approx(1e-3 * cosine(10 / 4, 2.75))  # of the last step; the next would be 0
    assert (history[0]["epoch"], len(history)) == (1, 3)


def test_less_than_one_step_is_refused(tiny, trained):
    with pytest.raises(UserError, match=r"epochs=0\.05 is less than one optimizer step, of which an epoch has 4"):
        trained(tiny("trainer.epochs=0.05"))


def test_weights_are_averaged_over_the_last_part_of_the_run(tiny, trained, monkeypatch):
    seen, genuine = [], Trainer.optimizer_step

    def watched(self):
        genuine(self)
        if self.config.data.batch_size > 8:  # not the rehearsal's
            seen.append({name: value.clone() for name, value in self.classifier.model.state_dict().items()})

    monkeypatch.setattr(Trainer, "optimizer_step", watched)
    run_dir = trained(tiny("model.batch_norm=true", "trainer.swa_start=0.5", "data.validation=none"))
    content = load_checkpoint(run_dir.checkpoint("last"))
    assert len(seen) == 16 and content["averaged"] == 9  # the weights after half of the run, and all later ones
    for name, value in content["model"].items():
        mean = torch.stack([weights[name].double() for weights in seen[-9:]]).mean(dim=0).float()
        if "running" in name:  # they are those of the averaged weights
            assert not torch.allclose(value, mean, rtol=1e-3)
        elif value.is_floating_point():
            torch.testing.assert_close(value, mean)


def test_sam_steps_by_the_gradient_at_the_worst_point(tiny, trainer_of, monkeypatch):
    config = tiny("trainer.sam_rho=0.5", "model.batch_norm=true", "trainer.epochs=1", *SGD)
    trainer, reference = trainer_of(config), trainer_of(config)
    images, labels = next(reference.loader.batches(0))
    model = reference.classifier.model.train()
    reference.batch_loss(images, labels, (), None)[0].backward()
    statistics = [buffer.clone() for buffer in model.buffers()]
    norm = torch.stack([weight.grad.norm() for weight in model.parameters()]).norm()
    start = [weight.detach().clone() for weight in model.parameters()]
    for weight in model.parameters():
        weight.data += 0.5 * weight.grad / norm
        weight.grad = None
    reference.batch_loss(images, labels, (), None)[0].backward()
    for weight, before in zip(model.parameters(), start, strict=True):
        weight.data.copy_(before)
    reference.optimizer.step()

    monkeypatch.setattr(saving, "log_save_or_stop", lambda _trainer: True)  # after one step
    assert not trainer.train_epoch()
    for ours, theirs in zip(trainer.classifier.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(trainer.classifier.model.buffers(), statistics, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_sam_takes_an_accumulation_group_as_one_batch(tiny, trained):
    sam = ("trainer.sam_rho=0.5", "trainer.epochs=1", *SGD)
    whole = trained(tiny("data.batch_size=20", *sam), "whole")
    halves = trained(tiny("data.batch_size=10", "trainer.grad_accumulation_steps=2", *sam), "halves")
    for name, value in weights(whole).items():
        assert torch.allclose(value, weights(halves)[name], atol=1e-6)


class Unsure(torch.nn.Linear):
    """A network with an operation of which PyTorch has no deterministic version."""

    def __init__(self, num_classes):
        super().__init__(192, num_classes)

    def forward(self, images):
        features = images.flatten(1).clone()
        return super().forward(features.put_(torch.tensor([0]), torch.tensor([0.0])))


def test_what_cannot_be_deterministic_is_named(own_model, trained):
    unsure = own_model("tests.training.test_trainer.Unsure")
    assert trained(unsure, "free").load_result()["status"] == "completed"
    with pytest.raises(UserError, match=r"Unsure\) calls put_, which has no.*use trainer\.deterministic=false\."):
        trained(replace(unsure, trainer=replace(unsure.trainer, deterministic=True)), "strict")
    assert trained(unsure, "free again").load_result()["status"] == "completed"


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["deep", "resnet18"])
def test_deterministic_runs_on_cuda_are_equal(config_of, trained, model):
    overrides = [text for text in SMALL if not text.startswith("model")]
    settings = (f"model={model}", "augmentation=affine", "trainer.device=cuda", "trainer.deterministic=true")
    config = config_of(*overrides, *settings, "logger=quiet")
    first, second = (trained(config, name) for name in ("first", "second"))
    assert equal(weights(first), weights(second))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_cuda_learns_as_the_cpu_does(small, trained, precision):
    settings = ("optimizer=sgd", "optimizer.lr=0.05", "trainer.epochs=2")
    cpu = trained(small(*settings, "trainer.device=cpu"), "cpu")
    cuda = trained(small(*settings, "trainer.device=cuda", f"trainer.precision={precision}"), "cuda")
    losses = [read_history(run_dir.history_file)[-1]["train_loss"] for run_dir in (cpu, cuda)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
