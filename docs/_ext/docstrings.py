"""Docstrings of this package as reStructuredText: what is written as prose stays prose, formulas stay as they were
typed.

Blocks are separated by empty lines. A block that starts with >>> is an example; lines indented more than their block
are a formula or a table, kept as they are; lines that begin with "* " are a list; lines that begin with a name and a
colon are a list of arguments. Everything else is text, in which nothing but `names in backquotes` has a meaning.
"""

from __future__ import annotations

import re
from itertools import groupby

_NAME = r"\**[A-Za-z_]\w*"
_LABEL = re.compile(
    rf"(?!Sources?:)({_NAME}(?:(?:, | and | / ){_NAME})*(?: \([^()]*\))?|(?:Returns|Yields) [^:]{{1,60}}): (?=\S)"
)
_CODE = re.compile(r"(`+)([^`\n]+)\1")
_MARKER = re.compile(r"\(?(\w{1,3}|#)[.)](\s|$)|[-+*•|]|\.\.|__|[=~^#]")
"""Beginnings that would be a list, a table, a comment or the line under a title."""


def rst(docstring: str) -> list[str]:
    """The lines of the docstring (as `inspect.getdoc` gives it) as reStructuredText."""
    found: list[str] = []
    for block in filter(str.strip, re.split(r"\n[ \t]*\n", docstring.strip("\n"))):
        found += [*_block(block.rstrip().splitlines()), ""]
    return found


def _block(lines: list[str]) -> list[str]:
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    first = lines[0].lstrip()
    if first.startswith(">>>"):
        return [line[margin:] for line in lines]
    if margin:
        return _literal([line[margin:] for line in lines])
    if first.startswith("* "):
        return _bullets(lines)
    found: list[str] = []
    for deeper, group in groupby(lines, key=lambda line: line.startswith("  ")):
        words = list(group)
        if deeper and found and found[-1].startswith("* ") and not found[-1].endswith(":"):
            found[-1] += " " + escaped(" ".join(line.strip() for line in words))
        else:
            found += ["", *_literal(words), ""] if deeper else _text(words)
    return found


def _literal(lines: list[str]) -> list[str]:
    least = min(len(line) - len(line.lstrip()) for line in lines)
    return [".. code-block:: text", "", *(f"    {line[least:]}" for line in lines)]


def _bullets(lines: list[str]) -> list[str]:
    """A list; what follows an item with deeper indentation belongs to it."""
    items: list[list[str]] = []
    for line in lines:
        if line.startswith("* ") or not items:
            items.append([line.removeprefix("* ")])
        else:
            items[-1].append(line.strip())
    return [f"* {guarded(escaped(' '.join(item)))}" for item in items]


def _text(lines: list[str]) -> list[str]:
    """Paragraphs and arguments: a line that starts with `name: ` begins an argument when what stands before it has
    ended."""
    parts: list[str] = []
    for line in lines:
        if parts and not (parts[-1][-1] in ".:;)]" and _LABEL.match(line)):
            parts[-1] += " " + line.strip()
        else:
            parts.append(line.rstrip())
    found = []
    for words in parts:
        label = _LABEL.match(words)
        found += (
            [f"* **{_plain(label[1])}**: {escaped(words[label.end() :])}"]
            if label
            else ["", guarded(escaped(words)), ""]
        )
    return found


def escaped(words: str) -> str:
    """Words in which only backquotes mean something: literal text between them."""
    found, at = [], 0
    for quoted in _CODE.finditer(words):
        found += [
            _plain(words[at : quoted.start()]),
            rf"\ ``{quoted[2]}``\ " if quoted[2].strip() == quoted[2] else _plain(quoted[0]),
        ]
        at = quoted.end()
    return "".join([*found, _plain(words[at:])])


def _plain(words: str) -> str:
    return re.sub(r"([\\*`|_<>\[\]:])", r"\\\1", words)


def guarded(text: str) -> str:
    """The text with its beginning made harmless."""
    return "\\" + text if _MARKER.match(text) else text
