"""The formats of an export: how each file is written, and how it is read back."""

import copy
import importlib.util
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from src.errors import UserError, first_line, require
from src.exports.classifier import ExportedClassifier

Probabilities = Callable[[Tensor], Tensor]  # images (N, 3, H, W) uint8 -> probabilities (N, num_classes) float32


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        title: its name in texts.
        file: its file name.
        packages: that writing and checking it need, beside PyTorch.
        write: writes the classifier to a path, with texts about it by name.
        read: from that path and the classifier; the latter lends its architecture where the file has weights only.
    """

    title: str
    file: str
    packages: tuple[str, ...]
    write: Callable[[ExportedClassifier, Path, Mapping[str, str]], None]
    read: Callable[[Path, ExportedClassifier], Probabilities]


def write_onnx(classifier: ExportedClassifier, path: Path, metadata: Mapping[str, str]) -> None:
    program = torch.onnx.export(
        trace(classifier), dynamo=True, input_names=["images"], output_names=["probabilities"], verbose=False
    )
    program.model.metadata_props.update(metadata)
    program.save(path)


def read_onnx(path: Path, classifier: ExportedClassifier) -> Probabilities:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def write_torch_export(classifier: ExportedClassifier, path: Path, metadata: Mapping[str, str]) -> None:
    torch.export.save(trace(classifier), path, extra_files={"metadata.json": json.dumps(metadata)})


def read_torch_export(path: Path, classifier: ExportedClassifier) -> Probabilities:
    return torch.export.load(path).module()


def write_safetensors(classifier: ExportedClassifier, path: Path, metadata: Mapping[str, str]) -> None:
    from safetensors.torch import save_file

    # tied weights share memory, which the format cannot say
    weights = {name: value.contiguous().clone() for name, value in classifier.network.state_dict().items()}
    save_file(weights, path, {"format": "pt", **metadata})


def read_safetensors(path: Path, classifier: ExportedClassifier) -> Probabilities:
    from safetensors.torch import load_file

    twin = copy.deepcopy(classifier)
    for value in twin.network.state_dict().values():
        value.zero_()  # nothing but the file's own weights is checked
    twin.network.load_state_dict(load_file(path))
    return twin


FORMATS = {
    "onnx": Format("ONNX", "model.onnx", ("onnx", "onnxscript", "onnxruntime"), write_onnx, read_onnx),
    "torch_export": Format("torch.export", "model.pt2", (), write_torch_export, read_torch_export),
    "safetensors": Format("safetensors", "model.safetensors", ("safetensors",), write_safetensors, read_safetensors),
}


def trace(classifier: ExportedClassifier) -> torch.export.ExportedProgram:
    """The classifier's operations, for any number of images."""
    batch = torch.export.Dim("batch")
    return torch.export.export(classifier, (classifier.example(),), dynamic_shapes={"images": {0: batch}})


def require_packages(name: str) -> None:
    """Raises UserError where a package that the format needs is not installed."""
    missing = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
    require(not missing, f'format={name} needs {" and ".join(missing)}: pip install -e ".[export]"')


def write_and_read(name: str, classifier: ExportedClassifier, path: Path, metadata: Mapping[str, str]) -> Probabilities:
    """Writes the file at `path`; what it computes. Raises UserError where PyTorch cannot write this network."""
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():  # for those who wrote PyTorch's exporters
            FORMATS[name].write(classifier, path, metadata)
            return FORMATS[name].read(path, classifier)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a network of the user's may do anything
        raise UserError(
            f"format={name} does not work for this network ({type(error).__name__}: {first_line(error).rstrip('.')}); "
            "format=safetensors writes the weights of any."
        ) from error
