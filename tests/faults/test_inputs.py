"""The wrong inputs as tests: a cheap choice of all kinds in the normal suite, all others with -m slow."""

from collections.abc import Iterator

import pytest

from tests.faults.input_rows_base import Row
from tests.faults.inputs import ROWS, Bench, bench

CHEAP = {
    "seed=abc", "trainer.label_smoothing=nan", "data.batch_size=inf", "model.widht=1", "model=[deep",
    "model._target_=nowhere.Nothing", "config-dir: missing", "-m seed=range(3,3)", "run.dir: finished run",
    "evaluate run={run} device=abc", "predict run={run} images=notes.txt", "report runs={run} metric=nonsense",
    "folder: root missing", "evaluate: config.yaml not UTF-8", "evaluate: best.pt truncated",
}  # fmt: skip


@pytest.fixture(scope="module")
def place() -> Iterator[Bench]:
    with bench() as made:
        yield made


def test_the_rows_have_names_of_their_own():
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names)) and set(names) >= CHEAP


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name, marks=() if row.name in CHEAP else pytest.mark.slow) for row in ROWS]
)
def test_a_wrong_input_ends_in_one_sentence(place: Bench, row: Row):
    outcome = place.run(row)
    assert not outcome.problems, f"{outcome.problems}\n{row.command} {row.typed}\n{outcome.sentence or outcome.output}"
