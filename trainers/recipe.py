"""A recipe: train + transform ... + quantize, written as it reads.

`backslash:lam=1000+prune:sparsity=0.8+quantize:step=2^-8`: the first link trains, the last makes
integers (where it is not written, the one that goes with the regime), those between transform a
trained checkpoint. A regime between trains on, from the weights that the links before it made, and
may be taught by them: `plain+backslash-q:distil=0.7`.
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
    """A regime, what follows it and a quantiser: how integers come to be.

    transforms: of the checkpoint; a regime among them trains on from the weights before it.
    """

    regime: Link[Regime]
    transforms: tuple[Link[Transform] | Link[Regime], ...]
    quantiser: Link[Quantiser]

    def gives_differences(self, depth: int) -> bool:
        """Return whether the first `depth` transforms lead to differences to the model's base."""
        return any(
            getattr(link.item, "gives_differences", False) for link in self.links[: depth + 1]
        )

    @property
    def trained(self) -> int:
        """Return how many links stand after the first, up to the last one that trains."""
        return self.trained_before(len(self.links))

    def regime_at(self, depth: int) -> Regime:
        """Return the regime that stands after `depth` links. Raises UsageError for a transform."""
        link = self.links[depth]
        if not isinstance(link.item, Regime):
            raise UsageError(f"{link.name} trains nothing")
        return link.item

    def trained_before(self, depth: int) -> int:
        """Return the depth of the last link that trains among the first `depth`."""
        return max(at for at in range(depth) if self.trains_at(at))

    def trains_at(self, depth: int) -> bool:
        """Return whether a regime stands after `depth` links."""
        return isinstance(self.links[depth].item, Regime)

    @property
    def training(self) -> str:
        """Return the canonical spelling of the links up to the last one that trains."""
        return "+".join(link.text for link in self.links[: self.trained + 1])

    @property
    def links(self) -> list[Link[Any]]:
        """Return all links but the quantiser."""
        return [self.regime, *self.transforms]

    @property
    def text(self) -> str:
        """Return the canonical spelling of the whole chain."""
        return "+".join(link.text for link in [*self.links, self.quantiser])


def recipes(text: str, tuned: Tuned) -> list[Recipe]:
    """Return every recipe that a chain with sweeps stands for.

    tuned: settings that replace a regime's defaults where the chain does not give them.
    Raises UnknownName, BadSetting, MissingDependency, or UsageError for links out of order.
    """
    chain = list(selector.parse_chain(text))
    last = chain.pop() if _last_quantizes(chain) else None
    first, *middle = chain
    transforms = [_middle(link, tuned) for link in middle]
    _check_order(transforms)
    return [
        Recipe(regime, steps, quantiser)
        for regime in links(REGIMES, _with_tuned(first, tuned))
        for steps in itertools.product(*transforms)
        for quantiser in links(QUANTISERS, last or selector.parse(_own_quantiser(regime, steps)))
    ]


def _middle(link: Selector, tuned: Tuned) -> list[Link[Any]]:
    """Return the configurations of a link between the first and the quantiser."""
    if link.name not in REGIMES.names():
        return list(links(TRANSFORMS, link))
    found = list(links(REGIMES, _with_tuned(link, tuned)))
    if any(type(each.item).initialise is not Regime.initialise for each in found):
        raise UsageError(
            f"{link.name} prepares the weights that training starts from, so it can only be the "
            "first link"
        )
    return found


def _check_order(steps: list[list[Link[Any]]]) -> None:
    """Raise UsageError for a regime, or another `delta`, behind the link `delta`."""
    before = ""
    for link in (step[0] for step in steps):
        differs = getattr(link.item, "gives_differences", False)
        if before and (differs or isinstance(link.item, Regime)):
            raise UsageError(f"{link.name} takes whole weights: write it before {before}")
        before = before or (link.name if differs else "")


def _own_quantiser(regime: Link[Regime], steps: tuple[Link[Any], ...]) -> str:
    """Return the quantiser that goes with the regime that trained last."""
    trained = [regime, *(link for link in steps if isinstance(link.item, Regime))]
    return str(trained[-1].item.quantiser)


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
