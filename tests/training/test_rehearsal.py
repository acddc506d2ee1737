import pytest
import torch
from torch import nn

from src.errors import UserError
from src.training.rehearsal import rehearse

HERE = "tests.training.test_rehearsal"


class Tuple(nn.Module):
    """Returns logits in evaluation and a tuple in training."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3, num_classes)

    def forward(self, images):
        logits = self.layer(images.mean(dim=(2, 3)))
        return (logits, logits) if self.training else logits


def no_mean(logits, targets):
    return nn.functional.cross_entropy(logits, targets, reduction="none")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.betas=[0.9]"], r"optimizer\.betas=\[0\.9\] is not of the type that torch\.optim\.Adam asks for"),
        (["augmentation.degrees=abc"], r"augmentation\.degrees=abc is not of the type"),
    ],
)
def test_what_only_a_step_meets_shows_before_the_first(tiny, trained, overrides, message):
    with pytest.raises(UserError, match=message):
        trained(tiny(*overrides, "data.augment=true"))


def test_a_model_or_loss_that_returns_something_else_is_named(tiny, trained):
    config = tiny()
    config.model = {"_target_": f"{HERE}.Tuple", "num_classes": None}
    with pytest.raises(UserError, match=r"model .*Tuple\) fails in its first step: .*a tuple, not a tensor"):
        trained(config)
    config = tiny()
    config.loss = {"_target_": f"{HERE}.no_mean", "_partial_": True}
    with pytest.raises(UserError, match=r"loss .*no_mean\) fails in its first step: ValueError: .*shape \(8,\)"):
        trained(config, "other")


def test_nothing_is_changed(tiny, trainer_of):
    trainer = trainer_of(tiny("optimizer=sgd", "augmentation=mixup", "model.dropout=0.5"))
    before = {name: value.clone() for name, value in trainer.classifier.model.state_dict().items()}
    random, training = torch.get_rng_state(), trainer.classifier.model.training
    rehearse(trainer)
    after = trainer.classifier.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), random) and trainer.classifier.model.training is training
    assert (trainer.state.step, trainer.meter.images) == (0, 0) and not trainer.optimizer.state
    assert all(weight.grad is None for weight in trainer.classifier.model.parameters())
