"""The settings of a run as dataclasses: types, defaults, ranges, and what must hold between settings.

`src.parsing` converts a composed Hydra config once; behind it there are only these dataclasses and plain containers.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from src.errors import require, require_choice
from src.init_config import InitConfig

GROUPS = ("model", "data", "augmentation", "optimizer", "scheduler", "loss", "budget", "logger", "experiment")
VALIDATIONS = ("holdout", "fold", "test", "none")
PRECISIONS = ("auto", "bf16_if_supported", "fp32", "tf32", "bf16", "fp16")
MEMORY_FORMATS = ("auto", "channels_last", "contiguous")
DEVICES = ("auto", "cpu", "cuda")
FITS = ("crop", "letterbox")


@dataclass
class DataConfig:
    source: dict[str, Any] = field(default_factory=dict)  # _target_: the function that reads the data set
    root: str = "data"  # the folder that holds the data set, or receives the download
    skip_broken: bool = False  # of own images: leave out those that cannot be read; false: refuse them
    fit: str = "crop"  # of own images that are not square: crop the center, or letterbox (gray borders)
    cache: str | None = None  # the folder that keeps own images, decoded; null: .cifarlab beside them
    test_share: float = 0.2  # of own images without a test set: the share of each class that is used as one
    num_classes: int | None = None  # null: as many as the data set has
    image_size: int = 32  # pixels; images of another size are resized once, when they are read
    batch_size: int = 128  # images per batch
    augment: bool | None = None  # apply `augmentation` to training images; null: if the command line names one
    validation: str = "holdout"  # holdout, fold, test (the course report's protocol) or none
    holdout: int = 50  # images of each class held out, with validation=holdout; unused where the data has its own val
    folds: int = 5  # number of folds, with validation=fold
    fold: int = 0  # the fold that validates, from 0
    split_seed: int = 0  # chooses the held-out images; independent of `seed`, so that all seeds share them
    limit: int | None = None  # train on this many images, equally many of each class; null: all
    normalize: bool = False  # subtract `mean` and divide by `std`; false: pixels / 255
    mean: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # of pixels / 255, per channel
    std: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])  # of pixels / 255, per channel
    workers: int | None = None  # processes for augmentation=torchvision, image by image; null: as many as threads
    balanced_sampling: bool = False  # draw images of rare classes more often: all classes come equally often
    drop_last: bool = False  # leave out a last batch that is not full; always so with trainer.compile

    def __post_init__(self) -> None:
        require_choice("data.validation", self.validation, VALIDATIONS)
        require(self.batch_size >= 1, f"data.batch_size={self.batch_size} must be at least 1")
        require(self.image_size >= 1, f"data.image_size={self.image_size} must be at least 1 pixel")
        require(self.holdout >= 1, f"data.holdout={self.holdout} must be at least 1; for none use data.validation=none")
        require(self.folds >= 2, f"data.folds={self.folds} must be at least 2")
        require(0 <= self.fold < self.folds, f"data.fold={self.fold} must lie below data.folds={self.folds}, from 0")
        seed = self.split_seed
        require(0 <= seed < 2**63, f"data.split_seed={seed} must not be negative, nor above 2**63 - 1")
        require(self.limit is None or self.limit >= 1, f"data.limit={self.limit} must be at least 1, or null for all")
        require(len(self.mean) == 3, f"data.mean={self.mean} must hold three numbers, for red, green and blue")
        require(len(self.std) == 3 and min(self.std) > 0, f"data.std={self.std} must hold three numbers above 0")
        require_choice("data.fit", self.fit, FITS)
        require(0 < self.test_share < 1, f"data.test_share={self.test_share} must lie in (0, 1)")
        require(self.workers is None or self.workers >= 0, f"data.workers={self.workers} must not be negative")

    @property
    def holds_out(self) -> bool:
        """Whether a validation set is held out, so that the best epoch may be chosen by it."""
        return self.validation in ("holdout", "fold")

    @property
    def pixel_mean(self) -> list[float]:
        """What is subtracted from pixels / 255, per channel."""
        return self.mean if self.normalize else [0.0, 0.0, 0.0]

    @property
    def pixel_std(self) -> list[float]:
        """What pixels / 255 - mean are divided by, per channel."""
        return self.std if self.normalize else [1.0, 1.0, 1.0]


@dataclass
class TrainerConfig:
    epochs: int | float | None = 120  # length of the run, perhaps 8.75; null: as many as fit into max_minutes
    device: str = "auto"  # auto: cuda where there is one, else cpu
    precision: str = "auto"  # auto: bf16 (old GPUs: fp16), on CPUs fp32; or bf16_if_supported, fp32, tf32, bf16, fp16
    memory_format: str = "auto"  # auto: channels_last, the faster one wherever measured
    gpus: int = 1  # GPUs of this machine that share each batch; with device=cpu: processes. torchrun starts them itself
    sync_batch_norm: bool = True  # with several GPUs: one mean and variance for all; false: each has its own
    compile: bool = False  # torch.compile augmentation, network and loss as one graph; partial batches are left out
    cuda_graph: bool | None = None  # replay each step on a GPU without Python; null: see docs/how_to/speed.md
    label_smoothing: float = 0.0  # of the cross-entropy (conf/loss/cross_entropy.yaml)
    ema_decay: float | None = None  # 0.999: evaluate a moving average of the weights; null: the weights themselves
    swa_start: float | None = None  # 0.75: evaluate the mean of the weights over the steps of the last quarter (SWA)
    sam_rho: float | None = None  # 0.05: step by the gradient at the worst point nearby (SAM); up to twice the time
    sam_adaptive: bool = False  # distances relative to the size of each weight (ASAM); its sam_rho is larger: 0.5 to 2
    deterministic: bool = False  # algorithms whose result is the same each time, on a GPU too; slower
    decay_norms_and_biases: bool = True  # false: weight decay only for weights of two or more dimensions
    profile: bool = False  # write the times of a few steps to trace.json, for Perfetto; without CUDA graph
    tta_flip: bool = False  # also evaluate with the logits of each image and its mirror image averaged
    grad_clip_norm: float | None = None  # upper bound of the gradient's norm; null: none
    grad_accumulation_steps: int = 1  # batches per optimizer step
    patience: int | None = None  # stop after this many epochs without a better validation accuracy
    progressive_resizing: list[Any] = field(default_factory=list)  # [[0.15,20],[0.5,24]]: 20 pixels for 15 % of the run
    max_minutes: float | None = None  # once the images are read, end within this time, evaluated and saved
    checkpoint_minutes: float = 10.0  # also save within epochs, this often

    def __post_init__(self) -> None:
        require(
            self.epochs is not None or self.max_minutes is not None,
            "trainer.epochs=null needs a time to fill: set trainer.max_minutes",
        )
        require(
            self.epochs is not None or not self.compile,
            "trainer.epochs=null does not know how long trainer.compile=true takes; set trainer.epochs",
        )
        require(self.gpus >= 1, f"trainer.gpus={self.gpus} must be at least 1")
        if isinstance(self.epochs, float) and self.epochs.is_integer():
            self.epochs = int(self.epochs)  # 8.0 and 8 are one setting
        require(self.epochs is None or self.epochs > 0, f"trainer.epochs={self.epochs} must be above 0")
        require_choice("trainer.device", self.device, DEVICES)
        require_choice("trainer.precision", self.precision, PRECISIONS)
        require_choice("trainer.memory_format", self.memory_format, MEMORY_FORMATS)
        smoothing, steps, stages = self.label_smoothing, self.grad_accumulation_steps, self.progressive_resizing
        require(
            self.ema_decay is None or 0 < self.ema_decay < 1, f"trainer.ema_decay={self.ema_decay} must lie in (0, 1)"
        )
        require(
            self.swa_start is None or 0 < self.swa_start < 1, f"trainer.swa_start={self.swa_start} must lie in (0, 1)"
        )
        require(
            self.ema_decay is None or self.swa_start is None,
            f"trainer.ema_decay={self.ema_decay} and trainer.swa_start={self.swa_start} are two averages of the "
            "weights, of which one is evaluated; leave one out",
        )
        require(
            not (self.profile and self.cuda_graph),
            "trainer.profile=true shows operators, which trainer.cuda_graph=true replaces by one graph; leave one out",
        )
        require(
            bool(self.sam_rho) or not self.sam_adaptive,
            "trainer.sam_adaptive=true does nothing without trainer.sam_rho; set that",
        )
        require(0 <= smoothing < 1, f"trainer.label_smoothing={smoothing} must lie in [0, 1)")
        require(steps >= 1, f"trainer.grad_accumulation_steps={steps} must be at least 1")
        require(
            all(map(_is_share_and_size, stages))
            and len({share for share, _ in stages}) == len(stages)
            and stages == sorted(stages),
            f"trainer.progressive_resizing={stages} must be pairs of a share of the run, between 0 and 1 and rising, "
            "and a size of at least 2 whole pixels: [[0.15,20],[0.5,24]]",
        )
        for name in ("grad_clip_norm", "patience", "max_minutes", "sam_rho"):
            value = getattr(self, name)
            require(value is None or value > 0, f"trainer.{name}={value} must be above 0, or null for none")
        require(self.checkpoint_minutes > 0, f"trainer.checkpoint_minutes={self.checkpoint_minutes} must be above 0")


def _is_share_and_size(stage: Any) -> bool:
    """[0.15, 20]: a share of the run, and pixels."""
    if not (isinstance(stage, list) and len(stage) == 2):
        return False
    share, size = stage
    return isinstance(share, float) and 0 < share < 1 and type(size) is int and size >= 2


@dataclass
class RunConfig:
    """Everything that decides what a run computes; saved as config.yaml."""

    seed: int = 0  # initial weights, order of images, augmentation and dropout follow from it
    init: InitConfig = field(default_factory=InitConfig)
    data: DataConfig = field(default_factory=DataConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    model: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data, trainer = self.data, self.trainer
        _require_finite(asdict(self))
        for name, node, key in (
            ("model", self.model, "image_size"),
            ("data.source", data.source, "root"),
            ("data.source", data.source, "image_size"),
        ):
            own = getattr(data, key)
            require(node.get(key, own) == own, f"{name}.{key}={node.get(key)} follows data.{key}={own}; set that")
        require(0 <= self.seed < 2**63, f"seed={self.seed} must not be negative, nor above 2**63 - 1")
        warmup = self.scheduler.get("warmup_epochs", 0)
        require(
            isinstance(warmup, int | float) and 0 <= warmup < (trainer.epochs or math.inf),
            f"scheduler.warmup_epochs={warmup} must be a number from 0 to below trainer.epochs={trainer.epochs}",
        )
        require(
            trainer.patience is None or data.holds_out,
            f"trainer.patience={trainer.patience} needs images to choose by, which data.validation={data.validation} "
            "does not hold out; use data.validation=holdout or fold",
        )
        require(
            self.init.unfreeze_epochs is None or not (trainer.compile or trainer.cuda_graph),
            "trainer.compile=true and trainer.cuda_graph=true repeat one step unchanged, which init.unfreeze_epochs "
            "changes; leave one out",
        )
        require(
            trainer.label_smoothing == 0 or "label_smoothing" in self.loss,
            f"trainer.label_smoothing={trainer.label_smoothing} does nothing with loss {self.loss.get('_target_')}",
        )


TYPED_NODES: dict[str, type] = {"init": InitConfig, "data": DataConfig, "trainer": TrainerConfig}


def moved(config: RunConfig, root: str | None) -> RunConfig:
    """The same run with its data in the folder `root`; None: where it was."""
    if root is None:
        return config
    require("root" in config.data.source, f"data.root={root} does nothing: this data set is not read from a folder")
    return replace(config, data=replace(config.data, root=root, source={**config.data.source, "root": root}))


def _require_finite(value: Any, name: str = "") -> None:
    """Raises UserError for inf and NaN, however deep."""
    if isinstance(value, float):
        require(math.isfinite(value), f"{name}={value} must be a finite number")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _require_finite(item, f"{name}[{key}]" if isinstance(value, list) else f"{name}.{key}".lstrip("."))
