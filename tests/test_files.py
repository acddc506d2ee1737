from pathlib import Path

import pytest
import torch

from src.errors import UserError, explain_os_error
from src.files import read_text, write_atomically, write_text


def test_writing_is_atomic(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")

    def half(file):
        file.write(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    write_text(path, "new: 猫")
    assert path.read_bytes().decode() == "new: 猫"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "write", [lambda file: file.write(b"x"), lambda file: torch.save({"x": torch.zeros(9999)}, file)]
)
def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch, write):
    monkeypatch.setattr(Path, "open", lambda *_: open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(OSError) as raised:
        write_atomically(tmp_path / "a.pt", write)
    expected = f"{tmp_path}/a.pt cannot be written, the disk is full; make room on it."
    assert explain_os_error(raised.value) == expected and not list(tmp_path.iterdir())


def test_text_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=r"latin is damaged: it is no UTF-8 text\.$"):
        read_text(tmp_path / "latin")
    with pytest.raises(UserError, match=r"is a folder, where a file is expected\.$"):
        read_text(tmp_path)
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        read_text(tmp_path / "nowhere")


def test_undecodable_names_can_be_written(tmp_path):
    write_text(tmp_path / "a.txt", "caf\udce9")
    assert (tmp_path / "a.txt").read_text() == "caf?"
