"""Build the documentation: `python docs/build.py [FOLDER]`, by default to build/docs. Needs the extra [docs] and no
network.

Warnings are errors. Afterwards every link inside the site is followed, and no page may ask another machine for
anything. Exit codes: 0 built and good, 1 not.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_ext"))


def build(folder: str | Path) -> list[str]:
    """Build the site in folder/html from scratch; what is wrong with it, in words. Pictures of unchanged gallery
    scripts are kept."""
    from site_check import problems
    from sphinx.cmd.build import main

    folder = Path(folder).resolve()
    settings = ["-b", "html", "-E", "-W", "--keep-going", "-q", "--no-color", "-d", str(folder / "doctrees")]
    code = main([*settings, str(DOCS), str(folder / "html")])
    return (["sphinx: see the warnings above"] if code else []) + problems(folder / "html")


def run(arguments: list[str]) -> int:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    folder, began = Path(arguments[0] if arguments else DOCS.parent / "build" / "docs"), time.perf_counter()
    found = build(folder)
    print(
        *found,
        f"{folder / 'html' / 'index.html'}: {time.perf_counter() - began:.0f} s, {len(found)} problems",
        sep="\n",
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
