import subprocess

import pytest

from src.checksums import keep_checksums, verify_checksum, write_checksums
from src.errors import UserError


def test_the_file_is_that_of_sha256sum(tmp_path):
    for name in ("result.json", "history.csv"):
        (tmp_path / name).write_text(name)
    write_checksums(tmp_path, [tmp_path / "result.json", tmp_path / "history.csv", tmp_path / "missing"])
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "result.json: OK\nhistory.csv: OK\n"


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("0.63")
    write_checksums(tmp_path, [path])
    verify_checksum(path)
    for bit in range(32):
        content = bytearray(b"0.63")
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"result\.json is damaged, or was edited: it differs from its checksum"):
            verify_checksum(path)
    keep_checksums(tmp_path, [])
    verify_checksum(path)


def test_a_damaged_list_is_noticed_or_harmless(tmp_path):
    path, sums = tmp_path / "result.json", tmp_path / "SHA256SUMS"
    path.write_text("0.63")
    write_checksums(tmp_path, [path])
    content = sums.read_bytes()
    sums.write_bytes(b"\xff" + content[1:])
    with pytest.raises(UserError, match="damaged, or was edited"):
        verify_checksum(path)
    sums.write_bytes(content[:-2])  # the name is another one
    with pytest.raises(UserError, match="SHA256SUMS is damaged, or was edited"):
        verify_checksum(path)
