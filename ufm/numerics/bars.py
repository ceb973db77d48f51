"""Bars that say how far a long run is."""

from __future__ import annotations

from tqdm import tqdm


def progress_bar(iterable=None, *, desc: str, progress: bool | None = None, **more) -> tqdm:
    """A tqdm on standard error that comes after two seconds and goes at the end. progress: True or False; None shows it
    on a terminal only."""
    return tqdm(iterable, desc=desc, delay=2, leave=False, disable=None if progress is None else not progress, **more)
