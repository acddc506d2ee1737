"""What the config of a run folder may name: loading a run builds the objects that its config names, so it runs code.

A run folder may come from a stranger. Its config may name cifarlab's own parts, PyTorch's and torchvision's networks,
losses, optimizers and transforms, timm's networks, and what conf/ of this checkout or the command line names. Anything
else runs only with trust=true. See docs/how_to/trust_and_damage.md.
"""

import pkgutil
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from src.choices import CONFIG_DIR, config_folders
from src.config import RunConfig
from src.errors import require
from src.nodes import find_targets, is_in, mappings_in
from src.overrides import key_of
from src.parsing import check_nodes, nodes_of
from src.run_dir import RunDir

# Names below these are looked up without trust. Hydra 1.4 is going to ask for such a list in `instantiate`.
TRUSTED = (
    "src.data",
    "src.models",
    "src.optim",
    "src.loggers",
    "torch.nn",
    "torch.optim",
    "torchvision.models",
    "torchvision.transforms",
    "timm.create_model",
)
# Arguments by which a trusted function would read a file of the stranger's.
UNTRUSTED_ARGUMENTS = ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay")


def load_trusted_config(run_dir: RunDir, trust: bool, nodes: Sequence[str] | None = None) -> RunConfig:
    """The settings of a run that is about to be built; those of `nodes`, None for all, are checked.

    Raises UserError where they name code that is not trusted, unless `trust` says so, and where a setting is not one of
    its target's arguments. Nothing is imported before it is trusted.
    """
    config = run_dir.load_config()
    for name, node in nodes_of(config).items():
        if nodes is None or name in nodes:
            if not trust:
                require_trusted(node, name, run_dir.config_file)
            check_nodes(config, [name])
    return config


def needs_trust(config: RunConfig) -> bool:
    """Whether `config` names code that needs trust=true when its run is loaded."""
    inner = [mapping for node in nodes_of(config).values() for mapping in mappings_in(node)]
    if any(argument in mapping for mapping in inner for argument in UNTRUSTED_ARGUMENTS):
        return True
    targets = set(find_targets(inner))
    return not all(is_in(target, TRUSTED) for target in targets - _named_in([CONFIG_DIR]))


def require_trusted(node: Mapping[str, Any], name: str, file: Path) -> None:
    """Raises UserError where `node` of the config `file` names code that is not trusted."""
    for target in find_targets(node):
        if target in _named_here():
            continue
        require(
            is_in(target, TRUSTED) and _leads_to_trusted(target),
            f"{file} wants to run {target} ({name}), which is neither part of cifarlab, PyTorch or torchvision nor "
            "named in conf/: a stranger's folder could run anything; if you trust that code, add trust=true",
        )
    for inner in mappings_in(node):
        for argument in UNTRUSTED_ARGUMENTS:
            require(
                argument not in inner,
                f"{file} wants to read a file by {argument}={inner.get(argument)} ({name}); if you trust it, add "
                "trust=true",
            )


def _leads_to_trusted(target: str) -> bool:
    """Whether a trusted package defines the object: torch.nn.modules.module.torch.load is not one of torch.nn's.

    Imports trusted packages only.
    """
    try:
        found = pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError):
        return True  # there is no such object: checking the settings says so
    return is_in(str(getattr(found, "__module__", "")), (*TRUSTED, "timm"))


def _named_here() -> frozenset[str]:
    """The targets that the command line, conf/ and --config-dir name."""
    typed = [text.partition("=")[2].strip("'\"") for text in sys.argv[1:] if key_of(text).endswith("_target_")]
    return _named_in(config_folders()).union(typed)


def _named_in(folders: Iterable[Path]) -> frozenset[str]:
    """The targets that the YAML files in the folders name."""
    files = [path for folder in folders for path in folder.rglob("*.yaml")]
    in_files = [re.findall(r"_target_:\s*['\"]?([\w.]+)", path.read_text(errors="replace")) for path in files]
    return frozenset().union(*in_files)
