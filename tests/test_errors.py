import errno
import re

import pytest

from src.errors import Interrupted, UserError, explain_os_error, first_line, require, require_choice


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


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space", "a.pt"), "a.pt cannot be written, the disk is full; make room on it."),
        (OSError(errno.EACCES, "Permission denied", b"caf\xe9"), r"caf\\xe9 may not be opened, permission denied"),
        (OSError(errno.EDQUOT, "Quota", "a.pt"), "a.pt cannot be written, your disk quota is used up"),
        (OSError(errno.EFBIG, "Too large", "a.pt"), "a.pt cannot be written, it is larger than"),
        (OSError(errno.EROFS, "Read-only", "a.pt"), "a.pt cannot be written, the file system is read-only"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.pt"), "a.pt does not exist, or its folder does not."),
        (OSError(errno.EINVAL, "Invalid argument", "a.pt"), "a.pt: Invalid argument."),
        (OSError("so not."), "so not."),
    ],
)
def test_an_error_of_the_system_is_one_sentence_that_names_the_file(error, sentence):
    assert re.match(sentence.replace(".", r"\."), explain_os_error(error))


def test_the_first_line_of_an_error_without_text_is_its_name():
    assert first_line(ValueError("a\nb")) == "a" and first_line(KeyError()) == "KeyError"
