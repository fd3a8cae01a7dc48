"""Compressed checkpoints for PyTorch, with the functions that safetensors has for plain ones.

save_file(model.state_dict(), "model.safetensors")
weights = load_file("model.safetensors")
with safe_open("model.safetensors") as file:
    rows = file.get_slice("embedding.weight")[100:200]
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import nn

from slashbench.arrays import Bytes
from slashbench.bench.checkpoint import (
    base_files,
    convert,
    folders,
    plain_header,
    sources,
    state_dict,
    update,
)
from slashbench.bench.checkpoint.base import Base
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.bench.checkpoint.reader import Checkpoint
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.checkpoint.state_dict import tied_names
from slashbench.bench.machine.atomic_files import atomically
from slashbench.codecs.catalog import CODECS, DELTAS
from slashbench.contracts import Weights
from slashbench.errors import OtherBase, UsageError
from slashbench.link import only
from slashbench.trainers.catalog import QUANTISERS

#: safetensors' types as PyTorch calls them; F4 are two values a byte.
DTYPES = {
    "BOOL": torch.bool,
    "F4": torch.float4_e2m1fn_x2,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E8M0": torch.float8_e8m0fnu,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I16": torch.int16,
    "U16": torch.uint16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "U32": torch.uint32,
    "F32": torch.float32,
    "C64": torch.complex64,
    "F64": torch.float64,
    "I64": torch.int64,
    "U64": torch.uint64,
}
#: What a delta is taken of: a file, a folder of them, or tensors in memory.
BaseOf = str | Path | Weights

_MOST_OPEN = 32  # files of a folder
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def save_file(
    tensors: Weights,
    path: str | Path,
    codec: str | None = None,
    quantize: str | None = None,
    metadata: Mapping[str, str] | None = None,
    *,
    base: BaseOf | None = None,
) -> None:
    """Write tensors to a compressed file, losslessly unless `quantize` is given.

    A file at `path` is replaced in one step.

    Parameters
    ----------
    tensors
        Of any device, shape and memory order. Those that share their memory are stored once.
    path
        Where to write.
    codec
        `name:key=value`, used for the tensors that it takes; `bench list codecs` lists them.
    quantize
        Quantiser for the matrices, such as `quantize:step=0.25:unit=std`. They keep their dtype.
        A tensor that is not finite stays as it is.
    metadata
        Text that `safe_open(...).metadata()` returns.
    base
        Weights that a reader has: only what differs from them is written. A file, a folder, or
        tensors by name. `load_file` needs the same.

    Raises
    ------
    UsageError
        For an unknown name or setting, and for what a safetensors file can't hold.
    Unencodable
        For a tensor that the codec or the quantiser refuses.
    StoreUnusable
        If the file can't be written.

    Examples
    --------
    >>> slashbench.save_file(model.state_dict(), "model.safetensors")  # doctest: +SKIP
    """
    link = only(DELTAS if codec in DELTAS.names() else CODECS, codec) if codec is not None else None
    found = _base(base, None, trusted=False)
    if found is None:
        how = Coding.of(link, only(QUANTISERS, quantize) if quantize is not None else None)
    elif quantize is None:
        how = Coding.of_delta(link, found)
    else:
        raise UsageError("a delta is lossless: leave out quantize, or the base")
    source = _source(tensors, metadata or {})
    with atomically(Path(path)) as file:
        convert.compress(file, source, how)


def load_file(
    path: str | Path,
    device: str | int | torch.device = "cpu",
    *,
    max_bytes: int | None = None,
    trusted: bool = False,
    base: BaseOf | None = None,
) -> Weights:
    """Load every tensor of a compressed file or folder; tied names share one tensor.

    Parameters
    ----------
    path
        A file; a folder, of which the files are loaded that its index names, or all if it has no
        index; or an index.
    device
        Where the tensors go.
    max_bytes
        Most bytes that it may decode to. Default: 1 GiB or 1000 times its size, whichever is more.
    trusted
        Also decode with codecs that a forged file may crash.
    base
        What a delta was made from: a file, a folder, or tensors by name.

    Raises
    ------
    CorruptFile
        If it is damaged, or larger than `max_bytes`.
    OtherBase
        If it is a delta, and `base` is not what it was made from.
    UsageError
        If there is no such file, or a folder holds more than one model.
    """
    return _Shards(Path(path), max_bytes, trusted, base).all(device)


def load_model(
    module: nn.Module,
    path: str | Path,
    strict: bool = True,
    *,
    max_bytes: int | None = None,
    trusted: bool = False,
    base: BaseOf | None = None,
) -> tuple[list[str], list[str]]:
    """Load a compressed file or folder into a module, which is left alone if it does not fit.

    Parameters
    ----------
    module
        Its tensors must have memory: none may be on meta.
    path, max_bytes, trusted, base
        As `load_file` has them.
    strict
        Refuse names that are missing or unexpected.

    Returns
    -------
    missing, unexpected : list of str
        Names of the module that the file lacks, and the reverse. A name that the module ties to
        one that is there is not missing.

    Raises
    ------
    UsageError
        If shapes differ, or names do and `strict` is set.
    CorruptFile
        As `load_file` does.
    """
    if hollow := [name for name, tensor in _tensors_of(module) if tensor.is_meta]:
        raise UsageError(
            f"{hollow[0]!r} of the module is on meta, so there is nowhere to load to: call "
            "module.to_empty(device=...) first, or load_state_dict(load_file(...), assign=True)"
        )
    weights = load_file(path, max_bytes=max_bytes, trusted=trusted, base=base)
    skeleton, hollow_weights = _skeleton(module), weights
    if skeleton is not module:
        hollow_weights = {n: torch.empty_like(w, device="meta") for n, w in weights.items()}
    try:
        missing, unexpected = skeleton.load_state_dict(hollow_weights, strict=False)
    except RuntimeError as error:
        raise UsageError(f"{path} is of another model: {error}") from error
    ties = tied_names(module.state_dict())
    there = {ties.get(name, name) for name in weights}
    missing = [name for name in missing if ties.get(name, name) not in there]
    if strict and (missing or unexpected):
        raise UsageError(
            f"{path} is of another model: missing {missing or 'nothing'}, unexpected "
            f"{unexpected or 'nothing'}; strict=False takes what fits"
        )
    module.load_state_dict(weights, strict=False)
    return missing, list(unexpected)


def _tensors_of(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _skeleton(module: nn.Module) -> nn.Module:
    """Return the module without weights, which loads nothing but says what would not fit.

    It is the module itself, where that can't be copied.
    """
    hollow: dict[int, Any] = {}
    for _, tensor in _tensors_of(module):
        if nn.parameter.is_lazy(tensor):
            continue
        made = torch.empty_like(tensor, device="meta")
        if isinstance(tensor, nn.Parameter):
            made = nn.Parameter(made, requires_grad=tensor.requires_grad)
        hollow[id(tensor)] = made
    try:
        return copy.deepcopy(module, hollow)
    except Exception:  # it may hold anything: locks, results of a forward pass
        return module


class safe_open:  # noqa: N801  # safetensors' name for it
    """A compressed file or folder, of which only what is asked for is decoded.

    Parameters
    ----------
    path, max_bytes, trusted, base
        As `load_file` has them.
    framework
        "pt"; there are no others.
    device
        Where the tensors go.

    Raises
    ------
    CorruptFile, UsageError
        As `load_file` does.

    Examples
    --------
    >>> with slashbench.safe_open("model.safetensors") as file:  # doctest: +SKIP
    ...     rows = file.get_slice("embedding.weight")[100:200]
    """

    def __init__(
        self,
        path: str | Path,
        framework: str = "pt",
        device: str | int | torch.device = "cpu",
        *,
        max_bytes: int | None = None,
        trusted: bool = False,
        base: BaseOf | None = None,
    ) -> None:
        if framework not in ("pt", "torch", "pytorch"):
            raise UsageError(f"framework {framework!r}: tensors are PyTorch's here, 'pt'")
        self._path, self._device = Path(path), device
        self._shards = _Shards(self._path, max_bytes, trusted, base)

    def __enter__(self) -> safe_open:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: the files are closed with the last reference to this object."""

    def keys(self) -> list[str]:
        """Return the names of all tensors, sorted."""
        return sorted(self._shards.tensors)

    def offset_keys(self) -> list[str]:
        """Return the names of all tensors in the order of their bytes in the plain files."""
        return list(self._shards.tensors)

    def metadata(self) -> dict[str, str]:
        """Return the text that was saved with the tensors, of all files together."""
        return dict(self._shards.metadata)

    def get_tensor(self, name: str) -> torch.Tensor:
        """Decode one tensor and no other.

        Raises CorruptFile, UsageError for no such name, and OtherBase for an update of a run.
        """
        tensor = self._entry(name)
        return as_tensor(self._shards.holding(name).tensor(name), tensor, name).to(self._device)

    def release(self, name: str) -> None:
        """Take no more memory for what the file has of a tensor, until it is read again."""
        self._entry(name)
        self._shards.holding(name).release(name)

    def get_slice(self, name: str) -> Slice:
        """Return one tensor, to be indexed. Raises UsageError for no such name."""
        return Slice(self, name, self._entry(name))

    def get_tensors(self) -> Weights:
        """Return every tensor, decoded on all cores. Raises CorruptFile."""
        return self._shards.all(self._device)

    def rows(self, name: str, first: int, last: int) -> torch.Tensor:
        """Decode rows `first` to `last` - 1 of a tensor of one dimension or more."""
        tensor = self._entry(name)
        shape = (last - first, *tensor.shape[1:])
        part = Tensor(tensor.dtype, shape, 0, 0)
        rows = self._shards.holding(name).rows(name, first, last)
        return as_tensor(rows, part, name).to(self._device)

    def _entry(self, name: str) -> Tensor:
        if sources.BASE in self._shards.metadata:
            raise OtherBase(
                f"{self._path} is an update: its tensors are no weights, but differences to those "
                "of its base; get_tensors, or load_file, adds them to it"
            )
        if name not in self._shards.tensors:
            raise UsageError(f"{self._path} has no tensor {name!r}; keys() lists those it has")
        return self._shards.tensors[name]


