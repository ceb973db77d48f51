"""One writer at a time: a lock on an open file that ends with the process that holds it, however that ends."""

from __future__ import annotations


def locked(file) -> bool | None:
    """Lock an open file for this process: False if another has it, None where the system knows no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True
