from collections.abc import Iterator

import pytest

from src.training.trained_model import TrainedModel, load_trained
from tests.conftest import run_in_process
from tests.quick import QUICK, quick_commands


@pytest.fixture(scope="package")
def run_folder(tmp_path_factory) -> Iterator[str]:
    """The folder of a run that is trained on images of 8 pixels with 10 classes, normalized."""
    place = tmp_path_factory.mktemp("exports")
    with quick_commands():
        normalized = [
            "data.normalize=true",
            "data.mean=[0.5,0.4,0.3]",
            "data.std=[0.2,0.3,0.4]",
            "trainer.tta_flip=true",
        ]
        done = run_in_process("train", *QUICK, *normalized, "hydra.run.dir=run", cwd=place)
        assert done.returncode == 0, done.stderr
        yield str(place / "run")


@pytest.fixture(scope="package")
def trained_model(run_folder) -> TrainedModel:
    return load_trained(run_folder, None, "cpu", False)
