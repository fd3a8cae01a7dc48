"""Tools that make a whole checkpoint smaller and restore it, each as its authors run it.

A tool takes a plain safetensors file to one file of its own and back. What is not installed is
listed with its pip line. BigSmall is run, never copied: its licence, Elastic-2.0, allows that.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import lzma
import shutil
import struct
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slashbench import parallel

Step = Callable[[Path, Path], None]  # from, to


@dataclass(frozen=True, slots=True)
class FileTool:
    """How a file is saved and restored. needs: the module it takes, pip: what brings that.

    lossy: it restores other weights, so its row stands apart.
    """

    name: str
    how: str  # as the board says it
    save: Step
    restore: Step
    needs: str = ""
    pip: str = ""
    licence: str = ""
    lossy: bool = False

    def missing(self) -> str:
        """Return why it can't run here; empty if it can."""
        if not self.needs or importlib.util.find_spec(self.needs):
            return ""
        return f"needs {self.needs} ({self.licence}): {self.pip}"


def _ours(codec: str) -> Step:
    def save(plain: Path, out: Path) -> None:
        from slashbench.bench.checkpoint import convert, sources
        from slashbench.bench.checkpoint.encoder import Coding
        from slashbench.codecs.catalog import CODECS
        from slashbench.link import only

        with out.open("w+b") as file:
            convert.compress(file, sources.of_file(plain), Coding.of(only(CODECS, codec), None))

    return save


def _restore_ours(packed: Path, out: Path) -> None:
    from slashbench.bench.checkpoint import convert, reader

    with out.open("wb") as file:
        convert.decompress(file, reader.opened(packed))


def _zipnn_save(plain: Path, out: Path) -> None:
    """Tensor by tensor, as ZipNN's own tool for safetensors does it."""
    import safetensors.torch
    import torch
    from zipnn import ZipNN
    from zipnn.util_safetensors import (
        COMPRESSED_DTYPE,
        COMPRESSION_METHOD,
        build_compressed_tensor_info,
        set_compressed_tensors_metadata,
    )

    tensors, infos = {}, {}
    with safetensors.safe_open(plain, "pt") as file:
        metadata = file.metadata() or {}
        for name in file.keys():  # noqa: SIM118
            tensors[name] = tensor = file.get_tensor(name)
            if not tensor.is_floating_point():
                continue
            info = build_compressed_tensor_info(tensor)
            coder = ZipNN(
                input_format="torch",
                bytearray_dtype=tensor.dtype,
                method=COMPRESSION_METHOD,
                threads=len(parallel.cores()),
            )
            packed = coder.compress(tensor.clone())  # it works in the tensor's own memory
            if len(packed) < tensor.nbytes:
                tensors[name] = torch.frombuffer(packed, dtype=COMPRESSED_DTYPE)
                infos[name] = info
    set_compressed_tensors_metadata(infos, metadata)
    safetensors.torch.save_file(tensors, out, metadata)


def _zipnn_restore(packed: Path, out: Path) -> None:
    import safetensors.torch
    from zipnn import ZipNN
    from zipnn.util_safetensors import (
        COMPRESSED_DTYPE,
        COMPRESSION_METHOD,
        get_compressed_tensors_metadata,
    )

    tensors = {}
    with safetensors.safe_open(packed, "pt") as file:
        coded = get_compressed_tensors_metadata(file.metadata())
        coder = ZipNN(
            input_format="torch",
            bytearray_dtype=COMPRESSED_DTYPE,
            method=COMPRESSION_METHOD,
            threads=len(parallel.cores()),
        )
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_tensor(name)
            whole = coder.decompress(tensor.contiguous().numpy()) if name in coded else tensor
            tensors[name] = whole
    safetensors.torch.save_file(tensors, out, {"format": "pt"})


def _lmz_save(plain: Path, out: Path) -> None:
    import lmz

    lmz.compress(str(plain), str(out))


def _lmz_restore(packed: Path, out: Path) -> None:
    import lmz

    lmz.decompress(str(packed), str(out), overwrite=True)


def _z4ai_save(plain: Path, out: Path) -> None:
    from z4ai import safetensors

    safetensors.compress_file(str(plain), str(out))


def _z4ai_restore(packed: Path, out: Path) -> None:
    from z4ai import safetensors

    safetensors.decompress_file(str(packed), str(out))


def _bigsmall_save(plain: Path, out: Path) -> None:
    import bigsmall

    bigsmall.compress(plain, out, progress=False)


