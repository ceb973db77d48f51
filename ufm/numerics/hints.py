"""Types of what users hand over, for hints."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Arrays = npt.ArrayLike
"""Numbers in any form that `arguments.array` reads: arrays, lists, tensors of other libraries."""
Rng = int | dict | np.random.SeedSequence | np.random.Generator | None
"""A seed, a stream of random numbers, or a result's record of its seed; None draws one, and the result keeps it."""
FileName = str | os.PathLike[str]
Exact = str | int | float | Sequence[str] | None
"""Numbers whose exact values are meant, as text where a float cannot say it, `"1/3"`; None: those of the problem."""
