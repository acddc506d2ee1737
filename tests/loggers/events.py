"""Reads what a run wrote for TensorBoard."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def scalars(path: Path, tag: str) -> list[tuple[int, float]]:
    """The points of `tag`: (step, value), rounded to four digits."""
    return [(event.step, round(event.value, 4)) for event in EventAccumulator(str(path)).Reload().Scalars(tag)]


def steps_of(path: Path, tag: str) -> list[int]:
    return [step for step, _ in scalars(path, tag)]
