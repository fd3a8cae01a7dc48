"""A model with a mask of -inf among its buffers: the mask stays, the weights are quantized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slashbench.bench.checkpoint import sources, state_dict
from slashbench.bench.pipeline.quantized import prepare
from slashbench.contracts import Calibration
from slashbench.link import only
from slashbench.trainers.catalog import QUANTISERS
from tests.helpers.tiny_models import Masked


@pytest.mark.parametrize("quantiser", ["quantize:step=0.01", "rtn", "rdoq", "gptq", "gptq-loss"])
def test_every_kind_of_quantiser(quantiser: str, tmp_path: Path) -> None:
    state = Masked().build(0).state_dict()
    path = tmp_path / "model.safetensors"
    path.write_bytes(state_dict.to_bytes(state))
    made = prepare(Calibration(Masked(), 0), only(QUANTISERS, quantiser), sources.of_file(path))
    assert "linear.weight" in made.coded
    assert list(made.kept) == ["mask"]
    rebuilt = made.dequantized()
    assert np.array_equal(rebuilt["mask"], state["mask"].numpy())
    assert np.isfinite(rebuilt["linear.weight"]).all()
