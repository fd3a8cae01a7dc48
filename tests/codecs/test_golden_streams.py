"""Streams of earlier versions decode, and today's are the same bytes."""

import runpy
from pathlib import Path

import pytest

from slashbench.codecs.catalog import CODECS

HERE = Path(__file__).parents[1] / "golden"
MADE = runpy.run_path(str(HERE / "make.py"))
CASES, TENSORS = MADE["CASES"], MADE["TENSORS"]
AVAILABLE = CODECS.available()

every_case = pytest.mark.parametrize("name", CASES)


def codec_of(name):
    codec = CASES[name][0]
    if codec not in AVAILABLE:
        pytest.skip(next(s.reason for s in CODECS.statuses() if s.name == codec))
    return CODECS.get(codec)


@every_case
def test_golden_stream_decodes(name):
    tensor = CASES[name][2]
    decoded = codec_of(name)().decode((HERE / "streams" / f"{name}.bin").read_bytes())
    assert decoded.dtype == TENSORS[tensor].dtype
    assert decoded.shape == TENSORS[tensor].shape
    assert decoded.tobytes() == TENSORS[tensor].tobytes()


OTHERS = ("zstd", *MADE["PEERS"], *MADE["NEW_PEERS"], *MADE["FLOAT_PEERS"])


WRITTEN = [name for name in CASES if CASES[name][0] not in OTHERS and name not in MADE["OLD"]]


@pytest.mark.parametrize("name", WRITTEN)
def test_encoder_writes_the_golden_bytes(name):
    # Not asked of peers: another version of libzstd may find another parse.
    _, settings, tensor = CASES[name]
    stream = codec_of(name)(**settings).encode(TENSORS[tensor])
    assert stream == (HERE / "streams" / f"{name}.bin").read_bytes(), (
        "the bytes changed: raise the codec's revision and add a case under a new name"
    )


def test_every_stream_has_its_case():
    assert {path.stem for path in (HERE / "streams").glob("*.bin")} == set(CASES)
