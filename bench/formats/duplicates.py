"""Tensors that stand in two files of a folder, whatever their names: the second file is a delta."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from isal.isal_zlib import crc32

from slashbench.bench.checkpoint.base import Base
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.formats import opening

_LEAST = 4096  # bytes of a tensor that is looked for in other files
_WORTH = 1 << 16  # bytes in common, below which files stay independent
_GLANCE = 4096  # bytes by which most are told apart

_Place = tuple[Path, str]


@dataclass(frozen=True)
class SiblingFile(Base):
    """An earlier file of the folder, as the base of those tensors that it has as well."""

    alike: Mapping[str, str] = field(default_factory=dict)  # a name of the delta -> of this file

    def counterpart(self, name: str, tensor: Tensor) -> str | None:
        """Return the name of the tensor that has the same bytes, if there is one."""
        return self.alike.get(name)


def bases(files: Mapping[Path, str]) -> dict[Path, Base]:
    """Return the files that have much in common with an earlier one of their folder, and that one.

    files: of weights, each with what the compressed folder calls it. No base is a delta itself.
    """
    opened = {path: opening.source_of(path) for path in files}
    known: dict[object, list[_Place]] = {}
    deltas: dict[Path, Base] = {}
    for path, source in opened.items():
        alike = _alike(path, source, known, opened)
        sizes: Counter[Path] = Counter()
        for name, (other, _) in alike.items():
            sizes[other] += source.header.tensors[name].nbytes
        if sizes and max(sizes.values()) >= _WORTH:
            (other, _), *_ = sizes.most_common(1)
            named = {name: theirs for name, (file, theirs) in alike.items() if file == other}
            deltas[path] = _sibling(opened[other], files[other], other, named)
            continue
        for name, tensor in source.header.tensors.items():
            if tensor.nbytes >= _LEAST and name not in source.tied:
                known.setdefault(_glance(path, source, name), []).append((path, name))
    return deltas


def _alike(
    path: Path, source: Source, known: Mapping[object, list[_Place]], opened: Mapping[Path, Source]
) -> dict[str, _Place]:
    """Return the tensors that stand in an earlier file, and where."""
    found = {}
    for name, tensor in source.header.tensors.items():
        if tensor.nbytes < _LEAST or name in source.tied:
            continue
        for other, theirs in known.get(_glance(path, source, name), ()):
            same = np.array_equal(source.read(name), opened[other].read(theirs))
            opened[other].release(theirs)
            if same:
                found[name] = other, theirs
                break
        source.release(name)
    return found


def _glance(path: Path, source: Source, name: str) -> object:
    tensor = source.header.tensors[name]
    return path.parent, tensor.dtype, tensor.shape, crc32(source.read(name)[:_GLANCE])


def _sibling(source: Source, called: str, path: Path, alike: Mapping[str, str]) -> SiblingFile:
    return SiblingFile(
        source.header.tensors,
        source.read,
        source.release,
        where=str(path),
        name=called,
        alike=alike,
    )
