"""Throw mutants at a codec's decoder, in a process that may crash, hang or run out of memory.

    python -m tests.fuzz.campaign --codec rans --inputs 1000000 --seed 0
    python -m tests.fuzz.campaign --codec all --inputs 20000
    python -m tests.fuzz.campaign --codec files --inputs 20000          # compressed checkpoints
    python -m tests.fuzz.campaign --codec deltas --codec delta-files    # with a base
    python -m tests.fuzz.campaign --codec rans --seed 0 --only 1234     # that input again, here

Input i of a seed is the same on every machine. Whatever is not a refusal or what is declared is a
finding: its bytes and its story are saved under --out. Exit code 1 if there was one. Linux.
"""

from __future__ import annotations

import argparse
import faulthandler
import mmap
import multiprocessing
import os
import resource
import struct
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numba.core import event

from slashbench import selector
from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.errors import SlashbenchError
from slashbench.link import links
from tests.helpers import delta_mutator, file_mutator
from tests.helpers import stream_mutator as mutator

FILES = "files"  # in place of a codec: compressed checkpoints
TARGETS = {  # in place of a codec
    FILES: file_mutator.Files,
    "deltas": delta_mutator.DeltaStreams,
    "delta-files": delta_mutator.DeltaFiles,
}
ROOM = 512 << 20  # bytes that a decoder may take beyond what the process has
_LONGER = 30  # times the limit of an input: to compile what it needs, beside other work
LEAK = 32 << 20  # bytes that the process may grow by over the second half of its inputs

_BOARD = struct.Struct("<QQQQ")  # input in hand, its length, refused, accepted
_COMPILES = _BOARD.size  # then a byte, 1 while all is made ready or Numba compiles; the input
_INPUT = _COMPILES + 1
_ROOM_FOR_INPUT = 8 << 20


def make(spelled: str) -> Any:
    """The codec of a selector such as `exp-golomb:k=0`."""
    (link,) = links(CODECS, selector.parse(spelled))
    return link.item


def target_of(spelled: str) -> Any:
    """What is thrown at what: the streams of a codec, or files at their reader."""
    return TARGETS[spelled]() if spelled in TARGETS else mutator.Streams(make(spelled))


