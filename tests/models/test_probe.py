"""Linear probes of frozen encoders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from slashbench.bench.data import cache
from slashbench.bench.models import probe
from slashbench.contracts import Split
from slashbench.errors import CorruptFile


def test_what_does_not_vary_in_training_gets_no_large_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weight would drown all others in the rounding of its row."""
    monkeypatch.setenv("SLASHBENCH_CACHE", str(tmp_path))
    generator = torch.Generator().manual_seed(0)

    def features(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.randn(60, 6, generator=generator)
        rows[:, 0] = 0.5 + 1e-6 * rows[:, 0]
        return rows, (rows[:, 1] > 0).long()

    weight = probe.fitted("test", features, 2)["weight"].abs()
    assert weight[:, 0].max() < 0.1 * weight.max()


def test_a_damaged_file_of_the_cache_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLASHBENCH_CACHE", str(tmp_path))
    path = cache.made(f"probe-test-{probe.REVISION}.safetensors", lambda: b"{")
    with pytest.raises(CorruptFile, match=f"{path.name} is damaged.*remove it"):
        probe.fitted("test", lambda split: (torch.zeros(2, 2), torch.zeros(2).long()), 2)
