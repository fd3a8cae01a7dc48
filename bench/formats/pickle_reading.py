"""Read a pickle as text about objects: nothing of it is imported, built or called.

A pickle is a program for a small stack machine. Here its instructions only make lists, tables,
numbers and text. Where the program would call something, a `Thing` notes what it would call, and
with what; that is enough to find the tensors of a checkpoint.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from slashbench.errors import CorruptFile

MOST_INSTRUCTIONS = 5_000_000  # of one pickle: checkpoints of 100,000 tensors have some millions


@dataclass(frozen=True, slots=True)
class Name:
    """What a pickle would import."""

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}"


@dataclass(frozen=True, slots=True)
class Outside:
    """What a pickle leaves to its reader to find, such as a storage of a checkpoint."""

    identity: Any


@dataclass(eq=False, slots=True)
class Thing:
    """An object that a pickle makes. made_by: `list`, `dict`, `set`, or what it would call."""

    made_by: str
    arguments: Any = ()
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    state: Any = None


class _Mark:
    """Where some arguments begin on the stack."""


def read(file: BinaryIO) -> Any:
    """Return what one pickle describes; the file is left behind it. Raises CorruptFile."""
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > MOST_INSTRUCTIONS:
                raise CorruptFile(f"its pickle has more than {MOST_INSTRUCTIONS} instructions")
            machine.step(opcode.name, argument)
    except (
        ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error,
    ) as error:  # fmt: skip
        if isinstance(error, CorruptFile):
            raise
        raise CorruptFile(f"its pickle is damaged: {error}") from error
    return machine.result


class _Machine:
    """The stack and the memo."""

    def __init__(self) -> None:
        self.result: Any = None
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Do one instruction. Raises anything where the stack does not hold what it takes."""
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _NEW:
            self._stack.append(Thing(_NEW[name]))
        elif name in _LITERALS:
            self._stack.append(argument)
        else:
            getattr(self, "_" + name.lower(), self._unknown(name))(argument)

    @staticmethod
    def _unknown(name: str) -> Callable[[Any], None]:
        def refuse(_: Any) -> None:
            raise CorruptFile(f"its pickle has the instruction {name}, which no checkpoint needs")

        return refuse

    def _since_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while not isinstance(self._stack[place], _Mark):
            place -= 1
            if place < 0:
                raise ValueError("arguments without a beginning")
        found = self._stack[place + 1 :]
        del self._stack[place:]
        return found

    def _top(self) -> Thing:
        found = self._stack[-1]
        if not isinstance(found, Thing):
            raise ValueError(f"{type(found).__name__} can't be filled")
        return found

    def _proto(self, _: Any) -> None:
        """Do nothing: every protocol is read alike."""

    _frame = _proto

    def _stop(self, _: Any) -> None:
        self.result = self._stack.pop()

    def _mark(self, _: Any) -> None:
        self._stack.append(_Mark())

    def _pop(self, _: Any) -> None:
        self._stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _put(self, place: Any) -> None:
        self._memo[place] = self._stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, place: Any) -> None:
        self._stack.append(self._memo[place])

    _binget = _long_binget = _get

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _tuple1(self, _: Any) -> None:
        self._stack[-1:] = [tuple(self._stack[-1:])]

    def _tuple2(self, _: Any) -> None:
        self._stack[-2:] = [(self._stack[-2], self._stack[-1])]

    def _tuple3(self, _: Any) -> None:
        self._stack[-3:] = [(self._stack[-3], self._stack[-2], self._stack[-1])]

    def _list(self, _: Any) -> None:
        self._stack.append(Thing("list", items=self._since_mark()))

    def _frozenset(self, _: Any) -> None:
        self._stack.append(Thing("set", items=self._since_mark()))

    def _dict(self, _: Any) -> None:
        self._stack.append(Thing("dict", pairs=_paired(self._since_mark())))

    def _append(self, _: Any) -> None:
        item = self._stack.pop()
        self._top().items.append(item)

    def _appends(self, _: Any) -> None:
        found = self._since_mark()
        self._top().items.extend(found)

    _additems = _appends

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._top().pairs.append((key, value))

    def _setitems(self, _: Any) -> None:
        found = self._since_mark()
        self._top().pairs.extend(_paired(found))

    def _global(self, argument: Any) -> None:
        module, _, attribute = str(argument).partition(" ")
        self._stack.append(Name(module, attribute))

    def _stack_global(self, _: Any) -> None:
        attribute, module = self._stack.pop(), self._stack.pop()
        self._stack.append(Name(str(module), str(attribute)))

    def _reduce(self, _: Any) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        self._stack.append(Thing(_said(called), arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self._stack.pop()  # arguments by keyword
        self._reduce(None)

    def _obj(self, _: Any) -> None:
        called, *arguments = self._since_mark()
        self._stack.append(Thing(_said(called), tuple(arguments)))

    def _inst(self, argument: Any) -> None:
        self._stack.append(Thing(str(argument).replace(" ", ".", 1), tuple(self._since_mark())))

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        if isinstance(self._stack[-1], Thing):
            self._stack[-1].state = state

    def _persid(self, identity: Any) -> None:
        self._stack.append(Outside(identity))

    def _binpersid(self, _: Any) -> None:
        self._stack.append(Outside(self._stack.pop()))


_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NEW = {"EMPTY_LIST": "list", "EMPTY_DICT": "dict", "EMPTY_SET": "set"}
_LITERALS = frozenset(
    (
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
        "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
        "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    )
)  # fmt: skip


def _said(called: Any) -> str:
    return str(called) if isinstance(called, Name) else "something it made"


def _paired(flat: list[Any]) -> list[tuple[Any, Any]]:
    if len(flat) % 2:
        raise ValueError("a key without a value")
    return list(zip(flat[::2], flat[1::2], strict=True))