class Chance:
    """The source of chance of each input of a seed, made anew in a microsecond."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Philox(key=seed)
        self._fresh = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def of(self, index: int) -> np.random.Generator:
        """The one of an input, until the next call."""
        self._fresh["state"]["counter"][:] = 0, index, 0, 0
        self._bits.state = self._fresh
        return self._generator


def rng_of(seed: int, index: int) -> np.random.Generator:
    """The source of chance of one input."""
    return Chance(seed).of(index)


class Compilations(event.Listener):  # type: ignore[misc]  # Numba is typed in part
    """What Numba compiles while an input is judged: neither its time nor its memory is counted."""

    def __init__(self, board: Any) -> None:
        self.grown = 0  # bytes
        self._board, self._depth, self._before = board, 1, 0

    def ready(self) -> None:
        """From now on inputs are judged."""
        self._depth = self.grown = self._board[_COMPILES] = 0

    def on_start(self, event: Any) -> None:
        """A kernel is compiled, perhaps within another."""
        if not self._depth:
            self._before = _resident()
        self._depth += 1
        self._board[_COMPILES] = 1

    def on_end(self, event: Any) -> None:
        """It is done."""
        self._depth -= 1
        if not self._depth:
            self._board[_COMPILES] = 0
            self.grown += _resident() - self._before


def work(spelled: str, seed: int, first: int, last: int, board: Any, sender: Any) -> None:
    """Runs in the process that may die: judge inputs `first` to `last` - 1."""
    faulthandler.enable()
    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])  # one core: no threads to wait for
    compilations = Compilations(board)
    event.register("numba:compile", compilations)
    target, chance = target_of(spelled), Chance(seed)
    target.warm_up()
    compilations.ready()
    soft = _virtual() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))
    _, _, refused, accepted = _BOARD.unpack_from(board)
    baseline = 0
    for index in range(first, last):
        if index == max(first + 1000, (first + last) // 2):  # before, caches and the heap fill
            baseline = _resident() - compilations.grown
        data = target.mutant(chance.of(index))[:_ROOM_FOR_INPUT]
        board[_INPUT : _INPUT + len(data)] = data
        _BOARD.pack_into(board, 0, index, len(data), refused, accepted)
        try:
            if target.judge(data):
                accepted += 1
            else:
                refused += 1
        except Exception:
            sender.send((index, data, traceback.format_exc()))
    _BOARD.pack_into(board, 0, last, 0, refused, accepted)
    grown = _resident() - compilations.grown - baseline
    if baseline and grown > LEAK:
        sender.send((last, b"", f"the process grew by {grown >> 20} MiB over its second half"))


def _virtual() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@dataclass
class Campaign:
    """The inputs of one codec and seed, and what came of them."""

    codec: str
    inputs: int
    seed: int = 0
    timeout_s: float = 30
    out: Path = Path("fuzz-findings")
    most: int = 20  # findings, after which it stops

    refused: int = 0
    accepted: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Judge every input, in a new process after each that a decoder takes with it."""
        started = time.perf_counter()
        board = mmap.mmap(-1, _INPUT + _ROOM_FOR_INPUT)  # shared with the children
        context = multiprocessing.get_context("fork")
        first = 0
        while first < self.inputs and len(self.findings) < self.most:
            _BOARD.pack_into(board, 0, first, 0, self.refused, self.accepted)
            board[_COMPILES] = 1
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(
                target=work,
                args=(self.codec, self.seed, first, self.inputs, board, sender),
                daemon=True,
            )
            child.start()
            sender.close()
            death = self._watch(child, receiver, board)
            index, length, self.refused, self.accepted = _BOARD.unpack_from(board)
            if death:
                self._save(index, bytes(board[_INPUT : _INPUT + length]), death)
            first = index + 1
        self.seconds = time.perf_counter() - started

    def _watch(self, child: Any, receiver: Any, board: Any) -> str:
        """Wait until the child ends. Returns how it died, or nothing if it did not."""
        seen, since = (-1, 0), time.monotonic()
        try:
            while len(self.findings) < self.most:
                try:
                    while len(self.findings) < self.most and receiver.poll(0.2):
                        self._save(*receiver.recv())
                except EOFError:
                    child.join()
                    return "" if child.exitcode == 0 else f"died with exit code {child.exitcode}"
                now = _BOARD.unpack_from(board)[0], board[_COMPILES]
                limit = self.timeout_s * (_LONGER if board[_COMPILES] else 1)
                if now != seen:
                    seen, since = now, time.monotonic()
                elif time.monotonic() - since > limit:
                    return f"no answer in {self.timeout_s} s"
            return ""
        finally:
            child.kill()
            child.join()

    def _save(self, index: int, data: bytes, story: str) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        stem = self.out / f"{self.codec.replace(':', '_')}-seed{self.seed}-{index}"
        stem.with_suffix(".bin").write_bytes(data)
        what = f"--codec {self.codec} --seed {self.seed} --only {index}"
        again = f"python -m tests.fuzz.campaign {what}\n"
        stem.with_suffix(".txt").write_text(again + story + "\n")
        self.findings.append(
            f"input {index}: {story.strip().splitlines()[-1]} ({stem.with_suffix('.bin')})"
        )


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--codec", action="append", required=True, help="NAME[:settings], all, or files"
    )
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=30, metavar="S", help="for one input")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), metavar="DIR")
    parser.add_argument("--only", type=int, metavar="INDEX", help="one input again, here")
    options = parser.parse_args()
    names = []
    for name in options.codec:
        every = [n for n in CODECS.available() if not issubclass(CODECS.get(n), Bound)]
        names += every if name == "all" else [name]
    bad = 0
    for name in names:
        if options.only is not None:
            target = target_of(name)
            target.warm_up()
            data = target.mutant(rng_of(options.seed, options.only))
            print("decoded" if target.judge(data) else "refused")
            continue
        done = Campaign(name, options.inputs, options.seed, options.timeout, options.out)
        done.run()
        judged = done.refused + done.accepted
        print(
            f"{name}: {judged} inputs in {done.seconds:.0f} s ({judged / done.seconds:.0f}/s), "
            f"{done.refused} refused, {done.accepted} decoded, {len(done.findings)} findings",
            flush=True,
        )
        for finding in done.findings:
            print("  ", finding, flush=True)
        bad += len(done.findings)
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SlashbenchError as error:
        print(f"campaign: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
