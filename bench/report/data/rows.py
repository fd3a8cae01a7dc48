"""One row per cell: the cell's records joined, and what follows from their numbers."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slashbench.bench.store.store import Store
from slashbench.record import (
    CellRecord,
    CheckpointRecord,
    CompressRecord,
    EvaluateRecord,
    Record,
    Samples,
    TensorSize,
    TimeRecord,
)

PLAIN = "plain"  # recipe of the checkpoint that every metric is compared with

_EXECUTED = re.compile(r"(.*?)( \([^)]*\))?")  # a recipe, and how it was executed if unusually


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cell. What was not measured is None. Sizes in bits or bytes, speeds per second."""

    model: str
    regime: str
    recipe: str
    codec: str
    seed: int
    status: str
    reason: str = ""
    bound: bool = False  # a length that nothing is written at
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
    loss: float | None = None  # how much worse: points, or a fraction where lower is better
    tolerance: float | None = None
    keeps_accuracy: bool | None = None  # loss <= tolerance
    nll: float | None = None  # mean negative log-likelihood in nats, smoother than accuracy
    # speed
    encode_mb_s: float | None = None  # of native bytes, median
    decode_mb_s: float | None = None
    encode_mparams_s: float | None = None
    decode_mparams_s: float | None = None
    decode_s: float | None = None  # of all coded tensors, median
    contended: bool | None = None
    machine: str = ""
    # cost
    train_s: float | None = None
    train_cpu_s: float | None = None
    train_steps: int | None = None
    compress: str = ""  # key of the record with its tensors
    measured_at: str = ""

    @property
    def chain(self) -> str:
        """The links before the quantiser, with how they were executed: what a curve is of."""
        links, execution = executed(self.recipe)
        return links.rpartition("+")[0] + execution

    @property
    def quantiser(self) -> str:
        """The last link."""
        return executed(self.recipe)[0].rpartition("+")[2]

    @property
    def lossless(self) -> bool:
        """Whether floats are coded as they are."""
        return self.quantiser.partition(":")[0] == "native"


def executed(recipe: str) -> tuple[str, str]:
    """The links of a recipe, and in what way they were executed unless in the usual one.

    >>> executed("plain+quantize:step=2^-8 (bf16)")
    ('plain+quantize:step=2^-8', ' (bf16)')
    """
    found = _EXECUTED.fullmatch(recipe)
    return (recipe, "") if found is None else (found[1], found[2] or "")


@dataclass(frozen=True, slots=True)
class Records:
    """All that a store holds, by key; the cells in the order they were measured."""

    cells: list[CellRecord]
    points: dict[str, CheckpointRecord]
    sizes: dict[str, CompressRecord]
    metrics: dict[str, EvaluateRecord]
    times: dict[str, TimeRecord]


def read(store: Store) -> Records:
    """Every readable record."""
    return Records(
        cells=sorted(store.cells(), key=_when),
        points={record.key: record for record in store.all(CheckpointRecord)},
        sizes={record.key: record for record in store.all(CompressRecord)},
        metrics={record.key: record for record in store.all(EvaluateRecord)},
        times={record.key: record for record in store.all(TimeRecord)},
    )


def rows(records: Records) -> list[Row]:
    """Every cell, in a fixed order. Cells whose records are gone count as failed.

    Of equal cells (measured again with other versions) the one measured last comes last.
    """
    points, sizes, metrics, times = records.points, records.sizes, records.metrics, records.times
    cells = records.cells
    baselines = _baselines(cells, points, metrics)
    trained = {
        (point.model, point.recipe, point.seed): point.training
        for point in sorted(points.values(), key=_when)
    }
    qualities: dict[tuple[Any, ...], dict[str, Any]] = {}  # codecs share evaluations
    made = []
    for cell in cells:
        point, size = points.get(cell.checkpoint), sizes.get(cell.compress)
        metric = metrics.get(cell.evaluate)
        if cell.status == "failed" or point is None or size is None or metric is None:
            made.append(_failed(cell))
            continue
        execution = executed(cell.recipe)[1]
        baseline = baselines.get((cell.model, cell.seed, "")) or baselines.get(
            (cell.model, cell.seed, execution)
        )
        pair = (metric.key, baseline.key if baseline else "", cell.tolerance)
        if pair not in qualities:
            qualities[pair] = _quality(metric, baseline, cell.tolerance)
        # A checkpoint after a post-training step has no training of its own.
        training = point.training or trained.get((cell.model, cell.regime + execution, cell.seed))
        before = metrics.get(cell.evaluate_float)
        timing = times.get(cell.time)
        made.append(
            Row(
                model=cell.model,
                regime=cell.regime,
                recipe=cell.recipe,
                codec=cell.codec,
                seed=cell.seed,
                status="ok",
                bound=size.bound,
                **_size(size, point),
                **qualities[pair],
                float_value=before.value if before else None,
                **_speed(timing),
                train_s=training.wall_s if training else None,
                train_cpu_s=training.cpu_s if training else None,
                train_steps=training.steps if training else None,
                compress=cell.compress,
                measured_at=cell.provenance.measured_at,
            )
        )
    return sorted(made, key=lambda r: (r.model, r.recipe, r.codec, r.seed, r.measured_at))


