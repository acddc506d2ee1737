import pytest

from src.formatting import count, duration, format_markdown, format_table, percent, printable


def test_columns_are_aligned():
    table = format_table(("name", "n"), [("a", "1"), ("long", "1,000")], align="<>")
    assert table.splitlines() == ["name      n", "----  -----", "a         1", "long  1,000"]


def test_long_text_in_the_last_column_is_wrapped_at_80_columns():
    reason = "the loss was not a finite number in epoch 19; a lower optimizer.lr may help, or trainer.grad_clip_norm=1"
    table = format_table(("run", "reason"), [("0_seed-0", reason), ("1_seed-1", "-")], align="<<")
    lines = table.splitlines()
    assert max(map(len, lines)) <= 80 and lines[2].startswith("0_seed-0  the loss was") and lines[-1] == "1_seed-1  -"
    assert lines[3].startswith(" " * 10) and " ".join(line[10:] for line in lines[2:-1]) == reason


def test_a_table_without_room_for_text_is_not_wrapped():
    row = ("a" * 60, "one two three four five six")
    assert format_table(("name", "text"), [row], align="<<").splitlines()[-1] == "  ".join(row)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (429, "7 min 09 s"), (46923, "13 h 02 min")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_one_run_is_no_runs():
    assert [count(number, "run") for number in (0, 1, 2000)] == ["0 runs", "1 run", "2,000 runs"]


def test_percent():
    assert (percent(0.36639), percent(None)) == ("36.64 %", "-")


def test_markdown_escapes_bars_and_aligns():
    table = format_markdown(("name", "n"), [("a|b", "1")], align="<>")
    assert table.splitlines() == ["| name | n |", "| --- | ---: |", "| a\\|b | 1 |"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("new\nline\ttab\r", r"new\nline\ttab\r"),
        ("\x1b[31m\x00\x7f\x85", r"\x1b[31m\x00\x7f\x85"),
        (b"caf\xe9".decode(errors="surrogateescape"), r"caf\udce9"),
        ("\u202eabc\u2066\u200b\u200d\ufeff\u2028", r"\u202eabc\u2066\u200b\u200d\ufeff\u2028"),
        ("\U000e0041", r"\U000e0041"),
        ("Käfer 猫 🐈 C:\\x", "Käfer 猫 🐈 C:\\x"),
    ],
)
def test_characters_that_cannot_be_seen_are_escaped(text, shown):
    assert printable(text) == shown
