"""The BackSlash paper as the report is handed it: its studies, in the order of the paper."""

from __future__ import annotations

from slashbench.bench.reproduce.backslash import (
    accuracy,
    architectures_and_tasks,
    code_length,
    distributions,
    inconsistencies,
    norms,
    rounding_and_pruning,
    training_curves,
    training_data,
)
from slashbench.bench.reproduce.study import Paper

BACKSLASH = Paper(
    title="BackSlash, reproduced",
    about=(
        "Every figure and table of Wu, Wen & Han, BackSlash: Rate Constrained Optimized Training "
        "of Large Language Models (ICML 2025, arXiv 2504.16968), run on small models. The paper's "
        "numbers stand beside ours; its absolute numbers need its models, its claims do not."
    ),
    openings=(inconsistencies.section,),
    studies=(
        distributions.fits,
        training_curves.cost,
        training_curves.shape,
        code_length.by_coder,
        accuracy.by_lambda,
        distributions.histograms,
        rounding_and_pruning.rounding,
        rounding_and_pruning.pruning,
        code_length.by_order,
        architectures_and_tasks.architectures,
        architectures_and_tasks.tasks,
        norms.norms,
    ),
    afterwards=training_data.evaluate,
)
