"""One row per cell: the cell's records joined, and what follows from their numbers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slashbench.bench.report.data.records import Joined, Records, measured
from slashbench.bench.report.data.water_filling import at_loss
from slashbench.bench.report.statistics import standard_error
from slashbench.record import (
    CellRecord,
    EvaluateRecord,
    LimitRecord,
    Samples,
    TensorSize,
    TimeRecord,
    Training,
    executed,
    loss_of,
)

BESIDE = ("accuracy", "kl", "kl_stderr", "flips", "same_top")  # what goes with the metric
PLAIN = "plain"  # recipe of the checkpoint that every metric is compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cell. What was not measured is None. Sizes in bits or bytes, speeds per second."""

    model: str
    regime: str
    recipe: str  # as boards name it: with its execution
    links: str  # the recipe alone
    execution: str = ""  # of the training, where it is not the usual one
    codec: str
    seed: int
    status: str
    reason: str = ""
    bound: bool = False  # a length that nothing is written at
    given_base: bool = False  # the file is an update: the decoder has the base already
    # size
    n_parameters: int | None = None
    file_bytes: float | None = None
    bits_per_parameter: float | None = None  # whole file over all parameters: the headline
    bits_per_coded: float | None = None  # streams of the coded tensors over their values
    bits_per_coded_embedding: float | None = None
    bits_per_coded_matrix: float | None = None  # and vectors, where they are coded
    entropy_bits: float | None = None  # order-0 per tensor, per coded value
    gap: float | None = None  # bits_per_coded / entropy_bits - 1
    ratio_to_native: float | None = None
    zeros: float | None = None  # share of coded values that are 0
    # the headline taken apart: payload + side information + left-over floats
    payload_share: float | None = None
    entropy_share: float | None = None  # of the payload: order-0 entropy; integers only
    waste_share: float | None = None  # of the payload: beyond it; below 0 for coders with context
    side_share: float | None = None  # tables, scales, masks, headers, names
    float_share: float | None = None  # tensors stored as they were
    ledger: dict[str, int] = field(default_factory=dict)  # bytes; sums to file_bytes
    # quality
    metric: str = ""
    higher_is_better: bool = True
    value: float | None = None
    stderr: float | None = None
    float_value: float | None = None  # the recipe's checkpoint before quantization
    baseline: float | None = None  # plain float model, same seed
    delta: float | None = None  # value - baseline
    delta_stderr: float | None = None  # paired over test items
    loss: float | None = None  # how much worse than the baseline: delta, or -delta
    tolerance: float | None = None  # largest loss that counts as equal quality
    keeps_accuracy: bool | None = None  # loss <= tolerance
    accuracy: float | None = None  # percent; kl to same_top: against the recipe's float weights
    kl: float | None = None  # nats per answer
    kl_stderr: float | None = None
    flips: float | None = None  # percent of answers right on one side, wrong on the other
    same_top: float | None = None  # percent of answers with the same most probable one
    noise: float | None = None  # change of the baseline's metric by another number of threads
    nll: float | None = None  # mean negative log-likelihood in nats, smoother than accuracy
    # speed
    encode_mb_s: float | None = None  # of native bytes, median
    decode_mb_s: float | None = None
    encode_mparams_s: float | None = None
    decode_mparams_s: float | None = None
    decode_s: float | None = None  # of all coded tensors, median
    apply_s: float | None = None  # of an update: from the file to the whole weights, median
    encode_ns: Sequence[int] = ()  # raw, in the order of the rounds
    decode_ns: Sequence[int] = ()
    contended: bool | None = None
    machine: str = ""
    # cost
    train_s: float | None = None
    train_cpu_s: float | None = None
    train_steps: int | None = None
    drift: float | None = None  # sum of learning rates since rounding began, in step sizes
    moved: float | None = None  # share of weights whose integer is not the one they began at
    # the limit
    limit_bits: float | None = None  # of the plain float model, for a loss of the tolerance
    above_limit: float | None = None  # bits_per_parameter beyond it
    compress: str = ""  # key of the record with its tensors
    measured_at: str = ""

    @property
    def chain(self) -> str:
        """The links before the quantiser, with how they were executed: what a curve is of."""
        return executed(self.links.rpartition("+")[0], self.execution)

    @property
    def quantiser(self) -> str:
        """The last link."""
        return self.links.rpartition("+")[2]

    @property
    def lossless(self) -> bool:
        """Whether floats are coded as they are."""
        return self.quantiser.partition(":")[0] == "native"