def paired(ours: EvaluateRecord, theirs: EvaluateRecord) -> float | None:
    """Standard error of the mean difference over the same test items, None if they differ."""
    n = len(ours.per_item)
    if n != len(theirs.per_item) or n < 2:
        return None
    differences = np.subtract(ours.per_item, theirs.per_item)
    return float(differences.std(ddof=1) / math.sqrt(n))


def _when(record: Record) -> tuple[str, str]:
    return record.provenance.measured_at, record.key


def _failed(cell: CellRecord) -> Row:
    return Row(
        model=cell.model,
        regime=cell.regime,
        recipe=cell.recipe,
        codec=cell.codec,
        seed=cell.seed,
        status="failed",
        reason=cell.reason or "its records are missing: run it again",
        measured_at=cell.provenance.measured_at,
    )


def _baselines(
    cells: Iterable[CellRecord],
    points: Mapping[str, CheckpointRecord],
    metrics: Mapping[str, EvaluateRecord],
) -> dict[tuple[str, int, str], EvaluateRecord]:
    """(model, seed, execution) -> evaluation of the plain float model."""
    found = {}
    for cell in cells:
        point, metric = points.get(cell.checkpoint), metrics.get(cell.evaluate_float)
        links, execution = executed(point.recipe) if point else ("", "")
        if metric and metric.status == "ok" and links == PLAIN:
            found[cell.model, cell.seed, execution] = metric
    return found


def _size(size: CompressRecord, point: CheckpointRecord) -> dict[str, Any]:
    coded = [tensor for tensor in size.tensors if tensor.coded]
    embeddings = [tensor for tensor in coded if tensor.kind == "embedding"]
    others = [tensor for tensor in coded if tensor.kind != "embedding"]
    entropies = [tensor.entropy_bits for tensor in coded if tensor.entropy_bits is not None]
    n_coded = sum(tensor.n for tensor in coded)
    entropy = sum(entropies) / n_coded if entropies and n_coded else None
    file_bytes = size.file_bytes - size.ledger.get("buffers", 0)  # no parameters
    bits = entropy if size.bound else _bits(coded)
    shares = {} if size.bound else _shares(size.ledger, sum(entropies), point.n_parameters)
    return {
        "n_parameters": point.n_parameters,
        "file_bytes": size.file_bytes,
        "bits_per_parameter": 8 * file_bytes / point.n_parameters,
        "bits_per_coded": bits,
        "bits_per_coded_embedding": _bits(embeddings, size.bound),
        "bits_per_coded_matrix": _bits(others, size.bound),
        "entropy_bits": entropy,
        "gap": bits / entropy - 1 if bits is not None and entropy else None,
        "ratio_to_native": point.native_bytes / file_bytes if file_bytes else None,
        "zeros": size.zeros,
        "ledger": size.ledger,
        **shares,
    }


def _shares(ledger: Mapping[str, int], entropy: float, n_parameters: int) -> dict[str, float]:
    """Bits per parameter of each part of a file; `entropy` in bits, 0 where it is not known."""
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
    """Bits per value of some tensors: of their streams, or their entropy."""
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
    }
    if baseline is not None:
        delta = metric.value - baseline.value
        found |= {
            "baseline": baseline.value,
            "delta": delta,
            "delta_stderr": paired(metric, baseline),
        }
        if metric.higher_is_better or baseline.value > 0:  # nothing is relative to 0
            loss = -delta if metric.higher_is_better else delta / baseline.value
            found |= {"loss": loss, "keeps_accuracy": loss <= tolerance}
    return found


def _speed(timing: TimeRecord | None) -> dict[str, Any]:
    if timing is None or timing.status == "failed":
        return {}
    speeds: dict[str, Any] = {"contended": timing.contended, "machine": timing.machine}
    for name, samples in (("encode", timing.encode), ("decode", timing.decode)):
        if samples is not None:
            seconds = _median_s(samples)
            if name == "decode":
                speeds["decode_s"] = seconds
            speeds[f"{name}_mb_s"] = timing.native_bytes / seconds / 1e6
            speeds[f"{name}_mparams_s"] = timing.n_coded / seconds / 1e6
    return speeds


def _median_s(samples: Samples) -> float:
    return max(statistics.median(samples.wall_ns), 1) / 1e9
