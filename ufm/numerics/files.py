"""Files written whole or not at all, and read without pickle."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import stat
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ufm.numerics.locks import locked

TEMPORARY = ".ufm-tmp"
"""The ending of temporary files; one that no process holds was left by a killed run."""


def write_atomically(path, write, mode: str = "wb") -> None:
    """Call write(handle) on a temporary neighbour of the file, then rename it to the file.

    Links are followed, and a file keeps its permissions and its owner. A pipe, a device or what standard output is
    written to cannot be renamed to: it gets the whole content at once when write has ended. Neighbours that killed runs
    left are removed. Raises ValueError naming a file that cannot be written.
    """
    found = _writable(path, "file")
    if found is not None and (not stat.S_ISREG(found.st_mode) or _is_output(found)):
        buffer = io.BytesIO() if "b" in mode else io.StringIO()
        write(buffer)
        _pour(path, found, buffer.getvalue())
        return
    target = os.path.realpath(path)
    _remove_abandoned(target)
    name = _temporary(target)
    try:
        with _created(name, path, found, mode) as stream:
            locked(stream)
            write(stream)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def check_writable(path, name: str = "file") -> None:
    """Refuse, before any work, a file that could not be written at its end: ValueError naming the argument."""
    found = _writable(path, name)
    if found is None or stat.S_ISREG(found.st_mode):
        try:
            with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))):
                pass
        except OSError as mistake:
            raise ValueError(f"{name} cannot be written: {os.fspath(path)!r}: {mistake.strerror or mistake}.") from None


def save_arrays(path, **arrays) -> None:
    """Write arrays and strings to a compressed .npz file, atomically."""
    write_atomically(path, lambda stream: np.savez_compressed(stream, **arrays))


def _writable(path, name: str) -> os.stat_result | None:
    """What is there (None: nothing yet); ValueError where it, or its folder, cannot take a file."""
    try:
        path = os.fspath(path)
        found = os.stat(path) if os.path.exists(path) else None
        folder = os.path.dirname(os.path.realpath(path))
    except (OSError, ValueError, TypeError) as mistake:
        raise ValueError(f"{name} cannot be written: {path!r}: {mistake}.") from None
    if found is None and not os.path.isdir(folder):
        raise ValueError(f"{name} cannot be written: it must lie in an existing folder; got {path!r}.")
    if found is not None and (stat.S_ISDIR(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
        kind = "folder" if stat.S_ISDIR(found.st_mode) else "socket"
        raise ValueError(f"{name} cannot be written: it is a {kind}; got {path!r}.")
    if found is None and (len(os.path.basename(os.fsencode(path))) > 255 or not os.path.basename(path)):
        raise ValueError(f"{name} cannot be written: it must have the name of a file; got {path!r}.")
    if found is not None and not os.access(path, os.W_OK):
        raise ValueError(f"{name} cannot be written: it is protected against that; got {path!r}.")
    return found


def _created(name: str, path, found: os.stat_result | None, mode: str):
    """A new file, open, with the permissions and where possible the owner of the one whose place it takes."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(name, flags, 0o666 if found is None else stat.S_IMODE(found.st_mode))
    except OSError as mistake:
        raise ValueError(f"file cannot be written: {os.fspath(path)!r}: {mistake.strerror}.") from None
    if found is not None and hasattr(os, "fchown"):
        with contextlib.suppress(OSError):
            os.fchown(handle, found.st_uid, found.st_gid)
        os.fchmod(handle, stat.S_IMODE(found.st_mode))
    return os.fdopen(handle, mode)


def _temporary(target: str) -> str:
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name[:60]}.{secrets.token_hex(6)}{TEMPORARY}")


def _remove_abandoned(target: str) -> None:
    """Remove temporary files of this target that nobody is writing."""
    folder, name = os.path.split(target)
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(f".{name[:60]}.") and entry.name.endswith(TEMPORARY) and _abandoned(entry):
                os.unlink(entry.path)


