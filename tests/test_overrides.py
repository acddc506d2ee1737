import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.overrides import COMMAND, exact_command, key_of, opened, quoted_override


@pytest.mark.parametrize("path", ["outputs/a_run-1.5", "outputs/a b", "outputs/größe", "outputs/x=1,y", "it's", "a[b]"])
def test_quoted_override_survives_shell_and_hydra(path):
    script = "import sys; print(sys.argv[1])"
    shell = subprocess.run(
        f'{sys.executable} -c "{script}" {quoted_override("run", path)}', shell=True, capture_output=True, text=True
    )
    override = OverridesParser.create().parse_override(shell.stdout.rstrip("\n"))
    assert override.value() == path


def test_exact_command_is_what_was_typed_in_workers_too(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3.11", "-m", "src.train", "run='a b'"])
    assert exact_command() == """python -m src.train 'run='"'"'a b'"'"''"""
    monkeypatch.setenv(COMMAND, "python -m src.train --multirun seed=0,1")
    assert exact_command() == "python -m src.train --multirun seed=0,1"


def test_keys_are_without_signs():
    assert [key_of(text) for text in ("++a.b=1", "a=b=c", "~a")] == ["a.b", "a", "a"]


def test_keys_may_be_added_to_open_nodes_alone():
    assert opened("optimizer.lr=1") == "++optimizer.lr=1"
    assert opened("data.fold=1") == "data.fold=1"
    assert opened("optimizer=adam") == "optimizer=adam"
