import pytest
import torch

from src.errors import UserError
from src.training.divergence import divergence, finite_loss, require_finite


def test_a_loss_that_is_not_finite_is_told_with_its_place(tiny, trainer_of):
    trainer = trainer_of(tiny())
    trainer.state.epoch, trainer.state.batch = 2, 3
    trainer.meter.update(torch.tensor(float("nan")), torch.tensor(1), 4)
    with pytest.raises(
        UserError, match=r"finite number \(epoch 3, batch 3\): lower optimizer.lr \(0.001 in this step\)"
    ):
        finite_loss(trainer)
    with pytest.raises(UserError, match="finite number"):
        require_finite(trainer)


def test_after_training_the_place_is_the_last_epoch_and_the_lr_that_of_its_last_step(tiny, trainer_of):
    trainer = trainer_of(tiny())
    trainer.state.epoch, trainer.state.lr = 10, 0.25
    assert "(after epoch 10): lower optimizer.lr (0.25 in the last step)" in str(divergence(trainer))


def test_a_weight_that_is_not_finite_is_refused(tiny, trainer_of):
    trainer = trainer_of(tiny())
    require_finite(trainer)
    next(trainer.classifier.model.parameters()).data[0] = float("inf")
    with pytest.raises(UserError, match="finite number"):
        require_finite(trainer)
