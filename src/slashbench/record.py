"""Records: the results of one stage of one cell. Boards are made of nothing else.

Units are in the names: `_s` seconds, `_ns` nanoseconds, `_bytes`, `bits`. What was not measured is
None, never 0. Ratios are not stored: they follow from the numbers that are.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

import msgspec

from slashbench import upgrade

SCHEMA_VERSION = upgrade.VERSION


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where, when and with what a record was made."""

    measured_at: str  # UTC, ISO 8601: when the work was done, not when it was saved or read
    command_line: str
    run: str = ""  # name that all processes of one run share; old records have none
    slashbench: str
    git_commit: str | None
    git_dirty: bool | None
    python: str
    platform: str
    cpu_model: str
    cpu_count: int
    ram_bytes: int | None
    load_average: float | None
    torch_threads: int | None
    libraries: dict[str, str]
    environment: dict[str, str]


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="stage"):
    """Fields of every record. A failed one has a reason, and no results."""

    key: str
    status: Literal["ok", "failed"]
    reason: str = ""
    traceback_tail: str = ""
    wall_s: float
    provenance: Provenance
    schema_version: int = SCHEMA_VERSION


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """Cost and log of a training; absent for weights that were not trained here."""

    steps: int
    wall_s: float
    cpu_s: float
    log: list[dict[str, float]]  # step, loss and what the regime saw: shape, zeros


class DensityFit(msgspec.Struct, frozen=True, kw_only=True):
    """Maximum-likelihood fits of two densities of zero mean to a sample of weights."""

    n: int  # weights in the sample, exact zeros left out
    shape: float  # of the generalised Gaussian: 1 Laplace, 2 Gaussian
    scale: float
    sigma: float  # of the Gaussian
    distance: float  # Kolmogorov-Smirnov, generalised Gaussian
    gaussian_distance: float
    gain_bits: float  # mean log-likelihood of the generalised Gaussian over the Gaussian's


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Weights of two and more dimensions: matrices and embeddings, each tied one once."""

    n: int
    sigma: float  # root of the mean square
    moment_shape: float  # E[w^2] / E[|w|]^2 inverted, as BackSlash estimates it
    moment_shape_of_all: float  # the same over every parameter, vectors too, as published
    low: float
    high: float
    counts: list[int]  # in bins of equal width over [low, high]
    below: int
    above: int
    zeros: int  # exactly zero
    fit: DensityFit | None = None  # absent where no density can be fitted


class CheckpointRecord(Record, frozen=True, kw_only=True, tag="checkpoint"):
    """A float checkpoint: model x regime x seed, or that after one more transform."""

    model: str
    recipe: str  # the links up to here
    execution: str = ""  # of the training, where it is not the usual one: "bf16, 2 processes"
    seed: int
    inputs: dict[str, str] = {}  # SHA-256 of data and pretrained weights
    artifact_sha256: str = ""  # of the safetensors file
    weights_sha256: str = ""  # of the tensors themselves
    n_parameters: int = 0  # each tied tensor once, integer buffers left out
    native_bytes: int = 0  # the same parameters in their native dtype
    training: Training | None = None
    calibration_sha256: str = ""  # of the batches a transform drew; empty: none
    distribution: Distribution | None = None


def executed(recipe: str, execution: str) -> str:
    """Return the name of a recipe, or of its first links, on boards: with its execution.

    >>> executed("plain+quantize:step=2^-8", "bf16")
    'plain+quantize:step=2^-8 (bf16)'
    """
    return f"{recipe} ({execution})" if execution else recipe


class TensorSize(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor of a compressed checkpoint."""

    name: str
    kind: Literal["embedding", "matrix", "vector", "buffer"]
    n: int
    n_bytes: int
    coded: bool
    entropy_bits: float | None = None  # order-0, of the whole tensor; integers only


