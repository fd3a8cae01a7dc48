"""Standard streams: any encoding shows any text, and a reader may leave."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
from typing import TextIO

#: Characters of a board, and what a terminal shows that has no such character: all one wide.
_PLAIN = str.maketrans("·−–—●×…±≤≥", "*---*x.~<>")

#: What a terminal takes as a command: C0 but tab and newline, DEL, and C1.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def spelled(text: str) -> str:
    r"""Return the text with control characters spelled out, which a terminal would obey.

    >>> spelled("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def be_lenient(*streams: TextIO) -> None:
    """Replace what the encoding of a stream does not have, in place of raising an error."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_ERRORS)


def give_up(stream: TextIO) -> None:
    """Drop what a stream still holds; Python would try to write it once more at the end."""
    with contextlib.suppress(OSError, ValueError):  # no descriptor, or closed
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Handle what an encoding does not have: a character of about its look, or a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(char if char.isascii() else "?" for char in text), error.end


_ERRORS = "slashbench.terminal"
codecs.register_error(_ERRORS, _replaced)
