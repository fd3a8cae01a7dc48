"""What holds for any tensors, any folder and any place: nothing is lost, and nothing unsaid."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import slashbench
from tests.helpers import command
from tests.helpers.tensor_samples import raw

FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.int8,
          torch.bool, torch.complex64, torch.float8_e4m3fn]  # fmt: skip


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder for one example."""
    made = Path(tempfile.mkdtemp())
    try:
        yield made
    finally:
        shutil.rmtree(made)


# -- layouts --------------------------------------------------------------------------------------


@st.composite
def views(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    """Tensors of any kind, memory order and overlap."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    found: dict[str, torch.Tensor] = {}
    for i in range(draw(st.integers(1, 5))):
        shape = draw(st.lists(st.integers(0, 20), max_size=3))
        tensor = (torch.randn(shape, generator=generator) * 9).to(draw(st.sampled_from(DTYPES)))
        for _ in range(draw(st.integers(0, 3))):
            tensor = _viewed(draw, tensor)
        found[f"t{i}"] = tensor
        if draw(st.booleans()):
            found[f"same{i}"] = tensor  # tied
        if draw(st.booleans()) and tensor.ndim:
            found[f"part{i}"] = tensor[: len(tensor) // 2]  # shares some of the memory
    return found


def _viewed(draw: st.DrawFn, tensor: torch.Tensor) -> torch.Tensor:
    match draw(st.integers(0, 4)):
        case 0:
            return tensor.permute(tuple(reversed(range(tensor.ndim))))
        case 1 if tensor.ndim:
            return tensor[:: draw(st.integers(2, 3))]
        case 2 if tensor.ndim:
            return tensor[..., -1:].expand(tensor.shape) if tensor.shape[-1] else tensor
        case 3:
            return tensor.unsqueeze(0).expand(3, *tensor.shape)
        case 4 if tensor.is_complex():
            return tensor.conj()
    return tensor


@FEW
@given(views())
def test_any_layout_comes_back_bit_for_bit(tensors: dict[str, torch.Tensor]) -> None:
    with folder() as home:
        slashbench.save_file(tensors, home / "f")
        loaded = slashbench.load_file(home / "f")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (loaded[name].dtype, loaded[name].shape) == (tensor.dtype, tensor.shape)
        assert raw(loaded[name]) == raw(tensor.resolve_conj()), name


# -- folders --------------------------------------------------------------------------------------

NAMES = st.text(string.ascii_letters + " .-_[]é\n", min_size=1, max_size=9).filter(
    lambda name: name not in (".", "..")
)
WEIGHTS = {"w": torch.randn(9, 9, generator=torch.Generator().manual_seed(0))}


@st.composite
def trees(draw: st.DrawFn, depth: int = 2) -> dict[str, object]:
    """A folder: name -> bytes of a file, `weights`, where a link leads, or another folder."""
    kinds = st.sampled_from(["weights", "file", "link", "hidden", "folder"][: 4 + (depth > 0)])
    found: dict[str, object] = {}
    for name in draw(st.lists(NAMES, max_size=4, unique_by=str.casefold)):
        match draw(kinds):
            case "weights":
                found[f"{name}.safetensors"] = WEIGHTS
            case "file":
                found[name] = draw(st.binary(max_size=9))
            case "link":
                found[name] = draw(st.sampled_from([".", "..", "nowhere", "../beside", "a.bin"]))
            case "hidden":
                found[f".{name}"] = b"x"
            case _:
                found[name] = draw(trees(depth - 1))
    return found


def made(path: Path, tree: dict[str, object]) -> None:
    path.mkdir()
    for name, what in tree.items():
        if isinstance(what, bytes):
            (path / name).write_bytes(what)
        elif isinstance(what, str):
            (path / name).symlink_to(what)
        elif what is WEIGHTS:
            safetensors.torch.save_file(WEIGHTS, path / name)
        else:
            made(path / name, what)  # type: ignore[arg-type]


@FEW
@given(trees(), st.integers(0, 0o777))
@pytest.mark.thorough
def test_any_folder_is_compressed_or_said_to_be_left_out(
    tree: dict[str, object], mode: int
) -> None:
    with folder() as home:
        (home / "beside").mkdir()
        (home / "beside" / "x.json").write_text("{}")
        made(home / "model", {**tree, "m.safetensors": WEIGHTS})
        (home / "model" / "m.safetensors").chmod(mode | 0o400)
        done = command.bench("compress", "model", "-o", "small", cwd=home)
        assert done.returncode == 0, done.stderr
        said = "".join(done.stderr.split())  # names are spelled out, and wrapped
        for place, _, files in os.walk(home / "model"):  # which enters no links
            for name in files:
                inner = Path(place, name).relative_to(home / "model")
                kept = (home / "small" / inner).exists()
                hidden = [i for i, part in enumerate(inner.parts) if part.startswith(".")]
                named = Path(*inner.parts[: hidden[0] + 1]) if hidden else inner
                assert kept != (f"leftout:{''.join(str(named).split())}:" in said), inner
        small = stat.S_IMODE((home / "small" / "m.safetensors").stat().st_mode)
        assert small & ~0o600 & ~mode == 0  # nobody may do more with it
        done = command.bench("verify", "small", "--against", "model", cwd=home)
        assert done.returncode == 0, done.stdout
        assert command.bench("decompress", "small", "-o", "back", cwd=home).returncode == 0
        original = (home / "model" / "m.safetensors").read_bytes()
        assert (home / "back" / "m.safetensors").read_bytes() == original


# -- places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o077, 0o002, 0o777])
def test_new_files_follow_the_umask(umask: int, tmp_path: Path) -> None:
    safetensors.torch.save_file(WEIGHTS, tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors").chmod(0o666)
    arguments = ["compress", "m.safetensors", "-o", "small"]
    with command.started(*arguments, cwd=tmp_path, umask=umask) as process:
        assert process.wait(120) == 0
    made = stat.S_IMODE((tmp_path / "small").stat().st_mode)
    assert made == 0o666 & ~umask | 0o600


@pytest.mark.parametrize("name", ["a b", "[red]x", "-x", "é", "x\ny", "%s", "~", "*"])
def test_any_working_folder_and_any_name(name: str, tmp_path: Path) -> None:
    """Relative paths, from a folder of an odd name, to files of odd names."""
    home = tmp_path / name
    home.mkdir()
    safetensors.torch.save_file(WEIGHTS, home / f"{name}.safetensors")
    plain = f"./{name}.safetensors"
    assert command.bench("compress", plain, "-o", f"./{name}", cwd=home).returncode == 0
    assert command.bench("verify", f"./{name}", "--against", plain, cwd=home).returncode == 0
    assert command.bench("inspect", f"./{name}", cwd=home).returncode == 0
    done = command.bench("decompress", f"../{name}/{name}", "-o", "back", cwd=home)
    assert done.returncode == 0, done.stderr
    assert (home / "back").read_bytes() == (home / plain).read_bytes()
    assert sorted(path.name for path in home.iterdir()) == sorted(
        [name, f"{name}.safetensors", "back"]
    )
