import pytest
import torch

from src.errors import UserError
from src.training.checkpoint import load_checkpoint
from src.training.extension import change_epochs
from src.training.run import run
from tests.conftest import create_in, train_in


def test_an_extended_run_is_the_longer_run(tiny, tmp_path):
    whole = train_in(tmp_path / "whole", tiny("trainer.epochs=3"))
    extended = train_in(tmp_path / "extended", tiny("trainer.epochs=1"))
    config = change_epochs(extended, extended.load_config(), 3)
    assert extended.load_config().trainer.epochs == 3 and extended.load_result()["status"] == "interrupted"
    run(config, extended)
    first, second = (load_checkpoint(each.checkpoint("last"))["model"] for each in (whole, extended))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert extended.load_result()["metrics"] == whole.load_result()["metrics"]


@pytest.fixture(scope="module")
def one_epoch(tiny, tmp_path_factory):
    """one_epoch("scheduler=cosine") -> the folder of a run of one epoch that has ended, and its settings."""

    def make(*overrides):
        run_dir = train_in(tmp_path_factory.mktemp("runs") / "run", tiny("trainer.epochs=1", *overrides))
        return run_dir, run_dir.load_config()

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["scheduler=cosine"], r"its scheduler \(src\.optim\.schedules\.cosine\) follow from its length"),
        (["trainer.swa_start=0.5"], r"trainer\.swa_start counts in shares of the run"),
        (["trainer.epochs=0.5"], r"the last one was a part of an epoch \(trainer\.epochs=0\.5\)"),
    ],
)
def test_a_run_that_would_have_been_another_is_not_extended(one_epoch, overrides, reason):
    run_dir, config = one_epoch(*overrides)
    with pytest.raises(UserError, match=rf"would change what .*: .*{reason}; start .*with init\.run="):
        change_epochs(run_dir, config, 3)
    assert run_dir.load_config() == config and run_dir.load_result()["status"] == "completed"


def test_a_number_that_is_too_tiny_or_none_is_refused(one_epoch):
    run_dir, config = one_epoch()
    with pytest.raises(UserError, match=r"trainer\.epochs=0\.5: .* has done 1 epochs; name a larger number"):
        change_epochs(run_dir, config, 0.5)
    with pytest.raises(UserError, match="name a number of epochs"):
        change_epochs(run_dir, config, None)
    assert change_epochs(run_dir, config, 1) == config


def test_a_run_within_an_epoch_is_compared_to_its_end(tiny, tmp_path):
    run_dir = create_in(tmp_path / "run", tiny("scheduler=cosine", "trainer.epochs=4"))
    run_dir.update_result(status="completed", stopped_by="max_minutes", epochs=0, steps=3)
    with pytest.raises(UserError, match=r"would change what .* has done so far"):
        change_epochs(run_dir, run_dir.load_config(), 8)
    run_dir.update_result(status="interrupted", epochs=0, steps=3)
    with pytest.raises(UserError, match=r"would change what .* has done so far"):
        change_epochs(run_dir, run_dir.load_config(), 8)
    with pytest.raises(UserError, match=r"trainer\.epochs=0\.5: .* is in epoch 1; name a larger number"):
        change_epochs(run_dir, run_dir.load_config(), 0.5)
