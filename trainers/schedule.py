"""How strong a term is at a step: a rise from nothing, a plateau, and plain steps at the end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strength:
    """Factor in [0, 1] on a Lagrange multiplier over a run of `steps` steps.

    begin, rise, finetune: shares of the run: before the term starts, in which it grows linearly,
    and at the end without it (BackSlash's optional phase of plain fine-tuning).
    """

    steps: int
    begin: float = 0.0
    rise: float = 0.0
    finetune: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.begin, self.rise, self.finetune)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(
                f"begin={self.begin}, rise={self.rise} and finetune={self.finetune} are shares of "
                "the run: none below 0, all together at most 1"
            )

    def at(self, step: int) -> float:
        """The factor at `step`, counted from 0; 1 on the plateau.

        >>> [Strength(10, begin=0.2, rise=0.2, finetune=0.3).at(step) for step in range(10)]
        [0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
        """
        if step >= round(self.steps * (1 - self.finetune)):
            return 0.0
        first, rising = round(self.steps * self.begin), round(self.steps * self.rise)
        return min(1.0, max(0.0, (step - first + 1) / max(rising, 1)))
