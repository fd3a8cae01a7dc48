"""A recipe: train + transform ... + quantize, written as it reads.

`backslash:lam=1000+prune:sparsity=0.8+quantize:step=2^-8`: the first link trains, the last makes
integers (where it is not written, the one that goes with the regime), those between transform a
trained checkpoint.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slashbench import renamed, selector
from slashbench.contracts import Quantiser, Regime, Transform
from slashbench.errors import UsageError
from slashbench.link import Link, links
from slashbench.selector import Selector
from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS

Tuned = Mapping[str, Mapping[str, Any]]  # name of a regime -> settings that a model prefers


@dataclass(frozen=True)
class Recipe:
    """A regime, transforms and a quantiser: how integers come to be."""

    regime: Link[Regime]
    transforms: tuple[Link[Transform], ...]
    quantiser: Link[Quantiser]

    @property
    def text(self) -> str:
        """Return the canonical spelling of the whole chain."""
        return "+".join(
            [self.regime.text, *(link.text for link in self.transforms), self.quantiser.text]
        )


def recipes(text: str, tuned: Tuned) -> list[Recipe]:
    """Return every recipe that a chain with sweeps stands for.

    tuned: settings that replace a regime's defaults where the chain does not give them.
    Raises UnknownName, BadSetting, MissingDependency, or UsageError for links out of order.
    """
    chain = list(selector.parse_chain(text))
    last = chain.pop() if _last_quantizes(chain) else None
    first, *middle = chain
    transforms = [list(links(TRANSFORMS, link)) for link in middle]
    return [
        Recipe(regime, steps, quantiser)
        for regime in links(REGIMES, _with_tuned(first, tuned))
        for steps in itertools.product(*transforms)
        for quantiser in links(QUANTISERS, last or selector.parse(regime.item.quantiser))
    ]


def _last_quantizes(chain: list[Selector]) -> bool:
    """Return whether the chain ends in a quantiser. Raise UsageError for one elsewhere."""
    known = {*QUANTISERS.names(), *renamed.ENTRIES[QUANTISERS.kind]}
    for link in chain[:-1]:
        if link.name in known:
            raise UsageError(f"{link.name} makes integers, so it must be the recipe's last link")
    if chain[0].name in known:
        raise UsageError(
            f"a recipe starts with a training regime: write plain+{chain[0].name}; "
            f"known regimes: {', '.join(REGIMES.names())}"
        )
    return chain[-1].name in known


def _with_tuned(link: Selector, tuned: Tuned) -> Selector:
    given = dict(link.settings)
    preferred = {
        key: selector.spell_value(value)
        for key, value in tuned.get(link.name, {}).items()
        if key not in given
    }
    return Selector(link.name, (*preferred.items(), *link.settings))