def iterate_tensors(
    path: str | Path,
    device: str | int | torch.device = "cpu",
    *,
    max_bytes: int | None = None,
    trusted: bool = False,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors of a compressed file or folder one by one, as loaders of models take them.

    Parameters
    ----------
    path, device, max_bytes, trusted
        As `load_file` has them.

    Yields
    ------
    name : str
    tensor : torch.Tensor
        Decoded when it is asked for; only what the caller keeps stays in memory.

    Raises
    ------
    CorruptFile, UsageError
        As `load_file` does.

    Examples
    --------
    >>> model.load_weights(slashbench.iterate_tensors("small/"))  # of vLLM  # doctest: +SKIP
    """
    with safe_open(path, device=device, max_bytes=max_bytes, trusted=trusted) as file:
        for name in file.offset_keys():
            yield name, file.get_tensor(name)
            file.release(name)


class Slice:
    """A tensor that is decoded where it is indexed: of the first index, only the rows it takes."""

    def __init__(self, file: safe_open, name: str, tensor: Tensor) -> None:
        self._file, self._name, self._tensor = file, name, tensor

    def get_shape(self) -> list[int]:
        """Return the shape of the whole tensor."""
        return list(self._tensor.shape)

    def get_dtype(self) -> str:
        """Return its dtype, as safetensors calls it."""
        return self._tensor.dtype

    def __getitem__(self, index: Any) -> torch.Tensor:
        """Return what the whole tensor would give for this index."""
        first, *others = index if isinstance(index, tuple) else (index,)
        bits = plain_header.DTYPES[self._tensor.dtype].bits
        if not self._tensor.shape or (bits < 8 and len(self._tensor.shape) < 2):
            return self._file.get_tensor(self._name)[index]
        n = self._tensor.shape[0]
        if isinstance(first, slice) and (first.step is None or first.step > 0):
            start, stop, step = first.indices(n)
            rows = self._file.rows(self._name, start, max(start, stop))
            return rows[(slice(None, None, step), *others)]
        if isinstance(first, int) and not isinstance(first, bool) and -n <= first < n:
            return self._file.rows(self._name, first % n, first % n + 1)[(0, *others)]
        return self._file.get_tensor(self._name)[index]


def _check_text(found: Iterable[object], what: str) -> None:
    """Raise UsageError for what is no text that a header can hold."""
    for text in found:
        if not isinstance(text, str):
            raise UsageError(f"{what} is {text!r}, a {type(text).__name__}; it must be text")
        if text == plain_header.METADATA:
            raise UsageError(f"{what} is {text!r}, which safetensors keeps for itself")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{what} is {text!r}, which is no valid text: {error}") from error


def _resolved(name: str, tensor: object) -> torch.Tensor:
    """Return the tensor without a conjugation or a sign that is still to be done."""
    if not isinstance(tensor, torch.Tensor):
        raise UsageError(
            f"{name!r} is a {type(tensor).__name__}, no tensor; leave it out, or make one of it"
        )
    if tensor.layout != torch.strided or tensor.is_meta:
        return tensor  # which is refused by its type
    return tensor.detach().resolve_conj().resolve_neg()


class _Shards:
    """A file, or all of a folder: what is in them, and some of them open.

    Each open file takes a descriptor, of which a process has 256 on some systems. max_bytes: that
    all may decode to together. Raises CorruptFile, and UsageError for a tensor in two files.
    """

    def __init__(
        self, path: Path, max_bytes: int | None, trusted: bool, base: BaseOf | None
    ) -> None:
        self._max_bytes, self._trusted = max_bytes, trusted
        self._base = _base(base, max_bytes, trusted=trusted)
        self._where = path
        self._files = folders.weight_files(path)
        self._holder: dict[str, Path] = {}
        self._open: dict[Path, Checkpoint] = {}  # the one used last comes last
        self.tensors: dict[str, Tensor] = {}
        self.metadata: dict[str, str] = {}
        left = max_bytes
        for file in self._files:
            header = self._opened(file, left).header
            if twice := self.tensors.keys() & header.tensors.keys():
                name = min(twice)
                raise UsageError(
                    f"{path} holds more than one model: {name!r} is in {self._holder[name].name} "
                    f"and in {file.name}; name one of the files, or an index"
                )
            self.tensors |= header.tensors
            self.metadata |= header.metadata
            self._holder |= dict.fromkeys(header.tensors, file)
            if left is not None:
                left -= header.nbytes

    def holding(self, name: str) -> Checkpoint:
        """Return the file that has this tensor."""
        return self._opened(self._holder[name], self._max_bytes)

    def all(self, device: Any) -> Weights:
        """Return every tensor, decoded on all cores; of an update, the weights that it makes."""
        if sources.BASE in self.metadata:
            return self._updated(device)
        weights: Weights = {}
        for file in self._files:
            weights |= _all(self._opened(file, self._max_bytes), device)
        return weights

    def _updated(self, device: Any) -> Weights:
        """Add an update to its base. Raises OtherBase, and UsageError where it is not alone."""
        if len(self._files) > 1:
            raise UsageError(
                f"{self._where} holds an update beside other files; name the file of the update"
            )
        (file,) = self._files
        whole = update.whole(self._opened(file, self._max_bytes), self._base)
        return {name: tensor.to(device) for name, tensor in state_dict.to_torch(whole).items()}

    def _opened(self, file: Path, max_bytes: int | None) -> Checkpoint:
        found = self._open.pop(file, None)
        if found is None:
            found = base_files.opened_in_place(
                file, max_bytes=max_bytes, trusted=self._trusted, base=self._base
            )
        self._open[file] = found
        if len(self._open) > _MOST_OPEN:
            del self._open[next(iter(self._open))]
        return found


def _base(given: BaseOf | None, max_bytes: int | None, *, trusted: bool) -> Base | None:
    """Return the base at a path, or that of tensors in memory."""
    if given is None:
        return None
    if isinstance(given, str | Path):
        return base_files.opened(Path(given), max_bytes=max_bytes, trusted=trusted)
    source = _source(given, {})
    return Base(source.header.tensors, source.read, where="the base", name="tensors in memory")


def _all(checkpoint: Checkpoint, device: Any) -> Weights:
    tensors = checkpoint.header.tensors
    raw = checkpoint.all()
    ties = checkpoint.index.tied
    weights = {
        name: as_tensor(raw[name], tensor, name).to(device)
        for name, tensor in tensors.items()
        if name not in ties
    }
    return {name: weights[ties.get(name, name)] for name in tensors}


def as_tensor(raw: Bytes, tensor: Tensor, name: str) -> torch.Tensor:
    """Return the bytes, which are not copied, as a tensor."""
    dtype = DTYPES.get(tensor.dtype)
    shape = tensor.shape
    if dtype is None:
        raise UsageError(f"PyTorch has no type for {name!r}, {tensor.dtype}; `bench decompress` it")
    if tensor.dtype == "F4":
        if not shape or shape[-1] % 2:
            raise UsageError(
                f"PyTorch packs two values of F4 into one; {name!r} has a row of odd length"
            )
        shape = (*shape[:-1], shape[-1] // 2)
    return (
        torch.from_numpy(raw).view(dtype).reshape(shape)
        if raw.size
        else torch.empty(shape, dtype=dtype)
    )


def _source(given: Weights, metadata: Mapping[str, str]) -> Source:
    _check_text(metadata, "metadata")
    for key, text in metadata.items():
        _check_text((text,), f"metadata of {key!r}")
    _check_text(given, "a name")
    tensors = {name: _resolved(name, tensor) for name, tensor in given.items()}
    kinds = {}
    for name, tensor in tensors.items():
        dtype = _NAMES.get(tensor.dtype)
        if dtype is None or tensor.layout != torch.strided or tensor.device.type == "meta":
            raise UsageError(
                f"{name!r} is a {tensor.layout} tensor of {tensor.dtype} on {tensor.device}; "
                "safetensors holds dense ones with data, of its own types"
            )
        shape = tuple(tensor.shape)
        if dtype == "F4" and not shape:
            raise UsageError(f"{name!r} is a scalar of F4, of which two values make a byte")
        kinds[name] = dtype, shape if dtype != "F4" else (*shape[:-1], 2 * shape[-1])

    def read(name: str) -> Bytes:
        flat = tensors[name].detach().cpu().contiguous().reshape(-1)
        flat = flat.as_strided(flat.shape, (1,))  # of one value, the stride may be anything
        raw: Bytes = flat.view(torch.uint8).numpy() if flat.numel() else np.empty(0, np.uint8)
        return raw

    return Source(plain_header.compose(kinds, metadata), read, tied=tied_names(tensors))
