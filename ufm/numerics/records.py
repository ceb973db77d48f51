"""Records: values as JSON can say them, what they are known by, and tables as CSV. Needs no numpy."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from typing import Any


def plain(value) -> Any:
    """The value as JSON can say it: text keys, lists, plain numbers; NaN and infinities become None.

    >>> plain({1: (2, float("nan"))})
    {'1': [2, None]}
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def own(record, *names: str) -> None:
    """Give a frozen record its own copies of these fields: of arrays, also inside lists, tuples and dicts."""
    for name in names:
        object.__setattr__(record, name, _copied(getattr(record, name)))


def _copied(value):
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    return value.copy() if hasattr(value, "__array__") else value


def picked(record, names: str) -> dict:
    """{name: attribute} of a record, the names written as one text.

    >>> picked(3 + 4j, "real imag")
    {'real': 3.0, 'imag': 4.0}
    """
    return {name: getattr(record, name) for name in names.split()}


def fingerprint(value) -> str:
    """SHA-256, in hexadecimal, of the value written as JSON with sorted keys.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def columns(rows: list[dict]) -> list[str]:
    """The names in the rows, in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_text(rows: list[dict]) -> str:
    """CSV text of rows, one header line; empty where a row lacks a column.

    >>> print(csv_text([{"K": 3}, {"K": 4, "F": 0.5}]), end="")
    K,F
    3,
    4,0.5
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
