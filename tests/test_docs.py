"""README and docs: links, files and settings that they name exist, and their commands are accepted."""

import ast
import copy
import functools
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from src.benchmark import check_settings
from src.choices import CONFIG_DIR, choices
from src.cli import prepare_arguments
from src.config import GROUPS, TYPED_NODES
from src.loggers.history_csv import COLUMNS
from src.overrides import key_of
from src.parsing import parse_config
from src.schemas import SCHEMAS
from src.sweeps.grid import list_values
from tests.conftest import ROOT, SMALL

DOCS = ROOT / "docs"
GENERATED = DOCS / "configuration.md"  # its commands are the examples of conf/, which tests/test_conf.py checks
TUTORIAL = DOCS / "tutorial.md"
OWN_PARTS = DOCS / "how_to" / "own_model_loss_logger_optimizer.md"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
WRITTEN = [page for page in PAGES if page != GENERATED]

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")
SETTING = re.compile(r"\+*(seed|resume|pause_at|(?!hydra)\w+\.[\w.]+)=")  # of a value; others choose a file of conf/
NOT_RUN = ("python -m venv", "source ", "pip install", "tensorboard ")  # lines of the tutorial that only a person types


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


def shell_lines(page: Path) -> list[str]:
    """The lines of the page's shell blocks, continuation lines joined."""
    return [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]


def commands(page: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(train, arguments) of each `python -m src.train ...`; a placeholder such as outputs/<run> becomes a word."""
    inline = [text for text in inline_code(page) if "python -m src." in text]
    for line in [*shell_lines(page), *inline]:
        for command in re.findall(r"python -m src\.[^&|]*", line):
            _, _, module, *arguments = shlex.split(re.sub(r"<[^<>]*>", "placeholder", command), comments=True)
            if "..." not in arguments:  # the rest of the command stands in a column of a table
                yield module.removeprefix("src."), tuple(arguments)


CASES = sorted({(name_of(page), *case) for page in WRITTEN for case in commands(page)})


@pytest.fixture(scope="module")
def own_parts(tmp_path_factory) -> Path:
    """The files of the page on own parts, written where its commands expect them; my_lab can be imported."""
    folder = tmp_path_factory.mktemp("own_parts")
    files: dict[str, list[str]] = {}
    for language in ("python", "yaml"):
        for block in blocks(OWN_PARTS, language):
            title, _, content = block.partition("\n")
            files.setdefault(title.removeprefix("# "), []).append(content)
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(contents))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("my_lab", None)


@functools.cache  # composing takes 0.2 s
def composed(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose(name, overrides=list(overrides))


def config_with(name: str, overrides: list[str]) -> DictConfig:
    """The composed config; composed once for all commands that choose the same files."""
    settings = [text for text in overrides if SETTING.match(text)]
    choosing = [text for text in overrides if text not in settings and key_of(text) not in FOLDERS]
    config = copy.deepcopy(composed(name, *choosing))
    for override in OverridesParser.create().parse_overrides(settings):
        OmegaConf.update(config, override.key_or_group, override.value(), force_add=override.is_force_add())
    return config


def split_sweep(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The overrides of the first job, and those that only later jobs have."""
    first, others = [], []
    for override in OverridesParser.create().parse_overrides(arguments):
        values = _values(override)
        first.append(values[0])
        others += values[1:]
    return first, others


def _values(override: Override) -> list[str]:
    if override.is_interval_sweep():
        return [f"{override.get_key_element()}={override.value().start}"]
    return list_values(override)


@pytest.mark.parametrize(("page", "name", "arguments"), CASES)
@pytest.mark.slow
def test_every_command_is_accepted(own_parts, page, name, arguments):
    arguments = prepare_arguments(arguments, "train")
    if "--config-dir" in arguments:
        folder = arguments.pop(arguments.index("--config-dir") + 1)
        arguments.append(f"hydra.searchpath=[file://{own_parts / folder}]")
    overrides = [text for text in arguments if not text.startswith("--")]
    if "--multirun" in arguments:
        overrides, others = split_sweep(overrides)
        for key, value in (text.split("=", 1) for text in others):
            assert key not in GROUPS or value in choices(key)
    config = config_with(name, overrides)
    if name in ("train", "benchmark"):
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            parse_config(config, overrides)
    if name == "benchmark":
        check_settings(config)


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_arguments_that_zsh_would_expand_are_quoted(page):
    unquoted = [re.sub(r"'[^']*'|\"[^\"]*\"", "", line) for line in shell_lines(page)]
    assert not [line for line in unquoted if re.search(r"[\[(*~]", line)]


@functools.cache
def known_keys() -> set[str]:
    """Every setting that some command line can set, by its dotted name, with the groups and Hydra's own."""
    keys = {f"{node}.{entry.name}" for node, schema in TYPED_NODES.items() for entry in fields(schema)}
    keys |= {entry.name for schema in SCHEMAS.values() for entry in fields(schema)} | set(GROUPS)
    keys |= {*FOLDERS, "hydra.mode", "hydra.launcher.n_jobs", "hydra/launcher"}
    for group in (*GROUPS, "hydra/sweeper"):
        for path in (CONFIG_DIR / group).rglob("*.yaml"):
            prefix = "" if group in ("experiment", "budget") else f"{group.replace('/', '.')}."
            keys |= {f"{prefix}{key}" for key in OmegaConf.load(path)}
    return keys | {"hydra/sweeper"}


def is_setting(text: str) -> bool:
    """Whether all words of inline code are overrides: `model=deep optimizer.lr=0.1`."""
    return all(re.fullmatch(r"[~+]?[a-z][\w./]*=\S*", word) for word in text.split())


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_settings_that_a_page_names_exist(page):
    known, unknown = known_keys(), []
    for word in (word for text in inline_code(page) if is_setting(text) for word in text.split()):
        key, _, value = word.partition("=")
        parents = {key.rsplit(".", count)[0] for count in range(key.count(".") + 1)}  # augmentation.steps.0.flip
        group_choice = key not in GROUPS or not re.fullmatch(r"[\w/]+", value) or value in choices(key)
        if not parents & known or not group_choice:
            unknown.append(word)
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if "://" not in target and not (file.exists() and (not anchor or anchor in anchors(file))):
            broken.append(target)
    assert not broken


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_names_exist(page):
    named = [text for text in inline_code(page) if re.fullmatch(r"(src|conf|docs|tests)/[\w./]*", text)]
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_imports_of_examples_work(own_parts, page):
    for block in blocks(page, "python"):
        for node in ast.parse(block).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(ast.unparse(node))


def test_every_page_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", (ROOT / "README.md").read_text()))
    assert linked == {name_of(page) for page in PAGES} - {"README.md"}


def test_the_readme_is_short_and_has_the_commands_that_others_rely_on():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert len([line for line in lines if re.match(r"python -m venv .*pytest", line)]) == 1  # .ci/run looks for it
    assert {
        "python -m src.train model=deep data.augment=true",
        "python -m src.train --multirun optimizer=adam,sgd,rmsprop",
        "tensorboard --logdir outputs",
    } <= set(lines)


def test_the_configuration_reference_is_current():
    page = runpy.run_path(str(DOCS / "make_configuration.py"))["make_page"]()
    assert page == GENERATED.read_text(), "run: python docs/make_configuration.py"
    assert not [line for line in page.splitlines() if line.endswith("|  |")]  # every setting has a meaning


def test_the_page_on_run_folders_names_every_column():
    assert set(COLUMNS) <= set(inline_code(DOCS / "run_folder.md"))


@pytest.mark.slow
def test_the_page_on_run_folders_names_every_key(trained, small):
    run_dir = trained(small("trainer.epochs=1"))
    assert set(run_dir.load_result()) - {"rungs"} <= set(inline_code(DOCS / "run_folder.md"))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [case[2] for case in CASES if "--config-dir" in case[2]], ids=" ".join)
