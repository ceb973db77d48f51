"""The files of a sweep's shards."""

from __future__ import annotations

from pathlib import Path

from ufm.numerics.arguments import integer


def shard_of(text: str) -> tuple[int, int]:
    """(i, n) of `i/n`, 1 <= i <= n.

    >>> shard_of("2/8")
    (2, 8)
    """
    parts = str(text).split("/")
    if len(parts) != 2 or not all(p.strip().isdecimal() and len(p) < 10 for p in parts):
        raise ValueError(f"shard must be i/n with 1 <= i <= n, for example 2/8; got shard={text!r}.")
    i, n = int(parts[0]), integer("n of shard i/n", int(parts[1]), 1)
    if not 1 <= i <= n:
        raise ValueError(f"shard must be i/n with 1 <= i <= n; got shard={text!r}.")
    return i, n


def shard_path(path, shard: tuple[int, int]) -> Path:
    """`runs.jsonl` -> `runs.2of8.jsonl`; one shard of one keeps the name."""
    path, (i, n) = Path(path), shard
    return path if n == 1 else path.with_name(f"{path.stem}.{i}of{n}{path.suffix}")
