from dataclasses import replace

import pytest
import torch

from src.errors import UserError
from src.run_dir import RunDir
from src.training.build import load_splits
from src.training.trained_model import load_trained
from tests.conftest import create_in


def test_the_evaluated_checkpoint_is_loaded_and_gives_the_runs_own_logits(plain):
    trained, result = load_trained(str(plain.path), None, "cpu", False), plain.load_result()
    assert (trained.checkpoint, trained.epoch) == (result["evaluated"], result["evaluated_epoch"])
    assert trained.config == plain.load_config() and len(trained.classes.names) == 100
    saved = torch.load(plain.test_logits_file, weights_only=True)["logits"]
    assert torch.equal(trained.logits(load_splits(trained.config).test.images), saved)


def test_another_checkpoint_may_be_named(plain):
    assert load_trained(str(plain.path), "last", "cpu", False).epoch == 2
    with pytest.raises(UserError, match="checkpoint=middle is not one of best, last"):
        load_trained(str(plain.path), "middle", "cpu", False)


def test_what_is_not_there_is_named(plain, tiny, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="device=tpu is not one of auto, cpu, cuda"):
        load_trained(str(plain.path), None, "tpu", False)
    with pytest.raises(UserError, match="is not the folder of a run"):
        load_trained(str(tmp_path / "nowhere"), None, "cpu", False)
    with pytest.raises(UserError, match=r"last\.pt does not exist: the run has not reached that checkpoint"):
        load_trained(str(create_in(tmp_path / "waiting", tiny()).path), None, "cpu", False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="PyTorch finds no CUDA device"):
        load_trained(str(plain.path), None, "cuda", False)


def copied(run_dir: RunDir, path, config) -> RunDir:
    """The run with another config."""
    copy = create_in(path, config)
    for name in ("best", "last"):
        copy.checkpoint(name).parent.mkdir(exist_ok=True)
        copy.checkpoint(name).write_bytes(run_dir.checkpoint(name).read_bytes())
    return copy


def test_weights_that_do_not_fit_are_refused_in_one_sentence(plain, tiny, tmp_path):
    run_dir = copied(plain, tmp_path / "copy", tiny("model.dense=[8]"))
    with pytest.raises(
        UserError, match=r"last\.pt does not fit the model that .*config\.yaml describes: size mism"
    ) as e:
        load_trained(str(run_dir.path), None, "cpu", False)
    assert "\n" not in str(e.value) and str(e.value).endswith(".")


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_a_cpu_evaluates_a_run_of_a_gpus_precision_in_fp32(plain, tmp_path, monkeypatch, precision):
    config = plain.load_config()
    config = replace(config, trainer=replace(config.trainer, precision=precision))
    run_dir = copied(plain, tmp_path / "copy", config)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_trained(str(run_dir.path), None, "auto", False).classifier.placement.autocast_dtype is None
