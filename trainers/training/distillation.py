"""Distillation: a part of the loss is the divergence from a teacher's answers.

loss = (1 - distil) cross-entropy + distil KL(teacher || student), both a mean over answers, at
temperature 1 (Hinton, Vinyals & Dean, arXiv 1503.02531, section 2). The teacher is frozen float
weights of the same model, so that what training-time compression took away is what is taught.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from slashbench.contracts import Model, TrainingHook

_OWN = "teacher."


class Distilling(TrainingHook):
    """Teach a module beside what another hook does.

    Parameters
    ----------
    hook : TrainingHook
        What the regime adds.
    model : Model
        Whose answers are compared.
    module : nn.Module
        The student.
    share : float
        Of the divergence in the loss.
    teacher : nn.Module, optional
        Else the student's own weights become the teacher's at step `begin`, before they are
        rounded; the loss is the plain one until then.
    begin : int
        See there.
    """

    def __init__(
        self,
        hook: TrainingHook,
        model: Model,
        module: nn.Module,
        share: float,
        teacher: nn.Module | None,
        begin: int = 0,
    ) -> None:
        self.hook, self.model, self.module = hook, model, module
        self.share, self.begin = share, begin
        self.teacher = teacher
        self._owned = teacher is None
        self.steps = 0  # done
        self._divergence = float("nan")

    def loss(self, student: nn.Module, batch: Any) -> torch.Tensor:
        """Return the loss of one batch in nats. student: the module, or what calls it."""
        if self.teacher is None:
            return self.model.loss(student, batch)
        answered = self.model.predict(student, batch)
        with torch.no_grad():
            wanted = self.model.predict(self.teacher, batch).logits.float()
        logs = functional.log_softmax(answered.logits.float(), -1)
        hard = functional.nll_loss(logs, answered.targets)
        taught = functional.log_softmax(wanted, -1)
        soft = functional.kl_div(logs, taught, reduction="batchmean", log_target=True)
        self._divergence = soft.item()
        return (1.0 - self.share) * hard + self.share * soft

    def before_forward(self) -> None:
        """Take the teacher if it is time; pass on."""
        if self.teacher is None and self.steps >= self.begin:
            self.teacher = frozen_copy(self.module)
        self.hook.before_forward()

    def before_step(self) -> None:
        """Pass on."""
        self.hook.before_step()

    def after_step(self) -> None:
        """Pass on; count the training step."""
        self.hook.after_step()
        self.steps += 1

    def finish(self) -> None:
        """Pass on."""
        self.hook.finish()

    def log(self) -> dict[str, float]:
        """Return what the hook logs, and `divergence` from the teacher in nats, where there is one.

        It is that of the last batch.
        """
        seen = {} if self.teacher is None else {"divergence": self._divergence}
        return {**self.hook.log(), **seen}

    def state(self) -> dict[str, torch.Tensor]:
        """Return the hook's state and, where the teacher is the student's own past, its weights."""
        own = self.teacher.state_dict() if self._owned and self.teacher is not None else {}
        kept = {f"{_OWN}{name}": tensor.clone() for name, tensor in own.items()}
        return {**self.hook.state(), "distilled": torch.tensor(self.steps), **kept}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with the same teacher."""
        own = {k.removeprefix(_OWN): v for k, v in state.items() if k.startswith(_OWN)}
        if own:
            self.teacher = frozen_copy(self.module)
            self.teacher.load_state_dict(own)
        self.steps = int(state["distilled"])
        self.hook.load_state(
            {k: v for k, v in state.items() if not k.startswith(_OWN) and k != "distilled"}
        )


def frozen_copy(module: nn.Module) -> nn.Module:
    """Return the module as it is now, in evaluation mode, out of reach of training."""
    return copy.deepcopy(module).requires_grad_(False).eval()
