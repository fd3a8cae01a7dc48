"""The grammar of selectors, sweeps and chains."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slashbench import selector
from slashbench.errors import BadSetting, UsageError
from slashbench.trainers.recipe import recipes


class Thing:
    """An entry with every type of setting."""

    def __init__(
        self,
        k: int = 0,
        lam: float = 1.0,
        fast: bool = False,
        how: Literal["up", "down"] = "up",
        name: str = "x",
    ) -> None:
        self.k = k


@pytest.mark.parametrize("text", ["1e+3", "1E+3", "1.e+3", "1000"])
def test_the_plus_of_an_exponent_separates_nothing(text: str) -> None:
    (recipe,) = recipes(f"backslash:lam={text}+prune:sparsity=0.5+quantize:step=1e-2", {})
    assert recipe.text == "backslash:lam=1000+prune:sparsity=0.5+quantize:step=0.01"
    assert [link.name for link in selector.parse_chain("e+native:x=2e+b")] == ["e", "native", "b"]


def expand(text: str) -> list[dict[str, Any]]:
    return list(selector.expand(Thing, selector.parse(text)))


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("t:k=0..4", "k", [0, 1, 2, 3, 4]),
        ("t:k=3", "k", [3]),
        ("t:k=1/3/9", "k", [1, 3, 9]),
        ("t:lam=10..1000", "lam", [10.0, 100.0, 1000.0]),
        ("t:lam=2^-8..2^-5", "lam", [2**-8, 2**-7, 2**-6, 2**-5]),
        ("t:lam=2^-8/0.5", "lam", [2**-8, 0.5]),
        ("t:lam=1e3", "lam", [1000.0]),
        ("t:fast=true", "fast", [True]),
        ("t:how=down", "how", ["down"]),
    ],
)
def test_values(text: str, key: str, values: list[Any]) -> None:
    assert [settings[key] for settings in expand(text)] == values


def test_sweeps_multiply() -> None:
    assert len(expand("t:k=0..2:lam=1/2")) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t:kk=1", "did you mean 'k'"),
        ("t:k=x", "k='x' is not int"),
        ("t:k=4..0", "empty or too long"),
        ("t:k=0..1000000000", "empty or too long"),
        ("t:lam=-1..5", "empty or too long"),
        ("t:lam=nan", "is not float"),
        ("t:lam=2^5000", "lam='2.5000' is not float"),
        ("t:lam=0^-1", "lam='0.-1' is not float"),
        ("t:lam=-8^0.5", "lam='-8.0.5' is not float"),
        ("t:how=left", "up or down"),
        ("t:how=up..down", "no range"),
        ("t:fast=perhaps", "is not bool"),
    ],
)
def test_wrong_settings(text: str, message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        expand(text)


@pytest.mark.parametrize("text", ["", ":k=1", "t:k", "t:k=", "t:=1", "t:k=1:k=2"])
def test_wrong_form(text: str) -> None:
    with pytest.raises(UsageError):
        selector.parse(text)


@pytest.mark.parametrize("text", ["a,,b", "", ","])
def test_empty_list_items(text: str) -> None:
    with pytest.raises(UsageError):
        selector.split_list(text)


@given(st.floats(min_value=1e-30, max_value=1e30))
def test_a_spelled_number_reads_back(value: float) -> None:
    (link,) = selector.parse_chain(f"t:lam={selector.spell_value(value)}")
    (settings,) = selector.expand(Thing, link)
    assert settings["lam"] == value


def test_canonical_spelling_leaves_defaults_out() -> None:
    assert selector.spell(Thing, "t", {"lam": 1.0, "k": 0}) == "t"
    assert selector.spell(Thing, "t", {"lam": 2**-8, "k": 3}) == "t:k=3:lam=2^-8"


class TestRecipes:
    def texts(self, text: str, **tuned: dict[str, Any]) -> list[str]:
        return [recipe.text for recipe in recipes(text, tuned)]

    def test_quantize_is_implied(self) -> None:
        assert self.texts("plain") == ["plain+quantize:step=2^-8"]
        assert self.texts("plain+prune:sparsity=0.8") == [
            "plain+prune:sparsity=0.8+quantize:step=2^-8"
        ]

    def test_sweeps_in_every_link(self) -> None:
        found = self.texts("backslash:lam=10..1000+quantize:step=2^-8/2^-6")
        assert len(found) == 6
        assert found[0] == "backslash:lam=10+quantize:step=2^-8"

    def test_a_model_tunes_what_the_user_leaves_open(self) -> None:
        tuned = {"backslash": {"lam": 30.0, "scope": "matrices"}}
        assert self.texts("backslash", **tuned) == [
            "backslash:lam=30:scope=matrices+quantize:step=2^-8"
        ]
        assert self.texts("backslash:lam=7", **tuned) == [
            "backslash:lam=7:scope=matrices+quantize:step=2^-8"
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("quantize", "starts with a training regime"),
            ("plain+quantize+prune", "must be the recipe's last link"),
            ("prune+quantize", "no training regime 'prune'"),
            ("backslsh", "did you mean 'backslash'"),
            ("plain+prune:sparsity=1", r"must be a share in \[0, 1\)"),
            ("backslash:lam=-1", "finite number >= 0"),
            ("plain+quantize:step=0", "finite number > 0"),
            ("plain++quantize", "a name is missing"),
        ],
    )
    def test_wrong_chains(self, text: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            self.texts(text)


@pytest.mark.parametrize(
    "settings",
    [{"name": 7}, {"name": None}, {"k": "1"}, {"k": True}, {"k": 1.0}, {"fast": 1}, {"lam": []}],
)
def test_nothing_is_built_from_a_value_of_another_type(settings: dict[str, Any]) -> None:
    with pytest.raises(BadSetting, match="thing: "):
        selector.build(Thing, "thing", settings)
    assert selector.build(Thing, "thing", {"k": 3, "lam": 2, "fast": True, "name": "y"}).k == 3
