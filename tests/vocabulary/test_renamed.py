"""Old names: refused where a user writes them, translated where a file or a record holds them."""

from __future__ import annotations

import pytest

from slashbench import renamed
from slashbench.codecs.catalog import CODECS
from slashbench.errors import UnknownName
from slashbench.trainers.catalog import QUANTISERS
from slashbench.trainers.recipe import recipes
from slashbench.upgrade import VERSION, upgraded

TODAY = {
    "plain+round:bits=4": "plain+rtn:granularity=tensor:bits=4",
    "plain+round-rows:bits=8:scope=all": "plain+rtn:granularity=channel:bits=8:scope=all",
    "plain+round-groups:bits=4:size=128": "plain+rtn:granularity=group:bits=4",
    "plain+round-groups:bits=4:size=64": "plain+rtn:granularity=group:bits=4:size=64",
    "plain+prune:sparsity=0.5+quantize-std:step=0.25:scope=all": (
        "plain+prune:sparsity=0.5+quantize:step=0.25:unit=std:scope=all"
    ),
    "plain+quantize-rows:step=0.5": "plain+quantize:step=0.5:unit=std:granularity=channel",
    "backslash-q:lam=1:step=2^-4:steps=by-row+lattice": (
        "backslash-q:lam=1:step=2^-4:granularity=channel+ongrid"
    ),
    "backslash:lam=1000:rise=0.5+quantize:step=2^-8": (
        "backslash:lam=1000:warmup=0.5+quantize:step=2^-8"
    ),
    "backslash:lam=1000+quantize:step=2^-8": "backslash:lam=1000+quantize:step=2^-8",
}


@pytest.mark.parametrize(("old", "new"), TODAY.items(), ids=TODAY)
def test_an_old_recipe_is_translated_to_the_canonical_spelling(old: str, new: str) -> None:
    assert renamed.current_recipe(old) == new
    assert recipes(new, {})[0].text == new


def test_records_of_version_1_are_read_under_the_new_names() -> None:
    raw = {
        "regime": "backslash-q:lam=1:step=2^-4:steps=by-row",
        "recipe": "backslash-q:lam=1:step=2^-4:steps=by-row+lattice (bf16, 2 processes)",
        "codec": "max",
        "model": "kjv-gpt",
    }
    assert upgraded(raw) == {
        "regime": "backslash-q:lam=1:step=2^-4:granularity=channel",
        "recipe": "backslash-q:lam=1:step=2^-4:granularity=channel+ongrid",
        "execution": "bf16, 2 processes",
        "codec": "rans-classes",
        "model": "kjv-gpt",
        "schema_version": VERSION,
    }


@pytest.mark.parametrize("name", renamed.ENTRIES["quantiser"])
def test_an_old_quantiser_is_refused_with_its_new_name(name: str) -> None:
    new = renamed.replacement("quantiser", name)
    with pytest.raises(UnknownName, match=f"quantiser '{name}' was renamed to {new}"):
        recipes(f"plain+{name}", {})


@pytest.mark.parametrize("registry", [CODECS, QUANTISERS], ids=lambda r: r.kind)
def test_every_new_name_is_registered_and_no_old_one_is(registry) -> None:  # type: ignore[no-untyped-def]
    for old, new in renamed.ENTRIES[registry.kind].items():
        assert old not in registry.names()
        assert new.name in registry.names()
