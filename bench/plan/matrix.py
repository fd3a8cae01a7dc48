"""The plan: models x recipes x codecs x seeds -> cells, and what is left out, with the reason."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from slashbench import selector
from slashbench.bench.models.catalog import MODELS
from slashbench.bench.models.external import catalog as external
from slashbench.bench.models.external.spelling import is_external
from slashbench.bench.plan.suite_files import SUITES, suites
from slashbench.codecs.catalog import CODECS
from slashbench.contracts import DEFAULT_EXECUTION, Execution, Model
from slashbench.errors import MissingDependency, UnknownName, UsageError
from slashbench.link import Link, entries, only
from slashbench.record import executed
from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS
from slashbench.trainers.recipe import Recipe, recipes


@dataclass(frozen=True)
class Cell:
    """One unit of the matrix."""

    model: Link[Model]
    recipe: Recipe
    codec: Link[Any]
    seed: int
    execution: Execution = DEFAULT_EXECUTION

    def __str__(self) -> str:
        recipe = executed(self.recipe.text, self.execution_text)
        return f"{self.model.text} · {recipe} · {self.codec.text} · seed {self.seed}"

    @property
    def spelled(self) -> CellText:
        """The names of its parts, from which another process builds it again."""
        parts = (self.model.text, self.recipe.text, self.codec.text)
        return CellText(*parts, self.seed, self.execution)

    @property
    def execution_text(self) -> str:
        """The execution of the training, if it is not the default; empty without training."""
        return self.execution.text if self.model.item.plan else ""


class CellText(msgspec.Struct, frozen=True):
    """A cell by the names of its parts, for another process to build it from."""

    model: str
    recipe: str
    codec: str
    seed: int
    execution: Execution

    def cell(self) -> Cell:
        """Build the cell. Raises UsageError (and its kinds) if a part is unavailable here."""
        (recipe,) = recipes(self.recipe, {})
        model, codec = _model(self.model), _codec(self.codec)
        return Cell(model, recipe, codec, self.seed, self.execution)


@functools.cache
def _model(text: str) -> Link[Model]:
    return external.link_of(text) if is_external(text) else only(MODELS, text)


@functools.cache
def _codec(text: str) -> Link[Any]:
    return only(CODECS, text)


@dataclass
class Plan:
    """Cells in an order that lets neighbours share work, and what was left out."""

    cells: list[Cell] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # what -> why
    unfit: dict[str, list[str]] = field(default_factory=dict)  # kind of values -> who takes none


@dataclass(frozen=True)
class Request:
    """The axes as the user wrote them; None means what the suite says.

    `all` codecs on the suite's own recipes are each where the suite wants it; on recipes that the
    user names they are on every one. A model named without settings has those of the suite.
    evaluation and calibration are for checkpoints of the user's own.
    """

    suite: str = "core"
    models: str | None = None
    recipes: str | None = None
    codecs: str | None = None
    seeds: str | None = None
    execution: Execution = DEFAULT_EXECUTION
    evaluation: str | None = None
    calibration: str | None = None


@dataclass(frozen=True)
class Part:
    """Part of a suite: recipes, codecs and seeds for some models, which may stand in several."""

    recipes: list[str]
    seeds: str
    codecs: str = "all"


#: The parts of a checkpoint of the user's own: rows that anybody asks for first, and quick codecs.
EXTERNAL = [
    Part(["plain+native"], "0", "float-rans,float-huffman,zstd"),
    Part(["plain+rtn:granularity=channel:bits=3/4/6/8"], "0", "rans-classes,rans,huffman,zstd"),
]


def plan(request: Request) -> Plan:
    """Build the plan of a request. Raises UsageError (and its kinds) if nothing can be run."""
    _check_device(request.execution.device)
    suite = _suite(request.suite)
    result = Plan()
    for model in _models(request, suite, result):
        usual = EXTERNAL if is_external(model.text) else [suite.default]
        for part in suite.parts.get(model.name, usual):
            result.cells += _cells(request, model, part, result)
    for domain, texts in result.unfit.items():
        result.left_out[", ".join(dict.fromkeys(texts))] = f"these codecs do not take {domain}"
    if not result.cells:
        reasons = "; ".join(f"{what}: {why}" for what, why in result.left_out.items())
        raise UsageError(f"no cell is left to run ({reasons or 'empty request'})")
    result.cells = list({str(cell): cell for cell in result.cells}.values())
    result.cells.sort(key=_together(result.cells))
    for registry in (MODELS, CODECS, REGIMES, TRANSFORMS, QUANTISERS):
        for number, problem in enumerate(registry.problems):
            result.left_out[f"{registry.kind} plug-in {number + 1}"] = problem
    return result


def _cells(request: Request, model: Link[Model], part: Part, result: Plan) -> Iterator[Cell]:
    own = request.codecs is None or (request.codecs == "all" and request.recipes is None)
    named = part.codecs if own else request.codecs or "all"
    codecs = list(entries(CODECS, named, result.left_out, needed=not own))
    texts = selector.split_list(request.recipes) if request.recipes else part.recipes
    seeds = _seeds(request.seeds or part.seeds)
    if model.item.plan is None:
        seeds = seeds[:1]  # pretrained weights are the same under every seed
    for recipe in _recipes(model, texts, request.execution, result):
        for seed in seeds:
            for codec in codecs:
                if _fits(recipe, codec, result):
                    yield Cell(model, recipe, codec, seed, request.execution)


def _check_device(device: str) -> None:
    import torch  # not for those who only list suites

    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "--device cuda: torch finds no CUDA device; install a CUDA build of torch and check "
            "nvidia-smi, or train with --device cpu"
        )


def _together(cells: Sequence[Cell]) -> Any:
    """Return a sort key: model by model, then seed, checkpoint and quantiser, plain first."""
    order = {cell.model.text: i for i, cell in reversed(list(enumerate(cells)))}
    recipe_order = {cell.recipe.text: i for i, cell in reversed(list(enumerate(cells)))}

    def key(cell: Cell) -> tuple[int, int, bool, str, int]:
        regime = cell.recipe.regime
        return (
            order[cell.model.text],
            cell.seed,
            regime.name != "plain",
            cell.recipe.training,
            recipe_order[cell.recipe.text],
        )

    return key


@dataclass(frozen=True)
class Suite:
    """A suite as its file has it.

    Attributes
    ----------
    models
        The selector of each model, by its name, in order.
    parts
        The parts that each model, by its name, stands in.
    default
        The part of models that the suite does not name.
    """

    models: dict[str, str]
    parts: dict[str, list[Part]]
    default: Part


def _suite(name: str) -> Suite:
    """Return the suite of that name; one that extends another has its recipes, with more codecs."""
    path = SUITES / f"{name}.toml"
    if name not in suites():
        raise UnknownName(f"no suite {name!r}; known: {', '.join(suites())}")
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    if "extends" in document:
        base = _suite(document["extends"])
        return replace(base, parts={m: _with(p, document["codecs"]) for m, p in base.parts.items()})
    suite = Suite({}, {}, Part(**document["default"]))
    for entry in document["part"]:
        for text in entry.pop("models"):
            model = selector.parse(text).name
            suite.models.setdefault(model, text)
            suite.parts.setdefault(model, []).append(Part(**entry))
    return suite


def _with(parts: Sequence[Part], codecs: str) -> list[Part]:
    return [replace(part, codecs=codecs) for part in parts]


def _models(request: Request, suite: Suite, result: Plan) -> Iterator[Link[Model]]:
    apart = _of_other_suites(suite)
    for item in selector.split_list(request.models or ",".join(suite.models)):
        if _is_place(item):
            try:
                yield external.link_of(item, request.evaluation, request.calibration)
            except MissingDependency as error:
                result.left_out[f"model {item}"] = str(error)
            continue
        if item == "all" and apart:
            names = ", ".join(f"{model} ({where})" for model, where in apart.items())
            result.left_out["models of other suites"] = f"{names}: name them, or the --suite"
        own = not request.models  # a model of the suite that can't run is no error of the user's
        for model in entries(
            MODELS, item, result.left_out, first=list(suite.models), needed=not own, apart=apart
        ):
            bare = item in ("all", model.name)
            yield _model(suite.models[model.name]) if bare and model.name in suite.models else model


def _is_place(item: str) -> bool:
    """Return whether a model is a checkpoint of the user's own; registered names go before."""
    return is_external(item) or (
        item != "all" and item not in MODELS.names() and Path(item).exists()
    )


