import pytest

from src.data.csv_file import csv_file
from src.errors import UserError
from tests.data.images import write_classes


@pytest.fixture
def images(tmp_path):
    write_classes(tmp_path / "all", 4)
    return tmp_path


def write(folder, *lines):
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return str(folder / "labels.csv")


def rows(*numbers, part=None, separator=","):
    ending = [] if part is None else [part]
    return [
        separator.join([f"all/{color}/{number}.png", f"a {color}", *ending])
        for color in ("red", "blue")
        for number in numbers
    ]


@pytest.mark.parametrize("header", ["file,label", "Path,Class", "image,target"])
def test_files_and_labels(images, header):
    data = csv_file(write(images, header, *rows(0, 1, 2, 3)), image_size=8)
    assert data.classes.names == ("a blue", "a red")
    assert (len(data.train), len(data.test)) == (6, 2)  # 20 % of 4 images, rounded, of each class
    assert (data.train.images[:][:, 0, 0, 0] == 255).long().equal(data.train.labels)


def test_a_column_of_parts(images):
    lines = [*rows(0, 1, part="train"), *rows(2, part="valid"), *rows(3, part="test")]
    data = csv_file(write(images, "file,label,split", *lines), image_size=8)
    assert (len(data.train), len(data.held_out), len(data.test)) == (6, 2, 2)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_and_a_byte_order_mark(images, separator):
    path = write(images, f"\ufefffile{separator}label", *rows(0, 1, separator=separator))
    assert len(csv_file(path, image_size=8).train) == 2


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ["file,name", *rows(0)],
            r"has no column of labels; its first line is file,name; known headers are, for label: ",
        ),
        (["a,b", *rows(0)], "has no column of files and labels"),
        (["file,path,label", *rows(0)], r"has two columns of files \(file, path\); keep one of them"),
        (["file,label", "all/red/0.png,"], r"labels\.csv, line 2: label is empty"),
        (["file,label", "all/red/9.png,red", "x.png,red"], r"names 2 files that do not exist: .*9\.png, .*x\.png"),
        (["file,label,split", *rows(0, part="old")], "line 2: old is none of train, val and test"),
        (["file,label,split", *rows(0, part="test")], "has no rows of the part train"),
        (["file,label"], "has no rows"),
        (["file,label", "all/red/0.png,a", "all/red/0.png,b"], "are the same file in two classes"),
        (["file,label", *[row for row in rows(0, 1) if "red" in row]], r"holds one class only \(a red\)"),
    ],
)
def test_what_is_wrong_is_one_sentence(images, lines, sentence):
    with pytest.raises(UserError, match=sentence):
        csv_file(write(images, *lines), image_size=8)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="is no file; name a CSV file of images and labels"):
        csv_file(str(tmp_path), image_size=8)
