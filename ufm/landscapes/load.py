"""Whatever was saved, read again."""

from __future__ import annotations

from pathlib import Path

from ufm import points
from ufm.landscapes.table import Landscape
from ufm.numerics.words import named_arguments
from ufm.points import FactorPoint, LogitPoint


@named_arguments
def load(path) -> Landscape | FactorPoint | LogitPoint:
    """The table written by `Landscape.save` (a file that ends in .json), else the point written by a point's `save`
    (.npz).

    Raises ValueError naming the file, and the field that is missing or wrong.
    """
    return Landscape.load(path) if Path(path).suffix.lower() == ".json" else points.load(path)
