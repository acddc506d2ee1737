"""Which settings there are: the typed parts of the configs, with their ranges."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from src.errors import require, require_choice

VALIDATIONS = ("holdout", "fold", "test", "none")
PRECISIONS = ("auto", "fast", "fp32", "bf16", "fp16")
MEMORY_FORMATS = ("auto", "channels_last", "contiguous")
DEVICES = ("auto", "cpu", "cuda")
INIT_IMAGES = ("all", "held_out")


@dataclass
class DataConfig:
    source: dict[str, Any] = field(default_factory=dict)  # _target_: the function that reads the data set
    root: str = "data"  # the folder that holds it, or receives the download
    num_classes: int | None = None  # null: as many as are found
    image_size: int = 32  # pixels; images of another size are resized once, when they are read
    batch_size: int = 128
    augment: bool = False  # true: apply the group `augmentation` to the training images
    alternate_flip: bool = False  # mirror training images in every other epoch, not at random (augmentation.flip=false)
    validation: str = "holdout"  # holdout, fold, test (the report's protocol) or none
    holdout: int = 50  # images of each class held out, with validation=holdout
    folds: int = 5  # with validation=fold
    fold: int = 0  # which of them validates, from 0
    split_seed: int = 0  # chooses the held-out images; apart from `seed`, so that runs of all seeds share them
    limit: int | None = None  # train on so many of the images that the split leaves, equally of each class
    mean: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # subtracted from pixels / 255, per channel
    std: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])  # divides what remains
    workers: int = 2  # processes of augmentations that work image by image (trivial_augment)

    def __post_init__(self) -> None:
        require_choice("data.validation", self.validation, VALIDATIONS)
        require(self.batch_size >= 1, f"data.batch_size={self.batch_size} must be at least 1")
        require(self.image_size >= 1, f"data.image_size={self.image_size} must be at least 1 pixel")
        require(self.holdout >= 1, f"data.holdout={self.holdout} must be at least 1; for none use data.validation=none")
        require(self.folds >= 2, f"data.folds={self.folds} must be at least 2")
        require(0 <= self.fold < self.folds, f"data.fold={self.fold} must lie below data.folds={self.folds}, from 0")
        require(self.split_seed >= 0, f"data.split_seed={self.split_seed} must not be negative")
        require(self.limit is None or self.limit >= 1, f"data.limit={self.limit} must be at least 1, or null for all")
        require(len(self.mean) == 3, f"data.mean={self.mean} must hold three numbers, for red, green and blue")
        require(len(self.std) == 3 and min(self.std) > 0, f"data.std={self.std} must hold three numbers above 0")
        require(self.workers >= 0, f"data.workers={self.workers} must not be negative")

    @property
    def chooses_checkpoint(self) -> bool:
        """Whether there are validation images by which one may choose: not the test set's, not none."""
        return self.validation in ("holdout", "fold")


