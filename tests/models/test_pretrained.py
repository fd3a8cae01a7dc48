"""Pretrained weights: read from files of others, put into modules without a second copy."""

from __future__ import annotations

import struct

import pytest
import torch
from torch import nn

from slashbench.bench.data import cache
from slashbench.bench.models import whisper_base
from slashbench.bench.models.catalog import MODELS
from slashbench.bench.models.pretrained import assembled
from slashbench.errors import CorruptFile, MissingDependency


def test_a_module_takes_over_the_tensors_it_is_given() -> None:
    state = {"weight": torch.randn(3, 4), "bias": torch.randn(3)}
    module = assembled(lambda: nn.Linear(4, 3), state)
    assert module.weight.data_ptr() == state["weight"].data_ptr()


@pytest.mark.parametrize(
    "state",
    [
        {"weight": torch.zeros(3, 4)},
        {"weight": torch.zeros(3, 5), "bias": torch.zeros(3)},
        {"weight": torch.zeros(3, 4), "bias": torch.zeros(3), "other": torch.zeros(1)},
    ],
    ids=["missing", "shape", "unknown"],
)
def test_other_weights_than_the_modules_are_refused(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(CorruptFile, match="not of this model"):
        assembled(lambda: nn.Linear(4, 3), state)


def ctranslate2(values: bytes, shape: tuple[int, ...]) -> bytes:
    """A file of version 6 with one float16 tensor."""
    text = struct.pack("<H", 2) + b"w\0"
    sizes = struct.pack(f"<B{len(shape)}I", len(shape), *shape)
    start = struct.pack("<I", 6) + text + struct.pack("<II", 1, 1)
    return start + text + sizes + struct.pack("<BI", 4, len(values)) + values


def test_a_ctranslate2_file_cut_off_or_forged_is_an_error() -> None:
    good = ctranslate2(b"\0\x3c" * 6, (2, 3))
    (found,) = whisper_base.read(good).values()
    assert (found.shape, found.tolist()[0]) == ((2, 3), [1.0, 1.0, 1.0])
    for size in range(len(good)):
        with pytest.raises(CorruptFile):
            whisper_base.read(good[:size])
    with pytest.raises(CorruptFile, match="bytes, which are not"):
        whisper_base.read(ctranslate2(b"\0\x3c" * 6, (2**31, 2**31)))


def test_a_model_whose_files_are_not_here_says_which_line_brings_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    with pytest.raises(MissingDependency, match="bench fetch all-mpnet-base-v2"):
        MODELS.get("mpnet-kjv")
