import subprocess
import sys

import pytest
import torch

from src.loggers.history_csv import read_history
from src.training.captured_step import CapturedStep, can_capture
from src.training.checkpoint import load_checkpoint
from src.training.device import Placement
from src.training.ranks import ALONE, Ranks

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def on(device, ranks=ALONE):
    return Placement(device, None, torch.channels_last, ranks)


@pytest.mark.parametrize(
    ("overrides", "captured"),
    [
        ((), True),
        (("model=speedrun", "augmentation=torchvision"), True),
        (("trainer.cuda_graph=false",), False),
        (("model._target_=torchvision.models.resnet18",), False),
        (("model=resnet18", "augmentation=rand_augment", "optimizer=muon"), True),
        (("model._target_=torchvision.models.resnet18", "trainer.cuda_graph=true"), True),
    ],
)
def test_the_steps_of_this_projects_networks_are_captured_on_gpus(config_of, overrides, captured):
    config = config_of(*overrides)
    assert can_capture(config, on(CUDA)) is captured and can_capture(config, on(CPU)) is False
    assert can_capture(config, on(CUDA, Ranks(0, 2))) is False  # they exchange messages within a step


def test_an_optimizer_or_augmentation_of_a_users_own_is_not_captured(config_of):
    for change in (lambda c: c.optimizer, lambda c: c.loss, lambda c: c.augmentation["steps"][1]):
        config = config_of("augmentation=cutout", "optimizer=sgd")
        assert can_capture(config, on(CUDA))
        change(config)["_target_"] = "mine.Own"
        assert not can_capture(config, on(CUDA))


@pytest.mark.gpu
def test_a_graph_repeats_the_step_with_the_numbers_of_each_call():
    weight = torch.ones(3, device=CUDA, requires_grad=True)
    calls = []

    def step(x, params, factor):
        calls.append(factor)
        loss = (weight * x * params[0][0]).sum() * factor
        loss.backward()
        return (loss.detach(),)

    captured = CapturedStep(step)
    for number in range(1, 5):
        x = torch.full((3,), float(number), device=CUDA)
        for factor in (1.0, 0.5):
            (loss,) = captured(x, ((2 * x,),), factor)
            assert loss.item() == pytest.approx(6 * number**2 * factor)
    assert len(calls) == 4  # one as it is and one captured, for either factor
    assert torch.allclose(weight.grad, torch.full((3,), 2 * 1.5 * (1 + 4 + 9 + 16), device=CUDA))


READS_A_NUMBER = """
import torch
from src.training.captured_step import CapturedStep

x = torch.ones(3, device="cuda")
captured = CapturedStep(lambda x: (x * x.sum().item(),))
captured(x)
captured(x)
"""


@pytest.mark.gpu
def test_a_step_that_reads_a_number_ends_in_one_sentence():
    # in a process of its own: a capture that fails leaves PyTorch's random numbers unusable
    done = subprocess.run([sys.executable, "-c", READS_A_NUMBER], capture_output=True, text=True)
    assert "UserError: the training step cannot be captured as a CUDA graph" in done.stderr
    assert "use trainer.cuda_graph=false" in done.stderr


RECIPES = {
    "dropout": ("model=deep", "model.width=0.25", "model.dropout=0.5", "augmentation=affine"),
    "groups": (
        "trainer.grad_clip_norm=1", "trainer.grad_accumulation_steps=3", "augmentation=mixup", "optimizer=sgd",
        "scheduler=cosine",
    ),
    "sam": ("trainer.sam_rho=0.5", "trainer.grad_accumulation_steps=2", "model.batch_norm=true", "augmentation=affine"),
    "swa": ("trainer.swa_start=0.5", "model.batch_norm=true", "augmentation=cutmix"),
    "speedrun": (
        "model=speedrun", "model.widths=[16,32,48]", "optimizer=muon", "augmentation=crop_flip", "scheduler=triangle",
        "trainer.progressive_resizing=[[0.3,16],[0.6,24]]", "augmentation.flip=alternate", "augmentation.pixels=2",
    ),
}  # fmt: skip


SMALL = (
    "data=synthetic", "data.holdout=1", "data.source.train_images=1000", "data.source.test_images=200",
    "data.batch_size=128", "trainer.epochs=3", "trainer.precision=fp32", "logger=quiet",
)  # fmt: skip


def weights_of(run_dir) -> torch.Tensor:
    state = load_checkpoint(run_dir.checkpoint("last"))["model"]
    return torch.cat([state[name].float().flatten() for name in sorted(state) if "running" not in name])


def losses_of(run_dir) -> list[float]:
    return [row["train_loss"] for row in read_history(run_dir.history_file)]


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", RECIPES)
def test_captured_training_is_eager_training(config_of, trained, recipe):
    """Runs on a GPU are not bit for bit equal by default: two eager ones tell how far two equal runs drift apart."""
    settings = (*SMALL, *RECIPES[recipe])
    eager, again = (trained(config_of(*settings, "trainer.cuda_graph=false"), name) for name in ("eager", "again"))
    captured = trained(config_of(*settings), "captured")
    drift = (weights_of(again) - weights_of(eager)).norm()
    assert (weights_of(captured) - weights_of(eager)).norm() <= 3 * drift + 0.01 * weights_of(eager).norm()
    assert losses_of(captured) == pytest.approx(losses_of(eager), rel=0.02)


@pytest.mark.gpu
def test_an_interrupted_captured_run_ends_where_the_whole_one_ends(config_of, trained, tmp_path, monkeypatch):
    from tests.training.test_checkpoint import create_in, interrupted_at, resumed

    config = config_of(*SMALL, *RECIPES["dropout"])
    whole = trained(config, "whole")
    run_dir = create_in(tmp_path / "parts", config)
    interrupted_at(5, run_dir, monkeypatch)
    resumed(run_dir)
    assert losses_of(run_dir) == pytest.approx(losses_of(whole), rel=0.02)
