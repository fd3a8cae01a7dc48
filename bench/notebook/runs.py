"""`slashbench.run` and `slashbench.results`: what `bench run` and `bench report` do, as tables."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from slashbench.bench.commands.console import console
from slashbench.bench.commands.progress import Display
from slashbench.bench.engines import session
from slashbench.bench.engines.placement import PlacementRequest
from slashbench.bench.pipeline.record_cache import OnExisting
from slashbench.bench.plan import matrix
from slashbench.bench.report.data import export_rows
from slashbench.bench.report.data.results import load
from slashbench.bench.report.data.rows import Row
from slashbench.bench.store.store import Store
from slashbench.contracts import DEFAULT_EXECUTION, Execution
from slashbench.errors import VerificationMismatch

if TYPE_CHECKING:
    import pandas
    import pyarrow

    Table: TypeAlias = pandas.DataFrame | pyarrow.Table

LOCAL = "results/local"


def run(
    *,
    suite: str = "core",
    models: str | Iterable[str] | None = None,
    recipes: str | Iterable[str] | None = None,
    codecs: str | Iterable[str] | None = None,
    seeds: str | int | Iterable[int] | None = None,
    out: str | Path = LOCAL,
    on_existing: OnExisting = "missing",
    jobs: int | None = 0,
    scheduler: str | None = None,
    timeout_s: float | None = None,
    retries: int = 2,
    execution: Execution = DEFAULT_EXECUTION,
    evaluation: str | None = None,
    calibration: str | None = None,
    progress: bool = True,
) -> Table:
    """Train, compress, decode, evaluate and time what is missing, as `bench run` does.

    Parameters
    ----------
    suite
        Named matrix that says what the next four are where they are None.
    models, recipes, codecs, seeds
        Lists, or selectors as on the command line, such as `"backslash:lam=10..1000"`.
    out
        Results folder, or a URL that fsspec opens.
    on_existing
        Run what has no record ("missing"), what failed as well ("failed"), or all ("always").
    jobs
        Processes of this machine; 0: this process; None: what the machine has room for. With
        processes, a script needs `if __name__ == "__main__":`, as multiprocessing asks for.
    scheduler
        Address of a Dask scheduler, in place of `jobs`.
    timeout_s
        Seconds after which a training, or the coding or timing of a cell, counts as failed.
    retries
        How often work is tried again whose process died.
    execution
        Device, precision and processes of trainings.
    evaluation, calibration
        Of checkpoints of your own, as `--eval` and `--calibration` have them.
    progress
        Show on standard error how the run goes, and which cells can't be run here.

    Returns
    -------
    pandas.DataFrame or pyarrow.Table
        The cells that were asked for, as `results` returns them. A cell that failed is a row with
        a reason.

    Raises
    ------
    UsageError
        A name or a setting is unknown. Nothing was run.
    VerificationMismatch
        A file decodes to other weights than those that were encoded.

    Examples
    --------
    >>> import slashbench
    >>> cells = slashbench.run(models="digits-mlp", codecs=["huffman", "rans"], seeds=[0, 1])
    ... # doctest: +SKIP
    """
    request = matrix.Request(
        suite,
        _list(models),
        _list(recipes),
        _list(codecs),
        _list(seeds),
        execution,
        evaluation,
        calibration,
    )
    plan = matrix.plan(request)
    store = Store(out)
    shown = console(stderr=True)
    shown.quiet = not progress
    display = Display(shown)
    wish = PlacementRequest(None if scheduler else jobs, scheduler, timeout_s, retries)
    for what, why in plan.left_out.items():
        shown.print(f"left out: {what}: {why}", style="yellow")
    with session.opened(wish, store, on_existing, display) as work:
        missing = [cell for cell in plan.cells if work.stages.cached_cell(cell) is None]
        with display.over(missing), work.engaged(missing) as driver:
            driver.run(missing)
    for what, why in work.refused.items():
        shown.print(f"not run: {what}: {why}", style="red")
    if work.mismatches:
        raise VerificationMismatch(
            f"{len(work.mismatches)} cells decode to other weights: {', '.join(work.mismatches)}"
        )
    wanted = set(map(str, plan.cells))
    return _table(row for row in load(store).rows if _cell(row) in wanted)


def results(folder: str | Path = LOCAL) -> Table:
    """Return the records of a results folder, one row a cell.

    Parameters
    ----------
    folder
        Results folder, or a URL that fsspec opens; complete or not.

    Returns
    -------
    pandas.DataFrame or pyarrow.Table
        The columns of `bench report --csv`; null where nothing was measured. A DataFrame if pandas
        is installed.

    Examples
    --------
    >>> import slashbench
    >>> slashbench.results("no-such-folder").shape[0]
    0
    """
    return _table(load(Store(folder)).rows)


def _table(rows: Iterable[Row]) -> Table:
    table = export_rows.to_arrow(rows)
    return table.to_pandas() if importlib.util.find_spec("pandas") else table


def _cell(row: Row) -> str:
    """Return a row's cell, spelled as `Cell` is."""
    return f"{row.model} · {row.recipe} · {row.codec} · seed {row.seed}"


def _list(given: str | int | Iterable[object] | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    return str(given) if isinstance(given, int) else ",".join(map(str, given))
