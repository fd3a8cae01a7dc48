"""What the records say, by model, method, step, pruning rate, codec and seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slashbench import selector
from slashbench.bench.report.data.records import read
from slashbench.bench.store.store import Store
from slashbench.record import CheckpointRecord, CompressRecord, EvaluateRecord
from slashbench.registry import Registry
from slashbench.selector import Selector
from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS

GRADIENT = "gradient"  # Algorithm 1 of the paper
UPDATES = (GRADIENT, "decoupled")  # the authors' code

#: Settings of a regime that a study may vary; a recipe with any other is not one of the paper.
_VARIED = {
    "backslash": {"lam", "update", "eps", "scope"},
    "norm": {"p", "lam", "update", "eps", "scope"},
}


@dataclass(frozen=True, slots=True)
class Method:
    """How the weights were trained. lam: 0 for plain. power: of a norm; None for BackSlash."""

    lam: float = 0.0
    update: str = GRADIENT
    eps: float = 1.0
    scope: str = "all"
    power: float | None = None

    @property
    def plain(self) -> bool:
        """Whether there is no term."""
        return self.lam == 0.0


PLAIN = Method()


@dataclass(frozen=True, slots=True)
class Observation:
    """One good cell with the records it is made of."""

    model: str
    method: Method
    sparsity: float  # of pruning after training; 0 for none
    step: float
    codec: str
    seed: int
    point: CheckpointRecord
    size: CompressRecord
    bits: float  # of the whole file, per parameter
    floats: EvaluateRecord
    decoded: EvaluateRecord
    tolerance: float
    trained_on: EvaluateRecord | None  # the metric of the decoded weights on training data

    @property
    def efficiency(self) -> float:
        """Order-0 entropy over the bits of the coded tensors' streams."""
        coded = [tensor for tensor in self.size.tensors if tensor.coded]
        return sum(t.entropy_bits or 0.0 for t in coded) / (8 * sum(t.n_bytes for t in coded))

    @property
    def name(self) -> str:
        """The model without its settings."""
        return selector.parse(self.model).name


Quantity = Callable[[Observation], float | None]


def bits(observation: Observation) -> float:
    """Of the whole file, per parameter."""
    return observation.bits


def metric(observation: Observation) -> float:
    """On test data, of the decoded weights."""
    return observation.decoded.value


class Evidence:
    """Every observation of a store that a study may ask for."""

    def __init__(self, store: Store) -> None:
        records = read(store)
        training = {
            (record.model, record.weights_sha256): record
            for record in records.metrics.values()
            if record.split == "train" and record.status == "ok"
        }
        self.cells = records.cells
        found = []
        for joined in records.joined():
            cell, chain = joined.cell, _parse(joined.cell.recipe)
            if joined.floats and chain and not cell.execution:
                found.append(
                    Observation(
                        cell.model,
                        *chain,
                        cell.codec,
                        cell.seed,
                        joined.point,
                        joined.size,
                        joined.bits_per_parameter,
                        joined.floats,
                        joined.decoded,
                        cell.tolerance,
                        training.get((cell.model, joined.decoded.weights_sha256)),
                    )
                )
        self.all = sorted(
            found, key=lambda o: (o.model, o.step, o.sparsity, str(o.method), o.codec, o.seed)
        )

    @property
    def models(self) -> list[str]:
        """Those with an observation: those trained here first, then by their number of weights."""
        points = {o.model: o.point for o in self.all}
        trained = self.trained()
        return sorted(points, key=lambda m: (m not in trained, points[m].n_parameters))

    def select(
        self,
        model: str,
        method: Method | None = None,
        *,
        codec: str | None = None,
        step: float | None = None,
        sparsity: float = 0.0,
    ) -> list[Observation]:
        """Those of a model; None takes any."""
        return [
            o
            for o in self.all
            if o.model == model
            and (method is None or o.method == method)
            and (codec is None or o.codec == codec)
            and (step is None or o.step == step)
            and o.sparsity == sparsity
        ]

    def sample(
        self,
        quantity: Quantity,
        model: str,
        method: Method,
        *,
        codec: str | None = None,
        step: float = 2.0**-8,
        sparsity: float = 0.0,
    ) -> dict[int, float]:
        """seed -> quantity, of the observations where it is known."""
        chosen = self.select(model, method, codec=codec, step=step, sparsity=sparsity)
        known = {o.seed: quantity(o) for o in chosen}
        return {seed: value for seed, value in known.items() if value is not None}

    def methods(self, model: str, update: str = GRADIENT) -> list[Method]:
        """Plain and BackSlash of that update with the published eps, lambda rising."""
        methods = {
            o.method
            for o in self.select(model)
            if o.method.power is None and o.method.eps == 1.0
            and (o.method.plain or o.method.update == update)
        }  # fmt: skip
        return sorted(methods, key=lambda m: m.lam)

    def sweeps(self) -> list[tuple[str, list[Method]]]:
        """(model, plain and BackSlash with lambda rising), for each update that was run."""
        found = [(m, self.methods(m, update)) for m in self.trained() for update in UPDATES]
        return [(m, methods) for m, methods in found if len(methods) > 1 and methods[0].plain]

    def trainings(self) -> list[tuple[str, Method]]:
        """(model, method): plain, then BackSlash with each update and lambda."""
        found = [(m, method) for m in self.models for u in UPDATES for method in self.methods(m, u)]
        return list(dict.fromkeys(found))

    def trained(self) -> list[str]:
        """The models that are trained here, by their number of weights."""
        points = {o.model: o.point for o in self.all if o.point.training}
        return sorted(points, key=lambda m: points[m].n_parameters)

    def any_of(self, model: str) -> Observation:
        """Return an observation of one of `models`, for what is the same for all of a model."""
        return next(o for o in self.all if o.model == model)

    def first(self, model: str, method: Method = PLAIN) -> Observation | None:
        """Any observation of weights as they were trained, of the lowest seed."""
        return min(self.select(model, method), key=lambda o: o.seed, default=None)


def _parse(recipe: str) -> tuple[Method, float, float] | None:
    """(method, sparsity, step) of a recipe of the studies; None for any other."""
    first, *rest = selector.parse_chain(recipe)
    if not rest:
        return None
    *middle, last = rest
    if last.name != "quantize" or not dict(last.settings).keys() <= {"step"} or len(middle) > 1:
        return None
    if any(link.name != "prune" for link in middle):
        return None
    method = _method(first)
    if method is None:
        return None
    sparsity = _settings(TRANSFORMS, middle[0])["sparsity"] if middle else 0.0
    return method, sparsity, _settings(QUANTISERS, last)["step"]


def _method(link: Selector) -> Method | None:
    if link.name == "plain" and not link.settings:
        return PLAIN
    if link.name not in _VARIED or not dict(link.settings).keys() <= _VARIED[link.name]:
        return None
    settings = _settings(REGIMES, link)
    return Method(
        lam=settings["lam"],
        update=settings["update"],
        eps=settings["eps"],
        scope=settings["scope"],
        power=settings.get("p"),
    )


def _settings(registry: Registry[Any], link: Selector) -> dict[str, Any]:
    """Return all settings of an entry as it was run: those written, and its defaults."""
    cls = registry.get(link.name)
    defaults = {setting.name: setting.default for setting in selector.settings_of(cls)}
    return defaults | next(selector.expand(cls, link))