class CompressRecord(Record, frozen=True, kw_only=True, tag="compress"):
    """A checkpoint quantized and written by one codec, counted on the file and decoded again."""

    model: str
    recipe: str
    execution: str = ""  # of the training, as a CheckpointRecord has it
    codec: str
    seed: int
    bound: bool = False  # no code: `file_bytes` is a length that nothing is written at
    artifact_sha256: str = ""
    file_bytes: float = 0
    ledger: dict[str, int] = {}  # sums to file_bytes
    tensors: list[TensorSize] = []
    zeros: float | None = None  # share of coded values that are 0
    weights_sha256: str = ""  # of the decoded weights
    decode_peak_rss_bytes: int | None = None  # of the fresh process that decoded the file
    calibration_sha256: str = ""  # of the batches the quantiser drew; empty: none
    kept: dict[str, str] = {}  # float tensors that could not be quantized -> why


class EvaluateRecord(Record, frozen=True, kw_only=True, tag="evaluate"):
    """The metric of one set of weights, whichever codecs carried them.

    reference_sha256: of the float weights that `also` compares with (KL divergence, flips); empty
    where the weights are those. noise: what the same weights change in `value` when computed by
    another number of threads; recorded for float weights.
    """

    model: str
    weights_sha256: str
    reference_sha256: str = ""
    split: str
    metric: str = ""
    value: float = 0.0
    stderr: float | None = 0.0  # of the mean over items; None for one item
    n: int = 0
    higher_is_better: bool = True
    per_item: list[float] = []
    also: dict[str, float] = {}
    noise: float | None = None


def loss_of(value: float, reference: float, higher_is_better: bool) -> float:
    """Return how much worse a metric is than a reference, in the metric's and tolerance's unit.

    Examples
    --------
    >>> loss_of(90.0, 92.0, higher_is_better=True), loss_of(1.5, 1.25, higher_is_better=False)
    (2.0, 0.25)
    """
    return reference - value if higher_is_better else value - reference


class MatrixSpectrum(msgspec.Struct, frozen=True, kw_only=True):
    """How strongly the metric feels the directions of one matrix.

    counts: how many directions there are in each octave / `per_octave` of v, from `low` octaves
    on; v: twice the rise of the metric from giving up the direction, to second order. Directions
    with v = 0 are in no octave.
    """

    name: str
    n: int  # weights
    low: int
    counts: list[int]
    columns_bits: float  # bits a weight that step sizes of columns save at fine steps
    rows_bits: float  # and those of rows


class LimitRecord(Record, frozen=True, kw_only=True, tag="limit"):
    """What a float checkpoint allows any coder of its weights, as the metric feels them.

    scale: rise of the metric for a rise of the training loss of 1 nat, on validation data.
    """

    model: str
    recipe: str  # the links that trained the checkpoint
    execution: str = ""
    seed: int
    weights_sha256: str = ""
    matrices: list[MatrixSpectrum] = []
    kept_bits: float = 0.0  # of tensors that are stored as they are
    n_parameters: int = 0
    scale: float = 1.0
    calibration_sha256: str = ""


#: Octaves of `MatrixSpectrum` are cut into so many parts.
PER_OCTAVE = 4


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """Raw timings of one operation, in the order taken, after warm-up."""

    wall_ns: list[int]
    cpu_ns: list[int]
    warmup: int


class TimeRecord(Record, frozen=True, kw_only=True, tag="time"):
    """Encoding and decoding of all coded tensors of one checkpoint, in memory, one thread."""

    model: str
    recipe: str
    execution: str = ""  # of the training, as a CheckpointRecord has it
    codec: str
    seed: int
    machine: str  # fingerprint: boards never mix machines
    native_bytes: int = 0  # of the values timed
    n_coded: int = 0  # values timed
    share: float = 1.0  # of all coded values: slow codecs are timed on a sample of their rows
    encode: Samples | None = None  # histogram, tables and parameter search included
    decode: Samples | None = None
    apply: Samples | None = None  # of an update: read, decode and add to the base, on all cores
    contended: bool = False  # wall time over 1.1 x CPU time: something else ran


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """One codec on one sample of tensors, in memory, beside others in one process."""

    codec: str
    data: str
    threads: int  # that share out the tensors
    machine: str
    n_values: int
    native_bytes: int
    stream_bytes: int
    bound_bits: float | None  # order-0 entropy per tensor, summed; integers only
    encode: Samples  # of all tensors, histogram, tables and parameter search included
    decode: Samples


