"""Rows on disk: JSON lines, one writer, torn tails cut off, nothing lost and nothing twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ufm.numerics.arguments import integer


class Store:
    """An append-only file of JSON lines keyed by `key`. One process at a time may write.

    Opening cuts off a last line that a killed process left unfinished. Each row is on disk before the next is asked for.
    Raises ValueError for a folder that does not exist, another writer, and lines that are not rows.
    """

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise ValueError(f"out must lie in an existing folder; got {str(path)!r}.")
        try:
            self._file = open(self.path, "a+b")  # noqa: SIM115 (kept open for the sweep)
        except OSError as error:
            raise ValueError(f"out cannot be written: {error}") from None
        try:
            _lock(self._file, self.path)
            self._cut_torn_tail()
            self.rows = {row["key"]: row for row in read(self.path)}
        except BaseException:
            self._file.close()
            raise

    def _cut_torn_tail(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        if data and not data.endswith(b"\n"):
            self._file.truncate(data.rfind(b"\n") + 1)

    def add(self, row: dict) -> None:
        """Write one row; it survives the process's death from here on."""
        self._file.write(line(row))
        self._file.flush()
        self.rows[row["key"]] = row

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def line(row: dict) -> bytes:
    """The one way a row is written; numbers that JSON lacks become null."""
    from ufm.numerics.files import plain

    return json.dumps(plain(row), sort_keys=True, allow_nan=False).encode() + b"\n"


def read(path) -> list[dict]:
    """The rows of a store, the first of equal keys; an unfinished last line is left out. ValueError naming a line that is not one."""
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise ValueError(f"store {str(path)!r} cannot be read: {error}") from None
    found: dict[str, dict] = {}
    for number, text in enumerate(lines[:-1], 1):
        try:
            row = json.loads(text)
            found.setdefault(row["key"], row)
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"store {str(path)!r}: line {number} is not a row of a sweep.") from None
    return list(found.values())


def shard_of(text: str) -> tuple[int, int]:
    """(i, n) of `i/n`, 1 <= i <= n.

    >>> shard_of("2/8")
    (2, 8)
    """
    parts = str(text).split("/")
    if len(parts) != 2 or not all(p.strip().isdigit() for p in parts):
        raise ValueError(f"shard must be i/n with 1 <= i <= n, for example 2/8; got shard={text!r}.")
    i, n = int(parts[0]), integer("n of shard i/n", int(parts[1]), 1)
    if not 1 <= i <= n:
        raise ValueError(f"shard must be i/n with 1 <= i <= n; got shard={text!r}.")
    return i, n


def shard_path(path, shard: tuple[int, int]) -> Path:
    """`runs.jsonl` -> `runs.2of8.jsonl`; one shard of one keeps the name."""
    path, (i, n) = Path(path), shard
    return path if n == 1 else path.with_name(f"{path.stem}.{i}of{n}{path.suffix}")


def _lock(file, path) -> None:
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ValueError(f"out {str(path)!r} is being written by another process.") from None
