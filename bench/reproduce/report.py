"""The report: what the paper claims, what was found, and each figure and table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from slashbench.bench.report import tables
from slashbench.bench.report.output import markdown
from slashbench.bench.report.sections import Figure, Section
from slashbench.bench.report.statistics import LEVEL
from slashbench.bench.report.tables import NOTHING, Table
from slashbench.bench.reproduce.claims import Claim, Verdict
from slashbench.bench.reproduce.evidence import Evidence
from slashbench.bench.reproduce.study import Paper, Rows, Study, percent
from slashbench.bench.store.store import Store

_CLIP = re.compile(r"\bclip(\d+)\b")


@dataclass(frozen=True, slots=True)
class Findings:
    """What the records say, study by study."""

    paper: Paper
    evidence: Evidence
    studies: Sequence[Study]

    @property
    def claims(self) -> list[Claim]:
        """Every claim of the paper, with its checks."""
        return [claim for study in self.studies for claim in study.claims]


def findings(paper: Paper, store: Store) -> Findings:
    """Return every study of a paper over the records of a store, complete or not."""
    evidence = Evidence(store)
    return Findings(paper, evidence, [study(evidence) for study in paper.studies])


def sections(found: Findings) -> list[Section]:
    """Return the sections of the whole report."""
    return [
        _verdicts(found.claims),
        *(opening() for opening in found.paper.openings),
        *map(_section, found.studies),
        _coverage(found.evidence),
        _origin(found.evidence),
    ]


def to_markdown(paper: Paper, parts: Sequence[Section]) -> str:
    """Return the report of `sections` as Markdown; figures are pictures beside the file."""
    return markdown.document(paper.title, [Section("paper", "The paper", paper.about), *parts])


def pictures(parts: Sequence[Section]) -> dict[str, str]:
    """Return the SVG of every figure by name, dark on white."""
    import vl_convert

    drawn = {
        f"{part.name}.svg": vl_convert.vegalite_to_svg({**part.spec, "background": "white"})
        for section in parts
        for part in section.parts
        if isinstance(part, Figure)
    }
    # Clip paths are numbered through a process: number them through the report instead.
    first = min((int(n) for svg in drawn.values() for n in _CLIP.findall(svg)), default=0)
    return {
        name: _CLIP.sub(lambda found: f"clip{int(found[1]) - first + 1}", svg)
        for name, svg in drawn.items()
    }


def write(found: Findings, store: Store) -> list[str]:
    """Write report.md, report.html and the figures as SVG beside the records.

    Return where they are. Raises StoreUnusable.
    """
    from slashbench.bench.report.output import html

    html.prepare()
    parts = sections(found)
    files = {"report.md": to_markdown(found.paper, parts), **pictures(parts)}
    files["report.html"] = html.page(found.paper.title, found.paper.about, parts)
    for name, text in files.items():
        store.files.write(name, text.encode())
    return [f"{store.files.where}/{name}" for name in files]


def _verdict_table(judged: Sequence[Claim]) -> Table:
    """Return a table with a row for each claim."""
    counts = Counter(claim.verdict for claim in judged)
    return Table(
        title="Verdicts",
        about=", ".join(f"{counts[v]} {v.value}" for v in Verdict if counts[v]),
        columns=("source", "claim", "verdict", "checks", "criterion"),
        rows=[
            (claim.source, claim.text, claim.verdict.value, claim.because, claim.criterion)
            for claim in judged
        ],
    )


def _verdicts(judged: Sequence[Claim]) -> Section:
    return Section(
        "verdicts",
        "What the paper claims, and what was found",
        f"Each verdict is computed. A check is met when the interval of {percent(LEVEL)} "
        "over seeds (Student's, paired by seed) lies where the claim wants it, missed when it lies "
        "outside, and undecided in between; one seed alone has no interval, is shown and does not "
        "count. A claim holds when all its checks are met, holds partly when some are, does not "
        "hold here when some are missed and none is met, and can't be tested here when none is "
        "decided. Each interval stands for itself: of a hundred, five err.",
        [_verdict_table(judged)],
    )


def _section(study: Study) -> Section:
    return Section(
        study.name,
        study.title,
        study.about,
        [*study.parts, *(_checks(study) if any(c.checks for c in study.claims) else ())],
    )


def _checks(study: Study) -> list[Table]:
    rows: Rows = []
    for claim in study.claims:
        for check in claim.checks:
            found = check.estimate
            if found is None:
                value = NOTHING
            elif not found.half_width:
                value = f"{found.mean:.3g}"
            else:
                value = f"{found.mean:.3g} ± {found.half_width:.2g}"
            rows.append((claim.text, check.what, value, check.wanted, check.outcome.value))
    return [
        Table(
            title=f"Checks of {study.title.partition(':')[0]}",
            about=" · ".join(f"{claim.verdict.value}: {claim.text}" for claim in study.claims),
            columns=("claim", "quantity", "found", "wanted", "outcome"),
            rows=rows,
        )
    ]


def _coverage(evidence: Evidence) -> Section:
    rows: Rows = []
    for model in sorted({cell.model for cell in evidence.cells}):
        cells = [cell for cell in evidence.cells if cell.model == model]
        good = sum(cell.status == "ok" for cell in cells)
        seeds = sorted({cell.seed for cell in cells})
        regimes = len({cell.regime for cell in cells})
        rows.append((model, f"{len(cells)}", f"{good}", f"{regimes}", ", ".join(map(str, seeds))))
    failed = Counter(
        f"{cell.model}, {cell.recipe}: {cell.reason}"
        for cell in evidence.cells
        if cell.status == "failed"
    )
    return Section(
        "coverage",
        "Coverage",
        "What has no record is missing from the tables above and never made up.",
        [
            Table(
                title="Cells",
                about="",
                columns=("model", "cells", "good", "trainings a seed", "seeds"),
                rows=rows,
            ),
            *(f"{what} ({count} cells)" for what, count in sorted(failed.items())),
        ],
    )


def _origin(evidence: Evidence) -> Section:
    lines = tables.provenance([cell.provenance for cell in evidence.cells])
    return Section("origin", "Where the numbers come from", "", lines)
