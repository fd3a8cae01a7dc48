"""Keep what is measured in files while the rest is still being measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from slashbench.bench.machine import provenance
from slashbench.bench.machine.atomic_files import write_atomically
from slashbench.bench.report.output import markdown
from slashbench.bench.report.tables import Table
from slashbench.bench.speed import file_speed, speed_tables, trainer_tables
from slashbench.bench.speed.file_speed import FileSpeed, FileSpeeds
from slashbench.record import (
    Speed,
    Speeds,
    TrainerSpeed,
    TrainerSpeeds,
    encode_speeds,
)


def record_codecs(
    races: Iterable[Sequence[Speed]],
    against: list[str],
    json: Path | None = None,
    md: Path | None = None,
) -> Iterator[Table]:
    """Yield the board of each race when it is over, and write those there are.

    Parameters
    ----------
    races
        Speeds of one sample under one number of threads, as `codec_speed.run` yields them.
    against
        Codecs to whose speed all are compared, by their spelling.
    json, md
        Files to write: every round's time, and the boards. None for neither.
    """
    measured: list[Speed] = []
    for speeds in races:
        single = [s for s in measured if s.data == speeds[0].data and s.threads == 1]
        measured += speeds
        found = Speeds(speeds=measured, against=against, provenance=provenance.provenance(None))
        _write(found, speeds_to_markdown(found), json, md)
        yield speed_tables.table(speeds, against, single)


def record_files(
    races: Iterable[Sequence[FileSpeed]], json: Path | None = None, md: Path | None = None
) -> Iterator[Table]:
    """Yield the board of each file when its tools are done, and write those there are."""
    measured: list[FileSpeed] = []
    for speeds in filter(None, races):
        measured += speeds
        found = FileSpeeds(files=measured, provenance=[provenance.provenance(None)])
        if json is not None:
            write_atomically(json, encode_file_speeds(found))
        if md is not None:
            write_atomically(md, files_to_markdown(found).encode())
        yield file_speed.table(speeds)


def files_to_markdown(found: FileSpeeds) -> str:
    """Return the boards of `bench speed --files`, and where their numbers come from."""
    parts = ["# Whole files", file_speed.LEGEND, *filter(None, [found.note])]
    parts += [markdown.spell(table, "##") for table in file_speed.boards(found)]
    parts += markdown.origin(found.provenance)
    return "\n\n".join(parts) + "\n"


def encode_file_speeds(found: FileSpeeds) -> bytes:
    """Return the measurements as JSON."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def decode_file_speeds(data: bytes) -> FileSpeeds:
    """Undo `encode_file_speeds`."""
    return msgspec.json.decode(data, type=FileSpeeds)


def record_trainers(
    speeds: list[TrainerSpeed],
    threads: int | None,
    json: Path | None = None,
    md: Path | None = None,
) -> None:
    """Write what regimes cost. threads: of the model's training."""
    found = TrainerSpeeds(speeds=speeds, provenance=provenance.provenance(threads))
    _write(found, trainer_speeds_to_markdown(found), json, md)


def speeds_to_markdown(found: Speeds) -> str:
    """Return the boards of `bench speed`, and where their numbers come from."""
    parts = ["# slashbench speed", speed_tables.LEGEND]
    parts += [markdown.spell(table, "##") for table in speed_tables.boards(found)]
    parts += markdown.origin([found.provenance])
    return "\n\n".join(parts) + "\n"


def trainer_speeds_to_markdown(found: TrainerSpeeds) -> str:
    """Return the board of `bench speed --trainers`, and where its numbers come from."""
    parts = ["# What training regimes cost", trainer_tables.LEGEND]
    parts.append(markdown.spell(trainer_tables.table(found.speeds), "##"))
    parts += markdown.origin([found.provenance])
    return "\n\n".join(parts) + "\n"


def _write(found: Speeds | TrainerSpeeds, board: str, json: Path | None, md: Path | None) -> None:
    if json is not None:
        write_atomically(json, encode_speeds(found))
    if md is not None:
        write_atomically(md, board.encode())
