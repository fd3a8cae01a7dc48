"""BackSlash in a Hugging Face Trainer: `Trainer(callbacks=[BackSlashCallback(lam=1000)], ...)`."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from slashbench.trainers.regimes.backslash import BackSlash


class BackSlashCallback(TrainerCallback):
    """Constrains the rate of the model a Trainer trains, and logs shape, rate and share of zeros.

    settings: those of `slashbench.BackSlash`: lam, update, eps, scope, shapes, every, strength.
    """

    def __init__(self, lam: float, **settings: Any) -> None:
        self.lam, self.settings = lam, settings
        self.backslash: BackSlash | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Bind BackSlash to the model; a resumed run continues at its step."""
        model: nn.Module = kwargs["model"]
        self.backslash = BackSlash(model, self.lam, **self.settings)
        self.backslash.steps = state.global_step

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """After the clipping of gradients."""
        assert self.backslash is not None
        self.backslash.before_step()

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Right after the optimiser's step."""
        assert self.backslash is not None
        self.backslash.after_step()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Add BackSlash's figures to the state's history and to the log of later callbacks."""
        if self.backslash is None:
            return
        seen = {f"backslash_{key}": value for key, value in self.backslash.log().items()}
        kwargs.get("logs", {}).update(seen)
        if state.log_history:
            state.log_history[-1].update(seen)
