"""What a request makes of a suite."""

from __future__ import annotations

from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Request

SUITES = "core", "full"


def codecs_of(request: Request, recipe: str) -> set[str]:
    return {c.codec.name for c in matrix.plan(request).cells if c.recipe.text.startswith(recipe)}


def test_all_codecs_of_a_suite_are_where_the_suite_wants_them() -> None:
    """README's first command runs the suite; it does not put lzma on every tensor set."""
    whole = matrix.plan(Request(models="all", codecs="all")).cells
    assert [str(cell) for cell in whole] == [str(cell) for cell in matrix.plan(Request()).cells]
    every = {cell.codec.name for cell in whole}
    assert {"lzma", "bz2", "rans-classes"} <= every
    for cell in whole:
        if cell.codec.name == "lzma":
            assert cell.model.name not in ("minilm-kjv", "antiberty"), cell


def test_all_codecs_of_named_recipes_are_on_each() -> None:
    request = Request(models="digits-mlp", recipes="plain+rtn:bits=3,plain", codecs="all")
    assert codecs_of(request, "plain+rtn") >= {"lzma", "bz2", "huffman"}


def test_a_model_without_settings_has_those_of_the_suite() -> None:
    mine = {c.model.text for c in matrix.plan(Request(models="kjv-gpt")).cells}
    suites = {c.model.text for c in matrix.plan(Request()).cells if c.model.name == "kjv-gpt"}
    assert mine == suites
    (own,) = {c.model.text for c in matrix.plan(Request(models="kjv-gpt:steps=7")).cells}
    assert own == "kjv-gpt:steps=7"


def test_the_full_suite_has_every_codec_on_every_recipe_of_the_default_one() -> None:
    core, full = (matrix.plan(Request(suite, models="digits-mlp")).cells for suite in SUITES)
    assert {(c.recipe.text, c.seed) for c in core} == {(c.recipe.text, c.seed) for c in full}
    lossy = {c.codec.text for c in full if c.recipe.quantiser.name == "rdoq"}
    assert {"lzma", "bz2", "rans-classes"} <= lossy
