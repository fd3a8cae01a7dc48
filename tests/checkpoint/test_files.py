"""The format: plain files come back byte for byte, old files are read, lies are refused."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

import slashbench
from slashbench.bench.checkpoint import (
    buffers,
    convert,
    describe,
    encoder,
    file_format,
    reader,
    sources,
    state_dict,
    target_size,
    update,
)
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.reader import Checkpoint
from slashbench.bench.machine.atomic_files import atomically
from slashbench.bench.pipeline import artifact
from slashbench.errors import CorruptFile, UsageError
from slashbench.link import Link, only
from slashbench.trainers.catalog import QUANTISERS
from slashbench.trainers.quantisers.quantize import Uniform
from tests.helpers import file_mutator
from tests.helpers.command import started
from tests.helpers.tensor_samples import compressed, of_every_dtype, plain_file

SIZES = 1, 200, 300, 0, 5000, 7
GOLDEN = Path(__file__).parents[1] / "golden" / "files"


def there_and_back(path: Path, out: Path) -> bytes:
    """A plain file, compressed and decompressed again."""
    with atomically(out) as file:
        convert.compress(file, sources.of_file(path), Coding.of(None, None))
    back = io.BytesIO()
    convert.decompress(back, reader.opened(out))
    return back.getvalue()


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


PLAIN = {
    "by safetensors": safetensors.torch.save(of_every_dtype(), metadata={"a": "1", "b": "2"}),
    "no tensors": plain_file({}, b""),
    "only metadata": plain_file({"__metadata__": {"k": "v"}}, b""),
    "no padding": plain_file({"a": entry("F32", [2], 0, 8)}, b"12345678"),
    "much padding": plain_file({"a": entry("F32", [2], 0, 8)}, b"12345678", pad=77),
    "by name, not by dtype": plain_file(
        {"a": entry("U8", [3], 0, 3), "b": entry("F64", [1], 3, 11)}, b"123abcdefgh"
    ),
    "header in another order": plain_file(
        {"b": entry("U8", [2], 1, 3), "a": entry("U8", [1], 0, 1), "__metadata__": {}}, b"123"
    ),
    "more in an entry": plain_file({"a": {**entry("U8", [1], 0, 1), "more": 1}}, b"1"),
    "F4 and F6": plain_file(
        {"f4": entry("F4", [2, 3], 0, 3), "f6": entry("F6_E2M3", [4], 3, 6),
         "g6": entry("F6_E3M2", [8], 6, 12)}, bytes(range(12)),
    ),
    "odd names": plain_file(
        {name: entry("U8", [1], i, i + 1) for i, name in enumerate(["", "../x", "/etc/x", "ü\n"])},
        b"1234",
    ),
    "a large vector off its alignment": plain_file(
        {"a": entry("U8", [1], 0, 1), "b": entry("BF16", [9000], 1, 18001)},
        b"x" + np.arange(9000, dtype="<u2").tobytes(), pad=3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_comes_back_byte_for_byte(name: str, tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    path.write_bytes(PLAIN[name])
    safetensors.deserialize(PLAIN[name])  # it is one
    assert there_and_back(path, tmp_path / "out") == PLAIN[name]


def test_what_does_not_shrink_is_stored(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 400_000).astype(np.uint8)
    path = tmp_path / "plain.safetensors"
    data = {f"layer.{i}": noise[i * 100_000 : (i + 1) * 100_000] for i in range(4)}
    file = compressed(data)
    assert len(file) < noise.size + 1000
    path.write_bytes(file)
    how = {entry.how for entry in describe.entries(reader.opened(path))}
    assert how == {"stored"}


def test_many_segments_share_one_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "SEGMENT", 4096)
    tensors = {
        "rows": np.random.default_rng(0).normal(size=(333, 50)).astype(np.float32),
        "one row": np.random.default_rng(1).normal(size=(1, 5000)).astype(np.float32),
        "long rows": np.random.default_rng(2).normal(size=(3, 5000)).astype(np.float16),
    }
    opened = Checkpoint(np.frombuffer(compressed(tensors), np.uint8))
    for name, tensor in tensors.items():
        assert len(opened.blob(name).segments) > 3
        assert opened.tensor(name).tobytes() == tensor.tobytes()


def test_loaded_tensors_share_no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(buffers, "BLOCK", 1000)  # some side by side in a block, some alone
    made = {f"w{i}": torch.full((size,), i, dtype=torch.int16) for i, size in enumerate(SIZES)}
    slashbench.save_file(made, tmp_path / "f")
    found = slashbench.load_file(tmp_path / "f")
    for name, tensor in found.items():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
        assert tensor.data_ptr() % 64 == 0
        tensor.add_(1)
        assert torch.equal(tensor, made[name] + 1)


def test_ledger_sums_to_the_file() -> None:
    data = compressed({"w": np.ones((50, 40), np.float32), "i": np.arange(900)})
    opened = Checkpoint(np.frombuffer(data, np.uint8))
    assert sum(describe.ledger(opened).values()) == len(data)
    assert describe.describe("x", opened).parameters == 2000


def test_equal_tensors_are_stored_once() -> None:
    weight = np.random.default_rng(0).normal(size=(90, 90)).astype(np.float32)
    other = weight.copy()
    other[-1, -1] += 1
    opened = Checkpoint(
        np.frombuffer(compressed({"a": weight, "b": weight.copy(), "c": other}), np.uint8)
    )
    assert opened.index.copies == {"b": "a"}
    assert opened.tensor("b").tobytes() == weight.tobytes()
    assert opened.tensor("c").tobytes() == other.tobytes()


@pytest.mark.parametrize("bits", [2.0, 4.0, 6.5])
def test_target(bits: float, tmp_path: Path) -> None:
    path, out = tmp_path / "plain.safetensors", tmp_path / "out"
    generator = np.random.default_rng(0)
    safetensors.numpy.save_file(
        {"w": generator.laplace(size=(500, 400)).astype("f4"), "b": np.ones(99, "f4")}, path
    )
    source = sources.of_file(path)
    tried: list[float] = []
    found = target_size.search(
        [source], None, only(QUANTISERS, "quantize:unit=std"), bits, lambda _, b: tried.append(b)
    )
    with atomically(out) as file:
        convert.compress(file, source, Coding.of(None, found))
    reached = 8 * out.stat().st_size / 200_099
    assert bits * 0.99 < reached <= bits
    assert len(tried) < 12
    with pytest.raises(UsageError, match="no step"):
        target_size.search(
            [source], None, only(QUANTISERS, "quantize:unit=std"), 0.001, lambda _, b: None
        )
    with pytest.raises(UsageError, match="has no step"):
        target_size.search([source], None, only(QUANTISERS, "native"), 4, lambda _, b: None)


def test_a_quantiser_that_looks_at_data_is_refused() -> None:
    class Calibrated(Uniform):
        def quantize_all(self, weights: Any, calibration: Any) -> Any:
            return {}

    link: Link[Any] = Link("calibrated", Calibrated(), "calibrated", {})
    with pytest.raises(UsageError, match="use it in a recipe of `bench run`"):
        Coding.of(None, link)


# -- forwards and backwards -----------------------------------------------------------------------

OF_FORMAT_1 = {
    "huffman": "3df00796ec2059d362513fe6ea57aefeb5eb04426c5ee87bd307fee7f5418a1d",
    "float-rans": "025c70c4da0fcc24096ac0f5559f5d83aaca498f0b780ec77b6af6230ac038d6",
}
OF_FORMAT_2 = {
    "lossless": "3f2a28949225b76458581ce1213905265e0b2d35afb170e8b48d7d641b344cb6",
    "quantized": "d80a0b63e6112baa9a36f37c832151f04598990a974a349477cb8cb17e9b4b56",
    "grids": "6dbd5b64e6dcc5289069a3feb8ae2a50723d3740a349f2e6ddb9d52a149e5db1",
}


@pytest.mark.parametrize("name", OF_FORMAT_1)
def test_format_1_is_read_for_ever(name: str, tmp_path: Path) -> None:
    path = GOLDEN / f"format1-{name}.safetensors"
    assert update.weights_sha256(artifact.read(path)) == OF_FORMAT_1[name]
    opened = reader.opened(path)
    assert sum(describe.ledger(opened).values()) == path.stat().st_size
    out = io.BytesIO()
    convert.decompress(out, opened)
    assert update.weights_sha256(safetensors.numpy.load(out.getvalue())) == OF_FORMAT_1[name]


@pytest.mark.parametrize("name", OF_FORMAT_2)
def test_format_2_is_read_for_ever(name: str) -> None:
    path = GOLDEN / f"format2-{name}.safetensors"
    assert update.weights_sha256(artifact.read(path)) == OF_FORMAT_2[name]


def test_format_3_is_read_for_ever() -> None:
    base, path = GOLDEN / "format3-base.safetensors", GOLDEN / "format3-delta.safetensors"
    assert file_mutator.Parts.of(path.read_bytes()).entry["format"] == 3
    found = state_dict.to_numpy(slashbench.load_file(path, base=base))
    wanted = "e137d1d37ffc334862687b835b19e35b5f77be10b68777acbd09004d5df6a976"
    assert update.weights_sha256(found) == wanted


def test_a_newer_file_says_so() -> None:
    parts = file_mutator.Parts.of(compressed({"w": np.arange(900.0)}))
    parts.entry["format"] = 4
    with pytest.raises(CorruptFile, match="file format 4; this slashbench reads up to 3: upgrade"):
        Checkpoint(np.frombuffer(parts.built(), np.uint8))


def test_an_old_reader_understands_that_a_file_is_too_new() -> None:
    """That of format 1 looks at a checksum, and at a number in a JSON object, first."""
    data = compressed({"w": np.arange(900.0)})
    length = struct.unpack("<Q", data[:8])[0]
    said = json.loads(data[8 : 8 + length])["__metadata__"]["slashbench"]
    assert said[:8] == f"{zlib.crc32(said[8:].encode()):08x}"
    assert json.loads(said[8:])["format"] == 2


# -- hostile files --------------------------------------------------------------------------------


def parts() -> file_mutator.Parts:
    generator = np.random.default_rng(0)
    return file_mutator.Parts.of(
        compressed(
            {
                "w": generator.normal(size=(60, 50)).astype(np.float32),
                "i": np.arange(900),
                "s": np.ones(3),
            }
        )
    )


def refused(data: bytes, match: str, **limits: Any) -> None:
    with pytest.raises(CorruptFile, match=match or None):
        Checkpoint(np.frombuffer(data, np.uint8), **limits).all()


@pytest.mark.thorough
def test_every_cut_and_every_flipped_bit_is_noticed() -> None:
    data = parts().built()
    for end in [*range(0, len(data), 61), len(data) - 1]:
        refused(data[:end], "")
    generator = np.random.default_rng(1)
    for bit in generator.integers(0, 8 * len(data), 600):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        refused(bytes(damaged), "")


def test_a_flipped_bit_in_a_name_of_the_metadata_is_noticed(tmp_path: Path) -> None:
    """Readers pass over an entry that they don't know, and a damaged name makes one."""
    slashbench.save_file({"w": torch.randn(60, 50)}, tmp_path / "file", quantize="rtn")
    data = (tmp_path / "file").read_bytes()
    begin = data.index(b"slashbench.quantiser")
    for bit in range(8 * begin, 8 * (begin + len("slashbench.quantiser"))):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        refused(bytes(damaged), "")


