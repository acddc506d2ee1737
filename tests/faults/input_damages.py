"""Ways in which the files of a run folder are damaged, each with what the sentence about it must say."""

import json
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

MARKER = "MARKER"  # the file that hostile code would write: no row may leave one


class Damage(NamedTuple):
    """`apply` is called with the folder of the run."""

    apply: Callable[[Path], object]
    expected: str


def write(name: str, content: bytes | str) -> Callable[[Path], object]:
    """A file whose content is replaced."""
    return lambda run: (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def remove(name: str) -> Callable[[Path], object]:
    return lambda run: (run / name).unlink()


def make_folder(name: str) -> Callable[[Path], object]:
    """A file in whose place a folder stands."""

    def apply(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return apply


def truncate(name: str) -> Callable[[Path], object]:
    """A file of which half is left."""

    def apply(run: Path) -> None:
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: len(content) // 2])

    return apply


def set_config(key: str, value: Any) -> Callable[[Path], object]:
    """config.yaml with another value; DROPPED removes the key."""

    def apply(run: Path) -> None:
        content = yaml.safe_load((run / "config.yaml").read_text())
        _set(content, key.split("."), value)
        (run / "config.yaml").write_text(yaml.safe_dump(content))

    return apply


def set_result(key: str, value: Any) -> Callable[[Path], object]:
    """result.json with another value."""

    def apply(run: Path) -> None:
        content = json.loads((run / "result.json").read_text())
        _set(content, key.split("."), value)
        (run / "result.json").write_text(json.dumps(content))

    return apply


DROPPED = object()


def _set(content: Any, keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        content = content[key]
    if value is DROPPED:
        del content[keys[-1]]
    else:
        content[keys[-1]] = value


class Payload:
    """Unpickling it runs a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (f"touch {MARKER}",)


def change_tensors(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    """A file of torch's whose content is changed."""

    def apply(run: Path) -> None:
        torch.save(change(torch.load(run / name, weights_only=True)), run / name)

    return apply


def _with(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda content: {**content, **values}


def _without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda content: {name: value for name, value in content.items() if name != key}


def _filled(number: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A checkpoint whose first weights are `number`."""

    def change(content: dict[str, Any]) -> dict[str, Any]:
        model = {name: value.clone() for name, value in content["model"].items()}
        next(iter(model.values())).fill_(number)
        return {**content, "model": model}

    return change


def _other_network(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "model": torch.nn.Linear(2, 3).state_dict()}


def _transposed(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "model": {name: value[:1] for name, value in content["model"].items()}}


def _other_optimizer(content: dict[str, Any]) -> dict[str, Any]:
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    return {**content, "optimizer": torch.optim.SGD(weights, lr=0.1, momentum=0.9).state_dict()}


def _three_classes(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "classes": {"names": ("a", "b", "c"), "superclass_names": (), "superclass_of": ()}}


def zip_bomb_free_archive(name: str) -> Callable[[Path], object]:
    """A zip file that torch did not write."""

    def apply(run: Path) -> None:
        import zipfile

        with zipfile.ZipFile(run / name, "w") as archive:
            archive.writestr("hello.txt", "hello")

    return apply


GARBAGE = random.Random(0).randbytes(5000)
YAML = r"config\.yaml"


def evil_module(run: Path) -> None:
    """A stranger's run folder with a module in it; `_target_` names that module."""
    stranger = run.parent / "stranger"
    stranger.mkdir(exist_ok=True)
    code = f"from pathlib import Path\nPath({str(run / MARKER)!r}).write_text('imported')\nclass Thing:\n    pass\n"
    (stranger / "evil.py").write_text(code)


def _evil(key: str, value: Any = "outputs.stranger.evil.Thing") -> Damage:
    def apply(run: Path) -> None:
        evil_module(run)
        set_config(key, value)(run)

    return Damage(apply, r"outputs\.stranger\.evil")


def _target(target: str, **settings: Any) -> Damage:
    """The model's node names any function at all, with arguments that would leave a trace."""
    return Damage(set_config("model", {"_target_": target, **settings}), target.replace(".", r"\."))


CONFIG = {
    "empty": Damage(write("config.yaml", ""), YAML),
    "null": Damage(write("config.yaml", "null\n"), YAML),
    "a list": Damage(write("config.yaml", "- 1\n- 2\n"), YAML),
    "a number": Damage(write("config.yaml", "3\n"), YAML),
    "text": Damage(write("config.yaml", "hello\n"), YAML),
    "broken yaml": Damage(write("config.yaml", "a: [1\nb: {\n"), YAML),
    "not UTF-8": Damage(write("config.yaml", b"seed: \xff\xfe\n"), YAML),
    "binary": Damage(write("config.yaml", GARBAGE), YAML),
    "truncated": Damage(truncate("config.yaml"), YAML),
    "a directory": Damage(make_folder("config.yaml"), r"config\.yaml|holds no run|not the folder of a run"),
    "missing": Damage(remove("config.yaml"), r"config\.yaml"),
    "format 2": Damage(set_config("format", 2), r"format.*2"),
    "format missing": Damage(set_config("format", DROPPED), r"format"),
    "format abc": Damage(set_config("format", "abc"), r"format.*abc"),
    "format list": Damage(set_config("format", [1]), r"format"),
    "unknown key": Damage(set_config("foo", 1), rf"{YAML}.*foo"),
    "unknown key of trainer": Damage(set_config("trainer.foo", 1), rf"{YAML}.*foo"),
    "unknown key of model": Damage(set_config("model.foo", 1), r"model.*foo"),
    "seed of a wrong type": Damage(set_config("seed", "abc"), rf"{YAML}.*(seed|abc)"),
    "epochs of a wrong type": Damage(set_config("trainer.epochs", "abc"), rf"{YAML}.*(epochs|abc)"),
    "epochs out of range": Damage(set_config("trainer.epochs", -1), r"trainer\.epochs=-1"),
    "data null": Damage(set_config("data", None), rf"{YAML}.*data"),
    "data a number": Damage(set_config("data", 3), rf"{YAML}.*data"),
    "model null": Damage(set_config("model", None), r"model"),
    "model a list": Damage(set_config("model", [1]), r"model"),
    "model missing": Damage(set_config("model", DROPPED), r"model"),
    "model text": Damage(set_config("model", "deep"), r"model"),
    "unresolved interpolation": Damage(set_config("seed", "${nothing}"), rf"{YAML}.*nothing"),
    "a resolver": Damage(set_config("data.root", "${oc.env:NO_SUCH_VARIABLE}"), rf"{YAML}.*NO_SUCH_VARIABLE"),
    "python object": Damage(write("config.yaml", f"seed: !!python/object/apply:os.system ['touch {MARKER}']\n"), YAML),
    "sympy.sympify": _target("sympy.sympify", a=f"__import__('os').system('touch {MARKER}')"),
    "torch.hub.load": _target("torch.hub.load", repo_or_dir=".", model="evil", source="local"),
    "torch.load": _target("torch.load", f="evil.pt", weights_only=False),
    "numpy.load": _target("numpy.load", file="evil.npy", allow_pickle=True),
    "numpy.savetxt": _target("numpy.savetxt", fname=MARKER, X=[1.0, 2.0]),
    "os.system": _target("os.system", command=f"touch {MARKER}"),
    "builtins.eval": _target("builtins.eval", _args_=[f"open('{MARKER}', 'w')"]),
    "subprocess.Popen": _target("subprocess.Popen", args=["touch", MARKER]),
    "a detour to torch.hub": _target("torch.nn.modules.module.torch.hub.load", repo_or_dir=".", model="evil"),
    "src.run_dir.write_text": _target("src.run_dir.write_text", path=MARKER, text="hello"),
    "shutil.rmtree": _target("shutil.rmtree", path="outputs"),
    "src.targets.instantiate": _target("src.targets.instantiate", config={"_target_": "os.getcwd"}),
    "evil model": _evil("model._target_"),
    "evil data.source": _evil("data.source._target_"),
    "evil logger": _evil("logger", {"mine": {"_target_": "outputs.stranger.evil.Thing"}}),
    "evil loss": _evil("loss._target_"),
    "evil scheduler": _evil("scheduler._target_"),
    "evil optimizer": _evil("optimizer._target_"),
    "evil augmentation": _evil("augmentation._target_"),
    "evil deep in lists": _evil("model.blocks", [[[{"x": [{"_target_": "outputs.stranger.evil.Thing"}]}]]]),
}

RESULT = {
    "truncated": Damage(truncate("result.json"), r"result\.json"),
    "empty": Damage(write("result.json", ""), r"result\.json"),
    "list": Damage(write("result.json", "[]"), r"result\.json"),
    "number": Damage(write("result.json", "3"), r"result\.json"),
    "null": Damage(write("result.json", "null"), r"result\.json"),
    "not UTF-8": Damage(write("result.json", b'{"status": "\xff\xfe"}'), r"result\.json"),
    "binary": Damage(write("result.json", GARBAGE), r"result\.json"),
    "a directory": Damage(make_folder("result.json"), r"result\.json"),
}  # whatever reads it

RESULT_VALUES = {
    key: Damage(set_result(path, value), rf"result\.json.*({path.rpartition('.')[2]}|{key.split()[0]})")
    for key, path, value in (
        ("status done", "status", "done"),
        ("status 3", "status", 3),
        ("status null", "status", None),
        ("status list", "status", []),
        ("epochs x", "epochs", "x"),
        ("epochs -1", "epochs", -1),
        ("seconds x", "seconds", "x"),
        ("seconds NaN", "seconds", float("nan")),
        ("rungs []", "rungs", []),
        ("rungs x", "rungs", {"x": 1}),
        ("rungs 3", "rungs", 3),
        ("metrics 3", "metrics", 3),
        ("metrics.val 3", "metrics.val", 3),
        ("metrics.val.top1 x", "metrics.val.top1", "x"),
        ("metrics.val.top1 NaN", "metrics.val.top1", float("nan")),
        ("metrics.val.top1 7", "metrics.val.top1", 7),
        ("metrics.train.top1 true", "metrics.train.top1", True),
        ("choices []", "choices", []),
        ("choices 3", "choices", {"model": 3}),
        ("commands 3", "commands", 3),
        ("commands [3]", "commands", [3]),
        ("reason 3", "reason", 3),
        ("data 3", "data", 3),
        ("environment 3", "environment", 3),
        ("evaluated path", "evaluated", "../../../../etc/passwd"),
        ("evaluated 3", "evaluated", 3),
        ("overridden 3", "overridden", 3),
        ("swept 3", "swept", 3),
    )
}  # of keys that a report reads

HISTORY = {
    "garbage": Damage(write("history.csv", "hello\nworld\n"), r"history\.csv"),
    "binary": Damage(write("history.csv", b"\x00\xff\xfe" + GARBAGE), r"history\.csv"),
    "missing columns": Damage(write("history.csv", "epoch,seconds\n1,2\n"), r"history\.csv"),
    "text in a number cell": Damage(
        lambda run: (run / "history.csv").write_text((run / "history.csv").read_text().replace("\n1,", "\n1,x", 1)),
        r"history\.csv",
    ),
    "epoch text": Damage(
        lambda run: (run / "history.csv").write_text((run / "history.csv").read_text().replace("\n1,", "\none,", 1)),
        r"history\.csv",
    ),
    "rows out of order": Damage(
        lambda run: (run / "history.csv").write_text(
            "\n".join([(lines := (run / "history.csv").read_text().split())[0], lines[-1].replace("1,", "2,", 1),
                       lines[1], ""])
        ),
        r"history\.csv",
    ),
    "NaN": Damage(
        lambda run: (run / "history.csv").write_text(
            "".join(_nan(line) for line in (run / "history.csv").read_text().splitlines(keepends=True))
        ),
        r"history\.csv",
    ),
    "short rows": Damage(
        lambda run: (run / "history.csv").write_text((run / "history.csv").read_text().splitlines()[0] + "\n1,2\n"),
        r"history\.csv",
    ),
    "long rows": Damage(
        lambda run: (run / "history.csv").write_text((run / "history.csv").read_text().rstrip() + ",1,2,3,4\n"),
        r"history\.csv",
    ),
    "not UTF-8": Damage(write("history.csv", b"epoch,train_loss\n1,\xff\n"), r"history\.csv"),
    "a directory": Damage(make_folder("history.csv"), r"history\.csv"),
}  # fmt: skip


def _nan(line: str) -> str:
    """A line of history.csv whose val_loss is NaN."""
    cells = line.split(",")
    return line if cells[0] == "epoch" else ",".join([*cells[:3], "nan", *cells[4:]])


def checkpoint_damages(name: str) -> dict[str, Damage]:
    """Of checkpoints/<name>.pt, whatever reads it."""
    file, said = f"checkpoints/{name}.pt", rf"{name}\.pt"
    return {
        "missing": Damage(remove(file), said),
        "empty": Damage(write(file, b""), said),
        "truncated": Damage(truncate(file), said),
        "random bytes": Damage(write(file, GARBAGE), said),
        "text": Damage(write(file, "hello\n"), said),
        "a directory": Damage(make_folder(file), said),
        "a pickle that runs a command": Damage(write(file, pickle.dumps(Payload())), said),
        "a checkpoint that runs a command": Damage(
            lambda run: torch.save({"model": Payload(), "optimizer": 1, "epoch": 1, "step": 1}, run / file), said
        ),
        "another zip file": Damage(zip_bomb_free_archive(file), said),
        "a list": Damage(change_tensors(file, lambda content: [1, 2]), said),
        "a tensor": Damage(change_tensors(file, lambda content: torch.zeros(3)), said),
        "of another network": Damage(change_tensors(file, _other_network), r"does not fit|other|fit"),
        "of other shapes": Damage(change_tensors(file, _transposed), r"does not fit|other|fit"),
        "model a number": Damage(change_tensors(file, _with(model=3)), said),
        "model of numbers": Damage(change_tensors(file, _with(model={"a": 3})), rf"{said}|does not fit"),
        "NaN weights": Damage(change_tensors(file, _filled(float("nan"))), rf"{said}.*(nan|finite|damaged)"),
        "inf weights": Damage(change_tensors(file, _filled(float("inf"))), rf"{said}.*(finite|damaged)"),
    }


def resume_damages() -> dict[str, Damage]:
    """Of checkpoints/last.pt, where training continues from it."""
    file = "checkpoints/last.pt"
    changes: dict[str, tuple[Callable[[Any], Any], str]] = {
        "of another optimizer": (_other_optimizer, r"last\.pt.*optimizer"),
        "optimizer a number": (_with(optimizer=3), r"last\.pt"),
        "without optimizer": (_without("optimizer"), r"last\.pt"),
        "without classes": (_without("classes"), r"last\.pt"),
        "without fingerprint": (_without("fingerprint"), r"last\.pt"),
        "without meter": (_without("meter"), r"last\.pt"),
        "without batch": (_without("batch"), r"last\.pt"),
        "fingerprint of other data": (_with(fingerprint="0" * 16), r"data has changed|fingerprint"),
        "fingerprint 3": (_with(fingerprint=3), r"last\.pt|fingerprint"),
        "epoch x": (_with(epoch="x"), r"last\.pt"),
        "epoch -1": (_with(epoch=-1), r"last\.pt"),
        "epoch 1.5": (_with(epoch=1.5), r"last\.pt"),
        "epoch 1000": (_with(epoch=1000), r"last\.pt|epoch"),
        "batch 1000": (_with(batch=1000), r"last\.pt|batch"),
        "step x": (_with(step="x"), r"last\.pt"),
        "history 3": (_with(history=3), r"last\.pt"),
        "history of text": (_with(history=["x"]), r"last\.pt"),
        "scheduler 3": (_with(scheduler=3), r"last\.pt"),
        "scaler 3": (_with(scaler=3), r"last\.pt"),
        "meter 3": (_with(meter=3), r"last\.pt"),
        "classes of other count": (_three_classes, r"last\.pt|classes"),
    }
    return {name: Damage(change_tensors(file, change), expected) for name, (change, expected) in changes.items()}


def evaluation_damages() -> dict[str, Damage]:
    """Of checkpoints/best.pt, where a finished run is evaluated."""
    file = "checkpoints/best.pt"
    changes: dict[str, tuple[Callable[[Any], Any], str]] = {
        "without classes": (_without("classes"), r"best\.pt"),
        "classes 3": (_with(classes=3), r"best\.pt"),
        "classes of unknown keys": (_with(classes={"foo": 1}), r"best\.pt"),
        "classes of other count": (_three_classes, r"best\.pt|does not fit|classes"),
        "epoch x": (_with(epoch="x"), r"best\.pt"),
    }
    return {name: Damage(change_tensors(file, change), expected) for name, (change, expected) in changes.items()}


def _cut_logits(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "logits": content["logits"][:7, :3]}


def _nan_logits(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "logits": content["logits"] * float("nan")}


LOGITS_FILE = "test_logits.pt"
LOGITS = {
    name: Damage(change, r"test_logits\.pt")
    for name, change in {
        "truncated": truncate(LOGITS_FILE),
        "empty": write(LOGITS_FILE, b""),
        "random bytes": write(LOGITS_FILE, GARBAGE),
        "text": write(LOGITS_FILE, "hello\n"),
        "a directory": make_folder(LOGITS_FILE),
        "a pickle that runs a command": write(LOGITS_FILE, pickle.dumps(Payload())),
        "a list": change_tensors(LOGITS_FILE, lambda content: [1]),
        "other shapes": change_tensors(LOGITS_FILE, _cut_logits),
        "NaN": change_tensors(LOGITS_FILE, _nan_logits),
        "without labels": change_tensors(LOGITS_FILE, _without("labels")),
        "without classes": change_tensors(LOGITS_FILE, _without("classes")),
        "logits a number": change_tensors(LOGITS_FILE, _with(logits=3)),
        "labels out of range": change_tensors(LOGITS_FILE, _with(labels=torch.full((100,), 77))),
    }.items()
}


def plant_evil_files(place: Path) -> None:
    """What torch.hub.load, torch.load and numpy.load of a stranger's config.yaml would read, in the working folder."""
    import numpy as np

    code = f"def evil(*a, **k):\n    open({MARKER!r}, 'w').close()\nopen({MARKER!r}, 'w').close()\n"
    (place / "hubconf.py").write_text(code)
    (place / "evil.pt").write_bytes(pickle.dumps(Payload()))
    np.save(place / "evil.npy", np.array([Payload()], dtype=object), allow_pickle=True)


def copy_job(place: Path, name: str) -> None:
    """The sweep's first job under another name."""
    shutil.copytree(place / "outputs/sweep/0_seed-0", place / "outputs/sweep" / name)