class Speeds(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one `bench speed` measured."""

    speeds: list[Speed]
    against: list[str]  # codecs to whose speed the board compares all others
    provenance: Provenance
    schema_version: int = SCHEMA_VERSION


class TrainerSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Training steps under one regime, beside others in one process; the first one is plain."""

    regime: str
    model: str
    machine: str
    n_parameters: int
    step: Samples  # whole steps, one a round; every regime has the same batch in a round
    regime_ns: list[int]  # wall time in the regime's own code in each of them


class TrainerSpeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one `bench speed --trainers` measured."""

    speeds: list[TrainerSpeed]
    provenance: Provenance
    schema_version: int = SCHEMA_VERSION


class CellRecord(Record, frozen=True, kw_only=True, tag="cell"):
    """One cell of the matrix and the keys of the records it is made of."""

    model: str
    regime: str
    recipe: str
    execution: str = ""  # of the training, as a CheckpointRecord has it
    codec: str
    seed: int
    given_base: bool = False  # the file holds differences to a base that the decoder is given
    metric: str
    tolerance: float
    code: dict[str, str] = {}  # beside slashbench's: libraries' versions, hashes of plug-ins
    checkpoint: str = ""
    compress: str = ""
    evaluate: str = ""  # decoded weights
    evaluate_float: str = ""  # the same recipe's checkpoint before quantization
    time: str = ""


AnyRecord = (
    CheckpointRecord | CompressRecord | EvaluateRecord | TimeRecord | CellRecord | LimitRecord
)


def key_of(stage: str, **parts: Any) -> str:
    """Return the SHA-256 of the canonical JSON of all that determines a stage's result."""
    text = json.dumps({"stage": stage, **parts}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def encode(record: Record) -> bytes:
    """Return one record as one line of JSON."""
    return msgspec.json.encode(record) + b"\n"


def encode_speeds(speeds: Speeds | TrainerSpeeds) -> bytes:
    """Return what `bench speed --json` writes, indented for people to read."""
    return msgspec.json.format(msgspec.json.encode(speeds), indent=1) + b"\n"


def decode_speeds(data: bytes) -> Speeds:
    """Return what `encode_speeds` wrote, of any schema version. Raises msgspec.DecodeError."""
    found: Speeds = _decoded(data, Speeds)
    return found


def decode_trainer_speeds(data: bytes) -> TrainerSpeeds:
    """Return what `encode_speeds` wrote, of any schema version. Raises msgspec.DecodeError."""
    found: TrainerSpeeds = _decoded(data, TrainerSpeeds)
    return found


class Head(msgspec.Struct, frozen=True):
    """What identifies a record; decoding it reads over everything else."""

    key: str
    stage: str = ""
    schema_version: int = 1


def decode_head(data: bytes) -> Head:
    """Return the head of the record in `data`, without a look at its other fields.

    Raises
    ------
    msgspec.DecodeError
        If it is no JSON, has no key, or is of a later schema version.
    """
    head = msgspec.json.decode(data, type=Head)
    _check_version(head.schema_version)
    return head


def decode(data: bytes) -> AnyRecord:
    """Return the record in `data`, of this schema version or an earlier one.

    Raises
    ------
    msgspec.DecodeError
        If it is no record, or one of a later schema version.
    """
    found: AnyRecord = _decoded(data, AnyRecord)
    return found


class _Version(msgspec.Struct, frozen=True):
    schema_version: int = 1


def _decoded(data: bytes, kind: Any) -> Any:
    version = msgspec.json.decode(data, type=_Version).schema_version
    _check_version(version)
    if version == SCHEMA_VERSION:
        return msgspec.json.decode(data, type=kind)
    return msgspec.convert(upgrade.upgraded(msgspec.json.decode(data)), type=kind)


def _check_version(version: int) -> None:
    if not 1 <= version <= SCHEMA_VERSION:
        raise msgspec.ValidationError(
            f"schema version {version}, this slashbench reads up to {SCHEMA_VERSION}"
        )
