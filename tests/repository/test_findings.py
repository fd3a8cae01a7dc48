"""Every number in results/README.md's findings follows from the records of its command.

Each function below writes one sentence of that page from records; the page has to hold it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from slashbench.bench.report.analysis import equal_accuracy, updates
from slashbench.bench.report.analysis.standings import duel, standings
from slashbench.bench.report.data import results
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.statistics import Interval
from slashbench.bench.reproduce import report
from slashbench.bench.reproduce.backslash.studies import BACKSLASH
from slashbench.bench.speed.recording import decode_file_speeds
from slashbench.bench.speed.speed_tables import ratio
from slashbench.bench.store.store import Store
from slashbench.record import Speed, decode_speeds, decode_trainer_speeds

RESULTS = Path(__file__).parents[2] / "results"
OUR_FLOATS = ("float-classes", "float-rans", "float-huffman")


@functools.cache
def board(name: str) -> Results:
    return results.load(Store(RESULTS / name))


@functools.cache
def speeds(name: str) -> dict[tuple[str, str, int], Speed]:
    """Return what was measured, by data, codec and threads."""
    found = decode_speeds((RESULTS / "speed" / f"{name}.json").read_bytes()).speeds
    return {(speed.data, speed.codec, speed.threads): speed for speed in found}


def bits(name: str, data: str, codec: str) -> float:
    speed = speeds(name)[data, codec, 1]
    return 8 * speed.stream_bytes / speed.n_values


def decoding(name: str, data: str, codec: str, other: str) -> float:
    found = speeds(name)
    return ratio(found[data, codec, 1].decode, found[data, other, 1].decode)


def smallest_rival(name: str, data: str, ours: tuple[str, ...]) -> tuple[float, str]:
    """Return the bits and the name of the smallest codec that is not one of ours."""
    codecs = [codec for kind, codec, threads in speeds(name) if kind == data and threads == 1]
    return min((bits(name, data, codec), codec) for codec in codecs if codec not in ours)


def span(interval: Interval | None) -> str:
    assert interval is not None
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:.0%}, one seed"
    return f"{interval.estimate:.0%} [{interval.low:.0%}, {interval.high:.0%}]"


def loss(line: Line) -> str:
    error = "" if line.delta_stderr is None else f" ± {line.quantile * line.delta_stderr:.3f}"
    return f"{line.loss:+.3f}{error}"


def of(line: Line | str) -> Line:
    assert isinstance(line, Line), line
    return line


def side(name: str, model: str) -> equal_accuracy.Contest:
    found = board(name)
    model = next(m for m in found.models if m.startswith(model))
    return equal_accuracy.best(model, found.lines(model))


def size(row: Row) -> float | None:
    return row.bits_per_parameter


def post_training_sizes() -> str:
    models = ("mpnet-probe", "whisper-kjv", "antiberty")
    mpnet, whisper, antiberty = (of(side("core-v1", model).post_training) for model in models)
    return (
        "After training alone, within the tolerance of 0.01 nats an answer, all-mpnet-base-v2 "
        f"takes {mpnet.bits:.2f} bits a parameter, Whisper base's decoder {whisper.bits:.2f}, "
        f"AntiBERTy {antiberty.bits:.2f}."
    )


def training_of_digits() -> str:
    found = side("core-v1", "digits-mlp")
    ours, theirs = of(found.training_time), of(found.post_training)
    return (
        f"On `digits-mlp` (85 thousand weights, {len(ours.rows)} seeds) training through rounding "
        f"takes {ours.bits:.2f} bits, the best after training {theirs.bits:.2f}: "
        f"{span(found.saving)} less."
    )


def lengths_by_class() -> str:
    lines = {line.first.recipe: line for line in board("core-v1").lines("digits-mlp")}
    begin = "plain+backslash-q:lam="
    (before,) = (line for name, line in lines.items() if name.startswith(f"{begin}0.646:"))
    (after,) = (line for name, line in lines.items() if name.startswith(f"{begin}1.59:"))
    return (
        "Code lengths by the scale of a weight's row and column, as the coder charges them, and "
        f"rounding that grows in save {span(equal_accuracy.saving(after, before))} of the bits "
        "that `backslash-q` took without them."
    )


def training_of_gpt() -> str:
    found = side("core-v1", "kjv-gpt")
    ours, theirs = of(found.training_time), of(found.post_training)
    return (
        f"On `kjv-gpt` (1.07 million weights, {len(ours.rows)} seeds) it takes {ours.bits:.2f} "
        f"bits, the best after as many training steps {theirs.bits:.2f}: {span(found.saving)} less."
    )


def gpt_at_usual_length() -> str:
    lines = [
        line
        for line in board("core-v1").lines("kjv-gpt")
        if line.keeps_quality and line.first.chain == "plain"
    ]
    least = min(lines, key=lambda line: line.bits)
    whole = of(side("core-v1", "kjv-gpt").post_training)
    return (
        f"After the usual 800 steps the best takes {least.bits:.2f} bits; 2,000 steps of plain "
        f"training bring that down to {whole.bits:.2f}, since the quality gained pays for a "
        "coarser grid."
    )


def training_of_minilm() -> str:
    found = side("core-v1", "minilm-kjv")
    ours, theirs = of(found.training_time), of(found.post_training)
    return (
        f"On `minilm-kjv` (22.6 million, fine-tuned for 50 steps, {len(ours.rows)} seeds) it "
        f"does not pay: {ours.bits:.2f} bits against {theirs.bits:.2f} after training."
    )


def integers_smallest() -> str:
    found = standings(board("core").rows, size)
    assert found is not None
    first, second = found.standings[0], found.standings[1]
    both = duel(board("core").rows, first.codec, second.codec, size)
    return (
        f"`{first.codec}` makes the smallest files of integers: smaller than `{second.codec}` in "
        f"{both.wins} of {both.cells} cells, by {1 - both.ratio:.1%} on average."
    )


def integers_below_entropy() -> str:
    speed = speeds("integers")["2bits", "rans-classes", 1]
    assert speed.bound_bits is not None
    below = 1 - 8 * speed.stream_bytes / speed.bound_bits
    times = decoding("integers", "2bits", "rans-classes", "deepcabac")
    smaller = 1 - bits("integers", "2bits", "rans-classes") / bits("integers", "2bits", "deepcabac")
    return (
        f"At 2 bits `rans-classes` stays {below:.1%} below order-0 entropy and {smaller:.1%} "
        f"below DeepCABAC, and decodes {times:.0f} times as fast."
    )


def integers_fastest() -> str:
    times = decoding("integers", "2bits", "huffman", "zipnn")
    more = bits("integers", "2bits", "huffman") / bits("integers", "2bits", "rans-classes") - 1
    return (
        f"`huffman` decodes {times:.1f} times as fast as ZipNN at 2 bits, one thread, from streams "
        f"that are {more:.0%} larger than those of `rans-classes`."
    )


def lossless() -> str:
    parts = []
    for data in ("bf16", "fp16", "fp32"):
        rival, name = smallest_rival("floats", data, OUR_FLOATS)
        ours = bits("floats", data, "float-classes")
        parts.append(f"{ours:.2f} bits in {data} (next peer: {name}, {rival:.2f})")
    return f"`float-classes` is the smallest lossless codec of floats: {', '.join(parts)}."


def lossless_speed() -> str:
    slow = decoding("floats", "bf16", "float-classes", "zipnn")
    fast = decoding("floats", "bf16", "float-huffman", "zipnn")
    more = bits("floats", "bf16", "float-huffman") / bits("floats", "bf16", "float-classes") - 1
    return (
        f"In bf16 on one thread it decodes at {slow:.2f} times ZipNN's speed; `float-huffman`, "
        f"{more:.1%} larger, at {fast:.2f} times."
    )


def whole_files() -> str:
    files = decode_file_speeds((RESULTS / "speed" / "files.json").read_bytes()).files
    shares = []
    for file in dict.fromkeys(found.file for found in files):
        tools = {f.tool: f.packed_bytes for f in files if f.file == file and not f.error}
        best = min(size for tool, size in tools.items() if tool not in OUR_FLOATS)
        shares.append(1 - tools["float-classes"] / best)
    return (
        f"On {len(shares)} whole checkpoints it makes a file that is {min(shares):.1%} to "
        f"{max(shares):.1%} smaller than the best of lmz, ZipNN, z4ai and BigSmall."
    )


def low_precision() -> str:
    kinds = ("fp8-e4m3", "int8-rows", "gguf-q8_0", "fp4-e2m1")
    ours = {k: min(bits("low-precision", k, c) for c in ("rans", "fields")) for k in kinds}
    zstd = {k: bits("low-precision", k, "zstd") for k in kinds}
    saved = [f"{1 - ours[k] / 8:.0%} of {k} (zstd {max(0, 1 - zstd[k] / 8):.0%})" for k in kinds]
    return f"Low precision holds little: lossless coding saves {', '.join(saved)}."


def floats_of_integers() -> str:
    kind = "fp32-of-int4"
    ours, openzl, zstd = (
        bits("low-precision", kind, codec) for codec in ("palette", "openzl-compress", "zstd")
    )
    return (
        "Where float32 holds int4 with a scale for each group, `palette` finds them: "
        f"{ours:.2f} bits, OpenZL's general graph {openzl:.2f}, zstd {zstd:.2f}."
    )


def next_checkpoint() -> str:
    wins = 0
    data = {kind for kind, _, _ in speeds("deltas")}
    for kind in data:
        ours = bits("deltas", kind, "delta")
        wins += ours < smallest_rival("deltas", kind, ("delta", "delta:coder=float-huffman"))[0]
    one, tuned = (bits("deltas", f"delta:{k}", "delta") for k in ("slow1-bf16", "finetune-bf16"))
    return (
        f"Given an earlier checkpoint, `delta` is the smallest of all on {wins} of {len(data)} "
        f"pairs; one slow step of training takes {one:.2f} bits a bf16 weight, a fine-tune given "
        f"its base {tuned:.2f}."
    )


def small_update() -> str:
    found = {best.way: best for best in updates.best(board("updates"), "minilm-kjv:steps=50")}
    ours, lora = of(found["trained to be small"].line), of(found["LoRA"].line)
    kb = [(line.mean(lambda r: r.file_bytes) or 0) / 1000 for line in (ours, lora)]
    return (
        f"An update trained to be small takes {kb[0]:.1f} kB at {loss(ours)} nats, LoRA's factors, "
        f"coded as well as we can, {kb[1]:.1f} kB at {loss(lora)}: {span(found['LoRA'].saving)} "
        "less."
    )


def the_paper() -> str:
    found = report.findings(BACKSLASH, Store(RESULTS / "backslash"))
    counts: dict[str, int] = {}
    for claim in found.claims:
        counts[claim.verdict.value] = counts.get(claim.verdict.value, 0) + 1
    untested = counts["can't be tested here"]
    return (
        f"Of {sum(counts.values())} claims of the BackSlash paper {counts['holds']} hold here, "
        f"{counts['holds partly']} hold partly, {counts['does not hold here']} do not, and "
        f"{untested} can't be tested."
    )


def overhead() -> str:
    found = decode_trainer_speeds((RESULTS / "regimes" / "trainers.json").read_bytes()).speeds
    by_name = {
        speed.regime.partition(":")[0]: speed for speed in found if "every" not in speed.regime
    }
    plain = sum(by_name["plain"].step.wall_ns)
    shares = [sum(by_name[name].regime_ns) / plain for name in ("backslash", "backslash-q")]
    return (
        f"BackSlash adds {shares[0]:.1%} to a training step of MiniLM, `backslash-q` "
        f"{shares[1]:.1%}."
    )


SENTENCES: list[Callable[[], str]] = [
    post_training_sizes,
    training_of_digits,
    lengths_by_class,
    training_of_gpt,
    gpt_at_usual_length,
    training_of_minilm,
    integers_smallest,
    integers_below_entropy,
    integers_fastest,
    lossless,
    lossless_speed,
    whole_files,
    low_precision,
    floats_of_integers,
    next_checkpoint,
    small_update,
    the_paper,
    overhead,
]


@pytest.mark.thorough
@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda f: f.__name__)
def test_the_page_says_what_the_records_say(sentence: Callable[[], str]) -> None:
    page = " ".join((RESULTS / "README.md").read_text("utf-8").split())
    assert sentence() in page
