"""Over a grid: one cell after the other, keeping what is finished when Ctrl-C comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ufm.numerics import interruption
from ufm.numerics.bars import progress_bar


def over_grid(
    cells: Iterable,
    one: Callable,
    part: Callable = lambda result: False,
    desc: str = "cells",
    progress: bool | None = None,
) -> tuple[list, bool]:
    """(results of the finished cells in order, whether Ctrl-C ended it): one(cell) is run for every cell.

    part(result): whether a result is that of an interrupted run, which is kept as the last.
    """
    done: list = []
    try:
        for cell in progress_bar(list(cells), desc=desc, progress=progress):
            done.append(one(cell))
            if part(done[-1]):
                return done, True
    except KeyboardInterrupt:
        interruption.pass_on()
        return done, True
    return done, False
