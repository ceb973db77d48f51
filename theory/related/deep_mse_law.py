"""One singular mode under MSE in a deep linear model: roots, thresholds and value, in fractions.

A mode y of the labels asks its logit singular value s for s + N Lam s^(2/D - 1) = y, and with s = a^D for a positive
root of

    P(a) = a^(2D-2) - y a^(D-2) + N Lam.

For D >= 3 there are two roots below the spinodal and none above; the large one costs less than zero below the binodal.
To the power D,

    spinodal  (N Lam)^D = y^(2D-2) D^D (D-2)^(D-2) / (2D-2)^(2D-2),     s/y = (D-2)/(2D-2) there,
    binodal   (N Lam)^D = y^(2D-2) (D-2)^(D-2) / (D-1)^(2D-2),          s/y = (D-2)/(D-1) there,

so both sides of a threshold are compared in fractions, and roots are counted by a Sturm chain that knows nothing of the
two formulas. At D = 2 (0^0 = 1) both are N Lam = y, with one root below and none above.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

from theory.claim import Claim, Evidence, grid, planted
from ufm.numerics.seeds import generator, seed_sequence

SIDES = (0.5, 0.99, 0.999999, 1.000001, 1.01, 2.0)
"""N Lam in units of a threshold at which it is looked at."""


def spinodal_power(y: Fraction, D: int, shift: int = 0) -> Fraction:
    """(N Lam)^D at the spinodal. `shift` other than 0 falsifies the exponent of y."""
    return y ** (2 * D - 2 + shift) * Fraction(D**D * (D - 2) ** (D - 2), (2 * D - 2) ** (2 * D - 2))


def binodal_power(y: Fraction, D: int, shift: int = 0) -> Fraction:
    """(N Lam)^D at the binodal."""
    return y ** (2 * D - 2 + shift) * Fraction((D - 2) ** (D - 2), (D - 1) ** (2 * D - 2))


def mode_polynomial(y: Fraction, level: Fraction, D: int) -> list[Fraction]:
    """Coefficients of P, constant first; level = N Lam."""
    P = [Fraction(0)] * (2 * D - 1)
    P[0] += level
    P[D - 2] -= y
    P[2 * D - 2] += 1
    return P


def sturm_chain(P: list[Fraction]) -> list[list[Fraction]]:
    """P, P', and the remainders with their signs changed."""
    chain = [_trimmed(P), _trimmed([k * c for k, c in enumerate(P)][1:])]
    while rest := _remainder(chain[-2], chain[-1]):
        chain.append([-c for c in rest])
    return chain


def roots_above(chain, x: Fraction) -> int:
    """The number of distinct real roots above x, itself none, by Sturm's theorem."""
    return _changes([_at(p, x) for p in chain]) - _changes([p[-1] for p in chain])


def _remainder(p, q):
    while len(p) >= len(q):
        share, shift = p[-1] / q[-1], len(p) - len(q)
        p = _trimmed([c - (share * q[k - shift] if k >= shift else 0) for k, c in enumerate(p)][:-1])
    return p


def _trimmed(p):
    return p[: max((k + 1 for k, c in enumerate(p) if c), default=0)]


def _at(p, x):
    total = Fraction(0)
    for c in reversed(p):
        total = total * x + c
    return total


def _changes(values) -> int:
    return sum(a * b < 0 for a, b in itertools.pairwise([v for v in values if v]))


def largest_root_exceeds(chain, power: int, target: Fraction) -> bool:
    """Whether (largest positive root)^power > target, by halving an interval until it is decided."""
    low, high = Fraction(0), 1 + sum(map(abs, chain[0]), Fraction(0))
    for _ in range(400):
        if low**power > target or high**power <= target:
            return low**power > target
        middle = (low + high) / 2
        low, high = (middle, high) if roots_above(chain, middle) else (low, middle)
    raise ArithmeticError("the largest root is too close to the target to be compared.")


def drawn(case) -> Fraction:
    """y, log-uniform on [e^-3, e^3]."""
    return Fraction(math.exp(generator(seed_sequence(case.rng)).uniform(-3, 3)))


