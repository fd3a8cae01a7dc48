"""`slashbench.run`: the cells of a run as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

import slashbench


@pytest.mark.slow
def test_what_a_run_leaves_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = slashbench.run(
        models="digits-mlp:steps=2",
        recipes="plain+quantize:step=2^-5",
        codecs="huffman,float-rans",
        seeds=0,
        out=tmp_path,
    )
    assert made.shape[0] == 1
    assert "left out: float-rans: these codecs do not take integers" in capsys.readouterr().err