def rows(records: Records) -> list[Row]:
    """Return every cell in a fixed order. A cell whose records are gone counts as failed.

    Of equal cells (measured again with other versions) the one measured last comes last.
    """
    baselines = _baselines(records)
    trained = {
        (point.model, point.recipe, point.execution, point.seed): point.training
        for point in sorted(records.points.values(), key=measured)
    }
    limits = {(r.model, r.seed): r for r in records.limits if r.recipe == PLAIN}
    qualities: dict[tuple[Any, ...], dict[str, Any]] = {}  # codecs share evaluations
    made = []
    for cell in records.cells:
        found = records.join(cell)
        if found is None:
            made.append(_failed(cell))
            continue
        baseline = baselines.get((cell.model, cell.seed, "")) or baselines.get(
            (cell.model, cell.seed, cell.execution)
        )
        pair = (found.decoded.key, baseline.key if baseline else "", cell.tolerance)
        if pair not in qualities:
            qualities[pair] = _quality(found.decoded, baseline, cell.tolerance)
        # A checkpoint after a transform has no training of its own.
        training = found.point.training or trained.get(
            (cell.model, cell.regime, cell.execution, cell.seed)
        )
        made.append(
            Row(
                model=cell.model,
                regime=cell.regime,
                recipe=executed(cell.recipe, cell.execution),
                links=cell.recipe,
                execution=cell.execution,
                codec=cell.codec,
                seed=cell.seed,
                status="ok",
                bound=found.size.bound,
                given_base=cell.given_base,
                **_size(found),
                **qualities[pair],
                float_value=found.floats.value if found.floats else None,
                **_speed(found.timing),
                train_s=training.wall_s if training else None,
                train_cpu_s=training.cpu_s if training else None,
                train_steps=training.steps if training else None,
                **_travelled(training),
                **_beyond(limits.get((cell.model, cell.seed)), cell.tolerance, found),
                compress=cell.compress,
                measured_at=cell.provenance.measured_at,
            )
        )
    return sorted(made, key=lambda r: (r.model, r.recipe, r.codec, r.seed, r.measured_at))


def paired(ours: EvaluateRecord, theirs: EvaluateRecord) -> float | None:
    """Return the standard error of the mean difference over the same items; None if they differ."""
    if len(ours.per_item) != len(theirs.per_item):
        return None
    return standard_error(np.subtract(ours.per_item, theirs.per_item).tolist())


def _travelled(training: Training | None) -> dict[str, Any]:
    """Return how far weights could travel on their grid, as the training's log says in the end."""
    last = training.log[-1] if training is not None and training.log else {}
    return {"drift": last.get("drift"), "moved": last.get("moved")}


def _beyond(limit: LimitRecord | None, tolerance: float, found: Joined) -> dict[str, Any]:
    if limit is None or limit.status == "failed" or tolerance <= 0:  # without loss no limit
        return {}
    least = at_loss(limit, tolerance).bits
    return {"limit_bits": least, "above_limit": found.bits_per_parameter - least}


def _failed(cell: CellRecord) -> Row:
    return Row(
        model=cell.model,
        regime=cell.regime,
        recipe=executed(cell.recipe, cell.execution),
        links=cell.recipe,
        execution=cell.execution,
        codec=cell.codec,
        seed=cell.seed,
        given_base=cell.given_base,
        status="failed",
        reason=cell.reason or "its records are missing: run it again",
        measured_at=cell.provenance.measured_at,
    )


def _baselines(records: Records) -> dict[tuple[str, int, str], EvaluateRecord]:
    """Return (model, seed, execution) -> evaluation of the plain float model."""
    found = {}
    for cell in records.cells:
        point = records.points.get(cell.checkpoint)
        metric = records.metrics.get(cell.evaluate_float)
        if metric and metric.status == "ok" and point and point.recipe == PLAIN:
            found[cell.model, cell.seed, point.execution] = metric
    return found


