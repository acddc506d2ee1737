import pytest

from src.errors import Interrupted, UserError, require, require_choice


def test_what_holds_passes_and_what_does_not_is_one_sentence():
    require(True, "never said")
    with pytest.raises(UserError, match=r"^data\.limit=0 must be at least 1\.$"):
        require(False, "data.limit=0 must be at least 1")


def test_an_unknown_choice_is_told_the_known_ones():
    require_choice("split", "val", ("val", "test"))
    with pytest.raises(UserError, match=r"^split=vall is not one of val, test\.$"):
        require_choice("split", "vall", ("val", "test"))


def test_an_interruption_is_no_exception_that_a_sweep_would_survive():
    interruption = Interrupted(15)
    assert interruption.signal_number == 15 and str(interruption) == "stopped by signal 15"
    assert not isinstance(interruption, Exception)
