import pickle

import pytest
import torch
from torch import Tensor

from src.errors import UserError
from src.tensor_file import load_tensors, require_finite, save_tensors

SHAPE = {"weight": Tensor, "epoch": int}


@pytest.fixture
def path(tmp_path):
    save_tensors(tmp_path / "x.pt", {"weight": torch.arange(3.0), "epoch": 7})
    return tmp_path / "x.pt"


def load(path):
    return load_tensors(path, SHAPE, "train again")


def test_what_is_saved_is_loaded(path):
    content = load(path)
    assert content["epoch"] == 7 and torch.equal(content["weight"], torch.arange(3.0))


def test_every_flipped_bit_is_noticed_or_harmless(path):
    whole, noticed = path.read_bytes(), 0
    for byte in range(len(whole)):
        for bit in range(byte % 8, 8, 8):  # an eighth of them: a second instead of eight
            damaged = bytearray(whole)
            damaged[byte] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                content = load(path)
            except UserError as error:
                assert str(error).endswith("train again.")
                noticed += 1
                continue
            assert content["epoch"] == 7 and torch.equal(content["weight"], torch.arange(3.0)), (byte, bit)
    assert noticed > len(whole) / 4  # the others are padding, dates and the like


class Payload:
    """Writes a marker file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_other_objects_are_not_created(tmp_path, write):
    path = tmp_path / "x.pt"
    write({"weight": Payload(str(tmp_path / "marker"))}, path)
    with pytest.raises(UserError, match=r"x\.pt is (no file of cifarlab|damaged).*; train again\.$") as raised:
        load(path)
    assert "weights_only" not in str(raised.value) and not (tmp_path / "marker").exists()


def test_a_pickle_in_an_archive_is_named_as_such(tmp_path):
    torch.save({"weight": Payload(str(tmp_path / "marker"))}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="it holds objects that are no tensors, and was not loaded"):
        load(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"weight": torch.zeros(1)}, "epoch is missing"),
        ({"weight": torch.zeros(1), "epoch": "x"}, "epoch is 'x', not of type int"),
        ([1], r"the whole is \[1\], not a mapping"),
    ],
)
def test_another_shape_is_refused(tmp_path, content, problem):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(UserError, match=rf"x\.pt is no file of cifarlab, or damaged: {problem}"):
        load(tmp_path / "x.pt")


def test_files_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(UserError, match=r"x\.pt does not exist"):
        load(tmp_path / "x.pt")
    (tmp_path / "x.pt").touch()
    with pytest.raises(UserError, match=r"x\.pt is damaged: it is no archive of tensors; train again\."):
        load(tmp_path / "x.pt")


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_numbers_that_are_not_finite_are_refused(path, value):
    with pytest.raises(UserError, match=r"x\.pt holds numbers that are not finite \(weight\)"):
        require_finite({"bias": torch.zeros(2), "weight": torch.tensor([0.0, value])}, path, "train again")
