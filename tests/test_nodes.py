from src.nodes import find_targets, leaves, mappings_in

NODE = {"a": {"_target_": "x.Y", "steps": [{"_target_": "x.Z", "pixels": 2}, 3]}, "b": {"c": {"d": None}}, "e": {}}


def test_leaves_have_dotted_names_and_lists_are_values():
    assert dict(leaves(NODE)) == {"a._target_": "x.Y", "a.steps": NODE["a"]["steps"], "b.c.d": None}


def test_mappings_and_targets_are_found_in_lists_too():
    assert list(find_targets(NODE)) == ["x.Y", "x.Z"]
    assert len(list(mappings_in([NODE, (NODE["b"],)]))) == 8
