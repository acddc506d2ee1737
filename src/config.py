"""What can be configured: the typed part of the config, what must hold across fields, and how objects are built.

Importing this module costs no torch, so that `--help` and `--cfg job` answer at once.
"""

import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from src.errors import UserError
from src.overrides import key_of

VALIDATIONS = ("holdout", "fold", "test", "none")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
MEMORY_FORMATS = ("auto", "channels_last", "contiguous")
DEVICES = ("auto", "cpu", "cuda")
INIT_IMAGES = ("all", "held_out")


def require(condition: bool, problem: str) -> None:
    """Raises UserError with `problem`, a sentence without its full stop, unless `condition` holds."""
    if not condition:
        raise UserError(f"{problem}.")


def require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    require(value in choices, f"{name}={value} is not one of {', '.join(choices)}")


@dataclass
class DataConfig:
    source: dict[str, Any] = field(default_factory=dict)  # _target_: the function that reads the data set
    root: str = "data"  # the folder that holds it, or receives the download
    num_classes: int | None = None  # null: as many as are found
    image_size: int = 32  # pixels; images of another size are resized once, when they are read
    batch_size: int = 128
    augment: bool = False  # true: apply the group `augmentation` to the training images
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
    precision: str = "auto"  # auto: bf16 on CUDA that has it, fp16 on older, fp32 on a CPU
    memory_format: str = "auto"  # auto: channels_last, the faster one wherever measured
    compile: bool = False  # torch.compile of augmentation, network and loss as one graph
    label_smoothing: float = 0.0
    clip_norm: float | None = None  # the gradient's norm is cut to this
    accumulate: int = 1  # batches whose gradients are averaged into one optimizer step
    patience: int | None = None  # stop after so many epochs without a better validation accuracy
    max_minutes: float | None = None  # end in this time, with everything saved and evaluated
    checkpoint_minutes: float = 10.0  # also save within epochs, this often

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"trainer.epochs={self.epochs} must be at least 1")
        require_choice("trainer.device", self.device, DEVICES)
        require_choice("trainer.precision", self.precision, PRECISIONS)
        require_choice("trainer.memory_format", self.memory_format, MEMORY_FORMATS)
        smoothing = self.label_smoothing
        require(0 <= smoothing < 1, f"trainer.label_smoothing={smoothing} must lie in [0, 1)")
        require(self.accumulate >= 1, f"trainer.accumulate={self.accumulate} must be at least 1")
        for name in ("clip_norm", "patience", "max_minutes"):
            value = getattr(self, name)
            require(value is None or value > 0, f"trainer.{name}={value} must be above 0, or null for none")
        require(self.checkpoint_minutes > 0, f"trainer.checkpoint_minutes={self.checkpoint_minutes} must be above 0")


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
    networks: list[str] = field(default_factory=list)
    augmentations: list[str] = field(default_factory=list)
    rounds: int = 5
    seconds: float = 5.0
    format: str = "table"


@dataclass
class EvaluateConfig:
    run: str | None = None
    checkpoint: str | None = None
    split: str = "test"
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

# How many arguments each open node is called with besides its own settings.
_NODES: dict[str, int] = {"data.source": 0, "model": 0, "augmentation": 0, "optimizer": 1, "scheduler": 2}


def register_schemas() -> None:
    """Makes the typed parts known to Hydra; the primary configs begin with theirs."""
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    ConfigStore.instance().store(name="benchmark_schema", node=BenchmarkConfig)
    ConfigStore.instance().store(name="evaluate_schema", node=EvaluateConfig)
    ConfigStore.instance().store(name="predict_schema", node=PredictConfig)
    ConfigStore.instance().store(name="report_schema", node=ReportConfig)


