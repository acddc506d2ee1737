"""The wrong inputs as tests: a cheap choice of all kinds in the normal suite, all others with -m slow."""

from collections.abc import Iterator

import pytest

from tests.faults.input_rows_base import Row
from tests.faults.inputs import ROWS, Bench, bench

CHEAP = {
    "seed=-1", "seed=abc", "pause_at=0", "trainer.epochs=1.5", "trainer.label_smoothing=nan",
    "trainer.progressive_resizing=[1]", "data=nothing", "data.batch_size=inf",
    "data.normalize=true data.mean=[0,0]", "~data.source", "init.run=nowhere", "model=dep",
    "model=", "model.pooling=median", "model.widht=1", "scheduler.warmup_epochs=2",
    "scheduler.gamma=0.1", "experiment=quick", "foo=1", "=deep", "model=[deep",
    "model._target_=nowhere.Nothing", "model._target_=torch.nn", "logger=loud", "job.chdir", "config-dir: missing",
    "-m seed=range(3,3)", "-m seed=0,1 hydra.sweeper.direction=up", "run.dir: finished run",
    "resume=nowhere", "evaluate run={run} checkpoint=foo", "evaluate run={run} device=abc",
    "predict run={run} images=notes.txt", "predict run={run} images=cat.png top=0", "report runs=folder",
    "report runs={run} metric=nonsense", "benchmark rounds=0", "folder: root missing",
    "evaluate: config.yaml not UTF-8", "evaluate: best.pt truncated", "evaluate: result.json truncated",
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
