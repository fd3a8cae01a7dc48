"""Streams of earlier versions decode, and today's are the same bytes."""

import runpy
from pathlib import Path

import pytest

from slashbench.codecs.catalog import CODECS

HERE = Path(__file__).parent
MADE = runpy.run_path(str(HERE / "make.py"))
CASES, TENSORS = MADE["CASES"], MADE["TENSORS"]

every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_golden_stream_decodes(name):
    codec, _, tensor = CASES[name]
    decoded = CODECS.get(codec)().decode((HERE / "streams" / f"{name}.bin").read_bytes())
    assert decoded.dtype == TENSORS[tensor].dtype
    assert decoded.shape == TENSORS[tensor].shape
    assert decoded.tobytes() == TENSORS[tensor].tobytes()


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("zstd.")])
def test_encoder_writes_the_golden_bytes(name):
    # Not asked of zstd: another libzstd may find another parse.
    codec, settings, tensor = CASES[name]
    stream = CODECS.get(codec)(**settings).encode(TENSORS[tensor])
    assert stream == (HERE / "streams" / f"{name}.bin").read_bytes(), (
        "the bytes changed: raise the codec's revision and add a case under a new name"
    )


def test_every_stream_has_its_case():
    assert {path.stem for path in (HERE / "streams").glob("*.bin")} == set(CASES)
