"""That the programs run without cifarlab is tested in tests/test_export.py."""

import ast

import pytest

from src.config import DataConfig
from src.exports.examples import make_example
from src.exports.formats import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_examples_name_their_file_and_import_nothing_of_cifarlab(name):
    text = make_example(name, DataConfig(image_size=24))
    imported = {
        alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"json", "sys", "pathlib", "numpy", "onnxruntime", "PIL", "torch", "safetensors.torch"}
    assert FORMATS[name].file in text and ("(24, 24)" in text) == (name != "safetensors")
    assert ("torch" in imported) == (name == "torch_export")
    assert len(text.splitlines()) <= 16
