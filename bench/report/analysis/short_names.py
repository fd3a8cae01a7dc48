"""Names of recipes that a person can say, such as `BackSlash + GPTQ, 2^-4`.

A name shows each link and the setting that sets its strength. Where that would name two recipes of
one model alike, it shows settings in which they differ as well, so that a name means one recipe.
Settings that only another model has, such as those it is tuned to, are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slashbench import selector
from slashbench.bench.report.data.rows import PLAIN, Row
from slashbench.record import executed
from slashbench.selector import Selector

#: Link -> what people call it; any other link is called by its own name.
SPOKEN = {
    "backslash": "BackSlash",
    "backslash-q": "BackSlash-Q",
    "norm": "norm penalty",
    "qat": "QAT",
    "lsq": "LSQ",
    "epr": "EPR",
    "gradual-prune": "gradual pruning",
    "gg-init": "GG init",
    "prune": "pruning",
    "prune-layers": "pruning by layer",
    "wanda": "Wanda",
    "sparsegpt": "SparseGPT",
    "deepshape": "DeepShape",
    "quantize": "rounding",
    "quantize-std": "rounding in sigma",
    "rtn": "RTN",
    "kmeans": "k-means",
    "rf8": "RF8",
    "gptq": "GPTQ",
    "gptq-loss": "GPTQ by loss",
    "watersic": "WaterSIC",
    "adaround": "AdaRound",
    "entquant": "EntQuant",
    "rdoq": "RDOQ",
    "native": "native floats",
}

#: Links that train. What they train on from is part of a name.
TRAINING = (
    "plain",
    "backslash",
    "backslash-q",
    "norm",
    "qat",
    "lsq",
    "epr",
    "gradual-prune",
    "gg-init",
)

#: Settings that a name always shows, and how.
MAIN = {"step": "{}", "sparsity": "{}", "bits": "{} bits", "levels": "{} levels"}
SYMBOLS = {"lam": "λ"}


def short_names(recipes: Iterable[str]) -> dict[str, str]:
    """Return the name of each recipe, without its execution; no two recipes share one.

    Examples
    --------
    >>> names = short_names(["plain+quantize:step=2^-4", "backslash:lam=9+gptq:step=2^-4"])
    >>> list(names.values())
    ['rounding, 2^-4', 'BackSlash + GPTQ, 2^-4']
    >>> list(short_names(["backslash:lam=9+native", "backslash:lam=2+native"]).values())
    ['BackSlash λ=9 + native floats', 'BackSlash λ=2 + native floats']
    """
    chains = {recipe: selector.parse_chain(recipe) for recipe in dict.fromkeys(recipes)}
    names = {recipe: _name(chain, ()) for recipe, chain in chains.items()}
    for alike in _groups(names):
        shown: set[tuple[int, str]] = set()
        for setting in _differing([chains[recipe] for recipe in alike]):
            shown.add(setting)
            names |= {recipe: _name(chains[recipe], shown) for recipe in alike}
            if len({names[recipe] for recipe in alike}) == len(alike):
                break
    for alike in _groups(names):  # such as two links that people call the same
        names |= {recipe: recipe for recipe in alike}
    return names


def names_by_model(rows: Iterable[Row]) -> dict[tuple[str, str], str]:
    """Return the name of each (model, recipe); within a model no two recipes share one."""
    rows = list(rows)
    links: dict[str, list[str]] = {}
    for row in rows:
        links.setdefault(row.model, []).append(row.links)
    names = {model: short_names(recipes) for model, recipes in links.items()}
    return {
        (row.model, row.recipe): executed(names[row.model][row.links], row.execution)
        for row in rows
    }


def spoken(link: str) -> str:
    """Return what people call a link; `link` may have settings."""
    name = link.partition(":")[0]
    return SPOKEN.get(name, name)


def _groups(names: Mapping[str, str]) -> list[list[str]]:
    """Return recipes that have a name in common, where there are several."""
    found: dict[str, list[str]] = {}
    for recipe, name in names.items():
        found.setdefault(name, []).append(recipe)
    return [recipes for recipes in found.values() if len(recipes) > 1]


def _differing(chains: list[tuple[Selector, ...]]) -> list[tuple[int, str]]:
    """Return (position of a link, setting) in which the chains differ, strengths first."""
    found = []
    for at in range(min(map(len, chains))):
        settings = [dict(chain[at].settings) for chain in chains]
        keys = dict.fromkeys(key for one in settings for key in one)
        found += [(at, key) for key in keys if len({one.get(key) for one in settings}) > 1]
    return sorted(found, key=lambda setting: setting[1] not in SYMBOLS)


def _name(chain: tuple[Selector, ...], also: Iterable[tuple[int, str]]) -> str:
    """Return the name that shows the main settings and those of `also`."""
    also = set(also)
    parts = []
    for at, link in enumerate(chain):
        alone = at + 1 < len(chain) and chain[at + 1].name not in TRAINING
        if link.name == PLAIN and not link.settings and alone:
            continue
        settings = dict(link.settings)
        always = link.name == PLAIN  # plain:longer=2 is not what people call plain
        extra = [
            _spelled(key, value)
            for key, value in settings.items()
            if key not in MAIN and (always or (at, key) in also)
        ]
        main = [form.format(settings[key]) for key, form in MAIN.items() if key in settings]
        words = " ".join([spoken(link.name), *extra])
        last = at == len(chain) - 1
        parts.append((", " if last else " ").join([words, *main]))
    return " + ".join(parts)


def _spelled(key: str, value: str) -> str:
    if key == "granularity":
        return f"per {value}"
    return f"{SYMBOLS.get(key, key)}={value}"
