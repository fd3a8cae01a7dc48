"""The contracts between the rooms: a model, a metric, a regime, a transform, a quantiser.

The codec contract is `numcodecs.abc.Codec` (see slashbench.codecs.base). Nothing here knows a
particular codec, regime or model, and torch is imported for types only.
"""

from __future__ import annotations

import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, final

import numpy as np
import numpy.typing as npt

from slashbench import validate
from slashbench.digest import sha256_of
from slashbench.errors import BadSetting, UsageError
from slashbench.grid import Grid
from slashbench.weight_rule import as_array, why_kept

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")

#: A checkpoint in memory: every tensor of the state dict by name, tied names sharing one tensor.
Weights = dict[str, "torch.Tensor"]

#: `train` shows how well a model knows what it was trained on; nothing is chosen or reported by it.
Split = Literal["train", "validation", "test"]

Precision = Literal["fp32", "bf16"]
Sharding = Literal["ddp", "fsdp2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What an evaluation found.

    per_item: one number per test item, whose mean is `value` (a cross-entropy in nats; bits per
    byte: bits of a chunk over its mean bytes). It lets reports pair two evaluations.
    also: metrics beside the primary one. Known to boards: `accuracy` (percent) and, where a
    reference was given, `kl` with `kl_stderr` (nats), `same_top` and `flips` (percent).
    """

    name: str
    value: float
    stderr: float
    n: int
    higher_is_better: bool
    per_item: list[float]
    also: dict[str, float] = field(default_factory=dict)  # secondary metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """How a model is trained, with AdamW. One step is one batch.

    Parameters
    ----------
    steps : int
        Training steps, 1 or more.
    learning_rate : float
        At its peak.
    warmup : int
        Steps of linear warm-up, after which the learning rate falls to zero as a cosine.
    weight_decay : float
        Off by default: it is a rate term of its own (shape 2).
    clip_norm : float
        Largest norm of the gradient, which is clipped to it.
    new : frozenset of str
        Parameters that start anew where all others are pretrained: a head. Methods that train
        little of a model train all of these.

    Raises
    ------
    BadSetting
        For a value out of its range.
    """

    steps: int
    learning_rate: float
    warmup: int
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    new: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        validate.at_least(1, steps=self.steps)
        validate.positive(learning_rate=self.learning_rate, clip_norm=self.clip_norm)
        validate.at_least(0, warmup=self.warmup)
        validate.not_negative(weight_decay=self.weight_decay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a regime's training differs from the model's own plan, and who teaches it.

    Parameters
    ----------
    longer : float
        Factor on the number of training steps and on those of warm-up.
    peak : float
        Factor on the peak learning rate.
    distil : float
        Share of the loss that is the divergence from a teacher's answers; the labels have the rest.
        The teacher is what the links before trained, or else the model's own float weights when
        rounding begins. Its forward passes are part of the training's cost.
    fresh : bool
        Start from fresh weights although links before have trained some: these only teach.

    Raises
    ------
    BadSetting
        For a value out of its range.
    """

    longer: float = 1.0
    peak: float = 1.0
    distil: float = 0.0
    fresh: bool = False

    def __post_init__(self) -> None:
        validate.positive(longer=self.longer, peak=self.peak)
        validate.not_negative(distil=self.distil)
        if self.distil > 1:
            raise BadSetting(f"distil={self.distil} is a share of the loss: at most 1")

    def of(self, plan: TrainingPlan) -> TrainingPlan:
        """Return a model's plan as this course changes it."""
        return replace(
            plan,
            steps=max(1, round(plan.steps * self.longer)),
            warmup=round(plan.warmup * self.longer),
            learning_rate=plan.learning_rate * self.peak,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a process must have to do some work."""

    cpus: int = 1
    gpus: int = 0
    memory_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Where and how precisely training computes; weights keep their dtype in any case.

    Parameters
    ----------
    device : str
        Of torch.
    precision : {"fp32", "bf16"}
        bf16 runs the forward and backward pass under autocast.
    accumulate : int
        Batches whose mean gradient makes one step.
    processes : int
        Processes that share the rows of each batch.
    sharding : {"ddp", "fsdp2"}
        Each process holds the whole module, or its shard of every parameter.

    Raises
    ------
    UsageError
        For a value out of its range, or sharding without processes.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    accumulate: int = 1
    processes: int = 1
    sharding: Sharding = "ddp"

    def __post_init__(self) -> None:
        validate.choice(Precision, precision=self.precision)
        validate.choice(Sharding, sharding=self.sharding)
        if self.accumulate < 1:
            raise UsageError(f"accumulate={self.accumulate}: a step takes at least one batch")
        if self.processes < 1:
            raise UsageError(f"processes={self.processes}: training takes at least one")
        if self.processes == 1 and self.sharding != "ddp":
            raise UsageError(f"sharding={self.sharding} needs processes to shard over: 2 or more")

    @property
    def text(self) -> str:
        """Return what differs from the default, for people; empty if nothing does."""
        parts = [
            self.device if self.device != "cpu" else "",
            self.precision if self.precision != "fp32" else "",
            f"{self.accumulate} batches a step" if self.accumulate > 1 else "",
            f"{self.processes} processes" if self.processes > 1 else "",
            self.sharding if self.sharding != "ddp" else "",
        ]
        return ", ".join(filter(None, parts))

    @property
    def config(self) -> dict[str, Any]:
        """Return what determines the outcome of a training."""
        usual = {"device": self.device, "precision": self.precision, "accumulate": self.accumulate}
        if self.processes == 1:
            return usual
        return {**usual, "processes": self.processes, "sharding": self.sharding}


#: In float32 on the CPU, one batch a step.
DEFAULT_EXECUTION = Execution()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answers to a training batch: logits (n, classes); targets (n,) are right."""

    logits: torch.Tensor
    targets: torch.Tensor


class Reference:
    """The float model that a compressed one is compared with; it answers each question once."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module.eval()
        self._answers: dict[str, Any] = {}

    def answers(self, question: str, ask: Callable[[nn.Module], T]) -> T:
        """Return `ask(module)`, kept under the name of the question: a split, mostly."""
        if question not in self._answers:
            self._answers[question] = ask(self._module)
        answer: T = self._answers[question]
        return answer


class Model(ABC):
    """One row of the model matrix: weights, data and a metric.

    A subclass's constructor takes the settings a user may vary (`kjv-gpt:steps=1500`).
    """

    revision: ClassVar[int] = 1  # raise it when data, architecture or metric change
    source: ClassVar[str]  # where weights and data come from, with versions
    licence: ClassVar[str]
    metric: ClassVar[str]
    #: Largest loss of quality that still counts as equal, in units of the metric; each model says
    #: why. Models with a cross-entropy share one rule, slashbench.bench.models.scoring.
    tolerance: ClassVar[float]
    #: torch threads to train and evaluate with; None: torch's own choice. 1 where the matrices are
    #: so small that threads cost more than they bring.
    threads: ClassVar[int | None] = None
    #: Whether evaluation and calibration compute in float32 where the weights are narrower, as
    #: float16 is slow on a CPU, and gradients vanish in it.
    widened: ClassVar[bool] = False
    #: What training takes at least, evaluating and coding; the execution may ask for more.
    needs: Needs = Needs()
    #: For the estimate of the time left: seconds of one core for a training step and for an
    #: evaluation, and how many weights there are.
    step_hint_s: ClassVar[float] = 0.1
    evaluate_hint_s: ClassVar[float] = 5.0
    weights_hint: ClassVar[int] = 1_000_000
    #: Settings of regimes for this model in place of their defaults, found in a sweep on validation
    #: data. A model that names more than a strength (lam, step) says why.
    tuned: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        signature = inspect.signature(cls.evaluate)
        try:
            signature.bind("self", "module", "split", "reference")
        except TypeError:
            raise UsageError(
                f"{cls.__name__}.evaluate takes {signature}; it is called with "
                "(self, module, split, reference=None), where `reference` is the float model to "
                "compare with, or None: add that parameter"
            ) from None

    @property
    @abstractmethod
    def plan(self) -> TrainingPlan | None:
        """The default training, or None when only post-training recipes apply."""

    @abstractmethod
    def inputs(self) -> dict[str, str]:
        """SHA-256 of every file or text that weights and data come from."""

    @abstractmethod
    def build(self, seed: int) -> nn.Module:
        """The module as training finds it: freshly initialised, or with its pretrained weights."""

    def base(self) -> Weights:
        """The public weights that training starts from, under the names of the state dict.

        What is trained from scratch is not among them; empty where that is everything. A recipe
        with the link `delta` sends only what differs from them.
        """
        return {}

    def batches(self, seed: int) -> Iterator[Any]:
        """An endless stream of training batches in an order fixed by `seed`.

        Raises UsageError where there are none.
        """
        raise UsageError(
            f"{type(self).__name__} has no batches to train or calibrate by: its `batches` or "
            "`calibration` yields them"
        )

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        """Return the training loss of one batch, a scalar, in nats: the cross-entropy of `predict`.

        A model whose loss is no cross-entropy has this in its place.
        """
        from torch.nn import functional  # reports import this module, and no torch

        answered = self.predict(module, batch)
        return functional.cross_entropy(answered.logits, answered.targets)

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        """Return logits and targets whose mean cross-entropy is the training loss.

        A teacher's logits take the targets' place in distillation. Raises UsageError where there
        are none.
        """
        raise UsageError(
            f"{type(self).__name__} has no logits to train or distil by: its `predict` returns them"
        )

    def calibration(self, seed: int) -> Iterator[Any]:
        """Batches that `loss` takes, for transforms and quantisers that look at data: of training
        data, never of validation or test data.
        """
        return self.batches(seed)

    @abstractmethod
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Evaluate the primary metric on held-out data, or on some of the training data.

        Hyper-parameters are chosen on `validation` only. Beside a `reference`, the float model
        that `module` was compressed from, `Metrics.also` says how far their answers are apart.
        Raises UsageError for `train` where there is none.
        """

    def is_embedding(self, name: str) -> bool:
        """Whether a tensor is an embedding table: its rows are reported apart."""
        return "embed" in name


class TrainingHook:
    """What a regime adds to a training step. This one adds nothing: plain training.

    A hook overrides the methods for the moments at which it acts. A term of the objective acts in
    `before_step`, where the optimiser rescales it together with the loss; one that is decoupled
    from the optimiser, as weight decay is in AdamW, acts in `after_step`.
    """

    def before_forward(self) -> None:
        """Run before each forward pass. May replace the weights until `before_step`."""

    def before_step(self) -> None:
        """Run after the backward pass and the clipping of gradients, before the optimiser's step.

        May change gradients. Puts back the weights that `before_forward` replaced.
        """

    def after_step(self) -> None:
        """Run after the optimiser's step. May change the weights."""

    def finish(self) -> None:
        """Run once, after the last step."""

    def log(self) -> dict[str, float]:
        """Return figures of the last step by name, such as shape, rate and share of zeros."""
        return {}

    def state(self) -> dict[str, torch.Tensor]:
        """Return all that a resumed run needs beside the weights to continue bit for bit."""
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue from `state`. The weights of that moment are in place already."""


class Regime(ABC):
    """A training regime: the first link of a recipe. Its constructor takes its settings."""

    revision: ClassVar[int] = 1
    #: Whether it does the same to shards of parameters as to whole ones, which FSDP2 needs.
    shards: ClassVar[bool] = False
    #: Settings that came after the first records. At their defaults they are no part of what
    #: identifies a training, so that it is the same as it was before they came.
    added_settings: ClassVar[tuple[str, ...]] = ()
    course: Course = Course()

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return how a model with the default `plan` is trained: as its course says."""
        return self.course.of(plan)

    def first_rounded(self, plan: TrainingPlan) -> int | None:
        """Return the first training step of a run that sees rounded weights; None if none does."""
        return None

    def initialise(self, module: nn.Module) -> None:  # noqa: B027  # most leave them as they are
        """Change the weights that training starts from, with torch's seeded generator."""

    @abstractmethod
    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return a hook bound to these parameters for a run of `plan.steps` steps.

        Tied tensors appear once. Raises UsageError if the regime can do nothing with them.
        """

    @property
    def quantiser(self) -> str:
        """Return the quantiser of a recipe that names none, as a user would write it."""
        return "quantize"

    @property
    def requires_training(self) -> bool:
        """Whether the regime needs a model that is trained here. False for plain only."""
        return True


@dataclass(slots=True)
class Calibration:
    """The model and its training data, for transforms and quantisers that look at them.

    Validation and test data are out of its reach.
    """

    model: Model
    seed: int  # draws the batches
    sha256: str = ""  # of the batches drawn last; empty where none were
    #: What the weights that transforms and quantisers handle are differences to, by name; a name
    #: that is not in it has its weights whole.
    base: Weights = field(default_factory=dict)
    #: Tensors of the checkpoint that are no weights: `module` loads them as they are.
    others: Weights = field(default_factory=dict)
    _buffers: frozenset[str] | None = None

    def why_kept(self, name: str, tensor: torch.Tensor) -> str:
        """Return why a tensor must stay as it is, in words; empty if it is a weight.

        Weights are the float parameters of the model whose values are finite.
        """
        if not tensor.is_floating_point():
            return "it holds no floats"
        if name in self.buffers():
            return "it is a buffer of the model, no parameter"
        return why_kept(as_array(tensor))

    def buffers(self) -> frozenset[str]:
        """Return the names of the model's buffers, which are no parameters."""
        if self._buffers is None:
            module = self.model.build(self.seed)
            self._buffers = frozenset(n for n, _ in module.named_buffers(remove_duplicate=False))
        return self._buffers

    def module(self, weights: Weights) -> nn.Module:
        """Return the model with these weights and with `others`, in evaluation mode.

        A tied name and an integer buffer may be left out. Raises UsageError for other gaps.
        """
        every = {**self.others, **weights}
        weights = {name: self.whole(name, tensor) for name, tensor in every.items()}
        module = self.model.build(self.seed)
        missing, unknown = module.load_state_dict(weights, strict=False)
        given = {id(module.state_dict(keep_vars=True)[name]) for name in weights.keys() - unknown}
        gaps = [
            name
            for name, tensor in module.state_dict(keep_vars=True).items()
            if name in missing and tensor.is_floating_point() and id(tensor) not in given
        ]
        if gaps or unknown:
            raise UsageError(
                f"the checkpoint is not of this model: missing {gaps}, unknown {unknown}"
            )
        return (module.float() if self.model.widened else module).eval()

    def whole(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Return a weight as the model has it: where there is a base, what differs is added."""
        return weight if name not in self.base else self.base[name] + weight

    def batches(self, count: int) -> list[Any]:
        """Return the first `count` batches of the calibration set, or all if it has fewer."""
        drawn = list(itertools.islice(self.model.calibration(self.seed), count))
        self.sha256 = sha256_of(drawn)
        return drawn

    def forward(self, module: nn.Module, batch: Any) -> torch.Tensor:
        """Run the module on one batch. Returns the training loss, a scalar, in nats."""
        return self.model.loss(module, batch)


class Transform(ABC):
    """A middle link of a recipe, applied after training, from weights to weights."""

    revision: ClassVar[int] = 1
    #: Whether what it returns, and all that follows in the recipe, are differences to the model's
    #: base: the file then needs the base, and stands on boards of its own.
    gives_differences: ClassVar[bool] = False

    @abstractmethod
    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """Return new weights; those given are not changed."""


@dataclass(frozen=True, slots=True)
class Quantized:
    """One tensor ready for a codec: integers and their grid, or floats to be coded as they are."""

    values: npt.NDArray[Any]
    grid: Grid | None  # None: `values` are the weights themselves

    def dequantize(self) -> npt.NDArray[Any]:
        """Return the weights that a decoder rebuilds, float32 when there is a grid."""
        return self.values if self.grid is None else self.grid.rebuild(self.values)


def _as_they_are(part: npt.NDArray[Any], _rows: slice) -> npt.NDArray[Any]:
    return part


@dataclass(frozen=True, slots=True)
class RowBlocks:
    """One tensor whose grid is found, and whose integers are made a block of rows at a time.

    integers: int32, of some rows of `weight`, and which rows these are. Where the grid is not
    `ChannelScales`, they may be rows of `weight` made flat.
    """

    weight: npt.NDArray[Any]
    grid: Grid
    integers: Callable[[npt.NDArray[Any], slice], npt.NDArray[Any]] = _as_they_are

    def whole(self) -> Quantized:
        """Return the integers of all rows at once."""
        return Quantized(self.integers(self.weight, slice(None)), self.grid)


class Quantiser(ABC):
    """The last link of a recipe: what each tensor is coded as."""

    revision: ClassVar[int] = 1
    domain: ClassVar[str] = "integers"  # what it hands to the codec; or "floats"
    hint_s: ClassVar[float] = 0.05  # of a core for a million weights, for the estimate of time

    @abstractmethod
    def quantize(self, name: str, weight: npt.NDArray[Any]) -> Quantized | None:
        """Return the tensor to code, or None for one that is stored in its native dtype.

        Raises Unencodable for weights that are not finite or too large for the step.
        """

    def in_blocks(self, name: str, weight: npt.NDArray[Any]) -> RowBlocks | None:
        """Return the tensor to code, or None for one that is stored as it is.

        weight: float32, float16 or bfloat16. Unless overridden, it is quantized in one block.
        Raises Unencodable as `quantize` does, perhaps only when the integers are made.
        """
        made = self.quantize(name, np.asarray(weight, np.float32))
        return None if made is None or made.grid is None else RowBlocks(made.values, made.grid)

    def quantize_all(
        self, weights: Mapping[str, npt.NDArray[Any]], calibration: Calibration
    ) -> dict[str, Quantized | None]:
        """Quantize every float tensor of a checkpoint, each tied one once.

        Unless overridden, one by one. A quantiser that needs more than weights overrides it.
        """
        return {name: self.quantize(name, weight) for name, weight in weights.items()}


class BlockwiseQuantiser(Quantiser):
    """A quantiser that needs no copy of a tensor: it finds the grid, then integers by blocks."""

    @final
    def quantize(self, name: str, weight: npt.NDArray[Any]) -> Quantized | None:
        """Return int32, in one block."""
        blocks = self.in_blocks(name, weight)
        return None if blocks is None else blocks.whole()

    @abstractmethod
    def in_blocks(self, name: str, weight: npt.NDArray[Any]) -> RowBlocks | None:
        """Return the tensor to code, or None for one that is stored in its native dtype."""