def check_roots(case):
    """The number of positive roots at N Lam on both sides of the spinodal."""
    y, D = drawn(case), case.L + 1
    power = spinodal_power(y, D, case.get("shift", 0))
    for side in SIDES:
        level = Fraction(side * float(power) ** (1 / D))
        expected = 0 if level**D > power else 1 if D == 2 else 2
        found = roots_above(sturm_chain(mode_polynomial(y, level, D)), Fraction(0))
        yield Evidence(
            found, "==", expected, strength="exact", note=f"y = {float(y):.6g}, N Lam = {side:g} of the spinodal"
        )


def check_order(case):
    """Whether the large root costs less than zero at N Lam on both sides of the binodal, and the value on a root."""
    y, D = drawn(case), case.L + 1
    power = binodal_power(y, D, case.get("shift", 0))
    for side in SIDES:
        level = Fraction(side * float(power) ** (1 / D))
        chain = sturm_chain(mode_polynomial(y, level, D))
        lower = bool(roots_above(chain, Fraction(0))) and largest_root_exceeds(chain, D, y * Fraction(D - 2, D - 1))
        yield Evidence(
            int(lower),
            "==",
            int(level**D < power),
            strength="exact",
            note=f"y = {float(y):.6g}, N Lam = {side:g} of the binodal",
        )
    for t in (Fraction(1, 7), Fraction(D - 2, D - 1), Fraction(9, 10)):
        s, gain = t * y, Fraction(D, 2) * case.get("gain", 1)
        direct = (s - y) ** 2 / 2 + gain * s * (y - s)  # N Lam s^(2/D) = s (y - s) on a root
        yield Evidence(
            direct,
            "==",
            y**2 / 2 * ((1 - t) ** 2 + D * t * (1 - t)),
            strength="exact",
            note=f"N F on a root with s/y = {t}",
        )


DRAWS = range(4)

CLAIMS = (
    Claim(
        id="related:deep-mse-spinodal",
        title="A mode y of deep linear MSE has two positive roots below the spinodal and none above",
        statement=(
            "For D = L + 1 >= 3 and y > 0, s + N Lam s^(2/D-1) = y has two positive roots iff (N Lam)^D < y^(2D-2) D^D"
            " (D-2)^(D-2)/(2D-2)^(2D-2), none iff it is larger; for D = 2 one root iff N Lam < y."
        ),
        source="dang23",
        hypotheses={"L >= 1": lambda c: c.L >= 1},
        check=check_roots,
        cases=grid(L=[1, 2, 3, 4, 6, 9, 14], rng=DRAWS),
        controls=[planted("the exponent of y is too large by one", L=L, rng=0, shift=1) for L in (2, 5)],
        scope="at relative distances 1, 0.5, 1e-2 and 1e-6 from the spinodal, y from e^-3 to e^3",
    ),
    Claim(
        id="related:deep-mse-binodal",
        title=(
            "The large root costs less than zero exactly below the binodal; F on a root is (y^2/2N)((1-t)^2 + D t"
            " (1-t))"
        ),
        statement=(
            "For D >= 3 the large root s = t y has t > (D-2)/(D-1), which is where F on it is below F at s = 0, iff (N"
            " Lam)^D < y^(2D-2) (D-2)^(D-2)/(D-1)^(2D-2). On every root F of the mode is (y^2/2N)((1-t)^2 + D t (1-t))."
        ),
        source="dang23",
        hypotheses={"L >= 1": lambda c: c.L >= 1},
        check=check_order,
        cases=grid(L=[1, 2, 3, 4, 6, 9, 14], rng=DRAWS),
        controls=[
            *(planted("the exponent of y is too large by one", L=L, rng=0, shift=1) for L in (2, 5)),
            planted("the penalty is doubled", L=3, rng=1, gain=2),
        ],
        uses=("related:deep-mse-spinodal",),
        scope="at relative distances 1, 0.5, 1e-2 and 1e-6 from the binodal, y from e^-3 to e^3",
    ),
)
