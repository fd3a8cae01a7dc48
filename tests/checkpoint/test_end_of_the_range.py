"""Weights near the largest number of their dtype come back finite, whatever quantizes them."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

import slashbench
from slashbench.errors import UsageError
from slashbench.trainers.catalog import QUANTISERS
from slashbench.trainers.quantisers.calibrated import Calibrated

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
SETTINGS = {"quantize": ["step=0.3:unit=std", "step=2:unit=std:granularity=channel"],
            "rtn": [f"granularity={g}:bits=4" for g in ("tensor", "channel", "group")],
            "rdoq": ["unit=std:step=0.7"], "trellis": ["unit=std:step=0.4"],
            "ongrid": ["step=1e30"]}  # fmt: skip

QUANTIZED = [
    f"{name}:{settings}"
    for name in QUANTISERS.names()
    if name != "native" and not issubclass(QUANTISERS.get(name), Calibrated)
    for settings in SETTINGS.get(name, ["scope=matrices"])
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("quantiser", QUANTIZED)
def test_weights_at_the_end_of_a_dtype(tmp_path: Path, quantiser: str, dtype: str) -> None:
    largest = float(ml_dtypes.finfo(dtype).max)
    weight = torch.linspace(-1.0, 1.0, 64 * 96).double().mul(largest).to(DTYPES[dtype])
    weight[-1] = largest
    path = tmp_path / "ends.safetensors"
    try:
        slashbench.save_file({"w": weight.reshape(64, 96)}, path, quantize=quantiser)
    except UsageError as error:
        pytest.fail(str(error))
    loaded = slashbench.load_file(path)["w"]
    assert loaded.dtype == DTYPES[dtype]
    assert torch.isfinite(loaded).all()
    spread = float(weight.double().std())
    assert np.abs((loaded.reshape(-1).double() - weight.double()).numpy()).max() <= 2.1 * spread
