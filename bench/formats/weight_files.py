"""All tensors of a checkpoint, in whatever format and however many files, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from slashbench.bench.checkpoint import base_files, pytorch, sources
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.formats import folder_contents, opening
from slashbench.errors import OtherBase, UsageError


class LazyTensor:
    """A tensor that is read when it is indexed, as the slices of safetensors are."""

    def __init__(self, source: Source, name: str) -> None:
        self._source, self._name = source, name

    @property
    def entry(self) -> Tensor:
        """Return type and shape."""
        return self._source.header.tensors[self._name]

    @property
    def dtype(self) -> torch.dtype:
        """Return the type, as PyTorch calls it. Raises UsageError where it has none."""
        found = pytorch.DTYPES.get(self.entry.dtype)
        if found is None:
            raise UsageError(f"PyTorch has no type for {self._name!r}, {self.entry.dtype}")
        return found

    def is_floating_point(self) -> bool:
        """Return whether the values are floats."""
        return self.dtype.is_floating_point

    def get_dtype(self) -> str:
        """Return the type, as safetensors calls it."""
        return self.entry.dtype

    def get_shape(self) -> list[int]:
        """Return the shape."""
        return list(self.entry.shape)

    def raw(self) -> npt.NDArray[np.uint8]:
        """Return the tensor's bytes in memory of their own. Raises CorruptFile."""
        found = np.array(self._source.read(self._name))
        self._source.release(self._name)
        return found

    def whole(self) -> torch.Tensor:
        """Return the tensor in memory of its own. Raises CorruptFile, UsageError."""
        return pytorch.as_tensor(self.raw(), self.entry, self._name)

    def __getitem__(self, index: Any) -> torch.Tensor:
        return self.whole()[index]


class WeightFiles(Mapping[str, LazyTensor]):
    """The tensors of a file, or of all files of one model, compressed or not.

    Parameters
    ----------
    path
        A file, an index, or a folder.
    max_bytes, trusted
        For compressed files, as `slashbench.load_file` takes them.

    Raises
    ------
    UsageError
        Where there is none, or the folder holds more than one model.
    CorruptFile
        For a damaged file.
    """

    def __init__(self, path: Path, max_bytes: int | None = None, trusted: bool = False) -> None:
        self.files = folder_contents.weight_files(path)
        self._holders: dict[str, Source] = {}
        self.left_out: dict[str, str] = {}
        for file in self.files:
            source = _source(file, max_bytes, trusted)
            if twice := self._holders.keys() & source.header.tensors.keys():
                raise UsageError(f"{path} holds {min(twice)!r} twice; name one of its files")
            self._holders |= dict.fromkeys(source.header.tensors, source)
            self.left_out |= source.left_out

    def check_whole(self) -> None:
        """Raise OtherBase where the tensors are no weights, but differences to those of a base."""
        for source in self._holders.values():
            if sources.BASE in source.header.metadata:
                raise OtherBase(
                    f"{self.files[0]} is an update, which holds differences to the weights of its "
                    "base: `bench decompress --base OLD` makes whole ones"
                )

    def __getitem__(self, name: str) -> LazyTensor:
        return LazyTensor(self._holders[name], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._holders)

    def __len__(self) -> int:
        return len(self._holders)

    def tied(self, name: str) -> str:
        """Return the name that this one shares its memory with; its own where there is none."""
        return self._holders[name].tied.get(name, name)


def _source(file: Path, max_bytes: int | None, trusted: bool) -> Source:
    if not sources.is_ours(file):
        return opening.source_of(file)
    found = base_files.opened_in_place(file, max_bytes=max_bytes, trusted=trusted)
    return Source(found.header, found.tensor, found.release, tied=found.index.tied)
