"""How fast the codecs are, on real weights: `tox -e speed`. Measured, never asserted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slashbench.bench.models.minilm_block import MiniLMBlock
from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.trainers.quantize import UniformInStd

pytestmark = pytest.mark.benchmark

NAMES = [name for name in CODECS.available() if not issubclass(CODECS.get(name), Bound)]


@pytest.fixture(scope="module")
def symbols() -> np.ndarray[Any, Any]:
    """1.77M quantised weights of MiniLM's first block, about 4 bits of entropy."""
    parts = []
    for name, weight in MiniLMBlock().build(0).state_dict().items():
        tensor = UniformInStd(step=0.25).quantise(name, weight.numpy())
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
