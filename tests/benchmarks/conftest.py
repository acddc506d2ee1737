import pytest

TINY = [
    "data=synthetic",
    "data.source.train_images=100",
    "data.source.test_images=100",
    "data.source.image_size=8",
    "data.image_size=8",
    "data.validation=none",
    "data.batch_size=16",
    "model.width=0.1",
    "model.dense=[16]",
    "logger=quiet",
]


@pytest.fixture(scope="session")
def tiny(config_of):
    """tiny("seed=1") -> the settings of a run of 100 images of 8 pixels."""
    return lambda *overrides: config_of(*TINY, *overrides)
