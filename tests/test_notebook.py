"""docs/notebook.ipynb, executed from start to end in a copy of the project."""

import json
import re
import shutil

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def cells(kind: str) -> list[dict]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == kind]


def test_it_is_kept_without_outputs():
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells("code"))


def test_its_links_lead_somewhere():
    text = "".join("".join(cell["source"]) for cell in cells("markdown"))
    links = re.findall(r"\]\(([^)#\s]+)", text)
    assert links and not [link for link in links if not (NOTEBOOK.parent / link).exists()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_runs_from_start_to_end(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    for folder in ("src", "conf", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path / "docs")}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}  # no warning
    assert "1/5*" in printed and "everything is in outputs/" in printed and "\x1b" not in printed  # lines, no bar
    assert "model=depe does not exist; did you mean deeper?" in printed
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    tables = [output.data["text/plain"] for output in outputs if "text/html" in output.get("data", {})]
    assert len(pictures) == 2 and len(tables) == 3 and "sgd" in tables[-1]
    assert not any(str(tmp_path) in str(output) for output in outputs)
    results = [json.loads(path.read_text()) for path in (tmp_path / "outputs").glob("*/result.json")]
    assert len(results) == 5 and {result["status"] for result in results} == {"completed"}
    top1 = max(result["metrics"]["test"]["top1"] for result in results)
    assert top1 > 0.04 and f"{top1:.1%} of the test images" in printed
