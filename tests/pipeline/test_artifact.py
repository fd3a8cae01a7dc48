"""The compressed checkpoint file: round trips, the ledger, and files that lie."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from slashbench.bench.checkpoint import describe, state_dict, update
from slashbench.bench.checkpoint.reader import Checkpoint
from slashbench.bench.pipeline import artifact
from slashbench.bench.pipeline.fresh_decode import decode_in_fresh_process
from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.contracts import Quantized
from slashbench.errors import CorruptFile, StoreUnusable, UsageError
from slashbench.grid import ChannelScales, Codebook, TensorScale
from slashbench.link import only
from tests.helpers.tensor_samples import compressed_as

ROOT = Path(__file__).parents[2]

INTEGER_CODECS = [
    name
    for name in CODECS.available()
    if not issubclass(CODECS.get(name), Bound) and "integers" in CODECS.get(name).domains
]


def sample() -> tuple[dict[str, Quantized], dict[str, np.ndarray], dict[str, str]]:  # type: ignore[type-arg]
    generator = np.random.default_rng(7)
    coded = {
        "embedding": Quantized(
            generator.integers(-9, 9, (50, 8)).astype(np.int32), TensorScale(2**-8)
        ),
        "out": Quantized(
            np.rint(generator.laplace(0, 2, (8, 30))).astype(np.int32), TensorScale(0.037)
        ),
    }
    stored = {
        "bias": generator.normal(size=30).astype(np.float32),
        "positions": np.arange(8, dtype=np.int64),
    }
    return coded, stored, {"head": "embedding"}


def encoded(name: str) -> bytes:
    coded, stored, aliases = sample()
    return compressed_as(coded, stored, only(CODECS, name), aliases)


@pytest.mark.parametrize("name", INTEGER_CODECS)
def test_a_fresh_process_rebuilds_the_weights(name: str, tmp_path: Path) -> None:
    coded, stored, _ = sample()
    path = tmp_path / "file"
    path.write_bytes(encoded(name))
    weights = artifact.read(path)
    assert weights.keys() == {"embedding", "out", "bias", "positions", "head"}
    for key, tensor in coded.items():
        assert weights[key].tobytes() == tensor.dequantize().tobytes()
        assert weights[key].dtype == np.float32
    for key, array in stored.items():
        assert weights[key].tobytes() == array.tobytes()
    assert weights["head"] is weights["embedding"]
    fresh = decode_in_fresh_process(path, tmp_path / "out")
    assert fresh.weights_sha256 == update.weights_sha256(weights)
    out = state_dict.to_numpy(state_dict.load(tmp_path / "out"))
    assert update.weights_sha256(out) == fresh.weights_sha256
    assert fresh.sizes.keys() == {"embedding", "out", "bias", "positions"}


@pytest.mark.parametrize("name", INTEGER_CODECS)
def test_ledger_sums_to_the_file(name: str) -> None:
    data = encoded(name)
    found = describe.describe("file", Checkpoint(np.frombuffer(data, np.uint8), trusted=True))
    assert sum(found.ledger.values()) == len(data)
    assert found.ledger["buffers"] == 64
    assert found.ledger["floats"] == 120


def grids() -> dict[str, Quantized]:
    values = np.random.default_rng(3).integers(0, 8, (6, 10)).astype(np.int32)
    ramp = np.linspace(0.5, 3, 18, dtype=np.float32)
    return {
        "by row": Quantized(values, ChannelScales(ramp[:6])),
        "by group": Quantized(values, ChannelScales(ramp.reshape(6, 3).astype(np.float16))),
        "convolution": Quantized(values.reshape(6, 5, 2), ChannelScales(ramp[:6])),
        "codebook": Quantized(values, Codebook(ramp[:8] ** 2)),
    }


def test_steps_and_codebooks_are_stored_and_counted(tmp_path: Path) -> None:
    data = compressed_as(grids(), {}, only(CODECS, "huffman"))
    found = describe.ledger(Checkpoint(np.frombuffer(data, np.uint8)))
    assert found["scales"] == 6 * 4 + 18 * 2 + 6 * 4
    assert found["codebooks"] == 8 * 4
    assert sum(found.values()) == len(data)
    path = tmp_path / "file"
    path.write_bytes(data)
    weights = artifact.read(path)
    assert weights.keys() == grids().keys()
    for name, tensor in grids().items():
        assert weights[name].tobytes() == tensor.dequantize().tobytes()


@pytest.mark.parametrize("name", ["by row", "codebook"])
def test_a_grid_that_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    values = np.arange(40, dtype=np.int32).reshape(20, 2)
    lying = {name: Quantized(values, grids()[name].grid)}
    path = tmp_path / "file"
    path.write_bytes(compressed_as(lying, {}, only(CODECS, "huffman")))
    with pytest.raises(CorruptFile, match="does not fit"):
        artifact.read(path)


def test_lossless_floats(tmp_path: Path) -> None:
    weight = np.array([[np.nan, -0.0], [np.inf, 1e-45]], np.float32)
    weight.view(np.uint32)[0, 0] |= 0x1234  # a NaN with a payload
    path = tmp_path / "file"
    path.write_bytes(compressed_as({"w": Quantized(weight, None)}, {}, only(CODECS, "zstd")))
    assert artifact.read(path)["w"].tobytes() == weight.tobytes()


def test_identity_sees_names_dtypes_shapes_and_bits() -> None:
    base = {"a": np.zeros((2, 3), np.float32)}
    others = [
        {"b": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((3, 2), np.float32)},
        {"a": np.zeros((2, 3), np.int32)},
        {"a": -np.zeros((2, 3), np.float32)},
    ]
    seen = {update.weights_sha256(w) for w in [base, *others]}
    assert len(seen) == 5


@pytest.mark.thorough
def test_every_process_writes_the_same_bytes() -> None:
    program = (
        "import hashlib, numpy as np\n"
        "from tests.helpers.tensor_samples import compressed_as\n"
        "from slashbench.codecs.catalog import CODECS\n"
        "from slashbench.link import only\n"
        "from slashbench.contracts import Quantized\n"
        "from slashbench.grid import TensorScale\n"
        "coded = {n: Quantized(np.arange(9, dtype=np.int32), TensorScale(0.5)) for n in 'abcdef'}\n"
        "stored = {n: np.ones(3, np.float32) for n in 'ghijkl'}\n"
        "data = compressed_as(coded, stored, only(CODECS, 'ans'))\n"
        "print(hashlib.sha256(data).hexdigest())\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            check=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": order},  # tests.helpers
        ).stdout
        for order in "12"  # of sets, which differs from process to process
    }
    assert len(seen) == 1


class TestHostile:
    def read(self, tmp_path: Path, data: bytes) -> Any:
        path = tmp_path / "hostile"
        path.write_bytes(data)
        return artifact.read(path)

    def test_every_cut(self, tmp_path: Path) -> None:
        data = encoded("huffman")
        for end in [*range(0, len(data), 97), len(data) - 1]:
            with pytest.raises(CorruptFile):
                self.read(tmp_path, data[:end])

    def test_every_flipped_bit_is_noticed_or_harmless(self, tmp_path: Path) -> None:
        """Harmless: in the name of the entry that says how the file was quantized."""
        data = encoded("huffman")
        right = update.weights_sha256(self.read(tmp_path, data))
        generator = np.random.default_rng(0)
        harmless = 0
        for bit in generator.integers(0, 8 * len(data), 400):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << (bit % 8)
            try:
                found = self.read(tmp_path, bytes(damaged))
            except CorruptFile:
                continue
            assert update.weights_sha256(found) == right
            harmless += 1
        assert harmless < 10

    def test_not_ours(self, tmp_path: Path) -> None:
        with pytest.raises(CorruptFile, match="not written by slashbench"):
            self.read(tmp_path, safetensors.numpy.save({"a": np.zeros(3, np.float32)}))
        with pytest.raises(UsageError, match="can't be read"):
            artifact.read(tmp_path / "missing")

    def test_a_failing_decoder_says_why(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(encoded("pack")[:-5])
        with pytest.raises(CorruptFile, match="in a fresh process failed"):
            decode_in_fresh_process(path)

    def test_no_room_for_the_weights_is_not_a_damaged_file(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(encoded("pack"))
        with pytest.raises(StoreUnusable, match="No space left on device; make room"):
            decode_in_fresh_process(path, Path("/dev/full"))
