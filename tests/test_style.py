import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")])
def test_ruff_is_content(arguments):
    done = subprocess.run([sys.executable, "-m", "ruff", *arguments, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_file_of_src_has_its_test_file():
    modules = [path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py"]
    tests = [ROOT / "tests" / path.with_name(f"test_{path.name}") for path in modules]
    assert not [str(path.relative_to(ROOT)) for path in tests if not path.exists()]
