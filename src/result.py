"""result.json: how a run stands and ended, its numbers and facts; docs/run_folder.md describes each key."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from src.checksums import verify_checksum
from src.errors import UserError
from src.files import read_text
from src.shapes import check_shape


class Status(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    KILLED = "killed"  # never written: result.json says "running", but no process holds the folder's lock
    UNREADABLE = "unreadable"  # never written: a file of the run is damaged


class StopReason(StrEnum):
    EPOCHS = "epochs"
    PAUSE = "pause"
    PATIENCE = "patience"
    MAX_MINUTES = "max_minutes"


_BY_PART = ({str: ({str: (float, None)}, None)}, None)  # {"val": {"top1": 0.4}}
_WRITTEN = frozenset(set(Status) - {Status.KILLED, Status.UNREADABLE})
RESULT_SHAPE = {  # of result.json, as src.shapes.check_shape takes it; keys that are not there are not checked
    "format": int,
    "status": _WRITTEN,
    "reason": (str, None),
    "stopped_by": (frozenset(StopReason), None),
    "seed": int,
    "choices": {str: str},
    "overridden": [str],
    "swept": [str],
    "commands": [str],
    "started": str,
    "updated": str,
    "planned_epochs": float,
    "epochs": int,
    "steps": int,
    "seconds": float,
    "seconds_saving": float,
    "best_epoch": (int, None),
    "best_val_top1": (float, None),
    "parameters": int,
    "running_statistics": int,
    "multiply_adds": int,
    "data": {str: (str, int)},
    "environment": {str: (str, int, None)},
    "rungs": {str: {"metrics": _BY_PART}},
    "evaluated": (frozenset({"best", "last"}), None),
    "evaluated_epoch": (int, None),
    "evaluated_step": (int, None),
    "metrics": _BY_PART,
    "tta_flip": _BY_PART,
    "calibration": ({"temperature": float, "test": {"loss": float, "ece": float}}, None),
}


def read_result(path: Path) -> dict[str, Any]:
    """The content of the result.json at `path`. Raises UserError where it is damaged."""
    verify_checksum(path)
    try:
        result = json.loads(read_text(path))
        check_shape(result, {})
        check_shape(result, {key: shape for key, shape in RESULT_SHAPE.items() if key in result})
        _check_ranges(result)
        wrong = [epoch for epoch in result.get("rungs", {}) if not (epoch.isdecimal() and epoch.isascii())]
        if wrong:
            raise ValueError(f"rungs.{wrong[0]} is no epoch")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); remove it to continue the run from its checkpoint.") from error
    return result


def is_finished(result: Mapping[str, Any], pause_at: int | None = None) -> bool:
    """Whether the run of this result.json is completed, or was evaluated after epoch `pause_at` or a later one."""
    if result.get("status") == Status.COMPLETED:
        return True
    return pause_at is not None and any(int(epoch) >= pause_at for epoch in result.get("rungs", {}))


def _check_ranges(result: Mapping[str, Any]) -> None:
    for name in ("planned_epochs", "epochs", "steps", "seconds"):
        if result.get(name, 0) < 0:
            raise ValueError(f"{name} is {result[name]}, below 0")
    for part, metrics in (result.get("metrics") or {}).items():
        for name in ("top1", "top5", "superclass", "ece"):
            if not 0 <= ((metrics or {}).get(name) or 0) <= 1:
                raise ValueError(f"metrics.{part}.{name} is {metrics[name]}, no fraction")
