"""Optimal brain surgeon, column by column: change a weight, make up for it with those to its right.

A layer's output error for a change D of its weight matrix is tr(D H D^T), H the second moment of
its inputs. With U the upper Cholesky factor of H^-1, the best answer of the columns right of j to
an error e in column j is -e U[j, j+1:] / U[j, j] (Frantar & Alistarh, SparseGPT, arXiv 2301.00774,
section 3.2; Frantar et al., GPTQ, arXiv 2210.17323, section 3.3 and Algorithm 1), and the error
that is left is (e / U[j, j])^2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from slashbench.errors import UsageError
from slashbench.trainers.training.loop import threads

BLOCK = 128  # columns whose effect on those further right is applied together (GPTQ, step 2)

#: (index of a column, its weights as they stand) -> what they become.
Rule = Callable[[int, torch.Tensor], torch.Tensor]

#: (first column, weights of a block as they stand: (columns, rows)) -> the rule for its columns.
RuleOfBlock = Callable[[int, torch.Tensor], Rule]


#: A column is too little work to share out: with threads that wait for each other a sweep takes
#: many times as long, and its sums would depend on their number.
one_thread = threads(1)


@one_thread
def inverse_factor(moment: torch.Tensor, damp: float) -> torch.Tensor:
    """U, upper triangular, with U^T U = (moment + damp mean(diag) I)^-1; float64, (n, n).

    An input that is always zero gets a curvature of its own, so that it is no obstacle.
    Raises UsageError where the damped matrix is not positive definite.
    """
    damped = moment.double().clone()
    diagonal = damped.diagonal()  # a view
    diagonal[diagonal == 0] = float(diagonal.mean()) or 1.0
    diagonal += damp * diagonal.mean()
    lower, failed = torch.linalg.cholesky_ex(damped)
    if not failed:
        inverse = torch.cholesky_inverse(lower)
        upper, failed = torch.linalg.cholesky_ex(inverse, upper=True)
    if failed or not torch.isfinite(upper).all():
        raise UsageError(
            f"the second moment of a layer's inputs is singular at damp={damp:g}: "
            "raise damp or the number of batches"
        )
    result: torch.Tensor = upper
    return result


@one_thread
def sweep(weight: torch.Tensor, factor: torch.Tensor, rule_of_block: RuleOfBlock) -> torch.Tensor:
    """Apply a rule to every column from left to right, errors made up for on the right.

    weight: (rows, columns). factor: `inverse_factor` of the layer. Returns float64, as `weight`.
    """
    work = weight.double().T.contiguous()  # (columns, rows): a column is contiguous
    for start in range(0, len(work), BLOCK):
        block = work[start : start + BLOCK]
        stop = start + len(block)
        rule = rule_of_block(start, block)
        errors = torch.zeros_like(block)
        for i, column in enumerate(block):
            ratios = factor[start + i, start + i : stop]
            new = rule(start + i, column)
            errors[i] = (column - new) / ratios[0]
            block[i + 1 :].addr_(ratios[1:], errors[i], alpha=-1.0)
            block[i] = new
        work[stop:].addmm_(factor[start:stop, stop:].T, errors, alpha=-1.0)
    return work.T
