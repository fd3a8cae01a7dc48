"""Numbers know the code that made them: a plug-in that is edited, a library of another version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slashbench import code_identity
from slashbench.bench.store.store import Store
from slashbench.link import only
from slashbench.record import CompressRecord
from slashbench.registry import Registry
from tests.helpers.command import Done, bench_process

CODEC = '''
import numpy as np
from slashbench.codecs.base import SymbolCodec
from mine_width import WIDTH

class Mine(SymbolCodec):
    """Integers of a fixed width."""
    codec_id = "mine.codec"
    max_expansion = 4.0
    def encode_symbols(self, symbols):
        return b"", symbols.astype(f"<i{WIDTH}").tobytes()
    def decode_symbols(self, tables, payload, count):
        return np.frombuffer(payload, f"<i{WIDTH}", count).astype(np.int32)
'''


def distribution(folder: Path, name: str, version: str, **files: str) -> None:
    """An installed distribution of some modules."""
    about = folder / f"{name}.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for module, text in files.items():
        (folder / f"{module}.py").write_text(text)
    (about / "RECORD").write_text("".join(f"{module}.py,,\n" for module in files))


def run(folder: Path, *more: str) -> Done:
    path = os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")])
    return bench_process(
        "run", "--models=digits-mlp:steps=3", "--recipes=plain", "--codecs=mine,pack", "--seeds=0",
        "--jobs=0", "--out=results", *more, cwd=folder, PYTHONPATH=path,
    )  # fmt: skip


@pytest.mark.thorough
def test_a_plugin_that_was_edited_is_another_cell(tmp_path: Path) -> None:
    """Edited beside its codec, in another module of its distribution."""
    site = tmp_path / "site"
    distribution(site, "mine", "1.0", mine=CODEC, mine_width="WIDTH = 4\n")
    (site / "mine.dist-info" / "entry_points.txt").write_text(
        "[slashbench.codecs]\nmine = mine:Mine\n"
    )
    first = run(tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    again = run(tmp_path)
    assert "2 cells, 2 already done" in again.stdout
    assert "other code" not in again.stdout
    (site / "mine_width.py").write_text("WIDTH = 2\n")
    edited = run(tmp_path)
    assert "2 cells, 1 already done" in edited.stdout
    assert "1 cells have records made with other code: codec mine was edited" in edited.stdout
    store = Store(tmp_path / "results")
    sizes = [
        size.file_bytes
        for cell in sorted(store.cells(), key=lambda cell: cell.provenance.measured_at)
        if cell.codec == "mine" and (size := store.get(CompressRecord, cell.compress))
    ]
    assert len(sizes) == 2
    assert sizes[1] < 0.6 * sizes[0]
    shown = bench_process("report", "--out=results", "--boards=codecs", cwd=tmp_path)
    assert shown.returncode == 0
    newest = max(store.cells(), key=lambda cell: cell.provenance.measured_at)
    assert newest.code.keys() == {"codec mine", "sklearn"}


def test_another_version_of_a_library_is_another_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = []
    for number in ("1.0", "1.1"):
        distribution(tmp_path, "tinylib", number, tinylib="")
        code_identity.version.cache_clear()
        registry: Registry[object] = Registry("codec", "slashbench.none")
        registry.lazy("wrapped", "slashbench.codecs.pack:Pack", needs="tinylib")
        registry.lazy("ours", "slashbench.codecs.pack:Pack")
        wrapped, ours = only(registry, "wrapped"), only(registry, "ours")
        assert ours.identity == ours.config
        assert wrapped.identity["code"] == {"tinylib": number}
        seen.append(wrapped.identity)
    assert seen[0] != seen[1]
