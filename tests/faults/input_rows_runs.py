"""Damaged run folders, read by every command that reads one, and by a report on a sweep of which one job is damaged."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image

from tests.faults import input_damages as damages
from tests.faults.input_damages import Damage
from tests.faults.input_rows_base import JOB, NEW_RUN, RESUMED, Prepare, Row
from tests.quick import QUICK

READERS = {  # what is typed, the folder that is damaged, what may be written
    "resume": ("train", ("resume={paused}",), "outputs/paused", RESUMED),
    "evaluate": ("evaluate", ("run={run}",), "outputs/run", r"$^"),
    "predict": ("predict", ("run={run}", "images=cat.png"), "outputs/run", r"$^"),
    "report": ("report", ("runs={run}",), "outputs/run", r"$^"),
    "init.run": ("train", (*QUICK, "init.run={run}"), "outputs/run", NEW_RUN),
}


def damage_rows(kind: str, what: str, table: Mapping[str, Damage], *readers: str) -> list[Row]:
    """One row for each damage and each of `readers`."""
    rows = []
    for name, damage in table.items():
        for reader in readers:
            command, arguments, folder, may_write = READERS[reader]
            prepare = _prepare(folder, damage)
            rows.append(
                Row(kind, f"{reader}: {what} {name}", command, arguments, damage.expected, prepare, False, may_write)
            )
    return rows


def sweep_rows(kind: str, what: str, table: Mapping[str, Damage]) -> list[Row]:
    """A report on a sweep names its damaged job as unreadable, and reports all others."""
    return [
        Row(
            kind, f"report on a sweep: {what} {name}", "report", ("runs={sweep}",),
            rf"1_seed-1[^\n]*unreadable.*({damage.expected})", _prepare(JOB, damage), True, NEW_RUN,
        )
        for name, damage in table.items()
    ]  # fmt: skip


def _prepare(folder: str, damage: Damage) -> Prepare:
    def prepare(place: Path) -> None:
        Image.new("RGB", (8, 8), "red").save(place / "cat.png")
        damages.plant_evil_files(place)
        damage.apply(place / folder)

    return prepare


def _damage_best_logits(damage: Damage) -> Prepare:
    """Damages the logits that a report on the sweep would show."""

    def prepare(place: Path) -> None:
        results = {file: json.loads(file.read_text()) for file in (place / "outputs/sweep").glob("*/result.json")}
        best = max(results, key=lambda file: results[file]["metrics"]["val"]["top1"])
        for file in results:
            if results[file]["metrics"]["val"]["top1"] == results[best]["metrics"]["val"]["top1"]:
                damage.apply(file.parent)

    return prepare


EVERY = ("resume", "evaluate", "predict", "report", "init.run")
DANGEROUS = [name for name, damage in damages.CONFIG.items() if "." in name or name.startswith(("evil", "a detour"))]
HARMLESS = {name: damage for name, damage in damages.CONFIG.items() if name not in DANGEROUS}
HOSTILE = {name: damages.CONFIG[name] for name in DANGEROUS}
# `evaluate` and `predict` build model and data alone; a report and a base run build nothing of what the config names
TRAINED_WITH = [f"evil {part}" for part in ("logger", "loss", "scheduler", "optimizer", "augmentation")]
BUILT_TO_EVALUATE = {name: damage for name, damage in HOSTILE.items() if name not in TRAINED_WITH}
READ_BY_REPORT = {name: damage for name, damage in HARMLESS.items() if name != "unknown key of model"}
STRUCTURE = {name: HARMLESS[name] for name in list(HARMLESS)[: list(HARMLESS).index("unknown key of model")]}

RESUME_VALUES = ("status done", "status 3", "status list", "rungs []", "rungs x", "rungs 3", "commands 3")
EVALUATE_VALUES = ("evaluated path", "evaluated 3", "metrics 3", "metrics.val 3")
PREDICT_VALUES = ("evaluated path", "evaluated 3")


def _some(*names: str) -> dict[str, Damage]:
    return {name: damages.RESULT_VALUES[name] for name in names}


BASE_KEYS = {"resume": damages.resume_damages(), "evaluate": damages.evaluation_damages()}
ROWS: list[Row] = [
    *damage_rows("config.yaml", "config.yaml", HARMLESS, "resume", "evaluate"),
    *damage_rows("config.yaml", "config.yaml", READ_BY_REPORT, "report"),
    *damage_rows("config.yaml", "config.yaml", STRUCTURE, "predict", "init.run"),
    *damage_rows("hostile config.yaml", "config.yaml", HOSTILE, "resume"),
    *damage_rows("hostile config.yaml", "config.yaml", BUILT_TO_EVALUATE, "evaluate", "predict"),
    *sweep_rows("sweep with a damaged job", "config.yaml", READ_BY_REPORT),
    *damage_rows("result.json", "result.json", damages.RESULT, *EVERY),
    *damage_rows("result.json", "result.json", damages.RESULT_VALUES, "report"),
    *damage_rows("result.json", "result.json", _some(*RESUME_VALUES), "resume"),
    *damage_rows("result.json", "result.json", _some(*EVALUATE_VALUES), "evaluate"),
    *damage_rows("result.json", "result.json", _some(*PREDICT_VALUES), "predict", "init.run"),
    *sweep_rows("sweep with a damaged job", "result.json", {**damages.RESULT, **damages.RESULT_VALUES}),
    *damage_rows("history.csv", "history.csv", damages.HISTORY, "report"),
    *sweep_rows("sweep with a damaged job", "history.csv", damages.HISTORY),
    *damage_rows("checkpoints", "last.pt", damages.checkpoint_damages("last"), "resume"),
    *damage_rows("checkpoints", "last.pt", damages.resume_damages(), "resume"),
    *damage_rows("checkpoints", "best.pt", damages.checkpoint_damages("best"), "evaluate", "predict", "init.run"),
    *damage_rows("checkpoints", "best.pt", damages.evaluation_damages(), "evaluate", "predict"),
    *damage_rows("test_logits.pt", "test_logits.pt", damages.LOGITS, "report"),
]
ROWS += [
    Row(
        "sweep with a damaged job", f"report on a sweep: test_logits.pt {name}", "report", ("runs={sweep}",),
        r"test_logits\.pt|unreadable", _damage_best_logits(damage), True, NEW_RUN,
    )
    for name, damage in damages.LOGITS.items()
]  # fmt: skip


def _init_from_frozen(place: Path) -> None:
    """A run that stands on another whose weights are gone."""
    damages.set_config("init", {"run": "outputs/gone", "freeze": "features", "images": "all", "cache": True})(
        place / "outputs/run"
    )


def _base_of_itself(place: Path) -> None:
    damages.set_config("init", {"run": "outputs/run", "freeze": "features", "images": "held_out", "cache": True})(
        place / "outputs/run"
    )


def _grow(place: Path) -> None:
    """The checkpoint has fewer epochs than the history says; the last is not this run's."""
    content = torch.load(place / "outputs/paused/checkpoints/last.pt", weights_only=True)
    torch.save({**content, "epoch": 7}, place / "outputs/paused/checkpoints/last.pt")


