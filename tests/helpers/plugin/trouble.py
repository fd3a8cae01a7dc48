"""A model whose training, under one seed, does what machines do to those who run benchmarks."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import nn

from slashbench.bench.models.digits_mlp import DigitsMLP
from slashbench.contracts import Needs


class Trouble(DigitsMLP):
    """digits-mlp, but for seed 1. pause: seconds before each batch of any seed."""

    step_hint_s: ClassVar[float] = 0.05
    widened: ClassVar[bool] = True  # to float32, in which the test data is

    def __init__(
        self,
        steps: int = 5,
        fault: str = "",
        pause: float = 0.0,
        greedy: bool = False,
        double: bool = False,
        gpus: int = 0,
    ) -> None:
        super().__init__(steps)
        self.fault, self.pause, self.double = fault, pause, double
        self.needs = Needs(memory_bytes=1 << 60 if greedy else 1, gpus=gpus)

    def build(self, seed: int) -> nn.Module:
        """That of digits-mlp; double: in float64."""
        module = super().build(seed)
        return module.double() if self.double else module

    def batches(self, seed: int) -> Iterator[Any]:
        """What digits-mlp has, unless the fault comes first."""
        if seed == 1 and self.fault:
            FAULTS[self.fault]()
        for images, labels in super().batches(seed):
            time.sleep(self.pause)
            yield images.double() if self.double else images, labels


def die() -> None:
    """As the kernel does it when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_once() -> None:
    """The first time only."""
    mark = Path(os.environ["TROUBLE"])
    if not mark.exists():
        mark.touch()
        die()


def hang() -> None:
    """As a deadlock does."""
    time.sleep(1000)


def hang_in_c() -> None:
    """With the interpreter's lock held: no thread of the process goes on."""
    ctypes.PyDLL(None).sleep(1000)


def stall() -> None:
    """As `hang_in_c`, but it comes to an end."""
    ctypes.PyDLL(None).sleep(25)


def grow() -> None:
    """Take memory without end."""
    held = []
    while True:
        held.append(np.ones(1 << 22))
        time.sleep(0.05)


def refuse() -> None:
    """As a program that is wrong does."""
    raise RuntimeError("a bug")


FAULTS = {
    f.__name__.replace("_", "-"): f for f in (die, die_once, hang, hang_in_c, stall, grow, refuse)
}
