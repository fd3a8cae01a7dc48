"""`bench publish`: records in one file, which every reader takes for a results folder."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import zstandard

from slashbench.bench.store import merge, published
from slashbench.bench.store.published import NAME
from slashbench.bench.store.store import Store
from slashbench.errors import CorruptFile, UsageError
from slashbench.record import CellRecord, EvaluateRecord
from tests.helpers.command import outcome
from tests.helpers.report_lab import Lab


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A results folder with two cells, one of them failed."""
    lab = Lab(tmp_path / "run")
    lab.cell("huffman", 500)
    lab.cell("rans", 490, failed="no luck")
    return lab.folder


def text(folder: Path) -> str:
    packed = (folder / NAME).read_bytes()
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed).decode()


def test_one_file_holds_every_record_and_boards_go_with_it(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said = outcome("publish", run, "--out", out)
    assert code == 0, said
    assert {path.name for path in out.iterdir()} == {NAME, "README.md"}
    assert list(Store(out).every()) == list(Store(run).every())
    heads = [(line["stage"], line["key"]) for line in map(json.loads, text(out).splitlines())]
    assert heads == sorted(heads)
    again = tmp_path / "again.md"
    assert outcome("report", "--out", run, "--md", again)[0] == 0
    assert again.read_bytes() == (out / "README.md").read_bytes()


def test_every_reader_takes_the_folder_or_the_file(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome("publish", run, "--out", out)
    plain = tmp_path / "plain.jsonl"
    plain.write_text(text(out))
    boards = outcome("report", "--out", run)
    for i, where in enumerate((out, out / NAME, plain)):
        assert outcome("report", "--out", where) == boards
        code, said = outcome("compare", run, where, "--fail-on", "bytes>0")
        assert code == 0, said
        assert "1 matched cells" in said
        target = tmp_path / f"merged{i}"
        assert outcome("merge", where, "--out", target)[0] == 0
        assert list(Store(target).every()) == list(Store(run).every())
        code, said = outcome("reproduce", "backslash", "--report", "--out", where)
        assert code == 0, said
    assert (out / "report.md").exists()


def test_a_run_goes_on_from_published_records(run: Path, tmp_path: Path) -> None:
    out = Store(tmp_path / "out")
    merge.publish([Store(run)], out)
    store = Store(tmp_path / "out")
    good, failed = sorted(store.cells(), key=lambda cell: cell.status, reverse=True)
    assert store.holds(CellRecord, good.key)
    assert not store.holds(EvaluateRecord, good.key)
    mended = msgspec.structs.replace(failed, status="ok", reason="")
    store.put(mended)
    assert Store(tmp_path / "out").get(CellRecord, failed.key) == mended
    assert len(Store(tmp_path / "out").cells()) == 2


def test_a_good_record_is_published_in_place_of_a_failed_one(run: Path, tmp_path: Path) -> None:
    second = Store(tmp_path / "second")
    (failed,) = (cell for cell in Store(run).cells() if cell.status == "failed")
    mended = msgspec.structs.replace(failed, status="ok", reason="")
    second.put(mended)
    for sources in ((Store(run), second), (second, Store(run))):
        merge.publish(sources, Store(tmp_path / "out"))
        assert Store(tmp_path / "out").get(CellRecord, failed.key) == mended


def test_what_was_measured_is_published_as_it_was_written(run: Path, tmp_path: Path) -> None:
    """A record of an earlier schema keeps its version, so that it can be upgraded when read."""
    for path in run.rglob("*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 1}))
    merge.publish([Store(run)], Store(tmp_path / "out"))
    lines = text(tmp_path / "out").splitlines()
    assert {json.loads(line)["schema_version"] for line in lines} == {1}
    assert list(Store(tmp_path / "out").every()) == list(Store(run).every())


def test_published_records_are_replaced_not_added_to(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    merge.publish([Store(run)], Store(out))
    other = Lab(tmp_path / "other")
    other.cell("zstd", 700)
    merge.publish([Store(other.folder)], Store(out))
    assert [cell.codec for cell in Store(out).cells()] == ["zstd"]
    merge.publish([Store(out), Store(run)], Store(out))
    assert {cell.codec for cell in Store(out).cells()} == {"zstd", "huffman", "rans"}


def test_a_folder_of_runs_is_no_place_to_publish_in(run: Path) -> None:
    with pytest.raises(UsageError, match="publish into another folder"):
        merge.publish([Store(run)], Store(run))


def test_a_file_of_published_records_is_only_read(run: Path, tmp_path: Path) -> None:
    merge.publish([Store(run)], Store(tmp_path / "out"))
    store = Store(tmp_path / "out" / NAME)
    with pytest.raises(UsageError, match="only read"):
        store.put(store.cells()[0])
    with pytest.raises(UsageError, match="only read"):
        store.sweep()


@pytest.mark.parametrize("damage", ["cut", "byte", "line", "later"])
def test_a_damaged_file_is_named_and_not_read_in_part(
    damage: str, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    merge.publish([Store(run)], Store(out))
    path = out / NAME
    whole = path.read_bytes()
    lines = text(out).splitlines(keepends=True)
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "byte":
        path.write_bytes(whole[:40] + bytes([whole[40] ^ 0xFF]) + whole[41:])
    elif damage == "line":
        path.write_text("".join([lines[0], "{\n", *lines[1:]]))
    else:
        path.write_text("".join(lines).replace('"schema_version":', '"schema_version":9'))
    with pytest.raises(CorruptFile, match="damaged"):
        Store(out).cells()
    code, said = outcome("report", "--out", out)
    assert code == 1
    assert str(path) in said
    assert "Traceback" not in said


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "LARGEST", 2**20)
    zeros = zstandard.ZstdCompressor(level=1).compress(bytes(2**28))
    (tmp_path / NAME).write_bytes(zeros)
    with pytest.raises(CorruptFile, match="more than 1,048,576 bytes"):
        list(Store(tmp_path).every())