def _bigsmall_restore(packed: Path, out: Path) -> None:
    import bigsmall

    bigsmall.decompress(packed, out, progress=False)


def _zstd_save(plain: Path, out: Path) -> None:
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        19, enable_ldm=True, window_log=27, threads=len(parallel.cores())
    )
    with plain.open("rb") as source, out.open("wb") as target:
        zstandard.ZstdCompressor(compression_params=parameters).copy_stream(source, target)


def _zstd_restore(packed: Path, out: Path) -> None:
    import zstandard

    with packed.open("rb") as source, out.open("wb") as target:
        zstandard.ZstdDecompressor(max_window_size=1 << 27).copy_stream(source, target)


def _xz_save(plain: Path, out: Path) -> None:
    with plain.open("rb") as source, lzma.open(out, "wb", preset=6) as target:
        shutil.copyfileobj(source, target, 1 << 20)


def _xz_restore(packed: Path, out: Path) -> None:
    with lzma.open(packed) as source, out.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def _nnc() -> Any:
    """Import the part of nncodec that takes arrays; the rest asks for torchvision and more."""
    rest = types.ModuleType("nncodec.framework")
    vars(rest).update(dict.fromkeys(("tensorflow_model", "pytorch_model", "use_case_init")))
    sys.modules.setdefault(rest.__name__, rest)
    return importlib.import_module("nncodec.nnc")


def _nncodec_save(plain: Path, out: Path) -> None:
    """Floats as float32 and int32, with the settings of `nncodec.nn.encode`; the rest as it is."""
    import safetensors.torch
    import torch

    tensors = safetensors.torch.load_file(plain)
    taken = {n: t for n, t in tensors.items() if t.is_floating_point() or t.dtype == torch.int32}
    kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in taken.items()}
    arrays = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in taken.items()
    }
    stream = _nnc().compress(
        arrays,
        bitstream_path=str(out),  # it writes the stream there, too
        qp=-32,
        qp_density=2,
        nonweight_qp=-75,
        use_dq=True,
        param_opt=True,
        row_skipping=True,
        return_bitstream=True,
    )
    rest = safetensors.torch.save(
        {name: tensor for name, tensor in tensors.items() if name not in taken},
        {"kinds": json.dumps(kinds)},
    )
    out.write_bytes(struct.pack("<Q", len(stream)) + stream + rest)


def _nncodec_restore(packed: Path, out: Path) -> None:
    import torch
    from safetensors.torch import load, save_file

    data = packed.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    (told,) = struct.unpack_from("<Q", data, 8 + size)
    header = json.loads(data[16 + size : 16 + size + told])
    tensors = load(data[8 + size :])
    found = _nnc().decompress(bytearray(data[8 : 8 + size]))
    for name, kind in json.loads(header["__metadata__"]["kinds"]).items():
        tensors[name] = torch.from_numpy(found[name]).to(getattr(torch, kind)).contiguous()
    save_file(tensors, out)


_PEERS = "pip install 'slashbench[peers]'"

TOOLS = {
    tool.name: tool
    for tool in (
        FileTool("float-classes", "bench compress --codec float-classes", _ours("float-classes"),
                 _restore_ours),
        FileTool("float-rans", "bench compress", _ours("float-rans"), _restore_ours),
        FileTool("float-huffman", "bench compress --codec float-huffman", _ours("float-huffman"),
                 _restore_ours),
        FileTool("zipnn", "as its script for safetensors", _zipnn_save, _zipnn_restore, "zipnn",
                 _PEERS, "MIT"),
        FileTool("lmz", "lmz.compress", _lmz_save, _lmz_restore, "lmz", _PEERS, "MIT"),
        FileTool("z4ai", "z4ai.safetensors.compress_file", _z4ai_save, _z4ai_restore, "z4ai",
                 _PEERS, "Apache-2.0"),
        FileTool("bigsmall", "bigsmall.compress", _bigsmall_save, _bigsmall_restore, "bigsmall",
                 _PEERS, "Elastic-2.0"),
        FileTool("zstd", "zstd -19 --long of the file", _zstd_save, _zstd_restore, "zstandard",
                 "pip install zstandard", "BSD"),
        FileTool("xz", "xz -6 of the file", _xz_save, _xz_restore),
        FileTool("nncodec", "nncodec.nnc, qp -32, dependent quantization", _nncodec_save,
                 _nncodec_restore, "nncodec", "pip install --no-deps nncodec", "Clear BSD", True),
    )
}  # fmt: skip
