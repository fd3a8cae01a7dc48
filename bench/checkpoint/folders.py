"""Folders as Hugging Face has them: weights in a file or in shards, and what goes with them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import msgspec

from slashbench.errors import CorruptFile, UsageError

SUFFIX = ".safetensors"
INDEX = ".safetensors.index.json"

#: Weights in other formats, which a compressed folder does without.
OTHER_WEIGHTS = frozenset(
    (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".ot", ".tflite", ".znn")
)


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a folder: those its index names, or all; a file is its own.

    Raises UsageError where there is none, CorruptFile for an index that leads out of the folder.
    """
    if not path.is_dir():
        if not path.is_file():
            raise UsageError(
                f"no file at {path}; name a {SUFFIX} file, or a folder that holds some"
            )
        return [path]
    indexes = sorted(path.glob("*" + INDEX))
    names = sorted({name for index in indexes for name in shards(index)})
    files = [path / name for name in names] or sorted(path.glob("*" + SUFFIX))
    for file in files:
        if not file.is_file():
            raise CorruptFile(f"{indexes[0]} names {file.name}, which is not there")
    if not files:
        raise UsageError(f"no {SUFFIX} file in {path}")
    return files


def shards(index: Path) -> set[str]:
    """The names of the files that an index speaks of. Raises CorruptFile."""
    try:
        found = msgspec.json.decode(index.read_bytes(), type=_Index)
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise CorruptFile(f"{index} can't be read: {error}") from error
    names = set(found.weight_map.values())
    for name in names:
        if PurePosixPath(name).name != name or "\\" in name or name in ("", ".", ".."):
            raise CorruptFile(f"{index} names {name!r}, which is no file of its folder")
    return names


def members(path: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """(weights, what goes with them, weights in other formats) below a folder, relative to it.

    Raises UsageError where there are no weights, CorruptFile for an index that leads elsewhere.
    """
    every = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
    every = [file for file in every if not any(part.startswith(".") for part in file.parts)]
    for file in every:
        if file.name.endswith(INDEX):
            weight_files((path / file).parent)
    weights = [file for file in every if file.suffix == SUFFIX]
    if not weights:
        raise UsageError(f"no {SUFFIX} file in {path}")
    foreign = [file for file in every if file.suffix in OTHER_WEIGHTS]
    beside = [file for file in every if file not in {*weights, *foreign}]
    return weights, beside, foreign
