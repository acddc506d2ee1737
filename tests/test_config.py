import pytest

from src.config import DataConfig, RunConfig, TrainerConfig
from src.errors import UserError
from src.init_config import InitConfig
from src.schemas import TrainConfig


@pytest.mark.parametrize(
    ("schema", "name", "value", "complaint"),
    [
        (DataConfig, "batch_size", 0, "data.batch_size=0 must be at least 1"),
        (DataConfig, "image_size", 0, "data.image_size=0 must be at least 1 pixel"),
        (DataConfig, "validation", "some", "data.validation=some is not one of holdout, fold, test, none"),
        (DataConfig, "holdout", 0, "data.holdout=0 must be at least 1; for none use data.validation=none"),
        (DataConfig, "folds", 1, "data.folds=1 must be at least 2"),
        (DataConfig, "fold", 5, "data.fold=5 must lie below data.folds=5"),
        (DataConfig, "split_seed", -1, "data.split_seed=-1 must not be negative"),
        (DataConfig, "std", [1, 1, 0], "data.std"),
        (DataConfig, "mean", [0.5], "data.mean=[0.5] must hold three numbers"),
        (DataConfig, "limit", 0, "data.limit=0 must be at least 1"),
        (DataConfig, "workers", -1, "data.workers=-1 must not be negative"),
        (TrainerConfig, "epochs", 0, "trainer.epochs=0 must be above 0"),
        (TrainerConfig, "swa_start", 1.0, "trainer.swa_start=1.0 must lie in (0, 1)"),
        (TrainerConfig, "sam_rho", 0.0, "trainer.sam_rho=0.0 must be above 0"),
        (TrainerConfig, "sam_adaptive", True, "trainer.sam_adaptive=true does nothing without trainer.sam_rho"),
        (TrainerConfig, "device", "tpu", "trainer.device=tpu is not one of auto, cpu, cuda"),
        (TrainerConfig, "memory_format", "rows", "trainer.memory_format=rows is not one of auto, channels_last"),
        (
            TrainerConfig, "progressive_resizing", [[0.5, 16.5]],
            "trainer.progressive_resizing=[[0.5, 16.5]] must be pairs of a share",
        ),
        (
            TrainerConfig, "progressive_resizing", [[0.5, "a"]],
            "trainer.progressive_resizing=[[0.5, 'a']] must be pairs of a share",
        ),
        (TrainerConfig, "progressive_resizing", [[0.5, 24], [0.2, 20]], "must be pairs of a share"),
        (TrainerConfig, "progressive_resizing", [0.5], "must be pairs of a share"),
        (
            TrainerConfig, "precision", "fp8",
            "trainer.precision=fp8 is not one of auto, bf16_if_supported, fp32, tf32, bf16, fp16",
        ),
        (TrainerConfig, "label_smoothing", 1, "must lie in [0, 1)"),
        (TrainerConfig, "grad_clip_norm", -1.0, "trainer.grad_clip_norm=-1.0 must be above 0"),
        (TrainerConfig, "patience", 0, "trainer.patience=0 must be above 0"),
        (TrainerConfig, "max_minutes", 0.0, "trainer.max_minutes=0.0 must be above 0"),
        (TrainerConfig, "checkpoint_minutes", 0.0, "trainer.checkpoint_minutes=0.0 must be above 0"),
        (TrainerConfig, "grad_accumulation_steps", 0, "trainer.grad_accumulation_steps=0 must be at least 1"),
        (InitConfig, "freeze", "features", "init.freeze=features needs weights to keep: init.run=outputs/<run> or"),
        (InitConfig, "images", "held_out", "init.images=held_out needs init.run=outputs/<run> to start from"),
        (InitConfig, "images", "some", "init.images=some is not one of all, held_out"),
        (RunConfig, "seed", -1, "seed=-1 must not be negative"),
        (RunConfig, "seed", 2**63, "nor above 2**63 - 1"),
        (RunConfig, "scheduler", {"warmup_epochs": 120}, "warmup_epochs=120 must be a number from 0 to below"),
        (RunConfig, "scheduler", {"warmup_epochs": "abc"}, "scheduler.warmup_epochs=abc must be a number"),
        (TrainConfig, "pause_at", 0, "pause_at=0 must be at least 1"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(schema, name, value, complaint):
    with pytest.raises(UserError) as error:
        schema(**{name: value})
    assert complaint in str(error.value)


def test_held_out_images_are_neither_the_test_set_nor_none():
    held_out = [DataConfig(validation=name).holds_out for name in ("holdout", "fold", "test", "none")]
    assert held_out == [True, True, False, False]
