import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import UserError
from src.result import RESULT_SHAPE, is_finished, read_result


@pytest.mark.parametrize(
    ("result", "pause_at", "finished"),
    [
        ({}, None, False),
        ({"status": "completed"}, None, True),
        ({"status": "paused", "rungs": {"4": {}}}, None, False),
        ({"status": "paused", "rungs": {"4": {}}}, 4, True),
        ({"status": "paused", "rungs": {"4": {}}}, 3, True),
        ({"status": "paused", "rungs": {"4": {}}}, 5, False),
        ({"status": "interrupted", "rungs": {"4": {}, "10": {}}}, 10, True),
        ({"status": "running"}, 1, False),
    ],
)
def test_a_run_is_finished_at_its_end_or_at_the_pause_that_is_asked_for(result, pause_at, finished):
    assert is_finished(result, pause_at) is finished


WHOLE = {
    "format": 1,
    "status": "completed",
    "reason": None,
    "stopped_by": "epochs",
    "seed": 0,
    "choices": {"model": "deep"},
    "overridden": ["seed"],
    "swept": [],
    "commands": ["python -m src.train"],
    "epochs": 2,
    "seconds": 1.5,
    "rungs": {"1": {"metrics": {"train": None, "val": {"top1": 0.4}, "test": None}}},
    "evaluated": "best",
    "metrics": {"test": {"top1": 0.5, "superclass": None}},
}


def read(tmp_path, content):
    path = tmp_path / "result.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_result(path)


def test_a_whole_result_is_read(tmp_path):
    assert read(tmp_path, WHOLE) == WHOLE


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"status": "done"}, "status is 'done', not one of completed, failed"),
        ({"status": "killed"}, "status is 'killed'"),
        ({"epochs": "x"}, "epochs is 'x', not of type int"),
        ({"epochs": True}, "epochs is True"),
        ({"rungs": []}, r"rungs is \[\], not a mapping"),
        ({"rungs": {"one": {"metrics": None}}}, "rungs.one is no epoch"),
        ({"metrics": {"val": {"top1": "x"}}}, "metrics is {'val'|metrics.val"),
        ({"commands": 3}, "commands is 3, not a list"),
        ({"evaluated": "../../../../etc/passwd"}, "evaluated is '../../../../etc/passwd', not one of best, last"),
        ({"choices": {"model": 3}}, "choices.model is 3"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, changed, problem):
    with pytest.raises(UserError, match=rf"result\.json is damaged \(.*({problem}).*\); remove it to continue the run"):
        read(tmp_path, {**WHOLE, **changed})


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '{"seconds": NaN}', '{"seconds": 1e999}', "[" * 9999])
def test_what_is_no_result_is_refused(tmp_path, content):
    with pytest.raises(UserError, match=r"result\.json is damaged"):
        read(tmp_path, content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(key=st.sampled_from(sorted(RESULT_SHAPE)), value=JSON)
def test_any_json_in_any_place_is_read_or_one_sentence(tmp_path_factory, key, value):
    try:
        result = read(tmp_path_factory.getbasetemp(), {**WHOLE, key: value})
    except UserError as error:
        assert "result.json is damaged" in str(error)
    else:
        is_finished(result, pause_at=2)
