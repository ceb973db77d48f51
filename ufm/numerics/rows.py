"""Rows on disk: JSON lines, one writer, torn tails cut off, nothing lost and nothing twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ufm.numerics.records import plain


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
            self._file = open(self.path, "a+b")  # noqa: SIM115 (kept open until the run ends)
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
            raise ValueError(f"store {str(path)!r}: line {number} is not a row of a store.") from None
    return list(found.values())


def _lock(file, path) -> None:
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ValueError(f"out {str(path)!r} is being written by another process.") from None