def _continue_sweep(name: str, damage: Damage) -> Row:
    arguments = (*QUICK, "--multirun", "seed=0,1,2", "trainer.epochs=1", "hydra.sweep.dir={sweep}")
    expected = rf"{damage.expected}|1_seed-1 holds a run of other settings"
    table = r"outputs/sweep/(sweep\.(csv|md)|events\.out)"  # written anew
    return Row(
        "sweep with a damaged job", f"continued: {name}", "train", arguments, expected, _prepare(JOB, damage),
        may_write=table,
    )  # fmt: skip


ROWS += [
    Row("base runs", "evaluate: base gone", "evaluate", ("run={run}",), r"init\.run=outputs/gone", _init_from_frozen),
    Row("base runs", "predict: base gone", "predict", ("run={run}", "images=*.py"), r"gone|matches", _init_from_frozen),
    Row("base runs", "evaluate: base of itself", "evaluate", ("run={run}",), r"init\.run|frozen", _base_of_itself),
    Row(
        "checkpoints", "resume: last.pt beyond the end", "train", ("resume={paused}",), r"epoch", _grow, False, RESUMED
    ),
    *(
        _continue_sweep(f"config.yaml {name}", damages.CONFIG[name])
        for name in ("empty", "a list", "not UTF-8", "format 2", "os.system", "evil model", "model null")
    ),
    *(
        _continue_sweep(f"result.json {name}", {**damages.RESULT, **damages.RESULT_VALUES}[name])
        for name in ("truncated", "list", "null", "not UTF-8", "status done", "metrics 3")
    ),
]
