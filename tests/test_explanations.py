import pytest
from hydra.errors import HydraException, InstantiationException

from src.explanations import explain


def test_a_message_is_not_cut_after_a_colon():
    cause = TypeError("Grid.__init__() got an unexpected keyword argument 'foo'")
    error = InstantiationException(f"Error in call to target 'hydra_plugins.cifarlab.Grid':\n{cause!r}\n")
    assert explain(error, "train").endswith("unexpected keyword argument 'foo'\")")
    assert explain(HydraException("Not so: because"), "train") == "Not so: because"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["hydra.sweeper.foo=1", "--multirun"],
            "hydra.sweeper.foo is not a setting; see --cfg hydra",
        ),
        (["+hydra.sweeper.foo=1", "--multirun"], "unexpected keyword argument 'foo'"),
        (
            ["hydra/launcher=joblib", "hydra.launcher.n_jobs=0", "--multirun"],
            "hydra.launcher.n_jobs=0 must be at least",
        ),
        (["lr=0.1"], "lr is not a setting of its own: write optimizer.lr"),
    ],
)
def test_what_hydra_refuses_is_named(command, tmp_path, arguments, message):
    done = command("train", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and message in done.stderr
    assert not list(tmp_path.iterdir())
