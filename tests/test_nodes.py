import pytest

from src.nodes import find_targets, is_in, leaves, mappings_in

NODE = {"a": {"_target_": "x.Y", "steps": [{"_target_": "x.Z", "pixels": 2}, 3]}, "b": {"c": {"d": None}}, "e": {}}


def test_leaves_have_dotted_names_and_lists_are_values():
    assert dict(leaves(NODE)) == {"a._target_": "x.Y", "a.steps": NODE["a"]["steps"], "b.c.d": None}


@pytest.mark.parametrize(
    ("name", "inside"), [("features", True), ("features.0.weight", True), ("features2.0", False), ("head", False)]
)
def test_a_name_lies_in_a_part(name, inside):
    assert is_in(name, ["stem", "features"]) == inside


def test_mappings_and_targets_are_found_in_lists_too():
    assert list(find_targets(NODE)) == ["x.Y", "x.Z"]
    assert len(list(mappings_in([NODE, (NODE["b"],)]))) == 8