def _abandoned(entry: os.DirEntry) -> bool:
    """Whether no process holds it; an empty one may just have been made."""
    seen = entry.stat(follow_symlinks=False)
    if not stat.S_ISREG(seen.st_mode) or (not seen.st_size and time.time() - seen.st_mtime < 10):
        return False
    with open(entry.path, "r+b") as file:
        free = locked(file)
    return free if free is not None else time.time() - seen.st_mtime > 3600


def _is_output(found: os.stat_result) -> bool:
    """Whether it is what standard output is written to."""
    try:
        return os.path.samestat(found, os.fstat(1))
    except OSError:
        return False


def _pour(path, found: os.stat_result, content) -> None:
    content = content.encode() if isinstance(content, str) else content
    if _is_output(found):
        sys.stdout.flush()
        view = memoryview(content)
        while view:
            view = view[os.write(1, view) :]
        return
    with open(path, "wb") as stream:
        stream.write(content)


class Named(dict):
    """What a file holds, by name; asking for a name that is not there is a ValueError that says so of the file."""

    def __init__(self, where: str, found):
        super().__init__(found)
        self.where = where

    def __missing__(self, name):
        shown = [repr(key) for key in sorted(self)]
        listed = ", ".join(shown[:9]) + (", ..." if len(shown) > 9 else "")
        raise ValueError(f"{self.where} lacks {name!r}; it has {listed or 'nothing'}.")

    def header(self, name: str) -> Named:
        """The JSON object written as text under the name; ValueError naming file and field where it is none."""
        where, text = f"{self.where}, {name}", str(self[name])
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} must be JSON: {error}.") from None
        if not isinstance(found, dict):
            raise ValueError(f"{where} must be a JSON object; got {type(found).__name__}.")
        return Named(where, found)


def load_arrays(path, alone: str | None = None) -> Named:
    """All arrays of an .npz file by name, or that of an .npy file under the name `alone`.

    ValueError naming the file when it is something else or damaged (with the array that cannot be read), or holds
    Python objects.
    """
    where, path = f"file {str(path)!r}", Path(path)
    try:
        with path.open("rb") as stream:
            kind = stream.read(6)
            stream.seek(0)
            if kind == b"\x93NUMPY":
                return _read_single(where, path, stream, alone)
            if not kind.startswith(b"PK"):
                how = f"numpy.savez({path.stem + '.npz'!r}, name=array, ...) writes one"
                what = f"it is not an .npz of arrays{'' if kind else ' but empty'}; {how}"
                raise ValueError(f"{where} cannot be read: {what}.")
            return _read_archive(where, stream)
    except OSError as error:
        raise ValueError(f"{where} cannot be read: {error.strerror or error}.") from None


def _read_single(where: str, path: Path, stream, name: str | None) -> Named:
    if name is None:
        how = f"numpy.savez({path.stem + '.npz'!r}, name=numpy.load({str(path)!r}))"
        what = "it is one array without a name (.npy), not an .npz of arrays"
        raise ValueError(f"{where} cannot be read: {what}; {how} gives it a name.")
    return Named(where, {name: _entry(where, "the array", lambda: np.load(stream, allow_pickle=False))})


def _read_archive(where: str, stream) -> Named:
    try:
        archive = np.load(stream, allow_pickle=False)
    except Exception as error:  # of zipfile, zlib, struct: whatever the first wrong byte leads to
        raise ValueError(f"{where} cannot be read: it is a damaged .npz of arrays, cut or changed ({error}).") from None
    with archive:
        return Named(where, {key: _entry(where, repr(key), lambda key=key: archive[key]) for key in archive.files})


def _entry(where: str, what: str, read) -> np.ndarray:
    """One array read by `read()`; ValueError naming it."""
    try:
        found = read()
    except Exception as error:
        pickled = "it holds Python objects, and only arrays of numbers or text are read"
        why = pickled if "pickle" in str(error) else f"it is damaged ({error})"
        raise ValueError(f"{where} cannot be read at {what}: {why}.") from None
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{where} cannot be read: it is not an .npz of arrays, {what} is none.")
    return found