def check(config: DictConfig, overrides: Sequence[str] = (), schema: type = TrainConfig) -> None:
    """Raises UserError, before anything is built, for the first setting that cannot be meant.

    `overrides` are those of the command line: naming a choice that would do nothing is a mistake only there.
    """
    unknown = set(config) - {entry.name for entry in fields(schema)}
    require(not unknown, f"{', '.join(sorted(unknown))} is not a setting of a run")
    for name, schema in TYPED_NODES.items():
        unknown = set(config[name]) - {entry.name for entry in fields(schema)}
        require(not unknown, f"{', '.join(f'{name}.{key}' for key in sorted(unknown))} is not a setting")
    for name, positional in _NODES.items():
        check_signature(name, OmegaConf.select(config, name), positional)
    data, trainer = typed(config)
    OmegaConf.to_object(config.init)
    require(0 <= config.seed < 2**63, f"seed={config.seed} must not be negative, nor above 2**63 - 1")
    require(config.pause_at is None or config.pause_at >= 1, f"pause_at={config.pause_at} must be at least 1, or null")
    warmup = config.scheduler.get("warmup_epochs", 0)
    require(
        isinstance(warmup, int | float) and 0 <= warmup < trainer.epochs,
        f"scheduler.warmup_epochs={warmup} must lie below trainer.epochs={trainer.epochs}",
    )
    require(
        trainer.patience is None or data.chooses_checkpoint,
        f"trainer.patience={trainer.patience} needs images to choose by, which data.validation={data.validation} "
        "does not hold out; use data.validation=holdout or fold",
    )
    for needed, holds, idle in (
        ("data.augment=true", data.augment, r"augmentation(\..*)?"),
        ("data.validation=fold", data.validation == "fold", r"data\.folds?"),
    ):
        named = [text.lstrip("+") for text in overrides if re.fullmatch(idle, key_of(text))]
        require(holds or not named, f"{' '.join(named)} does nothing without {needed}; add that")


def note_choices(config: DictConfig, choices: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Writes into `config` what was chosen and named to compose it: later comparisons speak of that."""
    config.choices = {group: choices.get(group) for group in GROUPS}
    config.named = sorted({key_of(text) for text in overrides} - set(GROUPS))


def typed(config: DictConfig) -> tuple[DataConfig, TrainerConfig]:
    """The typed nodes as dataclasses; raises UserError for a value out of its range."""
    return OmegaConf.to_object(config.data), OmegaConf.to_object(config.trainer)


def check_signature(name: str, node: DictConfig, positional: int = 0) -> None:
    """Raises UserError unless the node's settings are arguments of its `_target_`, and all that it needs."""
    if "_target_" not in node:
        raise UserError(f"{name} needs a _target_, the function or class that builds it.")
    try:
        signature = inspect.signature(pkgutil.resolve_name(node["_target_"]))
    except Exception as error:  # whatever importing a user's module may raise
        raise UserError(
            f"{name}._target_={node['_target_']} is no function or class to be imported: {error}."
        ) from error
    # `to_container` without resolving: what an interpolation stands for may be known only later.
    arguments = {key: None for key in OmegaConf.to_container(node, resolve=False) if not _is_directive(key)}
    try:
        signature.bind(*[None] * positional, **arguments)
    except TypeError as error:
        valid = ", ".join(list(signature.parameters)[positional:]) or "none"
        raise UserError(f"{name} ({node['_target_']}): {error}; its arguments are: {valid}.") from error
    for key, value in node.items_ex(resolve=False):
        for part in value if isinstance(value, ListConfig) else [value]:
            if isinstance(part, DictConfig) and "_target_" in part:
                check_signature(f"{name}.{key}", part)


def choice(config: DictConfig, group: str) -> str:
    """What a person calls the choice of `group`: its file's name, else the last part of its _target_."""
    if group == "augmentation" and not config.data.augment:
        return "off"
    node = config.data.source if group == "data" else config[group]
    return config.choices.get(group) or node["_target_"].rpartition(".")[2]


def build(config: DictConfig, name: str) -> Any:
    """The object that the node `name` describes, or with `_partial_` the function still to be called."""
    try:
        return instantiate(OmegaConf.select(config, name), _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from error
        raise _refused(name, config, cause) from error


def call(config: DictConfig, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls the function that `build` gave for a `_partial_` node; its refusal of a value names the node."""
    try:
        return function(*arguments)
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise _refused(name, config, error) from error


def _refused(name: str, config: DictConfig, cause: BaseException) -> UserError:
    target = OmegaConf.select(config, name)["_target_"]
    return UserError(f"{name} ({target}) refuses its settings: {' '.join(str(cause).split())}.")


def _is_directive(key: str) -> bool:
    return key.startswith("_") and key.endswith("_")
