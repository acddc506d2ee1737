from src.config import RunConfig
from src.schemas import SCHEMAS, BenchmarkConfig, TrainConfig


def test_every_command_has_a_schema():
    assert set(SCHEMAS) == {"train", "benchmark", "evaluate", "predict", "export", "report", "compare"}
    assert issubclass(BenchmarkConfig, RunConfig) and issubclass(TrainConfig, RunConfig)
