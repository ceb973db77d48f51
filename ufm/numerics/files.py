"""Files written to a temporary name and renamed, and read without pickle."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np


def write_atomically(path, write, mode: str = "wb") -> None:
    """Call write(handle) on a temporary neighbour of path, then rename it to path."""
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"file must lie in an existing folder; got {str(path)!r}.")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, mode) as stream:
            write(stream)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        if os.path.exists(name):
            os.unlink(name)
        raise


def save_arrays(path, **arrays) -> None:
    """Write arrays and strings to a compressed .npz file, atomically."""
    write_atomically(path, lambda stream: np.savez_compressed(stream, **arrays))


def load_arrays(path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file; ValueError naming the file when it cannot be read."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:
        raise ValueError(f"file {str(path)!r} cannot be read as an .npz archive of plain arrays: {error}") from None