def header_says(old: str, new: str) -> bytes:
    lying = parts()
    assert old in lying.contents["header"]
    lying.contents = {**lying.contents, "header": lying.contents["header"].replace(old, new)}
    return lying.built()


def test_lies() -> None:
    refused(header_says('"F32"', '"F99"'), "type 'F99'")
    refused(header_says('"F32"', '"F64"'), "not what F64 of shape")
    refused(header_says("[60,50]", "[50,60,0]"), "not what F32 of shape")
    refused(header_says("[60,50]", "[-60,-50]"), "damaged")
    refused(header_says("[60,50]", f"[0,{1 << 62}]"), "which no array has")
    refused(header_says("[60,50]", str([1] * 65 + [3000])), "67 dimensions|66 dimensions")
    refused(header_says("[7200,7224]", "[7201,7225]"), "overlap with others, or leave a gap")
    refused(header_says('"w"', '"v"'), "not those that its contents list")
    for change, message in [
        ({"codecs": [["pickle", {}]] * 2}, "codec can't be used"),
        ({"codecs": [["numcodecs.pickle", {}]] * 2}, "codec can't be used"),
        ({"codecs": [["entropy", {}]] * 2}, "codec can't be used"),
        ({"codecs": [["huffman", {"evil": 1}]] * 2}, "codec can't be used"),
        ({"codecs": []}, "no codec"),
        ({"tied": {"x": "w"}}, "leads nowhere"),
        ({"tied": {"w": "i"}}, "leads nowhere"),
        ({"more": 1}, "contents are damaged"),
    ]:
        lying = parts()
        lying.contents = {**lying.contents, **change}
        refused(lying.built(), message)
    for change, message in [
        ([0, [], None], "damaged"),
        ([1, [], None], "segments that do not make up"),
        ([1 << 40, [[0, 1 << 62, 0]], None], "segments that do not make up"),
        ([12000, [[file_format.STORED, 0, 0]], None], "segments that do not make up"),
    ]:
        lying = parts()
        lying.tails = {**lying.tails, "w": change}
        refused(lying.built(), message)


