from src.folder_accuracy import count_correct, describe_accuracy, format_classes, label_of

CLASSES = ["cat", "dog", "line\\nbreak"]
PREDICTED = {"x/cat/1.png": "cat", "x/cat/2.png": "dog", "dog/3.png": "dog", "dog/more/4.png": "dog", "5.png": "cat"}


def test_the_folder_of_an_image_is_its_label_where_it_is_named_after_a_class():
    assert label_of("x/cat/1.png", CLASSES) == "cat"
    assert label_of("line\nbreak/1.png", CLASSES) == "line\\nbreak"
    assert label_of("cat/more/1.png", CLASSES) is None
    assert label_of("cat", CLASSES) is None


def test_only_images_in_such_folders_count():
    counts = count_correct(PREDICTED, CLASSES)
    assert counts == {"cat": (1, 2), "dog": (1, 1)}
    expected = "accuracy 66.67 %: 2 of 3 images in folders named after classes"
    assert describe_accuracy(counts, 3) == expected
    assert describe_accuracy(counts, 5) == f"{expected}; 2 more in other folders"
    assert format_classes(counts).splitlines()[2:] == ["cat         2   50.00 %", "dog         1  100.00 %"]


def test_without_such_folders_there_are_no_counts():
    assert count_correct({"photos/1.png": "cat"}, CLASSES) == {}
