"""Charts of the page, by the values that they draw."""

from __future__ import annotations

from pathlib import Path

import pytest

from slashbench.bench.report.output.figures.gain_against_drift import gain_drift
from tests.helpers.report_lab import Lab


def test_gain_is_against_the_smallest_file_after_training_and_in_tolerance_only(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    for seed in range(3):
        lab.cell("rans", 500, seed=seed)
        lab.cell("rans", 440, recipe="plain+quantize:step=2^-6", seed=seed)
        for lam, size, items in ((1, 240, None), (2, 100, [0.0, 0.0, 0.0, 0.0])):
            lab.cell(
                "rans",
                size,
                recipe=f"backslash-q:lam={lam}+quantize:step=2^-6",
                seed=seed,
                items=items,
                log=[{"drift": 0.1}, {"drift": 4.0, "moved": 0.5}],
            )
    figure = gain_drift(lab.results())
    assert figure is not None
    values = figure.spec["data"]["values"]
    assert [(v["recipe"], v["drift"]) for v in values] == [
        ("backslash-q:lam=1+quantize:step=2^-6", 4.0)
    ]
    assert values[0]["saves"] == pytest.approx(0.5)  # 40 bytes of each are buffers


def test_there_is_no_chart_without_drift(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.cell("rans", 500)
    lab.cell("rans", 200, recipe="backslash:lam=1+quantize:step=2^-6")
    assert gain_drift(lab.results()) is None