def test_checkpoints_of_others() -> None:
    refused(safetensors.numpy.save({"a": np.zeros(3)}), "not written by slashbench")
    refused(b"PK\x03\x04" + bytes(100), "no safetensors file")


def test_bombs() -> None:
    zeros = compressed({"w": np.zeros(50_000_000, np.int8)})
    assert len(zeros) < 100_000
    refused(zeros, "over the limit of 1000000", max_bytes=1_000_000)
    assert Checkpoint(np.frombuffer(zeros, np.uint8)).all()["w"].size == 50_000_000
    told = {"a": entry("U8", [1 << 40], 0, 1 << 40)}
    lying = parts()
    lying.contents = {"header": json.dumps(told), "codecs": []}
    lying.bodies, lying.tails = {"a": b""}, {"a": [1 << 40, [[file_format.STORED, 0, 0]], None]}
    refused(lying.built(), "over the limit")
    bomb = parts()
    bomb.contents = {"header": " " * 30_000_000, "codecs": []}
    refused(bomb.built(), "far too long")


def test_codecs_that_believe_what_they_read_are_not_used_unasked(tmp_path: Path) -> None:
    from slashbench.codecs.catalog import CODECS

    how = Coding.of(only(CODECS, "numcodecs.zlib"), None)
    data = np.frombuffer(compressed({"w": np.arange(900.0)}, how), np.uint8)
    with pytest.raises(UsageError, match="trusted=True, --trusted"):
        Checkpoint(data).all()
    assert Checkpoint(data, trusted=True).tensor("w").tobytes() == np.arange(900.0).tobytes()


