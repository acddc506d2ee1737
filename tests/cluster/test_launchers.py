"""One sweep by the launchers of one machine; test_slurm.py compares SLURM's."""

import pytest

from tests.cluster.tables import table_by


@pytest.fixture(scope="module")
def basic_table(tmp_path_factory):
    table = table_by("basic", tmp_path_factory.mktemp("basic"))
    assert len(table) == 2 and all(float(row["mean"]) > 0 for row in table)
    return table


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("launcher", "package"), [("joblib", "torch"), ("submitit_local", "submitit"), ("ray", "ray")])
def test_the_same_sweep_by_another_launcher_gives_the_same_table(basic_table, launcher, package, tmp_path):
    pytest.importorskip(package)
    assert table_by(launcher, tmp_path) == basic_table
