"""Build sdist -> wheel and fail unless the wheel holds exactly the tree's own files."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = {"bench": "bench", "codecs": "codecs", "trainers": "trainers", "src/slashbench": ""}
SUFFIXES = {".css", ".j2", ".js", ".py", ".toml", ".typed"}


def tree() -> set[str]:
    """Files git knows below the four rooms, as they should stand in the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *ROOMS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    files = set()
    for path in listed:
        room = next(room for room in ROOMS if path.startswith(f"{room}/"))
        if Path(path).suffix in SUFFIXES or path.endswith("py.typed"):
            inside = Path("slashbench") / ROOMS[room] / Path(path).relative_to(room)
            files.add(inside.as_posix())
    return files


def main(folder: Path) -> None:
    """Build into `folder` and compare."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    missing, extra = tree() - packed, packed - tree()
    if missing or extra:
        sys.exit(f"the wheel lacks {sorted(missing)} and has too much {sorted(extra)}")
    print(f"{wheel.name}: {len(packed)} files, as in the tree")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
