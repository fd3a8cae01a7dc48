"""`bench verify --against`: it passes for a file's own original, and fails for whatever differs."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from slashbench.bench.checkpoint import convert, encoder, sources
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.contracts import Quantiser, RowBlocks
from slashbench.grid import ChannelScales, Codebook, TensorScale
from slashbench.link import Link, only
from slashbench.trainers.catalog import QUANTISERS
from tests.helpers import command, file_mutator

Tensors = dict[str, np.ndarray]

bench = functools.partial(command.bench, cwd=Path())

#: How each quantiser is used here where its defaults don't suit: coarse, with clipped outliers.
SPELLED = {
    "quantize": ["quantize:step=0.25", "quantize:step=0.5:unit=std:granularity=channel"],
    "rtn": [
        "rtn:granularity=tensor:bits=4",
        "rtn:granularity=channel:bits=4",
        "rtn:granularity=group:bits=4:size=8",
    ],
    "rdoq": ["rdoq:lam=1:step=0.5"],
    "trellis": ["trellis:lam=1:step=0.25"],
}
ON_A_GRID = ("ongrid",)  # quantisers of weights that lie on one
UNSIGNED = ("kmeans", "rf8")  # whose integers are places in a codebook
LOOK_AT_DATA = {
    name for name in QUANTISERS.available() if encoder.looks_at_data(only(QUANTISERS, name).item)
}
OF_WEIGHTS = [
    spelled
    for name in sorted(set(QUANTISERS.available()) - LOOK_AT_DATA)
    for spelled in SPELLED.get(name, [name])
]


def model(name: str) -> Tensors:
    """Weights with an outlier, of several dtypes; on a grid where the quantiser wants that."""
    generator = np.random.default_rng(0)
    wide = generator.normal(size=(40, 24)).astype(np.float32)
    wide[3, 7] = 9.0
    if name in ON_A_GRID:
        wide = np.rint(4 * wide).astype(np.float32) / 4
        wide[:, 0] = 0.25
    return {
        "wide": wide,
        "other": np.roll(wide, 1, axis=0),
        "half": wide.astype(np.float16),
        "brain": wide.astype(ml_dtypes.bfloat16),
        "bias": wide[0].copy(),
        "ids": np.arange(9),
    }


class Tampered(Quantiser):
    """A quantiser of which something is bent before it is coded."""

    def __init__(self, inner: Quantiser, bend: Callable[[RowBlocks], RowBlocks]) -> None:
        self._inner, self._bend = inner, bend

    def quantize(self, name: str, weight: Any) -> Any:
        raise NotImplementedError

    def in_blocks(self, name: str, weight: Any) -> RowBlocks | None:
        blocks = self._inner.in_blocks(name, weight)
        return self._bend(blocks) if blocks is not None and name == "wide" else blocks


def compress(tensors: Tensors, link: Link[Quantiser], out: Path, bend: Any = None) -> None:
    """Compress as `bench compress` does; `bend` changes what the quantiser makes of `wide`."""
    plain = out.parent / "to-compress.safetensors"
    safetensors.numpy.save_file(tensors, plain)
    coding = Coding.of(None, link)
    if bend is not None:
        coding = dataclasses.replace(coding, quantize=Tampered(link.item, bend).in_blocks)
    file = io.BytesIO()
    convert.compress(file, sources.of_file(plain), coding)
    out.write_bytes(file.getvalue())


# -- what is done to the quantizer's integers and grid --------------------------------------------


def _integers(change: Callable[[Any], None]) -> Callable[[RowBlocks], RowBlocks]:
    def bend(blocks: RowBlocks) -> RowBlocks:
        made = blocks.integers(blocks.weight, slice(None)).copy()
        change(made)
        return RowBlocks(made, blocks.grid)

    return bend


def _one_step_up(integers: Any) -> None:
    """The first value away from zero by one; of a codebook, to another level."""
    place = np.unravel_index(np.abs(integers).argmax(), integers.shape)
    integers[place] += -1 if integers[place] > 0 else 1


def _one_sign(integers: Any) -> None:
    place = np.unravel_index(np.abs(integers).argmax(), integers.shape)
    integers[place] *= -1


def _scaled(by: float) -> Callable[[RowBlocks], RowBlocks]:
    def bend(blocks: RowBlocks) -> RowBlocks:
        grid = blocks.grid
        if isinstance(grid, TensorScale):
            changed: Any = TensorScale(grid.scale * by)
        elif isinstance(grid, ChannelScales):
            changed = ChannelScales((grid.scales * by).astype(grid.scales.dtype))
        else:
            changed = Codebook((grid.levels * by).astype(np.float32))
        return dataclasses.replace(blocks, grid=changed)

    return bend


BENT: dict[str, Callable[[RowBlocks], RowBlocks]] = {
    "one weight moved by one step": _integers(_one_step_up),
    "two rows swapped": _integers(lambda made: made.__setitem__([0, 1], made[[1, 0]].copy())),
    "all zero": _integers(lambda made: made.fill(0)),
    "scale changed": _scaled(1.01),
    "scale changed a little": _scaled(1 + 2.0**-9),
}

# -- what is done to the weights before they are quantized, or stored -----------------------------


def _set(name: str, value: float) -> Callable[[Tensors], Tensors]:
    def change(tensors: Tensors) -> Tensors:
        array = tensors[name].copy()
        array[np.unravel_index(5, array.shape)] = value
        return {**tensors, name: array}

    return change


OTHER: dict[str, Callable[[Tensors], Tensors]] = {
    "nan": _set("wide", float("nan")),
    "inf": _set("half", float("inf")),
    "nan in what is stored": _set("bias", float("nan")),
    "one sign": lambda t: {**t, "wide": np.where(t["wide"] == 9, -9, t["wide"]).astype("f4")},
    "tensors swapped": lambda t: {**t, "wide": t["other"], "other": t["wide"]},
    "another model": lambda t: {**t, "wide": t["wide"][::-1].copy()},
    "tensor missing": lambda t: {name: array for name, array in t.items() if name != "other"},
    "tensor added": lambda t: {**t, "more": t["bias"]},
    "dtype changed": lambda t: {**t, "half": t["half"].astype("f4")},
    "shape changed": lambda t: {**t, "wide": t["wide"].reshape(24, 40)},
    "one integer": lambda t: {**t, "ids": t["ids"] + (t["ids"] == 4)},
    "one bit of what is stored": lambda t: {**t, "bias": np.nextafter(t["bias"], np.float32(9))},
}


@pytest.mark.parametrize("spelled", OF_WEIGHTS)
def test_verify_passes_for_the_original_and_fails_for_every_mutation(
    spelled: str, tmp_path: Path
) -> None:
    link = only(QUANTISERS, spelled)
    name = link.name
    tensors, small, original = model(name), tmp_path / "small", tmp_path / "model.safetensors"
    safetensors.numpy.save_file(tensors, original)

    def verified() -> int:
        return bench("verify", str(small), "--against", str(original)).returncode

    compress(tensors, link, small)
    assert verified() == 0
    bends = {} if link.item.domain == "floats" else dict(BENT)
    if name not in UNSIGNED:
        bends |= {"sign flipped": _integers(_one_sign)} if bends else {}
    passed = []
    for what, bend in bends.items():
        compress(tensors, link, small, bend)
        passed += [what] * (verified() != 3)
    for what, change in OTHER.items():
        if name in ON_A_GRID and what in ("nan", "inf"):
            continue  # on no grid: it can't even be made
        compress(change(tensors), link, small)
        passed += [what] * (verified() != 3)
    assert not passed
    assert len(bends) + len(OTHER) >= 10


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 0.0, -0.25])
def test_a_scale_that_is_no_scale_never_passes(scale: float, tmp_path: Path) -> None:
    """In a file that another program wrote: ours keep such a tensor as it is."""
    spelled = "quantize:step=0.25"
    tensors, small, original = model(""), tmp_path / "small", tmp_path / "model.safetensors"
    safetensors.numpy.save_file(tensors, original)
    compress(tensors, only(QUANTISERS, spelled), small)
    parts = file_mutator.Parts.of(small.read_bytes())
    assert parts.tails["wide"][2] == [1, 0.25]
    parts.tails["wide"][2] = [1, scale]
    small.write_bytes(parts.built())
    against = ["verify", str(small), "--against", str(original)]
    assert bench(*against).returncode == 3
    parts.quantized_by = None
    small.write_bytes(parts.built())
    assert bench(*against).returncode == 3


@pytest.mark.parametrize("name", sorted(LOOK_AT_DATA))
def test_what_cannot_be_repeated_does_not_pass(name: str, tmp_path: Path) -> None:
    """A file that a quantiser of data made: what can be compared is, but it is never `the same`."""
    tensors, small, original = model(name), tmp_path / "small", tmp_path / "model.safetensors"
    safetensors.numpy.save_file(tensors, original)
    link = only(QUANTISERS, "quantize")
    config = only(QUANTISERS, name).config
    compress(tensors, dataclasses.replace(link, config=config), small)
    done = bench("verify", str(small), "--against", str(original))
    assert (done.returncode, "looks at a model and its data" in done.stdout) == (1, True)
    compress(OTHER["one integer"](tensors), dataclasses.replace(link, config=config), small)
    assert bench("verify", str(small), "--against", str(original)).returncode == 3


@pytest.mark.parametrize(
    "spelled",
    [
        "quantize:step=0.25",
        "quantize:step=0.5:unit=std:granularity=channel",
        "kmeans",
        "rdoq:lam=1:step=0.5",
    ],
)
def test_a_file_that_does_not_say_how_it_was_quantized(spelled: str, tmp_path: Path) -> None:
    link = only(QUANTISERS, spelled)
    unsaid = dataclasses.replace(link, config={})
    tensors, small, original = model(link.name), tmp_path / "small", tmp_path / "model.safetensors"
    safetensors.numpy.save_file(tensors, original)
    compress(tensors, unsaid, small)
    against = ["verify", str(small), "--against", str(original)]
    nearest = link.name != "rdoq"
    assert bench(*against).returncode == (0 if nearest else 3)
    assert bench(*against, "--quantize", spelled).returncode == 0
    compress(tensors, unsaid, small, BENT["one weight moved by one step"])
    assert bench(*against).returncode == 3
    assert bench(*against, "--quantize", spelled).returncode == 3
    compress(tensors, link, small)
    done = bench(*against, "--quantize", "quantize:step=0.125")
    assert (done.returncode, "the file was quantized by" in done.stderr) == (2, True)


def _folder(path: Path, tensors: Tensors) -> Path:
    for part in ("x", "y"):
        (path / part).mkdir(parents=True)
        safetensors.numpy.save_file(tensors, path / part / "model.safetensors")
        (path / part / "config.json").write_text(f'{{"part": "{part}"}}')
    return path


GONE: dict[str, Callable[[Path, Path], None]] = {
    "a weight file is gone": lambda small, _: (small / "y" / "model.safetensors").unlink(),
    "a file beside is gone": lambda small, _: (small / "y" / "config.json").unlink(),
    "a file beside is another": lambda small, _: _write(small / "y" / "config.json", "{}"),
    "a file too many": lambda small, _: _write(small / "y" / "more.json", "{}"),
    "the original lost one": lambda _, model: (model / "x" / "model.safetensors").unlink(),
}


def _write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize("what", GONE)
def test_of_two_folders_every_file_counts(what: str, tmp_path: Path) -> None:
    small, folder = tmp_path / "small", _folder(tmp_path / "model", model(""))
    assert bench("compress", str(folder), "-o", str(small)).returncode == 0
    against = ["verify", str(small), "--against", str(folder)]
    assert bench(*against).returncode == 0
    GONE[what](small, folder)
    assert bench(*against).returncode == 3


def test_a_folder_is_not_compared_with_a_file(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "model", model(""))
    bench("compress", str(folder), "-o", str(tmp_path / "small"))
    file = str(tmp_path / "small" / "x" / "model.safetensors")
    assert bench("verify", file, "--against", str(folder)).returncode == 2


def test_what_cannot_be_quantized_stays_and_is_named(tmp_path: Path) -> None:
    tensors = model("")
    tensors["mask"] = np.triu(np.full((64, 64), -np.inf, np.float32), 1)
    tensors["huge"] = tensors["wide"].astype(np.float64) * 1e200
    tensors["tiny"] = tensors["wide"].astype(np.float64) * 1e-200
    tensors["edge"] = np.where(tensors["wide"] > 0, 3e38, -3e38).astype(np.float32)
    path, small, back = (tmp_path / name for name in ("model.safetensors", "small", "back"))
    safetensors.numpy.save_file(tensors, path)
    done = bench("compress", str(path), "-o", str(small), "--quantize", "quantize:step=2:unit=std")
    assert done.returncode == 0, done.stderr
    for name, why in {"mask": "not finite", "huge": "range of float32", "tiny": "float32",
                      "edge": "scale"}.items():  # fmt: skip
        assert any(name in line and why in line for line in done.stderr.splitlines())
    assert bench("verify", str(small), "--against", str(path)).returncode == 0
    bench("decompress", str(small), "-o", str(back))
    read = safetensors.numpy.load_file(back)
    for name in ("mask", "huge", "tiny", "edge"):
        assert read[name].tobytes() == tensors[name].tobytes()
    assert not np.array_equal(read["wide"], tensors["wide"])
