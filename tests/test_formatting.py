import pytest

from src.formatting import duration, format_markdown, format_table, percent


def test_columns_are_aligned():
    table = format_table(("name", "n"), [("a", "1"), ("long", "1,000")], align="<>")
    assert table.splitlines() == ["name      n", "----  -----", "a         1", "long  1,000"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (429, "7 min 09 s"), (46923, "13 h 02 min")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_percent():
    assert (percent(0.36639), percent(None)) == ("36.64 %", "-")


def test_markdown_escapes_bars_and_aligns():
    table = format_markdown(("name", "n"), [("a|b", "1")], align="<>")
    assert table.splitlines() == ["| name | n |", "| --- | ---: |", "| a\\|b | 1 |"]
