import sys

import pytest

from src import trust
from src.errors import UserError
from src.trust import load_trusted_config, needs_trust
from tests.conftest import create_in, mostly_slow

pytestmark = pytest.mark.usefixtures("only_our_own")


@pytest.fixture
def only_our_own(monkeypatch):
    """As for users, for whom tests are no part of cifarlab."""
    monkeypatch.setattr(trust, "TRUSTED", tuple(name for name in trust.TRUSTED if not name.startswith("tests")))
    monkeypatch.setattr(sys, "argv", ["src/evaluate.py", "run=run"])


HOSTILE = [
    "evil.Thing",
    "sympy.sympify",
    "os.system",
    "builtins.eval",
    "subprocess.Popen",
    "numpy.load",
    "numpy.savetxt",
    "torch.load",
    "torch.hub.load",
    "torch.nn.modules.module.torch.hub.load",  # by a trusted module
    "torch.optim.optimizer.torch.load",
    "torch.serialization.load",
    "src.run_dir.write_text",
    "src.loggers.history_csv.write_text",  # another's function in a trusted module
    "src.files.write_text",
    "src.train.main",
    "torchvision.models._api.load_state_dict_from_url",
    "torchvision.io.write_file",
    "torchnn.Evil",  # only begins like a trusted name
]


@pytest.mark.parametrize("target", mostly_slow(HOSTILE, quick=8))
@pytest.mark.parametrize("place", mostly_slow(["model", "data", "loss", "nested"], quick=1))
def test_a_strangers_code_is_neither_imported_nor_run(tmp_path, config_of, monkeypatch, target, place):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\nThing = dict\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = config_of()
    node = {"_target_": target}
    if place == "data":
        config.data.source = node
    elif place == "nested":
        config.model["dense"] = [512, {"deep": [node]}]
    else:
        setattr(config, place, node)
    run_dir = create_in(tmp_path / "run", config)
    assert needs_trust(run_dir.load_config()) or not target.startswith(("evil", "os", "numpy"))
    with pytest.raises(UserError, match=rf"config\.yaml wants to run {target} .*add trust=true\.$"):
        load_trusted_config(run_dir, trust=False)
    assert not (tmp_path / "marker").exists() and "evil" not in sys.modules


def test_a_run_of_a_users_code_needs_trust_though_this_command_line_names_it(config_of, monkeypatch):
    config = config_of()
    config.model["_target_"] = "my_lab.MyNet"
    monkeypatch.setattr(sys, "argv", ["src/train.py", "model._target_=my_lab.MyNet"])
    assert needs_trust(config)


def test_a_run_that_reads_a_file_needs_trust(config_of):
    config = config_of()
    assert not needs_trust(config)
    config.model["pretrained_cfg_overlay"] = {"file": "weights.pt"}
    assert needs_trust(config)


def test_trust_runs_it(tmp_path, config_of, monkeypatch):
    (tmp_path / "mynets.py").write_text("def tiny(**settings): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = config_of()
    config.model["_target_"] = "mynets.tiny"
    run_dir = create_in(tmp_path / "run", config)
    assert load_trusted_config(run_dir, trust=True).model["_target_"] == "mynets.tiny"


def test_what_the_command_line_names_is_trusted(tmp_path, config_of, monkeypatch):
    (tmp_path / "othernets.py").write_text("def tiny(**settings): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = config_of()
    config.model["_target_"] = "othernets.tiny"
    run_dir = create_in(tmp_path / "run", config)
    monkeypatch.setattr(sys, "argv", ["src/train.py", "model._target_=othernets.tiny"])
    assert load_trusted_config(run_dir, trust=False).model["_target_"] == "othernets.tiny"
    monkeypatch.setattr(sys, "argv", ["src/train.py", "run=x/model._target_=othernets.tiny"])  # a folder's name
    with pytest.raises(UserError, match="wants to run"):
        load_trusted_config(run_dir, trust=False)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=deep", "augmentation=cutmix", "optimizer=muon", "scheduler=one_cycle"),
        ("model=speedrun", "optimizer=sgd", "data=folder"),
        ("model=resnet18", "augmentation=torchvision", "data=synthetic"),
    ],
)
def test_the_projects_own_choices_need_no_trust(tmp_path, config_of, overrides):
    run_dir = create_in(tmp_path / "run", config_of(*overrides))
    assert load_trusted_config(run_dir, trust=False) == run_dir.load_config()
    assert not needs_trust(run_dir.load_config())


@pytest.mark.parametrize(
    "added",
    [{"checkpoint_path": "evil.pt"}, {"inner": [{"_target_": "timm.create_model", "checkpoint_path": "evil.pt"}]}],
)
def test_a_trusted_function_reads_no_file_of_a_strangers(tmp_path, config_of, added):
    config = config_of()
    config.model.update(added)
    run_dir = create_in(tmp_path / "run", config)
    with pytest.raises(UserError, match=r"wants to read a file by checkpoint_path=evil\.pt \(model\)"):
        load_trusted_config(run_dir, trust=False)


def test_only_the_nodes_that_are_built_are_asked_for(tmp_path, config_of):
    config = config_of()
    config.logger["mine"] = {"_target_": "mytracker.Logger"}
    run_dir = create_in(tmp_path / "run", config)
    assert load_trusted_config(run_dir, trust=False, nodes=("model", "data.source")).logger["mine"]
