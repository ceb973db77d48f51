"""Confidence intervals of counted things."""

from __future__ import annotations

from math import sqrt

from scipy import special

from ufm.numerics import arguments


def wilson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a probability of which k = `successes` of m = `trials` were seen:

        (k/m + z^2/(2m) -+ z sqrt(k (m - k)/m^3 + z^2/(4 m^2))) / (1 + z^2/m),    z = Phi^-1((1 + level)/2),

    the probabilities q that a two-sided normal test does not reject, (k/m - q)^2 <= z^2 q (1 - q)/m. It lies in [0, 1]
    and holds k/m; its lower end is 0 for k = 0 and its upper end 1 for k = m, exactly. Its coverage is near `level` on
    average over q, not at least `level` for each.

    >>> tuple(round(end, 4) for end in wilson(0, 10))
    (0.0, 0.2775)

    Raises ValueError unless 0 <= successes <= trials, trials >= 1 and 0 < level < 1. Source: wilson27.
    """
    m = arguments.integer("trials", trials, 1)
    k = arguments.integer("successes", successes, 0)
    if k > m:
        raise ValueError(f"successes must be at most trials={m}; got successes={k}.")
    level = arguments.real("level", level)
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1; got level={level}.")
    z2 = float(special.ndtri(0.5 + 0.5 * level)) ** 2
    middle, reach = k + 0.5 * z2, sqrt(z2) * sqrt(k * (m - k) / m + 0.25 * z2)
    low = 0.0 if k == 0 else (middle - reach) / (m + z2)
    high = 1.0 if k == m else (middle + reach) / (m + z2)
    return low, high


def share(count: int, trials: int, level: float = 0.95) -> tuple[float, float, float]:
    """(count / trials, low, high), the ends of Wilson's interval."""
    return count / trials, *wilson(count, trials, level)
