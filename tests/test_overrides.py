import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.overrides import COMMAND, allow_new_keys, exact_command, key_of, named_keys, quote_path, shell_override


def test_keys_may_be_added_to_open_nodes_alone():
    assert allow_new_keys("optimizer.lr=1") == "++optimizer.lr=1"
    assert allow_new_keys("loss.gamma=2") == "++loss.gamma=2"
    assert allow_new_keys("hydra.sweeper.params.seed='0,1'") == "++hydra.sweeper.params.seed='0,1'"
    assert allow_new_keys("data.fold=1") == "data.fold=1"
    assert allow_new_keys("optimizer=adam") == "optimizer=adam"


@pytest.mark.parametrize(
    "path",
    [
        "outputs/a_run-1.5",
        "outputs/a b",
        "outputs/größe",
        "outputs/x=1,y",
        "it's",
        "a[b]",
        r"a\b",
        r"it\'s",
        "end\\",
        "null",
    ],
)
def test_a_quoted_override_survives_shell_and_hydra(path):
    printed = subprocess.run(f"printf %s {shell_override('run', path)}", shell=True, capture_output=True, text=True)
    assert OverridesParser.create().parse_override(printed.stdout).value() == path


def test_exact_command_is_what_was_typed_in_jobs_too(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3.11", "-m", "src.train", "run='a b'"])
    assert exact_command() == """python -m src.train 'run='"'"'a b'"'"''"""
    monkeypatch.setenv(COMMAND, "python -m src.train --multirun seed=0,1")
    assert exact_command() == "python -m src.train --multirun seed=0,1"


def test_keys_are_without_signs():
    assert [key_of(text) for text in ("++a.b=1", "a=b=c", "~a")] == ["a.b", "a", "a"]


def test_named_keys_are_those_of_the_overrides_each_once():
    named = named_keys(["model=deep", "++optimizer.lr=1", "seed=2", "optimizer.lr=3"])
    assert named == ["model", "optimizer.lr", "seed"]


def test_a_path_with_brackets_is_quoted_but_no_list_and_no_quoted_text():
    assert quote_path("images=shots[1]/cat (2).jpg") == "images='shots[1]/cat (2).jpg'"
    for typed in ("images=[a.png,b.png]", "images='a(1).png'", "images=photos/*.png", "images=a.png,b.png", "to=null"):
        assert quote_path(typed) == typed
