import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from src.errors import UserError
from src.sweeps.grid import list_values, parse_overrides, product


def parsed(*texts: str) -> list[Override]:
    return OverridesParser.create().parse_overrides(list(texts))


def jobs(*texts: str, **params: object) -> list[tuple[str, ...]]:
    return product(parse_overrides(OverridesParser.create(), params, texts))


def test_product_of_all_values_the_last_varying_fastest():
    assert jobs("a=1,2", "b=x", "c=range(0,2)") == [
        ("a=1", "b=x", "c=0"),
        ("a=1", "b=x", "c=1"),
        ("a=2", "b=x", "c=0"),
        ("a=2", "b=x", "c=1"),
    ]


def test_the_last_word_on_a_key_counts():
    assert jobs("a=1,2", "a=3") == [("a=3",)]


def test_params_are_values_too_and_the_command_line_has_the_last_word():
    assert jobs("seed=7", seed="0,1", model="deep,single") == [("seed=7", "model=deep"), ("seed=7", "model=single")]


def test_null_in_params_is_null():
    (override,) = parse_overrides(OverridesParser.create(), {"trainer.max_minutes": None}, [])
    assert override.value() is None


@pytest.mark.parametrize("params", [{"optimizer.lr": "0.1,0.2"}, {"optimizer": {"lr": "0.1,0.2"}}])
def test_params_may_be_nested_and_may_add_keys(params):
    assert jobs(**params) == [("++optimizer.lr=0.1",), ("++optimizer.lr=0.2",)]


def test_an_interval_has_infinitely_many_values():
    with pytest.raises(UserError, match=r"optimizer\.lr=interval\(0\.1,1\) has infinitely many values"):
        jobs("optimizer.lr=interval(0.1,1)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1,2", ["a=1", "a=2"]),
        ("a=choice(x,y)", ["a=x", "a=y"]),
        ("a=range(1,7,2)", ["a=1", "a=3", "a=5"]),
        ("a=[1,2],[3]", ["a=[1,2]", "a=[3]"]),
        ("++a.b=1,2", ["++a.b=1", "++a.b=2"]),
        ("a='x=1','y z'", ["a='x=1'", "a='y z'"]),
        ("a=5", ["a=5"]),
        ("~a", ["~a"]),
    ],
)
def test_values_are_plain_overrides(text, expected):
    (override,) = parsed(text)
    assert list_values(override) == expected


@pytest.mark.parametrize("text", ["seed=range(3,3)", "experiment=glob(nothing*)"])
def test_a_sweep_without_a_value_is_refused(text):
    (override,) = parsed(text)
    with pytest.raises(UserError) as error:
        list_values(override)
    assert str(error.value) == f"{text} has no values, so the sweep has no jobs."


@pytest.mark.parametrize(
    ("text", "some", "others"),
    [
        (
            "experiment=glob(course2021/*)",
            ["course2021/deep", "course2021/single"],
            ["fast/deep63", "course2021/search"],
        ),
        ("experiment=glob(*)", ["course2021/deep", "fast/deep63", "quickstart"], []),
        ("experiment=glob([*deep,quick*],exclude=quick*)", ["course2021/deep"], ["quickstart", "course2021/single"]),
        ("optimizer=glob(adam*)", ["adam", "adamax", "adamw"], ["nadam", "sgd"]),
    ],
)
def test_glob_takes_the_choices_that_match(text, some, others):
    (override,) = parsed(text)
    values = list_values(override)
    assert {f"{override.key_or_group}={name}" for name in some} <= set(values)
    assert not {f"{override.key_or_group}={name}" for name in others} & set(values)
    assert not [value for value in values if "_protocol" in value or "_recipe" in value]