def _of_other_suites(suite: Suite) -> dict[str, str]:
    """Return the models that only other suites name -> the first suite that does."""
    found: dict[str, str] = {}
    for name in suites():
        document = tomllib.loads((SUITES / f"{name}.toml").read_text(encoding="utf-8"))
        for part in document.get("part", []):
            for text in part["models"]:
                found.setdefault(selector.parse(text).name, name)
    known = MODELS.names()
    return {m: s for m, s in found.items() if m in known and m not in suite.models}


def _recipes(
    model: Link[Model], texts: Sequence[str], execution: Execution, result: Plan
) -> Iterator[Recipe]:
    for text in texts:
        for recipe in recipes(text, model.item.tuned):
            trains = recipe.trained > 0 or recipe.regime.item.requires_training
            whole = [link for at, link in enumerate(recipe.links) if recipe.trains_at(at)]
            if model.item.plan is None and trains:
                result.left_out[f"{model.text} · {recipe.regime.name}"] = (
                    f"{model.name} is not trained here: post-training recipes only"
                )
            elif execution.sharding == "fsdp2" and not all(link.item.shards for link in whole):
                result.left_out[recipe.training] = (
                    f"{recipe.training} must see whole parameters: --sharding ddp has them"
                )
            else:
                yield recipe


def _fits(recipe: Recipe, codec: Link[Any], result: Plan) -> bool:
    domain = recipe.quantiser.item.domain
    if domain in codec.item.domains:
        return True
    result.unfit.setdefault(domain, []).append(codec.text)
    return False


def _seeds(text: str) -> list[int]:
    """Parse seeds: `0,2..4` -> [0, 2, 3, 4]."""
    seeds: list[int] = []
    for item in selector.split_list(text):
        first, dots, last = item.partition("..")
        try:
            low, high = int(first), int(last if dots else first)
        except ValueError:
            raise UsageError(f"seeds {text!r} are not of the form 0,1 or 0..4") from None
        if not 0 <= low <= high < low + selector.MAX_SWEEP:
            raise UsageError(f"seeds {text!r}: the range is empty, negative or too long")
        seeds += range(low, high + 1)
    return seeds
