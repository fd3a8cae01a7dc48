"""`bench doctor` here, and on machines where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slashbench.bench.data.asset_catalog import WORDNET
from slashbench.bench.doctor import entries, requirements, surroundings
from slashbench.codecs.base import SymbolCodec
from slashbench.codecs.catalog import CODECS
from tests.helpers.command import bench


def visit(folder: Path, *arguments: str, **env: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = bench("doctor", "--json", *arguments, cwd=folder, **env)
    return done.returncode, {one["name"]: one for one in json.loads(done.stdout)}


def test_a_machine_where_tests_pass_has_no_problem(tmp_path: Path) -> None:
    code, found = visit(tmp_path, "--quick")
    assert code == 0, found
    assert found["Python"]["status"] == "good"
    assert {f"extra {name}" for name in requirements.PURPOSES} <= found.keys()
    for one in found.values():
        assert one["remedy"] or one["status"] == "good", one


@pytest.mark.thorough
def test_every_codec_gives_its_tensor_back(tmp_path: Path) -> None:
    code, found = visit(tmp_path)
    assert code == 0, found
    assert {found[name]["status"] for name in ("huffman", "float-rans", "delta")} == {"good"}
    assert "entropy" not in found  # a bound, which writes nothing


def test_every_extra_has_a_purpose() -> None:
    assert set(requirements.required()) == {"", *requirements.PURPOSES}


def test_metadata_of_an_installed_package_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    core = {one.name for one in requirements.required()[""]}
    monkeypatch.setattr(requirements, "checkout", lambda: None)
    found = requirements.required()
    assert {"numpy", "torch"} <= core & {one.name for one in found[""]}
    assert "scikit-learn" in {one.name for one in found["models"]}
    assert "scikit-learn" not in {one.name for one in found[""]}


def test_a_package_that_is_too_old_is_a_problem_with_its_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in (("tabulate", "0.1"), ("brotli", "0.1")):
        about = tmp_path / f"{name}-{version}.dist-info" / "METADATA"
        about.parent.mkdir()
        about.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    code, found = visit(tmp_path, "--quick")
    assert code == 1
    assert found["slashbench"]["status"] == "problem"
    assert "tabulate 0.1" in found["slashbench"]["said"]
    assert "tabulate>=" in found["slashbench"]["remedy"]
    assert found["extra peers"]["status"] == "problem"


def test_a_cache_that_takes_no_file_is_a_problem(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"")
    code, found = visit(tmp_path, "--quick", SLASHBENCH_CACHE=str(place))
    assert (code, found["cache"]["status"]) == (1, "problem")
    assert "SLASHBENCH_CACHE" in found["cache"]["remedy"]


def test_a_fetched_file_that_changed_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLASHBENCH_CACHE", str(tmp_path))
    WORDNET.folder.mkdir(parents=True)
    for file in WORDNET.sha256:
        (WORDNET.folder / file).write_bytes(b"damaged")
    found = {one.name: one for one in entries.assets()}
    assert found["wordnet"].status == "problem"
    assert "bench fetch wordnet" in found["wordnet"].remedy


class Wrong(SymbolCodec):
    """Forgets the tensor."""

    codec_id = "test.wrong"

    def encode_symbols(self, symbols: Any) -> tuple[bytes, bytes]:
        return b"", b"x"

    def decode_symbols(self, tables: Any, payload: Any, count: int) -> Any:
        return [0] * count


def test_a_codec_that_gives_another_tensor_back_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CODECS._loaded, "huffman", Wrong)
    monkeypatch.setattr(CODECS, "names", lambda: ["huffman", "pack"])
    found = {one.name: one.status for one in entries.codecs()}
    assert (found["huffman"], found["pack"]) == ("problem", "good")


def test_a_build_of_torch_is_told_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError", "utf-8")
    (package / "version.py").write_text("cuda: Optional[str] = '13.0'\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "torch", raising=False)
    assert surroundings.built_for("2.13.0") == "13.0"