# -- writes that die ------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "large.safetensors"
    path.parent.mkdir()
    generator = np.random.default_rng(0)
    safetensors.numpy.save_file(
        {f"w{i}": generator.normal(size=(500, 1000)).astype("f4") for i in range(8)}, path
    )
    return path


DYING = """
import resource, sys
from slashbench.bench.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
main(sys.argv[2:])
"""


@pytest.mark.parametrize("verb", ["compress", "decompress"])
@pytest.mark.thorough
def test_a_full_disk_leaves_the_old_file_whole(verb: str, large: Path, tmp_path: Path) -> None:
    """A real limit on file size stands in for it."""
    there_and_back(large, large.parent / "small")
    path = large if verb == "compress" else large.parent / "small"
    out = tmp_path / "out" / "file"
    out.parent.mkdir()
    out.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", DYING, "2000000", verb, str(path), "-o", str(out), "--force"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "can't write" in done.stderr
    assert out.read_bytes() == b"old"
    assert [p.name for p in out.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.thorough
def test_a_kill_leaves_the_old_file_whole(how: signal.Signals, large: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "file"
    out.parent.mkdir()
    out.write_bytes(b"old")
    command = ["compress", str(large), "-o", str(out), "--force", "--codec", "zstd:level=19"]
    with started(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while not list(out.parent.glob(".partial-*")):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(how)
        said = process.communicate(timeout=60)[0]
    assert out.read_bytes() == b"old"
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted" in said
        assert [p.name for p in out.parent.iterdir()] == ["file"]


_KNOWS_ITS_MEMORY = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="Linux says what memory it took"
)


def peak(*arguments: str | Path) -> int:
    """Bytes that `bench` takes at its most."""
    program = (
        "import re, sys, atexit\n"
        "from slashbench.bench.cli import main\n"
        "status = lambda: open('/proc/self/status').read()\n"
        "peak = lambda: print(re.search(r'VmHWM:\\s+(\\d+)', status())[1])\n"
        "atexit.register(peak)\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1]) * 1024


@pytest.mark.slow
@_KNOWS_ITS_MEMORY
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Compress, decompress, verify 400 MB in tensors of 50: at most 2 tensors + 200 MB."""
    path, small, back = (tmp_path / name for name in ("plain", "small", "back"))
    generator = np.random.default_rng(0)
    tensor = (generator.laplace(size=12_500_000) * 0.02).astype("f4")
    safetensors.numpy.save_file({f"w{i}": np.roll(tensor, i) for i in range(8)}, path)
    for verb in (
        ["compress", path, "-o", small],
        ["decompress", small, "-o", back],
        ["verify", small, "--against", path],
    ):
        assert peak(*verb) <= 2 * tensor.nbytes + 200e6, verb
    assert back.read_bytes() == path.read_bytes()


@pytest.mark.slow
@_KNOWS_ITS_MEMORY
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    "quantiser",
    [
        "quantize:step=0.01",
        "quantize:unit=std:step=0.25",
        "quantize:unit=std:granularity=channel:step=0.5",
        "rtn:granularity=tensor",
        "rtn:granularity=channel",
        "rtn:granularity=group",
        "kmeans",
        "rf8",
        "ongrid",
    ],
)
def test_memory_of_quantizing_is_that_of_two_tensors(
    tmp_path: Path, quantiser: str, dtype: npt.DTypeLike
) -> None:
    """600 MB in tensors of 200: at most 2 tensors + 200 MB beside the quantiser's own libraries.

    Verifying it quantizes it anew, with no more.
    """
    path, tiny = tmp_path / "plain", tmp_path / "tiny"
    rows = 20_000 // np.dtype(dtype).itemsize
    values = np.random.default_rng(0).laplace(size=(rows, 10_000)) * 0.02
    if quantiser == "ongrid":
        values = np.rint(500 * values) / 8
        values[:, 0] = 1 / 8
    tensor = values.astype(dtype)
    safetensors.numpy.save_file({f"w{i}": np.roll(tensor, i, axis=0) for i in range(3)}, path)
    safetensors.numpy.save_file({"w": tensor[:2]}, tiny)
    taken = [peak("compress", p, "-o", f"{p}-out", "--quantize", quantiser) for p in (tiny, path)]
    assert taken[1] - taken[0] <= 2 * tensor.nbytes + 200e6
    taken = [peak("verify", f"{p}-out", "--against", p) for p in (tiny, path)]
    assert taken[1] - taken[0] <= 2 * tensor.nbytes + 200e6


def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    with atomically(tmp_path / "ours"):
        pass
    (tmp_path / "theirs").write_bytes(b"")
    assert os.stat(tmp_path / "ours").st_mode == os.stat(tmp_path / "theirs").st_mode  # noqa: PTH116
