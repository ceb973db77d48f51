"""Ctrl-C in verbs: the outermost returns what it has; those inside pass it on where a part would pass for the whole.

`minimize`, `multistart`, `landscape` and others end an interrupted run with a result that says so. A caller that keeps
results (a cell of a sweep, a case of a claim, a certificate) must not keep such a one: it calls them within `whole()`,
where they raise KeyboardInterrupt.
"""

from __future__ import annotations

import contextlib
import contextvars

_WHOLE = contextvars.ContextVar("whole", default=False)


@contextlib.contextmanager
def whole():
    """Within, or in a function decorated with it, interrupted verbs raise KeyboardInterrupt: they return no part."""
    before = _WHOLE.set(True)
    try:
        yield
    finally:
        _WHOLE.reset(before)


def pass_on() -> None:
    """In an `except KeyboardInterrupt`: raise it again where the caller wants all or nothing.

    >>> try:
    ...     with whole():
    ...         try:
    ...             raise KeyboardInterrupt
    ...         except KeyboardInterrupt:
    ...             pass_on()
    ... except KeyboardInterrupt:
    ...     print("passed on")
    passed on
    """
    if _WHOLE.get():
        raise
