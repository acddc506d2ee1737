"""The settings of each command, by which Hydra checks its command line."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from src.config import RunConfig
from src.errors import require

LOOPS = ("quickstart", "course2021/deep_augmented", "fast/speedrun75")


@dataclass
class TrainConfig(RunConfig):
    """The settings of `python -m src.train`: a run, or the run to resume."""

    resume: str | None = None  # outputs/<run>: continue that run in its folder, with its own config
    pause_at: int | None = None  # stop after this many epochs, not evaluated on the test set; `resume` continues
    trust: bool = False  # with `resume`: run the code of others that the run's config names

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.pause_at is None or self.pause_at >= 1, f"pause_at={self.pause_at} must be at least 1, or null")


@dataclass
class BenchmarkConfig(RunConfig):
    loops: list[str] = field(default_factory=lambda: list(LOOPS))  # experiments whose loop is compared with a bare step
    pipelines: list[str] = field(default_factory=lambda: ["quickstart"])  # loop against a plain DataLoader loop
    augmentations: list[str] = field(default_factory=lambda: ["affine", "crop_flip"])  # batch against image by image
    trainings: list[str] = field(default_factory=list)  # experiments trained whole, on their own data
    seeds: list[int] = field(default_factory=lambda: [0])  # of these trainings
    rounds: int = 7  # each round measures both sides, one after the other
    seconds: float = 3.0  # of each side in each round; of augmentations a fifth of that
    format: str = "table"  # or json, on standard output alone


@dataclass
class DataPlace:
    root: str | None = None  # where the run's data lies now; null: where it lay in training


@dataclass
class EvaluateConfig:
    run: str | None = None  # the folder of the run
    runs: Any = None  # instead of `run`: a list of several folders
    ensemble: bool = False  # with `runs`: evaluate the mean of their probabilities too
    checkpoint: str | None = None  # best or last; null: the one that the run itself evaluated
    split: str = "test"  # test, val or train (training images, without augmentation)
    tta_flip: bool | None = None  # also average each image's logits with its mirror image's; null: as in training
    format: str = "table"  # or json, on standard output alone
    device: str = "auto"  # auto, cpu or cuda
    data: DataPlace = field(default_factory=DataPlace)
    trust: bool = False  # run the code of others that the run's config names


@dataclass
class PredictConfig:
    run: str | None = None  # the folder of the run
    images: Any = None  # a file, a folder, a pattern in quotes, a list of these, or - for standard input
    checkpoint: str | None = None  # best or last; null: the one that the run itself evaluated
    top: int = 5  # classes per image
    tta_flip: bool | None = None  # average each image's logits with its mirror image's; null: as in training
    format: str | None = None  # table, json or csv; null: by the name of `to`, else table
    to: str | None = None  # a file to write instead of printing: classes.json, classes.csv
    sheet: str | None = None  # a PNG file for the first 24 images with their predictions
    device: str = "auto"  # auto, cpu or cuda
    trust: bool = False  # run the code of others that the run's config names


@dataclass
class ExportConfig:
    run: str | None = None  # the folder of the run
    format: str = "onnx"  # onnx, torch_export or safetensors
    to: str | None = None  # the folder that receives the files; null: export/<format> in the folder of the run
    checkpoint: str | None = None  # best or last; null: the one that the run itself evaluated
    tta_flip: bool = False  # average the logits of each image and its mirror image, in the file itself
    data: DataPlace = field(default_factory=DataPlace)
    overwrite: bool = False  # replace the files of an earlier export
    trust: bool = False  # run the code of others that the run's config names


@dataclass
class ReportConfig:
    runs: Any = None  # a folder of runs, or a list of several: [outputs/a,outputs/b]
    metric: str = "metrics.val.top1"  # what settings are compared by: any number of result.json
    direction: str | None = None  # maximize or minimize; null: minimize for loss, ece and seconds


@dataclass
class CompareConfig:
    runs: Any = None  # a folder of runs, or a list of several: [outputs/a,outputs/b]
    by: Any = None  # the setting or config group to compare, or a list of several; null: all in which the runs differ
    a: Any = None  # the value that others are compared with, or a folder; null: each value with each
    b: Any = None  # a value or a folder, or a list of several; null: all others
    metric: str = "metrics.test.top1"  # any number of result.json
    direction: str | None = None  # maximize or minimize; null: minimize for loss, ece and seconds
    margin: float | None = None  # the smallest difference that counts; null: 0.01, one point of accuracy


SCHEMAS: dict[str, type] = {
    "train": TrainConfig,
    "benchmark": BenchmarkConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "export": ExportConfig,
    "report": ReportConfig,
    "compare": CompareConfig,
}


def register_schemas() -> None:
    """Makes the schemas known to Hydra; each conf/<command>.yaml begins with its own."""
    for name, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{name}_schema", node=schema)
