import hashlib
import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from src.data.cifar import cifar100
from src.errors import UserError


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_arguments, **_keywords):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)


@pytest.fixture
def little_cifar(tmp_path, monkeypatch, no_network):
    """A CIFAR-100 of 200 + 100 images of noise in the official file format."""
    base = tmp_path / CIFAR100.base_folder
    base.mkdir()
    random = np.random.default_rng(0)

    def write(name, content):
        raw = pickle.dumps(content)
        (base / name).write_bytes(raw)
        return hashlib.md5(raw).hexdigest()

    def part(count):
        return {
            "data": random.integers(0, 256, (count, 3072), dtype=np.uint8),
            "fine_labels": [i % 100 for i in range(count)],
        }

    monkeypatch.setattr(CIFAR100, "train_list", [["train", write("train", part(200))]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", write("test", part(100))]])
    meta = {"filename": "meta", "key": "fine_label_names", "md5": write("meta", {"fine_label_names": ["x"] * 100})}
    monkeypatch.setattr(CIFAR100, "meta", meta)
    return tmp_path


def test_reads_the_official_files(little_cifar):
    data = cifar100(str(little_cifar))
    assert data.train.images.shape == (200, 3, 32, 32) and data.train.images.dtype == torch.uint8
    assert data.test.labels.tolist() == list(range(100))
    raw = pickle.loads((little_cifar / CIFAR100.base_folder / "test").read_bytes())["data"]
    assert (data.test.images[7].numpy().reshape(-1) == raw[7]).all()


def test_names_and_superclasses_are_those_of_cifar100(little_cifar):
    classes = cifar100(str(little_cifar)).classes
    assert len(classes.names) == 100 and len(classes.superclass_names) == 20
    assert classes.names[:3] == ("apple", "aquarium_fish", "baby") and classes.names[99] == "worm"
    assert [classes.superclass_of.count(parent) for parent in range(20)] == [5] * 20
    assert classes.superclass_names[classes.superclass_of[classes.names.index("otter")]] == "aquatic_mammals"


def test_missing_data_without_network_says_what_to_do(tmp_path, no_network):
    with pytest.raises(UserError) as error:
        cifar100(str(tmp_path / "nothing"))
    assert "CIFAR-100 is not in" in str(error.value) and "no network" in str(error.value)
    assert "cifar-100-python.tar.gz" in str(error.value) and "data=synthetic" in str(error.value)


def test_tilde_is_the_home_folder(little_cifar, monkeypatch):
    monkeypatch.setenv("HOME", str(little_cifar.parent))
    assert len(cifar100(f"~/{little_cifar.name}").train) == 200


def test_truncated_file_is_named(little_cifar):
    train = little_cifar / CIFAR100.base_folder / "train"
    train.write_bytes(train.read_bytes()[:1000])
    with pytest.raises(UserError) as error:
        cifar100(str(little_cifar))
    assert "is damaged" in str(error.value) and str(train) in str(error.value)


def test_cifar10_is_still_named_as_torchvision_names_it():
    assert (CIFAR10.base_folder, CIFAR10.filename) == ("cifar-10-batches-py", "cifar-10-python.tar.gz")
