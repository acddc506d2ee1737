import pytest

from src.data.layouts import find_layout
from src.errors import UserError
from tests.data.images import write_classes, write_image


def counts(layout) -> dict[str, int]:
    return {part: len(listing.images) for part, listing in layout.parts.items()}


@pytest.mark.parametrize("test", ["test", "Testing", "val", "valid", "validation"])
def test_train_beside_one_other_folder(tmp_path, test):
    write_classes(tmp_path / "Train", 3)
    write_classes(tmp_path / test, 2)
    layout = find_layout(str(tmp_path))
    assert counts(layout) == {"train": 6, "test": 4} and list(layout.names) == ["blue", "red"]
    assert len(layout.notes) == test.startswith("val")


def test_train_val_and_test(tmp_path):
    for part, count in (("train", 3), ("val", 2), ("test", 1)):
        write_classes(tmp_path / part, count)
    assert counts(find_layout(str(tmp_path))) == {"train": 6, "val": 4, "test": 2}


def test_class_folders_alone(tmp_path):
    write_classes(tmp_path, 3)
    assert counts(find_layout(str(tmp_path))) == {"train": 6}


@pytest.mark.parametrize("place", [".", "train"])
def test_links_upwards_are_no_classes(tmp_path, place):
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "loop").symlink_to(tmp_path)
    with pytest.raises(UserError, match="holds no class folders, only links to folders above it"):
        find_layout(str(tmp_path))


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "train"):
        write_image(tmp_path / name / "0.png")
    layout = find_layout(str(tmp_path))
    assert list(layout.names) == ["bus", "train"] and counts(layout) == {"train": 2}


def test_a_test_folder_without_labels_is_left_out(tmp_path):
    write_classes(tmp_path / "train", 2)
    write_image(tmp_path / "test" / "0.png")
    layout = find_layout(str(tmp_path))
    assert counts(layout) == {"train": 4}
    assert layout.notes == ["test has no class folders, so its images have no labels and are left out"]


def test_a_folder_that_is_no_part_is_named(tmp_path):
    write_classes(tmp_path / "train", 2)
    write_classes(tmp_path / "more", 2)
    assert find_layout(str(tmp_path)).notes == ["more is none of train, val and test, and is left out"]


@pytest.fixture
def tiny_imagenet(tmp_path):
    for wnid in ("n001", "n002", "n003"):
        write_image(tmp_path / "train" / wnid / "images" / f"{wnid}_0.JPEG")
        (tmp_path / "train" / wnid / f"{wnid}_boxes.txt").write_text("n001_0.JPEG\t0\t0\t9\t9\n")
    for number in range(2):
        write_image(tmp_path / "val" / "images" / f"val_{number}.JPEG")
    (tmp_path / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn003\t0\t0\nval_1.JPEG\tn001\t0\t0\n")
    write_image(tmp_path / "test" / "images" / "test_0.JPEG")
    (tmp_path / "words.txt").write_text("n001\tcrane, lifting machine\nn002\tcrane, bird\nn003\tgoldfish\nn9\tx\n")
    return tmp_path


def test_tiny_imagenet_as_it_is_unpacked(tiny_imagenet):
    layout = find_layout(str(tiny_imagenet))
    assert counts(layout) == {"train": 3, "test": 2}
    assert layout.names == ["crane (n001)", "crane (n002)", "goldfish"]
    assert [image.label for image in layout.parts["test"].images] == [2, 0]
    assert layout.notes == [
        "val is the test set; its labels are in val_annotations.txt",
        "test has no labels: its images are left out",
    ]


def test_an_annotation_of_an_unknown_class_is_named(tiny_imagenet):
    (tiny_imagenet / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn003\nval_1.JPEG\tn999\n")
    with pytest.raises(UserError, match=r"val_annotations\.txt, line 2: n999 is not in train"):
        find_layout(str(tiny_imagenet))


def test_annotations_of_missing_files_are_counted(tiny_imagenet):
    (tiny_imagenet / "val" / "images" / "val_1.JPEG").unlink()
    with pytest.raises(UserError, match=r"names 1 file that does not exist: .*val_1\.JPEG"):
        find_layout(str(tiny_imagenet))


def make_nested(root):
    write_classes(root / "animals", 1)


def make_flat(root):
    write_image(root / "0.png")


def make_test_alone(root):
    write_classes(root / "test", 1)


def make_train_flat(root):
    write_image(root / "train" / "0.png")


def make_csv(root):
    (root / "labels.csv").write_text("file,label\n")


def make_archive(root):
    (root / "images.zip").write_text("")


def make_twice(root):
    write_classes(root / "train", 1)
    write_classes(root / "Training", 1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (make_nested, r"holds one folder; if the classes or train and test are in that, use data\.root=.*/animals"),
        (make_flat, r"holds 1 image, but no class folders; put the images of each class into a folder of its own"),
        (make_train_flat, r"/train holds 1 image, but no class folders"),
        (make_test_alone, "holds test, but no train; data=folder expects"),
        (make_csv, r"read the file in it with data=csv data\.root=.*/labels\.csv"),
        (make_archive, r"unpack images\.zip first"),
        (make_twice, "are both train; remove one of them"),
        (lambda root: None, "holds no images; data=folder expects"),
    ],
)
def test_an_unknown_layout_is_told_the_nearest_one(tmp_path, make, sentence):
    make(tmp_path)
    with pytest.raises(UserError, match=sentence):
        find_layout(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("labels.csv", "is a file; read it with data=csv"),
        ("a.npz", "data=npz"),
        ("a.tar", "is an archive; unpack it, and name the folder"),
    ],
)
def test_a_file_in_place_of_a_folder(tmp_path, name, sentence):
    (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=sentence):
        find_layout(str(tmp_path / name))


def test_an_annotation_in_the_current_folder_is_none_of_the_data(tmp_path, monkeypatch):
    write_classes(tmp_path / "data" / "train", 2)
    (tmp_path / "val_annotations.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    assert counts(find_layout("data")) == {"train": 4}
