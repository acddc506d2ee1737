import io
import json

import pytest
from PIL import Image

from src.data.parquet import parquet
from src.errors import UserError
from tests.data.images import COLORS

pyarrow = pytest.importorskip("pyarrow")
from pyarrow.parquet import write_table  # noqa: E402


def encode(color) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (12, 8), color).save(file, "PNG")
    return file.getvalue()


def save(path, labels, names=("blue", "green", "red"), **columns):
    """A file as `datasets` writes it: struct of bytes and path, ClassLabel in the metadata."""
    images = [{"bytes": encode(list(COLORS.values())[label]), "path": None} for label in labels]
    table = pyarrow.table({"image": images, "label": labels, **columns})
    info = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
    write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)


def test_several_files_and_parts(tmp_path):
    save(tmp_path / "train-00000-of-00002.parquet", [0, 1, 2])
    save(tmp_path / "train-00001-of-00002.parquet", [2, 1, 0, 2])
    save(tmp_path / "test-00000-of-00001.parquet", [0, 1, 2])
    data = parquet(str(tmp_path), image_size=8)
    assert data.classes.names == ("blue", "green", "red") and data.train.labels.tolist() == [0, 1, 2, 2, 1, 0, 2]
    brightest = data.train.images[:][:, :, 4, 4].argmax(dim=1)  # blue is channel 2
    assert (2 - brightest).equal(data.train.labels)
    assert len(data.test) == 3 and data.test.images[0].shape == (3, 8, 8)


def test_one_file_is_split(tmp_path):
    save(tmp_path / "all.parquet", [0, 1, 2] * 5)
    data = parquet(str(tmp_path / "all.parquet"), image_size=8)
    assert (len(data.train), len(data.test)) == (12, 3)


def test_what_is_wrong_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"holds no file train\*\.parquet"):
        parquet(str(tmp_path), image_size=8)
    path = tmp_path / "train.parquet"
    path.write_text("no parquet")
    with pytest.raises(UserError, match="a Parquet file cannot be read"):
        parquet(str(path), image_size=8)
    write_table(pyarrow.table({"text": ["a"], "label": [0]}), path)
    with pytest.raises(UserError, match="has no column image or img; its columns are text, label"):
        parquet(str(path), image_size=8)
    write_table(pyarrow.table({"image": [b""], "label": ["cat"]}), path)
    with pytest.raises(UserError, match="labels are string, not integers"):
        parquet(str(path), image_size=8)


def test_an_image_that_cannot_be_read_is_named_by_its_row(tmp_path):
    save(tmp_path / "train.parquet", [0, 1, 2, 0, 1, 2])
    table = pyarrow.parquet.read_table(tmp_path / "train.parquet")
    images = table["image"].to_pylist()
    images[4]["bytes"] = b"damaged"
    write_table(table.set_column(0, "image", pyarrow.array(images)), tmp_path / "train.parquet")
    data = parquet(str(tmp_path), image_size=8)
    with pytest.raises(UserError, match=r"train\.parquet, row 5 \(damaged, or no image\)"):
        data.train.images.cache.fill(data.train.images.indices)
        data.train.images.read()
        data.test.images.read()
