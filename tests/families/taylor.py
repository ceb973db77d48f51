"""Taylor slopes: the order at which a remainder falls, which a derivative off by one percent spoils."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEPS = 2.0 ** -np.arange(3, 11)


def order(at: Callable[[float], np.ndarray], derivative: np.ndarray) -> float:
    """The exponent p of |at(h) - at(0) - h derivative| ~ h^p: 2 or more where the derivative is right, 1 elsewhere.

    at(h): the function on the line, an array; infinite where all remainders are rounding.
    """
    start, values = at(0.0), [at(h) for h in STEPS]
    sizes = np.array([np.linalg.norm(v - start - h * derivative) for h, v in zip(STEPS, values, strict=True)])
    noise = 1e-14 * (1 + np.linalg.norm(start)) + 1e-15 * np.linalg.norm(derivative)
    seen = sizes > 30 * noise
    return float(np.polyfit(np.log(STEPS[seen]), np.log(sizes[seen]), 1)[0]) if np.sum(seen) > 2 else np.inf