def _size(found: Joined) -> dict[str, Any]:
    size, point = found.size, found.point
    coded = [tensor for tensor in size.tensors if tensor.coded]
    embeddings = [tensor for tensor in coded if tensor.kind == "embedding"]
    others = [tensor for tensor in coded if tensor.kind != "embedding"]
    entropies = [tensor.entropy_bits for tensor in coded if tensor.entropy_bits is not None]
    n_coded = sum(tensor.n for tensor in coded)
    entropy = sum(entropies) / n_coded if entropies and n_coded else None
    bits = entropy if size.bound else _bits(coded)
    shares = {} if size.bound else _shares(size.ledger, sum(entropies), point.n_parameters)
    return {
        "n_parameters": point.n_parameters,
        "file_bytes": size.file_bytes,
        "bits_per_parameter": found.bits_per_parameter,
        "bits_per_coded": bits,
        "bits_per_coded_embedding": _bits(embeddings, size.bound),
        "bits_per_coded_matrix": _bits(others, size.bound),
        "entropy_bits": entropy,
        "gap": bits / entropy - 1 if bits is not None and entropy else None,
        "ratio_to_native": point.native_bytes / found.parameter_bytes
        if found.parameter_bytes
        else None,
        "zeros": size.zeros,
        "ledger": size.ledger,
        **shares,
    }


def _shares(ledger: Mapping[str, int], entropy: float, n_parameters: int) -> dict[str, float]:
    """Return the bits per parameter of each part of a file; entropy: in bits, 0 if unknown."""
    parts = {"payload": 0, "floats": 0, "buffers": 0} | dict(ledger)
    payload, floats = 8 * parts.pop("payload"), 8 * parts.pop("floats")
    del parts["buffers"]  # no parameters
    shares: dict[str, float] = {
        "payload_share": payload,
        "side_share": 8 * sum(parts.values()),
        "float_share": floats,
    }
    if entropy:
        shares |= {"entropy_share": entropy, "waste_share": payload - entropy}
    return {name: bits / n_parameters for name, bits in shares.items()}


def _bits(tensors: list[TensorSize], entropy: bool = False) -> float | None:
    """Return the bits per value of some tensors: of their streams, or their entropy."""
    n = sum(tensor.n for tensor in tensors)
    if not n:
        return None
    if entropy:
        return sum(tensor.entropy_bits or 0.0 for tensor in tensors) / n
    return 8 * sum(tensor.n_bytes for tensor in tensors) / n


def _quality(
    metric: EvaluateRecord, baseline: EvaluateRecord | None, tolerance: float
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metric": metric.metric,
        "higher_is_better": metric.higher_is_better,
        "value": metric.value,
        "stderr": metric.stderr,
        "tolerance": tolerance,
        "nll": metric.also.get("nll"),
        **{name: metric.also.get(name) for name in BESIDE},
    }
    if baseline is not None:
        loss = loss_of(metric.value, baseline.value, metric.higher_is_better)
        found |= {
            "baseline": baseline.value,
            "noise": baseline.noise,
            "delta": metric.value - baseline.value,
            "delta_stderr": paired(metric, baseline),
            "loss": loss,
            "keeps_accuracy": loss <= tolerance,
        }
    return found


def _speed(timing: TimeRecord | None) -> dict[str, Any]:
    if timing is None or timing.status == "failed":
        return {}
    speeds: dict[str, Any] = {"contended": timing.contended, "machine": timing.machine}
    if timing.apply is not None:
        speeds["apply_s"] = _median_s(timing.apply)
    for name, samples in (("encode", timing.encode), ("decode", timing.decode)):
        if samples is not None:
            seconds = _median_s(samples)
            if name == "decode":
                speeds["decode_s"] = seconds
            speeds[f"{name}_ns"] = tuple(samples.wall_ns)
            speeds[f"{name}_mb_s"] = timing.native_bytes / seconds / 1e6
            speeds[f"{name}_mparams_s"] = timing.n_coded / seconds / 1e6
    return speeds


def _median_s(samples: Samples) -> float:
    return max(statistics.median(samples.wall_ns), 1) / 1e9
