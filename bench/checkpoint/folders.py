"""Folders as Hugging Face has them: weights in a file or in shards, and what goes with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from slashbench.errors import CorruptFile, UsageError

SUFFIX = ".safetensors"
INDEX = ".safetensors.index.json"

#: Weights in other formats. Those of the first kind can be read (bench/formats).
READABLE = frozenset((".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx"))
OTHER_WEIGHTS = READABLE | {".h5", ".msgpack", ".ot", ".tflite", ".znn"}


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


@dataclass(slots=True)
class Members:
    """What is below a folder, each path relative to it, in order."""

    weights: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # that may hold weights in another format
    beside: list[Path] = field(default_factory=list)  # files that are copied
    empty: list[Path] = field(default_factory=list)  # folders that hold nothing
    left_out: dict[Path, str] = field(default_factory=dict)  # and why
    renamed: dict[Path, Path] = field(default_factory=dict)  # what a compressed folder calls them


def weight_files(path: Path) -> list[Path]:
    """Return the safetensors files that make up one model.

    Parameters
    ----------
    path
        A file, which is its own; an index; or a folder, of which those are taken that its index
        names, or all if it has none.

    Raises
    ------
    UsageError
        Where there is none, or several indexes to choose from.
    CorruptFile
        For an index that names a file which is not in its folder.
    """
    if not path.is_dir():
        if not path.is_file():
            raise UsageError(
                f"no file at {path}; name a {SUFFIX} file, or a folder that holds some"
            )
        return indexed(path) if path.name.endswith(INDEX) else [path]
    indexes = sorted(path.glob("*" + INDEX))
    if len(indexes) > 1:
        raise UsageError(
            f"{path} holds several models: name one index, such as "
            f"{' or '.join(str(index) for index in indexes)}"
        )
    files = indexed(indexes[0]) if indexes else sorted(path.glob("*" + SUFFIX))
    if not files:
        raise UsageError(f"no {SUFFIX} file in {path}")
    return files


def indexed(index: Path) -> list[Path]:
    """Return the files that an index names, sorted.

    Raises CorruptFile for one that is damaged, or names a file which is not in its folder.
    """
    try:
        found = msgspec.json.decode(index.read_bytes(), type=_Index)
    except OSError as error:
        raise UsageError(f"{index} can't be read: {error.strerror}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise CorruptFile(f"{index} is damaged: {error}") from error
    names = sorted(set(found.weight_map.values()))
    for name in names:
        if PurePosixPath(name).name != name or "\\" in name or name in ("", ".", ".."):
            raise CorruptFile(f"{index} names {name!r}, which is no file of its folder")
        if not (index.parent / name).is_file():
            raise CorruptFile(f"{index} names {name}, which is not there")
    return [index.parent / name for name in names]


def members(path: Path) -> Members:
    """Return what is below a folder. Links are followed, as `cp -L` does.

    Hidden files, links that lead nowhere or back, and weights in formats that are not read are left
    out. Raises UsageError where there are no weights, or where something can't be read; CorruptFile
    for an index that names a file which is not there.
    """
    found = Members()
    for file in _walk(path, path, (), found):
        if file.suffix in READABLE:
            found.others.append(file)
        elif file.suffix in OTHER_WEIGHTS:
            found.left_out[file] = "weights in another format"
        elif file.suffix == SUFFIX:
            found.weights.append(file)
        else:
            if file.name.endswith(INDEX):
                indexed(path / file)
            found.beside.append(file)
    if not found.weights and not found.others:
        raise UsageError(f"no {SUFFIX} file in {path}, and none of {', '.join(sorted(READABLE))}")
    return found


def _walk(root: Path, folder: Path, above: tuple[Path, ...], found: Members) -> Iterator[Path]:
    """Yield the files below a folder; note in `found` what is no file and no folder to enter.

    above: the folders that were entered on the way, links resolved.
    """
    above = (*above, folder.resolve())
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"{folder} can't be read: {error.strerror}") from error
    if not entries:
        found.empty.append(folder.relative_to(root))
    for entry in entries:
        path = Path(entry.path)
        name = path.relative_to(root)
        if entry.name.startswith("."):
            found.left_out[name] = "hidden"
        elif entry.is_dir():
            inner = path.resolve()
            if any(inner == outer or inner in outer.parents for outer in above):
                found.left_out[name] = "a link to a folder that it is in"
            else:
                yield from _walk(root, path, above, found)
        elif entry.is_file():
            yield name
        else:
            found.left_out[name] = (
                "a link that leads nowhere" if entry.is_symlink() else "no regular file"
            )
