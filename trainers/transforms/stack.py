"""Few large tensors in place of many small ones."""

from __future__ import annotations

import torch

from slashbench import update_layout, validate
from slashbench.contracts import Calibration, Transform, Weights
from slashbench.errors import UsageError
from slashbench.trainers.numerics.base_units import LEAST, unit_of_new, units
from slashbench.update_layout import LAYOUT, LEFT, RIGHT, Member


class Stack(Transform):
    """Stack differences of like shape in one tensor, each in units of its own: for small updates.

    Goes behind `delta`. A unit is the root mean square of the tensor in the base, as float16; for
    one that is not in the base, that of all its matrices; for a factor its own. So one step size
    behind it is a step relative to the weights. Vectors are rows of a stack; embedding tables are
    stacks of their own. Tensors of the base in which nothing differs are left out.

    Parameters
    ----------
    new : float
        Factor on the unit of a tensor that is not in the base, such as a head: below 1 its grid is
        finer than that of the differences.
    """

    def __init__(self, new: float = 1.0) -> None:
        validate.positive(new=new)
        self.new = new

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """Return the stacks and their layout. Raises UsageError without a base."""
        base = calibration.base
        if not base:
            raise UsageError("stack is for updates: write it behind delta")
        relative = units(base)
        groups: dict[object, list[str]] = {}
        rest: Weights = {}
        seen: set[int] = set()
        for name, w in weights.items():
            if calibration.why_kept(name, w) or not w.numel() or not w.ndim:
                rest[name] = w
            elif (w.count_nonzero() or name not in base) and id(w) not in seen:
                groups.setdefault(_group(name, w, calibration), []).append(name)
            seen.add(id(w))
        layout, stacks = [], {}
        for number, names in enumerate(groups.values()):
            members, rows = [], []
            for name in names:
                w = weights[name]
                unit = relative.get(name) or self._own_unit(name, w, base)
                members.append(Member(name, list(w.shape), unit))
                rows.append((w.double() / unit).float().reshape(-1, w.shape[-1]))
            layout.append(members)
            stacks[f"@{number}"] = torch.cat(rows)
        spelled = torch.frombuffer(bytearray(update_layout.spelled(layout)), dtype=torch.uint8)
        return {**stacks, **rest, LAYOUT: spelled}

    def _own_unit(self, name: str, w: torch.Tensor, base: Weights) -> float:
        """Return the unit of a factor, or of what is new."""
        if name.endswith((LEFT, RIGHT)):
            return float(w.double().square().mean().sqrt().clamp(min=LEAST).half())
        return unit_of_new(base, self.new)


def _group(name: str, w: torch.Tensor, calibration: Calibration) -> object:
    """Return what tensors of one stack have in common."""
    if w.ndim > 1 and name in calibration.base and calibration.model.is_embedding(name):
        return name
    return w.ndim == 1, w.shape[-1], name in calibration.base
