import functools

import pytest
import torch
from omegaconf import OmegaConf

from src.errors import UserError
from src.targets import build, call, check_target

ADAM = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.1}


def test_settings_are_arguments_of_the_target():
    check_target(ADAM, "optimizer", num_positional=1)
    check_target({"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 2}, "model")


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        ({"lr": 0.1}, "optimizer needs a _target_"),
        ({**ADAM, "momentun": 1}, "optimizer.momentun is not a setting of torch.optim.Adam; there are: lr, "),
        ({**ADAM, "params": 1}, "optimizer.params is not a setting of torch.optim.Adam; there are: lr, "),
        ({**ADAM, "_target_": "torch.optim.Adamm"}, "optimizer._target_=torch.optim.Adamm cannot be imported"),
        ({**ADAM, "_target_": "nowhere.Adam"}, "optimizer._target_=nowhere.Adam cannot be imported"),
        ({**ADAM, "_target_": "torch.nn"}, "optimizer._target_=torch.nn cannot be imported as a function or class"),
        (
            {**ADAM, "_target_": "src.optim.muon.Muon", "_partial_": True, "momentun": 1},
            "; did you mean momentum? There are: lr, ",
        ),
        (
            {**ADAM, "lr": {"_target_": "torch.nn.ReLU", "y": 1}},
            "optimizer.lr.y is not a setting of torch.nn.ReLU; ",
        ),
        (
            {**ADAM, "lr": [{"_target_": "torch.nn.ReLU", "y": 1}]},
            "optimizer.lr.y is not a setting of torch.nn.ReLU; ",
        ),
    ],
)
def test_settings_that_a_target_does_not_take_are_refused(node, complaint):
    with pytest.raises(UserError) as error:
        check_target(node, "optimizer", num_positional=1)
    assert complaint in str(error.value)


def test_a_missing_argument_is_named():
    with pytest.raises(UserError, match=r"model \(torch.nn.Linear\): missing a required argument: 'out_features'"):
        check_target({"_target_": "torch.nn.Linear", "in_features": 1}, "model")


def test_a_module_that_fails_on_import_is_no_traceback(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('not today')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"model._target_=broken_module.Net cannot be imported .*: not today"):
        check_target({"_target_": "broken_module.Net"}, "model")


def test_others_are_added_to_the_settings():
    linear = build({"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}, "model", out_features=5)
    assert linear.weight.shape == (5, 2)


def test_nodes_within_nodes_are_built():
    node = {"_target_": "torch.nn.ModuleList", "modules": [{"_target_": "torch.nn.ReLU"}]}
    assert isinstance(build(node, "model")[0], torch.nn.ReLU)


def test_what_is_built_in_part_is_called_without_hydra():
    assert type(build(ADAM, "optimizer")) is functools.partial
    assert build(ADAM, "optimizer").func is torch.optim.Adam


def test_a_value_that_the_target_refuses_names_the_node(composed):
    model = OmegaConf.to_object(composed("model.dropout=1.5").model)
    with pytest.raises(UserError, match=r"model \(src.models.convnet.ConvNet\) refuses .*dropout=1.5 must lie in"):
        build(model, "model")
    with pytest.raises(UserError, match=r"optimizer \(torch.optim.Adam\) refuses its settings: Invalid learning rate"):
        call(ADAM, "optimizer", functools.partial(torch.optim.Adam, lr=-1), [torch.nn.Parameter(torch.ones(1))])


def raise_user_error():
    raise UserError("a sentence of its own.")


def raise_out_of_memory():
    raise torch.OutOfMemoryError("out of memory")


def raise_device_failure():
    raise torch.AcceleratorError("no kernel image is available for execution on the device")


def test_an_error_that_says_what_to_do_is_kept():
    with pytest.raises(UserError, match=r"^a sentence of its own\.$"):
        build({"_target_": f"{__name__}.raise_user_error"}, "model")


@pytest.mark.parametrize(
    ("function", "kind"),
    [(raise_out_of_memory, torch.OutOfMemoryError), (raise_device_failure, torch.AcceleratorError)],
)
def test_a_device_that_fails_does_not_refuse_a_setting(function, kind):
    node = {"_target_": f"{__name__}.{function.__name__}"}
    with pytest.raises(kind):
        build(node, "model")
    with pytest.raises(kind):
        call(node, "model", function)


def test_call_returns_what_the_function_returns():
    assert call(ADAM, "optimizer", max, 1, 2) == 2
