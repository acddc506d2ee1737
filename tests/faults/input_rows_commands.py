"""The commands that train nothing, and data sets that are not where or what they should be."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.input_damages import remove, set_config
from tests.faults.input_rows_base import NEW_RUN, NOTHING, Prepare, Row, command_rows
from tests.faults.input_rows_hydra import IN_USE, foreign_files

EVALUATE = [
    ("", r"name a run, as in run="),
    ("run=", r"run"),
    ("run=null", r"name a run, as in run="),
    ("run=nowhere", r"run=nowhere is not the folder of a run"),
    ("run=3", r"run=3 is not the folder"),
    ("run=[a,b]", r"run"),
    ("run={run},{paused}", r"run=.*(multirun|-m|read|list)"),
    ("run={run}/config.yaml", r"run=outputs/run/config\.yaml is not the folder"),
    ("run={sweep}", r"run=outputs/sweep is not the folder of a run"),
    ("run=~/nope", r"nope is not the folder of a run"),
    ("run={run} checkpoint=foo", r"checkpoint=foo is not one of"),
    ("run={run} checkpoint=3", r"checkpoint=3 is not one of"),
    ("run={run} checkpoint=[best]", r"checkpoint"),
    ("run={run} checkpoint=''", r"checkpoint"),
    ("run={run} checkpoint=../../../etc/passwd", r"checkpoint=.*is not one of"),
    ("run={run} split=foo", r"split=foo is not one of"),
    ("run={run} split=null", r"split"),
    ("run={run} split=[test]", r"split"),
    ("run={run} split=???", r"split"),
    ("run={run} format=xml", r"format=xml is not one of"),
    ("run={run} format=null", r"format"),
    ("run={run} device=cuda", r"device=cuda.*no CUDA device.*device=cpu"),
    ("run={run} device=abc", r"device=abc is not one of"),
    ("run={run} device=null", r"device"),
    ("run={run} device=3", r"device=3"),
    ("run={run} tta_flip=maybe", r"tta_flip.*maybe"),
    ("run={run} tta_flip=3.5", r"tta_flip"),
    ("run={run} foo=1", r"foo is not a setting"),
    ("run={run} model=deep", r"model"),
    ("run={run} trainer.epochs=1", r"trainer"),
    ("run={run} splitt=val", r"splitt.*did you mean split"),
    ("{run}", r"outputs/run is not an override"),
    ("run {run}", r"run is not an override"),
    ("run={run} -m", r"multirun|-m"),
    ("-m run={run},{paused}", r"multirun|-m"),
    ("run={run} hydra.run.dir=mine", r"hydra\.run\.dir"),
    ("run={run} --config-name train", r"train|config-name"),
    ("run='{run}", r"(read|quote|bracket)"),
    ("resume={run}", r"resume is not a setting.*run"),
]

PREDICT = [
    ("run={run}", r"images is missing"),
    ("images=cat.png", r"run is missing"),
    ("run={run} images=", r"images"),
    ("run={run} images=[[a]]", r"images=.* must be a list of names"),
    ("run={run} images=cat.png to=nowhere/a.csv", r"to=nowhere/a\.csv.*no folder nowhere"),
    ("run={run} images=cat.png to=cat.png", r"to=cat\.png is one of the images"),
    ("run={run} images=cat.png sheet=a.jpg", r"sheet=a\.jpg must be a PNG file"),
    ("run={run} images=3", r"images=3 matches no file"),
    ("run={run} images=nothing.png", r"images=nothing\.png matches no file"),
    ("run={run} images='*.bmp'", r"images=\*\.bmp matches no file"),
    ("run={run} images=folder", r"images=folder.*(matches no file|folder)"),
    ("run={run} images=notes.txt", r"notes\.txt cannot be read as an image"),
    ("run={run} images=empty.png", r"empty\.png cannot be read as an image"),
    ("run={run} images=truncated.png", r"truncated\.png cannot be read as an image"),
    ("run={run} images='*m*.p*'", r"(empty|truncated)\.png cannot be read"),
    ("run={run} images='['", r"images=\["),
    ("run={run} images='~/nope/*.png'", r"nope.*matches no file"),
    ("run={run} images=cat.png top=0", r"top=0 must be at least 1"),
    ("run={run} images=cat.png top=-1", r"top=-1 must be at least 1"),
    ("run={run} images=cat.png top=abc", r"top.*abc"),
    ("run={run} images=cat.png top=1.5", r"top.*1\.5"),
    ("run={run} images=cat.png top=null", r"top"),
    ("run={run} images=cat.png top=nan", r"top"),
    ("run={run} images=cat.png top=???", r"top"),
    ("run={run} images=cat.png format=xml", r"format=xml"),
    ("run={run} images=cat.png device=cuda", r"device=cuda.*no CUDA device"),
    ("run={run} images=cat.png device=abc", r"device=abc"),
    ("run={run} images=cat.png checkpoint=foo", r"checkpoint=foo"),
    ("run={sweep} images=cat.png", r"run=outputs/sweep is not the folder"),
    ("run=nowhere images=cat.png", r"run=nowhere is not the folder"),
    ("run={run} image=cat.png", r"image is not a setting.*images"),
    ("run={run} images=cat.png foo=1", r"foo is not a setting"),
]

REPORT = [
    ("", r"runs is missing"),
    ("runs=", r"runs"),
    ("runs=[]", r"runs"),
    ("runs=null", r"runs is missing"),
    ("runs=nowhere", r"runs=nowhere is no folder"),
    ("runs=notes.txt", r"runs=notes\.txt is no folder"),
    ("runs=folder", r"runs=folder holds no run"),
    ("runs=3", r"runs=3"),
    ("runs=true", r"runs"),
    ("runs=1.5", r"runs"),
    ("runs={a:1}", r"runs"),
    ("runs=[3]", r"runs=\[3\]"),
    ("runs=[null]", r"runs"),
    ("runs=[[{run}]]", r"runs"),
    ("runs=[{run},nowhere]", r"runs=nowhere is no folder"),
    ("runs={run},{paused}", r"runs=.*(multirun|-m|\[|list)"),
    ("runs=~/nope", r"nope is no folder"),
    ("runs={run} metric=nonsense", r"metric=nonsense is in no result\.json"),
    ("runs={run} metric=", r"metric"),
    ("runs={run} metric=null", r"metric"),
    ("runs={run} metric=3", r"metric=3"),
    ("runs={run} metric=status", r"metric=status"),
    ("runs={run} metric=[a]", r"metric"),
    ("runs={run} metric=metrics", r"metric=metrics"),
    ("runs={run} direction=up", r"direction=up is not one of"),
    ("runs={run} hydra.run.dir={run}", r"outputs/run .*holds no report"),
    ("runs={run} hydra.run.dir=notes.txt", r"notes\.txt"),
    ("runs={run} hydra.run.dir=notes.txt/x", r"notes\.txt"),
    ("runs={run} hydra.run.dir=/proc/cifarlab", r"/proc/cifarlab"),
    ("runs={run} hydra.run.dir=.", rf"hydra\.run\.dir|{IN_USE}"),
    ("runs={run} hydra.run.dir=outputs", rf"outputs.*({IN_USE})|hydra\.run\.dir"),
    ("runs={run} hydra.run.dir={run}/checkpoints", rf"({IN_USE})|hydra\.run\.dir"),
    ("runs={run} foo=1", r"foo is not a setting"),
    ("run={run}", r"run is not a setting.*runs"),
    ("runs={run} format=json", r"format is not a setting"),
    ("runs={run} -m", r"multirun|-m"),
    ("{run}", r"outputs/run is not an override"),
]

BENCHMARK = [
    ("rounds=0", r"rounds=0 must be at least 1"),
    ("rounds=-1", r"rounds=-1"),
    ("rounds=abc", r"rounds.*abc"),
    ("rounds=1.5", r"rounds.*1\.5"),
    ("rounds=null", r"rounds"),
    ("rounds=???", r"rounds"),
    ("seconds=0", r"seconds=0"),
    ("seconds=-1", r"seconds=-1"),
    ("seconds=nan", r"seconds=nan"),
    ("seconds=inf", r"seconds=inf"),
    ("seconds=abc", r"seconds.*abc"),
    ("format=xml", r"format=xml is not one of"),
    ("loops=[nonsense]", r"loops=nonsense is not one of"),
    ("loops=quickstart", r"loops"),
    ("loops=null", r"loops"),
    ("loops=[3]", r"loops=3"),
    ("loops=[null]", r"loops"),
    ("pipelines=[nonsense]", r"pipelines=nonsense is not one of"),
    ("pipelines=3", r"pipelines"),
    ("augmentations=[mixup]", r"augmentations=mixup is not one of"),
    ("trainings=[nonsense]", r"trainings=nonsense is not one of"),
    ("loops=[] pipelines=[] augmentations=[] trainings=[]", r"all lists are empty"),
    ("trainings=[quickstart] seeds=[]", r"seeds=\[\]"),
    ("trainings=[quickstart] seeds=[-1] loops=[] pipelines=[] augmentations=[]", r"seed.*-1"),
    ("trainings=[quickstart] seeds=[a]", r"seeds"),
    ("trainings=[quickstart] seeds=3", r"seeds"),
    ("trainings=[quickstart] seeds=[1.5]", r"seeds"),
    ("trainer.epochs=0", r"trainer\.epochs=0"),
    ("trainer.max_minutes=1", r"trainer\.max_minutes=1"),
    ("trainer.grad_accumulation_steps=2", r"trainer\.grad_accumulation_steps"),
    ("model.width=-1 loops=[quickstart] pipelines=[] augmentations=[]", r"width=-1"),
    ("optimizer.lr=inf loops=[quickstart] pipelines=[] augmentations=[] rounds=1 seconds=0.01", r"lr.*inf"),
    ("data.batch_size=0", r"data\.batch_size=0"),
    ("init.freeze=features", r"init\.freeze=features"),
    ("init.run=nowhere init.freeze=features", r"init\.(run|freeze)"),
    ("foo=1", r"foo is not a setting"),
    ("resume=x", r"resume is not a setting"),
    ("round=1", r"round is not a setting.*rounds"),
    ("-m rounds=1,2", r"multirun|-m"),
    ("experiment=quickstart", r"experiment"),
]


def pictures(place: Path) -> None:
    """Images and what is none, in the working folder."""
    Image.new("RGB", (8, 8), "red").save(place / "cat.png")
    content = (place / "cat.png").read_bytes()
    (place / "truncated.png").write_bytes(content[: len(content) // 2])
    (place / "empty.png").write_bytes(b"")
    notes(place)


def notes(place: Path) -> None:
    (place / "notes.txt").write_text("mine\n")
    (place / "folder").mkdir()


def _prepared(rows: list[Row], prepare: Prepare) -> list[Row]:
    return [Row(row.kind, row.name, row.command, row.arguments, row.expected, prepare) for row in rows]


def on(folder: str, damage: Callable[[Path], object]) -> Prepare:
    return lambda place: damage(place / folder)


RUN = "outputs/run"
DAMAGED = [
    ("evaluate", "split=val, none held out", ("run={run}", "split=val"), r"split=val.*no images out|not that on which",
     on(RUN, set_config("data.validation", "none"))),
    ("evaluate", "no best.pt", ("run={run}", "checkpoint=best"), r"best\.pt does not exist",
     on(RUN, remove("checkpoints/best.pt"))),
    ("evaluate", "no last.pt", ("run={run}", "checkpoint=last"), r"last\.pt does not exist",
     on(RUN, remove("checkpoints/last.pt"))),
    ("predict", "no checkpoint", ("run={run}", "images=outputs/run/*.yaml"), r"best\.pt|config\.yaml",
     on(RUN, remove("checkpoints/best.pt"))),
    ("evaluate", "other classes", ("run={run}",), r"data\.num_classes=7.*10 classes",
     on(RUN, set_config("data.num_classes", 7))),
    ("evaluate", "other width", ("run={run}",), r"does not fit", on(RUN, set_config("model.width", 2.0))),
    ("evaluate", "other image size", ("run={run}",), r"model|image_size", on(RUN, set_config("data.image_size", 0))),
    ("evaluate", "device in the run", ("run={run}",), r"trainer\.device=abc",
     on(RUN, set_config("trainer.device", "abc"))),
    ("evaluate", "data gone", ("run={run}",), r"data=folder|gone",
     on(RUN, set_config("data.source", {"_target_": "src.data.image_folder.image_folder", "root": "gone",
                                        "image_size": 8}))),
    ("report", "runs: a folder of notes", ("runs=mine",), r"runs=mine holds no run", foreign_files("mine/notes.txt")),
    ("report", "runs: a stranger's config.yaml", ("runs=mine",), r"mine.*config\.yaml|mine.*format",
     foreign_files("mine/config.yaml")),
    ("report", "runs: only result.json", ("runs=mine",), r"config\.yaml does not exist",
     foreign_files("mine/result.json")),
]  # fmt: skip


def _images(place: Path, *folders: str) -> None:
    for folder in folders:
        path = place / "mine" / folder
        path.mkdir(parents=True)
        for number in range(12):
            Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(path / f"{number}.png")


def _whole(place: Path) -> None:
    _images(place, "train/a", "train/b", "test/a", "test/b")


def _with_file(name: str, content: bytes) -> Prepare:
    def prepare(place: Path) -> None:
        _whole(place)
        (place / "mine" / name).write_bytes(content)

    return prepare


def _archive(content: bytes) -> Prepare:
    def prepare(place: Path) -> None:
        (place / "mine").mkdir()
        (place / "mine/cifar-100-python.tar.gz").write_bytes(content)

    return prepare


def _batch(place: Path) -> None:
    """An unpacked archive whose files are damaged."""
    for name in ("train", "test", "meta"):
        (place / "mine/cifar-100-python").mkdir(parents=True, exist_ok=True)
        (place / "mine/cifar-100-python" / name).write_bytes(b"hello")


TINY = ("model.blocks=[[8]]", "model.dense=[8]", "trainer.epochs=1", "data.image_size=8", "~logger.tensorboard")
FOLDER = ("data=folder", "data.root=mine", "data.holdout=2")
GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xed\xd0\x01\x0d\x00\x00\x08\x03"
DATA_SETS = [
    ("folder: root missing", ("data=folder", "data.root=nowhere"), r"nowhere.*data\.root", None),
    ("folder: root in a missing home", ("data=folder", "data.root=~/nope"), r"nope.*data\.root", None),
    ("folder: root a file", FOLDER, r"mine.*data\.root", lambda place: (place / "mine").write_text("x")),
    ("folder: root null", ("data=folder", "data.root=null"), r"data\.(root|source)", None),
    ("folder: no train", FOLDER, r"holds test, but no train", lambda place: _images(place, "test/a", "test/b")),
    ("folder: no classes", FOLDER, r"mine/train", lambda place: _images(place, "train", "test")),
    ("folder: one class", FOLDER, r"one class only", lambda place: _images(place, "train/a", "test/a")),
    ("folder: classes differ", FOLDER, r"same classes.*b",
     lambda place: _images(place, "train/a", "train/b", "test/a")),
    ("folder: an empty class", FOLDER, r"mine/train.*\bc\b",
     lambda place: (_whole(place), (place / "mine/train/c").mkdir(), (place / "mine/test/c").mkdir())),
    ("folder: an empty image", FOLDER, r"cannot be read: .*empty\.png", _with_file("train/a/empty.png", b"")),
    ("folder: text as an image", FOLDER, r"cannot be read: .*x\.jpg", _with_file("test/b/x.jpg", b"hello")),
    ("folder: other num_classes", (*FOLDER, "data.num_classes=7"), r"data\.num_classes=7.*2 classes", _whole),
    ("folder: too large a holdout", (*FOLDER, "data.holdout=12"), r"data\.holdout=12", _whole),
    ("folder: too large a limit", (*FOLDER, "data.limit=1000"), r"data\.limit=1000", _whole),
    ("cifar: root missing", ("data=cifar100", "data.root=nowhere"), r"CIFAR-100 is not in nowhere.*data\.root", None),
    ("cifar: root in a missing home", ("data.root=~/nope",), r"CIFAR-100 is not in .*nope", None),
    ("cifar: root a file", ("data.root=mine",), r"mine", lambda place: (place / "mine").write_text("x")),
    ("cifar: truncated archive", ("data.root=mine",), r"cifar-100-python\.tar\.gz.*damaged|damaged.*cifar-100-python",
     _archive(GZIP)),
    ("cifar: empty archive", ("data.root=mine",), r"damaged.*cifar-100-python|cifar-100-python.*damaged",
     _archive(b"")),
    ("cifar: garbage archive", ("data.root=mine",), r"damaged.*cifar-100-python|cifar-100-python.*damaged",
     _archive(b"hello" * 1000)),
    ("cifar: damaged files", ("data.root=mine",), r"damaged in mine", _batch),
    ("cifar10: root missing", ("data=cifar10", "data.root=nowhere"), r"CIFAR-10 is not in nowhere", None),
    ("cifar: read-only root", ("data.root=/proc/nope",), r"/proc/nope", None),
]  # fmt: skip

NEW_DATA = rf"{NEW_RUN}|nowhere(/|$)"  # the folder that a download would fill
ROWS: list[Row] = [
    *_prepared(command_rows("evaluate", "evaluate", EVALUATE), notes),
    *_prepared(command_rows("predict", "predict", PREDICT), pictures),
    *_prepared(command_rows("report", "report", REPORT), notes),
    *command_rows("benchmark", "benchmark", BENCHMARK),
    *(Row(command, f"{command}: {name}", command, arguments, expected, prepare, False, NOTHING)
      for command, name, arguments, expected, prepare in DAMAGED),
    *(Row("data sets", name, "train", (*TINY, *arguments), expected, prepare, False, NEW_DATA)
      for name, arguments, expected, prepare in DATA_SETS),
]  # fmt: skip
