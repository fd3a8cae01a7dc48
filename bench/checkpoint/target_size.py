"""Search the step size by which a checkpoint takes at most so many bits a parameter."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable
from typing import Any

from slashbench import selector
from slashbench.bench.checkpoint import convert, plain_header
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.sources import Source
from slashbench.contracts import Quantiser
from slashbench.errors import UsageError
from slashbench.link import Link

_FINEST, _COARSEST = -12.0, 6.0  # log2 of the step
_CLOSE = 0.005  # of the target, below it
_MOST = 24  # trials

#: Called with what is tried, and the bits it took.
Tried = Callable[[str, float], None]


def search(
    sources: Iterable[Source],
    codec: Link[Any] | None,
    quantiser: Link[Quantiser],
    bits: float,
    tried: Tried,
) -> Link[Quantiser]:
    """Return the quantiser with the finest step size that meets the target.

    Parameters
    ----------
    sources
        Read several times.
    bits
        Most bits a parameter that the files may take together.

    Raises
    ------
    UsageError
        For a quantiser without a step size, and where no step size meets the target.
    """
    cls = type(quantiser.item)
    if "step" not in {setting.name for setting in selector.settings_of(cls)}:
        raise UsageError(f"{quantiser.name} has no step size that --target could search")
    count = sum(map(parameters, sources))
    if not count:
        raise UsageError("there are no parameters in it: nothing is a float")
    finest, coarsest = _FINEST, _COARSEST
    best = None
    guess = math.log2(quantiser.config["settings"]["step"])
    for _ in range(_MOST):
        link = _with_step(quantiser, 2.0**guess)
        size = sum(size_of(source, Coding.of(codec, link)) for source in sources)
        found = 8 * size / count
        tried(link.text, found)
        if found <= bits:
            best, coarsest = link, guess
        else:
            finest = guess
        if bits * (1 - _CLOSE) <= found <= bits or coarsest - finest < 1e-3:
            break
        # an octave is about a bit, of what is quantized; aim at the middle of what is close enough
        straight = guess + found - bits * (1 - _CLOSE / 2)
        guess = straight if finest < straight < coarsest else (finest + coarsest) / 2
    if best is None:
        raise UsageError(
            f"no step size of {quantiser.name} gets it to {bits:g} bits a parameter; what is not "
            "quantized takes more: try scope=all, or another codec"
        )
    return best


def parameters(source: Source) -> int:
    """Return the number of floats, each tied one once."""
    return sum(
        tensor.count
        for name, tensor in source.header.tensors.items()
        if plain_header.is_float(tensor.dtype) and name not in source.tied
    )


class Measure(io.RawIOBase):
    """A file of which only the length is kept."""

    def __init__(self) -> None:
        self.size = self._at = 0

    def write(self, data: Any) -> int:
        """Count the bytes."""
        n = len(data)
        self._at += n
        self.size = max(self.size, self._at)
        return n

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to where the next bytes are counted from."""
        self._at = offset + (self.size if whence == io.SEEK_END else 0)
        return self._at


def size_of(source: Source, how: Coding, progress: convert.Progress = convert.quiet) -> int:
    """Return the bytes of the compressed file, without writing it."""
    file = Measure()
    convert.compress(file, source, how, progress)  # type: ignore[arg-type]
    return file.size


def _with_step(quantiser: Link[Quantiser], step: float) -> Link[Quantiser]:
    settings = {**quantiser.config["settings"], "step": step}
    cls = type(quantiser.item)
    return Link(
        quantiser.name,
        selector.build(cls, quantiser.name, settings),
        selector.spell(cls, quantiser.name, settings),
        {**quantiser.config, "settings": settings},
        quantiser.code,
    )
