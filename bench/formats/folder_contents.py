"""What a folder of weights holds, in whatever formats, and what a compressed one calls it."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np

from slashbench.bench.checkpoint import folders, sources
from slashbench.bench.checkpoint.folders import INDEX, SUFFIX, Members
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.formats import opening
from slashbench.errors import CorruptFile, SlashbenchError, UsageError

_PYTORCH, _PLAIN = "pytorch_model", "model"  # what Hugging Face calls them
_PYTORCH_INDEX = ".bin.index.json"


def members(path: Path) -> Members:
    """Return what is below a folder; weights in other formats that can be read are weights too.

    Those whose tensors all stand in a safetensors file of their folder as well are left out, as is
    what holds no tensors. Raises UsageError and CorruptFile as `folders.members` does.
    """
    found = folders.members(path)
    taken = set(found.weights)
    for file in found.others:
        beside = [path / each for each in found.weights if each.parent == file.parent]
        if why := _why_not(path / file, beside):
            found.left_out[file] = why
            continue
        found.renamed[file] = _plain_name(file, taken)
        taken.add(found.renamed[file])
    found.weights = sorted([*found.weights, *found.renamed])
    if not found.weights:
        raise UsageError(f"no {SUFFIX} file in {path}, and no other file of tensors")
    for file in found.beside:
        if file.name.endswith(_PYTORCH_INDEX):
            name = file.name.removesuffix(_PYTORCH_INDEX).replace(_PYTORCH, _PLAIN, 1) + INDEX
            if file.with_name(name) not in found.beside:
                found.renamed[file] = file.with_name(name)
    return found


def rewritten_index(path: Path, renamed: dict[Path, Path]) -> bytes | None:
    """Return an index with the files' new names; None for a file that is no such index.

    renamed: by their places in the folder that is read. Raises CorruptFile for a damaged one.
    """
    if not path.name.endswith(_PYTORCH_INDEX):
        return None
    names = {before.name: after.name for before, after in renamed.items()}
    try:
        found = json.loads(path.read_bytes())
        found["weight_map"] = {k: names.get(v, v) for k, v in found["weight_map"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{path} is damaged: {error}") from error
    return json.dumps(found, indent=2, ensure_ascii=False).encode()


def weight_files(path: Path) -> list[Path]:
    """Return the files of one model: a file, or those of a folder, as `folders.weight_files` does.

    Of a folder without safetensors files, what PyTorch's index names, `pytorch_model.bin` or the
    one file that can be read. Raises UsageError where there is none, or more than one.
    """
    if not path.is_dir() or any(path.glob("*" + SUFFIX)):
        return folders.weight_files(path)
    if index := sorted(path.glob("*" + _PYTORCH_INDEX)):
        return folders.indexed(index[0])
    whole = path / f"{_PYTORCH}.bin"
    others = sorted(each for each in path.iterdir() if each.suffix in folders.READABLE)
    found = [whole] if whole in others else [each for each in others if not _why_not(each, [])]
    if len(found) != 1:
        said = ", ".join(each.name for each in found) or "no weights in a format that is read"
        raise UsageError(f"{path} holds {said}; name one file of weights")
    return found


def _plain_name(file: Path, taken: set[Path]) -> Path:
    """Return what a compressed folder calls a file in another format."""
    stem = file.stem
    if file.suffix == ".bin" and stem.startswith(_PYTORCH):
        stem = stem.replace(_PYTORCH, _PLAIN, 1)
    name = file.with_name(stem + SUFFIX)
    return name if name not in taken else file.with_name(file.name + SUFFIX)


def _why_not(file: Path, beside: list[Path]) -> str:
    """Return why a file in another format is left out, in words; empty if it is not."""
    states = [each.stat() for each in (file, *beside)]
    stamps = tuple((state.st_size, state.st_mtime_ns) for state in states)
    return _why_not_as_of(file, tuple(beside), stamps)


@functools.lru_cache(maxsize=1024)
def _why_not_as_of(file: Path, beside: tuple[Path, ...], _stamps: tuple[object, ...]) -> str:
    """Compare once what several steps of a command ask for."""
    try:
        source = opening.source_of(file)
    except SlashbenchError as error:
        return f"no weights that can be read: {str(error).removeprefix(f'{file}: ')}"
    left = set(source.header.tensors)
    for other in beside:
        if sources.is_ours(other):
            continue
        known = sources.of_file(other)
        left -= {name for name in left if _same(name, source, known)}
        if not left:
            return f"each of its tensors stands in {other.name} or beside it as well"
    return ""


def _same(name: str, source: Source, other: Source) -> bool:
    one, two = source.header.tensors[name], other.header.tensors.get(name)
    # What ties to another name is left out of safetensors files.
    if two is None:
        tied = source.tied.get(name)
        return tied is not None and tied in other.header.tensors and _same(tied, source, other)
    if (one.dtype, one.shape) != (two.dtype, two.shape):
        return False
    alike = bool(np.array_equal(source.read(name), other.read(name)))
    source.release(name)
    other.release(name)
    return alike
