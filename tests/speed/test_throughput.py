"""How fast the codecs are, on real weights: `tox -e speed`. Measured, never asserted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.torch
import torch

import slashbench
from slashbench.bench.models.minilm_block import MiniLMBlock
from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.trainers.quantisers.quantize import Uniform

pytestmark = pytest.mark.benchmark

CODING = [name for name in CODECS.available() if not issubclass(CODECS.get(name), Bound)]
NAMES = [name for name in CODING if "integers" in CODECS.get(name).domains]
OF_FLOATS = [name for name in CODING if "floats" in CODECS.get(name).domains]


@pytest.fixture(scope="module")
def symbols() -> np.ndarray[Any, Any]:
    """1.77M quantized weights of MiniLM's first block, about 4 bits of entropy."""
    parts = []
    for name, weight in MiniLMBlock().build(0).state_dict().items():
        tensor = Uniform(0.25, "std").quantize(name, weight.numpy())
        if tensor is not None:
            parts.append(tensor.values.reshape(-1))
    return np.concatenate(parts)


@pytest.mark.parametrize("name", NAMES)
def test_encode(benchmark: Any, name: str, symbols: np.ndarray[Any, Any]) -> None:
    codec = CODECS.get(name)()
    stream = benchmark.pedantic(codec.encode, (symbols,), rounds=7, warmup_rounds=1)
    benchmark.extra_info["bits_per_symbol"] = 8 * len(stream) / symbols.size


@pytest.mark.parametrize("name", NAMES)
def test_decode(benchmark: Any, name: str, symbols: np.ndarray[Any, Any]) -> None:
    codec = CODECS.get(name)()
    stream = codec.encode(symbols)
    decoded = benchmark.pedantic(codec.decode, (stream,), rounds=7, warmup_rounds=1)
    assert np.array_equal(decoded, symbols)


@pytest.fixture(scope="module")
def weights() -> np.ndarray[Any, Any]:
    """The same block's weights in bfloat16."""
    parts = [weight.numpy().reshape(-1) for weight in MiniLMBlock().build(0).state_dict().values()]
    return np.concatenate(parts).astype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("name", OF_FLOATS)
def test_encode_floats(benchmark: Any, name: str, weights: np.ndarray[Any, Any]) -> None:
    codec = CODECS.get(name)()
    stream = benchmark.pedantic(codec.encode, (weights,), rounds=7, warmup_rounds=1)
    benchmark.extra_info["bits_per_value"] = 8 * len(stream) / weights.size


@pytest.mark.parametrize("name", OF_FLOATS)
def test_decode_floats(benchmark: Any, name: str, weights: np.ndarray[Any, Any]) -> None:
    codec = CODECS.get(name)()
    stream = codec.encode(weights)
    decoded = benchmark.pedantic(codec.decode, (stream,), rounds=7, warmup_rounds=1)
    assert decoded.tobytes() == weights.tobytes()


@pytest.mark.parametrize("name", ["huffman", "rans", "float-huffman"])
def test_decode_one_chunk(
    benchmark: Any, name: str, symbols: np.ndarray[Any, Any], weights: np.ndarray[Any, Any]
) -> None:
    """Random access: a chunk in the middle, header and tables read anew."""
    codec = CODECS.get(name)()
    values = symbols if "integers" in codec.domains else weights
    stream = codec.encode(values)
    chunk = benchmark.pedantic(codec.decode_chunk, (stream, 5), rounds=50, warmup_rounds=1)
    assert np.array_equal(chunk, values[5 * chunk.size : 6 * chunk.size])


@pytest.fixture(scope="module")
def module_weights() -> dict[str, torch.Tensor]:
    """The same block's tensors in bfloat16, under their names."""
    return {name: t.bfloat16() for name, t in MiniLMBlock().build(0).state_dict().items()}


@pytest.mark.parametrize("save", [slashbench.save_file, safetensors.torch.save_file])
def test_save_file(
    benchmark: Any, save: Any, module_weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "file.safetensors"
    benchmark.pedantic(save, (module_weights, path), rounds=7, warmup_rounds=1)
    benchmark.extra_info["bytes"] = path.stat().st_size


@pytest.mark.parametrize("theirs", [False, True])
def test_load_file(
    benchmark: Any, theirs: bool, module_weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """Every byte is copied once it is loaded: safetensors maps files and reads them later."""
    path = tmp_path / "file.safetensors"
    save, load = (
        (safetensors.torch.save_file, safetensors.torch.load_file)
        if theirs
        else (slashbench.save_file, slashbench.load_file)
    )
    save(module_weights, path)

    def loaded() -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in load(path).items()}

    found = benchmark.pedantic(loaded, rounds=7, warmup_rounds=1)
    assert all(torch.equal(found[name], tensor) for name, tensor in module_weights.items())