@dataclass
class TrainerConfig:
    epochs: int = 120
    device: str = "auto"  # auto: cuda where there is one, else cpu
    precision: str = "auto"  # auto: bf16 or, on older CUDA, fp16; fp32 on a CPU. fast: bf16 also on a CPU that has it
    memory_format: str = "auto"  # auto: channels_last, the faster one wherever measured
    compile: bool = False  # torch.compile of augmentation, network and loss as one graph, for full batches alone
    label_smoothing: float = 0.0
    both_sides: bool = False  # evaluate also with the logits of each image and its mirror averaged, in a column apart
    clip_norm: float | None = None  # the gradient's norm is cut to this
    accumulate: int = 1  # batches whose gradients are averaged into one optimizer step
    patience: int | None = None  # stop after so many epochs without a better validation accuracy
    sizes: list[Any] = field(default_factory=list)  # [[0.15,20],[0.5,24]]: until 15 % of the run at 20 pixels, then 24
    max_minutes: float | None = None  # end in this time, with everything saved and evaluated
    checkpoint_minutes: float = 10.0  # also save within epochs, this often

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"trainer.epochs={self.epochs} must be at least 1")
        require_choice("trainer.device", self.device, DEVICES)
        require_choice("trainer.precision", self.precision, PRECISIONS)
        require_choice("trainer.memory_format", self.memory_format, MEMORY_FORMATS)
        smoothing = self.label_smoothing
        require(0 <= smoothing < 1, f"trainer.label_smoothing={smoothing} must lie in [0, 1)")
        require(
            all(_is_share_and_size(entry) for entry in self.sizes) and self.sizes == sorted(self.sizes),
            f"trainer.sizes={self.sizes} must be pairs of a share of the run, between 0 and 1 and rising, and a size "
            "in whole pixels: [[0.15,20],[0.5,24]]",
        )
        require(self.accumulate >= 1, f"trainer.accumulate={self.accumulate} must be at least 1")
        for name in ("clip_norm", "patience", "max_minutes"):
            value = getattr(self, name)
            require(value is None or value > 0, f"trainer.{name}={value} must be above 0, or null for none")
        require(self.checkpoint_minutes > 0, f"trainer.checkpoint_minutes={self.checkpoint_minutes} must be above 0")


def _is_share_and_size(entry: Any) -> bool:
    """[0.15, 20]: a part of the run, and pixels."""
    if not (isinstance(entry, list) and len(entry) == 2):
        return False
    share, size = entry
    return isinstance(share, float) and 0 < share < 1 and isinstance(size, int) and size >= 1


@dataclass
class InitConfig:
    run: str | None = None  # outputs/<run>: start from the weights of its evaluated checkpoint
    freeze: str | None = None  # features: keep them as they are and train the head alone
    images: str = "all"  # held_out: split only the images that this run held out, which its weights have not seen
    cache: bool = True  # compute the features of each image once, where they cannot change

    def __post_init__(self) -> None:
        require_choice("init.images", self.images, INIT_IMAGES)
        for name, default in (("freeze", None), ("images", "all")):
            value = getattr(self, name)
            require(
                bool(self.run) or value == default, f"init.{name}={value} needs init.run=outputs/<run> to start from"
            )


@dataclass
class TrainConfig:
    seed: int = 0
    resume: str | None = None
    pause_at: int | None = None
    init: InitConfig = field(default_factory=InitConfig)
    data: DataConfig = field(default_factory=DataConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    model: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)  # {"model": "deep", ...}, noted at the start of a run
    named: list[str] = field(default_factory=list)  # the settings that its command line names, likewise


@dataclass
class BenchmarkConfig(TrainConfig):
    loops: list[str] = field(default_factory=list)
    pipelines: list[str] = field(default_factory=list)
    augmentations: list[str] = field(default_factory=list)
    trainings: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    rounds: int = 7
    seconds: float = 3.0
    format: str = "table"


@dataclass
class EvaluateConfig:
    run: str | None = None
    checkpoint: str | None = None
    split: str = "test"
    both_sides: bool | None = None
    format: str = "table"
    device: str = "auto"


@dataclass
class PredictConfig:
    run: str | None = None
    images: str | None = None
    checkpoint: str | None = None
    top: int = 5
    format: str = "table"
    device: str = "auto"


@dataclass
class ReportConfig:
    runs: Any = None
    metric: str = "metrics.val.top1"
    direction: str = "maximize"


TYPED_NODES: dict[str, type] = {"init": InitConfig, "data": DataConfig, "trainer": TrainerConfig}
GROUPS = ("model", "data", "augmentation", "optimizer", "scheduler", "trainer", "experiment")


def register_schemas() -> None:
    """Makes the typed parts known to Hydra; the primary configs begin with theirs."""
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    ConfigStore.instance().store(name="benchmark_schema", node=BenchmarkConfig)
    ConfigStore.instance().store(name="evaluate_schema", node=EvaluateConfig)
    ConfigStore.instance().store(name="predict_schema", node=PredictConfig)
    ConfigStore.instance().store(name="report_schema", node=ReportConfig)
