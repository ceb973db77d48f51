"""The bibliography: refs.bib, entry by entry."""

from __future__ import annotations

import re
from pathlib import Path

_HEAD = re.compile(r"@\s*(\w+)\s*\{\s*([^\s,{}]+)\s*,")


def references(text: str | None = None) -> dict[str, str]:
    """BibTeX entries of refs.bib (or of a text) by key, each from its @ to the brace that closes it.

    >>> references("@book{a-1, title = {An {A}}}  @comment{x}  @misc{b,\\n year = 2026 }")["a-1"]
    '@book{a-1, title = {An {A}}}'

    Raises ValueError naming a key that comes twice or whose braces never close.
    """
    text = (Path(__file__).parent / "refs.bib").read_text(encoding="utf-8") if text is None else text
    found: dict[str, str] = {}
    at = 0
    while head := _HEAD.search(text, at):
        at, key = _end(text, head.start(), head[2]), head[2]
        if head[1].lower() in ("comment", "string", "preamble"):
            continue
        if key in found:
            raise ValueError(f"refs.bib has the key {key!r} twice.")
        found[key] = text[head.start() : at]
    return found


def _end(text: str, start: int, key: str) -> int:
    depth = 0
    for at in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    raise ValueError(f"refs.bib: the braces of the entry {key!r} never close.")
