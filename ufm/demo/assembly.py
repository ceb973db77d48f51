"""The teaching page put together: one html file with its styles, scripts and the package's colours inside."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ufm.numerics.files import write_atomically

SCRIPTS = ("physics.js", "draw.js", "tour.js", "page.js")


def source(name: str) -> str:
    """The text of one of the page's parts."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def page(server: bool = False) -> str:
    """The whole page as html. server: True when `ufm demo` serves it, so that the solver can be asked."""
    from ufm.plot.style import colours

    scripts = "\n".join(source(name) for name in SCRIPTS)
    parts = {
        "STYLE": source("style.css"),
        "COLOURS": json.dumps(colours()),
        "SERVER": json.dumps(server),
        "SCRIPTS": scripts,
    }
    return re.sub(r"/\*\{(\w+)\}\*/", lambda mark: parts[mark[1]], source("page.html"))


def export(path) -> None:
    """Write the page to one file that works from disk without network, atomically.

    Raises ValueError naming the path when its folder does not exist.
    """
    text = page()
    write_atomically(path, lambda stream: stream.write(text.encode("utf-8")))
