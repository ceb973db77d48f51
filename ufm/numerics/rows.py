"""Rows on disk: JSON lines of one kind and one version, one writer, torn tails cut off, nothing lost and nothing twice.

The first line is the head, {"ufm": kind, "version": of the package}; every other line is an object with a `key`.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path

from ufm import __version__
from ufm.numerics.locks import locked
from ufm.numerics.records import plain


class Store:
    """An append-only file of rows by their `key`. One process at a time may write.

    path: a file that does not exist or is empty, or a store of this kind and version; anything else is refused and
    stays as it is. Opening cuts off a last line that a killed process left unfinished. Each row is on disk before the
    next is asked for. `restored` says that the file was deleted meanwhile and written again. name: of the argument, in
    refusals. fresh: put what is there aside first (`set_aside`).

    Raises ValueError for a folder that does not exist, another writer, files that are no such store, and lines that are
    not rows.
    """

    def __init__(self, path, kind: str, *, name: str = "out", fresh: bool = False):
        self.path, self.kind, self.name = Path(path), kind, name
        self.restored = False
        self.backup = set_aside(path, kind, name=name) if fresh else None
        self._file = _opened(self.path, name)
        try:
            self.rows = {row["key"]: row for row in self._begin()}
        except BaseException:
            self._file.close()
            raise

    def _begin(self) -> list[dict]:
        """The rows there; a new file gets its head, an unfinished last line goes."""
        data = self._file.read()
        first, newline, _ = data.partition(b"\n")
        if not newline and _torn_head(first, self.kind):
            self._file.truncate(0)
            self._end = 0
            self._write(_head(self.kind))
            return []
        _refuse(first, self.path, self.kind, self.name, data.count(b"\n"))
        self._end = data.rfind(b"\n") + 1
        tail = data[self._end :]
        if _row(tail) is not None:  # a whole row that lacks only its end of line
            data += b"\n"
            self._write(tail + b"\n")
        elif tail:
            self._file.truncate(self._end)
        return _rows(data, self.path, self.name)

    def add(self, row: dict) -> None:
        """Write one row, which then survives the process's death. ValueError if another file has taken its place."""
        self._still_there()
        self._write(line(row))
        self.rows[row["key"]] = row

    def _write(self, content: bytes) -> None:
        """All of it or nothing."""
        self._file.seek(self._end)
        try:
            view = memoryview(content)
            while view:
                view = view[self._file.write(view) :]
        except BaseException as mistake:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            if isinstance(mistake, OSError):
                why = mistake.strerror
                raise ValueError(f"{self.name} {str(self.path)!r} cannot take another row: {why}.") from None
            raise
        self._end += len(content)

    def _still_there(self) -> None:
        """Write the file again where it was deleted; never over another that has taken its place."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self.path), os.fstat(self._file.fileno())):
                return
            kept = free_name(self.path, "kept")
            kept.write_bytes(self._content())
            how = f"was replaced by another file while it was being written; its rows are kept in {str(kept)!r}"
            raise ValueError(f"{self.name} {str(self.path)!r} {how}.")
        self._file.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _opened(self.path, self.name)
        self._end, self.restored = 0, True
        self._write(self._content())

    def _content(self) -> bytes:
        return b"".join([_head(self.kind), *map(line, self.rows.values())])

    def __enter__(self) -> Store:
        return self

    def __exit__(self, failed, *_) -> None:
        try:
            if failed is None:
                self._still_there()
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


class Memory(contextlib.nullcontext):
    """A store of this call alone, that writes no file."""

    restored, backup = False, None

    def __init__(self):
        super().__init__(self)
        self.rows: dict[str, dict] = {}

    def add(self, row: dict) -> None:
        self.rows[row["key"]] = row


def line(row: dict) -> bytes:
    """The one way a row is written; numbers that JSON lacks become null."""
    return json.dumps(plain(row), sort_keys=True, allow_nan=False).encode() + b"\n"


def read(path, kind: str | None = None) -> list[dict]:
    """The rows of a store, the first of equal keys, without an unfinished last line. ValueError naming a bad line."""
    return _rows(_content_of(path, kind), path)


def version_of(path) -> str | None:
    """The version of the package that wrote a store; None for files of a time before stores said so."""
    return (_parsed(_content_of(path).partition(b"\n")[0]) or {}).get("version")


def fields(row: dict, path, **kinds) -> dict:
    """The row, if it has these fields, name=type or types; else a ValueError naming the file, the row and the field."""
    for name, kind in kinds.items():
        if name not in row or not isinstance(row[name], kind):
            said = "is missing" if name not in row else f"is {json.dumps(row[name])[:60]}"
            where = f"store {str(path)!r}: row {str(row.get('key'))[:40]!r}: field {name!r}"
            raise ValueError(f"{where} {said}; mend or delete that line, or start anew.")
    return row


def set_aside(path, kind: str, *, name: str = "out") -> Path | None:
    """Rename a store to `path.bak` (`.bak2`, ...), and say where it is; None if there was nothing. Else refused."""
    path = Path(path)
    if not path.exists() or not path.stat().st_size:
        return None
    with _opened(path, name) as file:
        first = file.read(2**20).partition(b"\n")[0]
        if (_parsed(first) or {}).get("ufm", kind) != kind or not _known(first):
            raise ValueError(_foreign(first, path, kind, name))
        target = Path(os.path.realpath(path))
        backup = free_name(target, "bak")
        os.rename(target, backup)
    return backup


def free_name(path, ending: str) -> Path:
    """`path.ending`, `path.ending2`, ...: the first that is not there."""
    path, number = Path(path), 1
    while os.path.lexists(found := path.with_name(f"{path.name}.{ending}{number if number > 1 else ''}")):
        number += 1
    return found


def _opened(path: Path, name: str):
    """The file, open for reading and writing without a buffer, and locked."""
    if not Path(os.path.realpath(path)).parent.is_dir():
        raise ValueError(f"{name} must lie in an existing folder; got {str(path)!r}.")
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            what = f"a file to which rows can be added and read back; {str(path)!r} is a {_what(path)}"
            raise ValueError(f"{name} must be {what}.")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        file = os.fdopen(handle, "r+b", buffering=0)
    except OSError as mistake:
        raise ValueError(f"{name} {str(path)!r} cannot be written: {mistake.strerror}.") from None
    if locked(file) is False:
        file.close()
        raise ValueError(f"{name} {str(path)!r} is being written by another process.")
    return file


def _what(path: Path) -> str:
    return "folder" if path.is_dir() else "pipe" if path.is_fifo() else "device or socket"


def _head(kind: str) -> bytes:
    return json.dumps({"ufm": kind, "version": __version__}).encode() + b"\n"


def _torn_head(data: bytes, kind: str) -> bool:
    """Whether a file without a whole line is empty, or begins as a store of this kind does."""
    start = b'{"ufm": "'
    begun = data.startswith(start + kind.encode() + b'"')
    return not data or begun or (len(data) > len(start) and _head(kind).startswith(data))


def _known(first: bytes) -> bool:
    """Whether a first line is a head, or a row from a time before heads."""
    found = _parsed(first) or {}
    return "ufm" in found or isinstance(found.get("key"), str)


def _refuse(first: bytes, path, kind: str, name: str, lines: int) -> None:
    head = _parsed(first) or {}
    if not _known(first) or head.get("ufm", kind) != kind:
        raise ValueError(_foreign(first, path, kind, name))
    if head.get("version") != __version__:
        made = f"version {head['version']}" if head.get("version") else "a version that did not say which it was"
        rows = f"{lines - ('ufm' in head)} rows made by {made}; this is {__version__}, whose numbers may differ"
        how = "Name another file, or start anew with --fresh (fresh=True), which keeps the old one beside it"
        raise ValueError(f"{name} {str(path)!r} holds {rows}. {how}.")


def _foreign(first: bytes, path, kind: str, name: str) -> str:
    head = _parsed(first) or {}
    what = f"a store of {head['ufm']!r}" if "ufm" in head else "something else"
    left = f"not a store of {kind!r}; it was left as it is"
    return f"{name} {str(path)!r} is {what}, {left}. Name another file, or one that does not exist yet."


def _content_of(path, kind: str | None = None) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as mistake:
        raise ValueError(f"store {str(path)!r} cannot be read: {mistake.strerror}.") from None
    if kind is not None and data:
        first = data.partition(b"\n")[0]
        if not _known(first) or (_parsed(first) or {}).get("ufm", kind) != kind:
            raise ValueError(f"store {str(path)!r}: line 1 is not the head of a store of {kind!r}.")
    return data


def _rows(data: bytes, path, name: str = "store") -> list[dict]:
    found: dict[str, dict] = {}
    for number, text in enumerate(data.split(b"\n")[:-1], 1):
        row = _row(text)
        if row is not None:
            found.setdefault(row["key"], row)
        elif number > 1 or "ufm" not in (_parsed(text) or {}):
            why = "" if _parsed(text) is None else ": field 'key', a text, is missing"
            raise ValueError(f"{name} {str(path)!r}: line {number} is not a row of a store{why}.")
    return list(found.values())


def _row(text: bytes) -> dict | None:
    found = _parsed(text)
    return found if found and isinstance(found.get("key"), str) else None


def _parsed(text: bytes) -> dict | None:
    """The JSON object of a line, or None."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
