import json

import pytest

from src.errors import UserError
from src.training.captured_step import can_capture
from src.training.device import Placement
from src.training.profile import ACTIVE, WAIT, WARMUP


@pytest.mark.slow
def test_a_trace_has_the_operators_of_a_few_steps(tiny, trained):
    run_dir = trained(tiny("trainer.epochs=3", "trainer.profile=true"))  # four steps an epoch
    events = json.loads(run_dir.trace_file.read_text())["traceEvents"]
    steps = {event["name"] for event in events if event.get("name", "").startswith("ProfilerStep#")}
    assert steps == {f"ProfilerStep#{WAIT + WARMUP + number}" for number in range(ACTIVE)}
    names = [event.get("name") for event in events]
    assert names.count("aten::cross_entropy_loss") in (ACTIVE, ACTIVE + 1)  # perhaps one of a validation
    assert "aten::convolution_backward" in names
    assert f"{run_dir.trace_file}: open it at https://ui.perfetto.dev" in run_dir.log_file.read_text()
    assert not list(run_dir.path.glob("*.part"))


def test_a_profiled_run_computes_the_same(tiny, trained, plain):
    run_dir = trained(tiny("trainer.profile=true"))
    assert run_dir.load_result()["metrics"] == plain.load_result()["metrics"]
    assert "the times of 2 steps are in" in run_dir.log_file.read_text()  # of eight


def test_a_training_of_few_steps_has_no_trace(tiny, trained):
    run_dir = trained(tiny("trainer.epochs=1", "trainer.profile=true"))
    assert not run_dir.trace_file.exists()
    assert "trainer.profile=true records from step 7 on; the training ended before" in run_dir.log_file.read_text()


def test_a_profiled_step_is_not_captured(tiny):
    import torch

    on_gpu = Placement(torch.device("cuda"), None, torch.channels_last)
    assert can_capture(tiny(), on_gpu) and not can_capture(tiny("trainer.profile=true"), on_gpu)
    with pytest.raises(UserError, match=r"trainer\.cuda_graph=true replaces by one graph; leave one out"):
        tiny("trainer.profile=true", "trainer.cuda_graph=true")
