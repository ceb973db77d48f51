"""Bars that say how far a long run is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tqdm import tqdm

from ufm.numerics import interruption


def progress_bar(iterable=None, *, desc: str, progress: bool | None = None, **more) -> tqdm:
    """A tqdm on standard error, after two seconds, gone at the end. progress: True, False; None: on a terminal only."""
    return tqdm(iterable, desc=desc, delay=2, leave=False, disable=None if progress is None else not progress, **more)


def each(
    items: Iterable, one: Callable, *, desc: str, progress: bool | None = None, part: Callable = lambda result: False
) -> tuple[list, bool]:
    """(one(item) of the finished items in order, whether Ctrl-C ended it), under a bar.

    part(result): whether a result is that of an interrupted run, which is kept as the last.
    """
    done: list = []
    try:
        for item in progress_bar(list(items), desc=desc, progress=progress):
            done.append(one(item))
            if part(done[-1]):
                return done, True
    except KeyboardInterrupt:
        interruption.pass_on()
        return done, True
    return done, False
