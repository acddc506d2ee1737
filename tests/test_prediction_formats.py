import csv
import json

import pytest

from src.errors import UserError
from src.prediction_formats import choose_format, format_predictions

PREDICTIONS = {"a, b.png": [("cat", 0.75), ("dog", 0.2)], "c\n.png": [("dog", 0.5), ("cat", 0.25)]}


def test_a_table_names_each_image_once():
    lines = format_predictions(PREDICTIONS, "table").splitlines()
    assert lines[2:] == [
        "a, b.png  cat        75.00 %",
        "          dog        20.00 %",
        "c\\n.png   dog        50.00 %",
        "          cat        25.00 %",
    ]


def test_csv_has_a_row_for_each_image_and_class():
    assert list(csv.reader(format_predictions(PREDICTIONS, "csv").splitlines())) == [
        ["image", "rank", "class", "probability"],
        ["a, b.png", "1", "cat", "0.75"],
        ["a, b.png", "2", "dog", "0.2"],
        ["c\\n.png", "1", "dog", "0.5"],
        ["c\\n.png", "2", "cat", "0.25"],
    ]


def test_json_keeps_the_names():
    printed = json.loads(format_predictions(PREDICTIONS, "json"))
    assert printed["c\n.png"] == [{"class": "dog", "probability": 0.5}, {"class": "cat", "probability": 0.25}]


def test_the_format_follows_the_name_of_the_file_unless_it_is_named():
    assert choose_format(None, None) == "table"
    assert choose_format(None, "a.CSV") == "csv"
    assert choose_format(None, "a.txt") == "table"
    assert choose_format("json", "a.csv") == "json"
    with pytest.raises(UserError, match="format=xml is not one of table, json, csv"):
        choose_format("xml", None)
