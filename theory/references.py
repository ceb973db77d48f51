"""The bibliography: refs.bib, entry by entry."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_HEAD = re.compile(r"@\s*(\w+)\s*\{\s*([^\s,{}]+)\s*,")


def references(text: str | None = None, name: str = "refs.bib") -> dict[str, str]:
    """BibTeX entries of refs.bib (or of a text of this name) by key, each from its @ to the brace that closes it.

    >>> references("@book{a-1, title = {An {A}}}  @comment{x}  @misc{b,\\n year = 2026 }")["a-1"]
    '@book{a-1, title = {An {A}}}'

    Raises ValueError naming a key that comes twice or whose braces never close.
    """
    text = (Path(__file__).parent / "refs.bib").read_text(encoding="utf-8") if text is None else text
    found: dict[str, str] = {}
    at = 0
    while head := _HEAD.search(text, at):
        at, key = _end(text, head.start(), head[2], name), head[2]
        if head[1].lower() in ("comment", "string", "preamble"):
            continue
        if key in found:
            raise ValueError(f"{name} has the key {key!r} twice.")
        found[key] = text[head.start() : at]
    return found


def carried(things: Iterable) -> dict[str, str]:
    """The entries that things bring along in their `bib` (claims, figures), by key. ValueError where two differ."""
    found: dict[str, str] = {}
    for thing in things:
        for key, entry in references(thing.bib, f"the bib of {thing.id}").items() if thing.bib else ():
            if found.setdefault(key, entry).split() != entry.split():
                raise ValueError(f"the bib of {thing.id} has another entry {key!r} than one before it.")
    return found


def _end(text: str, start: int, key: str, name: str) -> int:
    depth = 0
    for at in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    raise ValueError(f"{name}: the braces of the entry {key!r} never close.")