def test_own_parts_train(command_process, own_parts, arguments, tmp_path):
    small = [] if "data=noise" in arguments else [text for text in SMALL if not text.startswith("model.")]
    folder = f"hydra.run.dir={tmp_path}"
    done = command_process("train", *small, *arguments, "trainer.epochs=1", folder, cwd=own_parts)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "history.jsonl").exists() == ("logger=json_lines" in arguments)


def rows_of(table: str) -> list[tuple[str, ...]]:
    """Setting, accuracy and number of runs of each row of a sweep's table."""
    return re.findall(r"^(adam|sgd) +([\d.]+) % .*? % +(\d)  ", table, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_tutorial_works_word_for_word(tmp_path):
    """In a copy of the project, as in a fresh clone; the numbers in its text are those that are printed."""
    for folder in ("src", "conf"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path)}
    lines = [line for line in shell_lines(TUTORIAL) if not line.startswith(NOT_RUN)]
    printed = []
    for line in lines:
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        printed.append(done.stdout)
    train, _, evaluate, resume, ask, add, report = printed
    told = r"([\d,]+) to train on, ([\d,]+) held out for validation, ([\d,]+) for the test"
    images = re.search(told, prose(TUTORIAL))
    counts = "{} training images, {} held out for validation, {} test images".format(*images.groups())
    assert counts in train and "outputs/first is completed; there is nothing left to do." in resume
    assert evaluate.splitlines()[-1].endswith(", the same")
    for output, table in zip((ask, add), blocks(TUTORIAL, "text"), strict=True):
        for row, expected in zip(rows_of(output), rows_of(table), strict=True):
            assert (row[0], row[2]) == (expected[0], expected[2])
            assert abs(float(row[1]) - float(expected[1])) < 3  # points: other processors round in other ways
    assert "outputs/answer" in report
    assert (tmp_path / "outputs" / "answer" / "report.html").exists()
    assert len(list((tmp_path / "outputs" / "question").glob("*/test_logits.pt"))) == 6
