"""Where the paper disagrees with itself or leaves open what matters, and what was done about it."""

from __future__ import annotations

from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import Table
from slashbench.bench.reproduce.backslash import paper
from slashbench.bench.reproduce.study import Rows, percent


def section() -> Section:
    """Return a table with a row for each point."""
    top = paper.ACCURACIES[0][0]
    plain, bert = paper.ARCHITECTURES["BERT 110M"]
    _, gemma = paper.ARCHITECTURES["Gemma-2 2B"]
    rows: Rows = [
        (
            "loss at λ = 1000",
            f"text: {paper.LOSS_IN_TEXT:.2f} points",
            f"Fig. 5, Table 4: {top - paper.ACCURACIES[1000][0]:.2f}",
            "Fig. 5 is held against the larger",
        ),
        (
            "loss at λ = 2000",
            f"text: {paper.LOSS_IN_TEXT_AT_2000:.2f} points",
            f"Table 6, DGGR, whose λ is not stated: {top - paper.NORMS['DGGR'][1].accuracy:.2f}",
            "Table 6 is compared at equal λ",
        ),
        (
            "saving of FL",
            f"text: more than {percent(paper.SAVING_IN_TEXT)} on all models",
            f"Table 4: BERT by EG {percent(1 - bert.exp_golomb / bert.fixed)}, Gemma-2 by HM "
            f"{percent(1 - gemma.huffman / gemma.fixed)}",
            "the abstract's 60 % is the claim tested",
        ),
        (
            "what is saved",
            "of a fixed-length code of weights rounded already, 10 to 11 bits",
            f"of 16-bit floats plain EG saves {percent(1 - plain.exp_golomb / 16)} by itself",
            "savings of the plain model, coded alike, stand beside",
        ),
        (
            "the plain model's code",
            f"EG with k = 0: {plain.exp_golomb:.2f} bits for BERT",
            f"with its best k about {min(paper.PLAIN_BERT_ORDERS):.2f} (calculated)",
            "each side gets its best k as well",
        ),
        (
            "where the term acts",
            "Algorithm 1: in the gradient, times the learning rate",
            "the authors' code (of a later paper): after the step, not times it",
            "both are run: the first unless `decoupled` is said",
        ),
        (
            "ε",
            "a constant > 0, not stated",
            "the authors' code: 1",
            "1; for Table 6 also 0.001",
        ),
        (
            "λ",
            "stated for BERT on IMDB alone",
            "the same λ is nothing alike for 110M and 7B weights: the term is divided by Np",
            "λ / Np stands beside λ",
        ),
        (
            "next-token accuracy",
            "99.95 % and more on SQuAD and WMT-19",
            "out of reach of a language model, unless padding counts",
            "not compared",
        ),
        (
            "Fig. 6, axis",
            '"Square of Frequency"',
            "the shapes are those of a square root",
            "ours is a square root",
        ),
    ]
    return Section(
        "inconsistencies",
        "Where the paper disagrees with itself",
        "Or leaves open what matters.",
        [
            Table(
                title="Points to know",
                about="",
                columns=("about", "one place", "another, or what is open", "here"),
                rows=rows,
            )
        ],
    )
