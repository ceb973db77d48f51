"""The ratio rho of strongly regular graphs to collapse, exactly: rho^(L+1) = a + b sqrt(q) with a, b, q rational, and
for all r at once.

K = r(r-1)/2 classes are the edges of K_r. |B|_*^2 = 2(r-1) + (r-1)^2 (r-2) + 2 (r-1) sqrt(2 (r-1)(r-2)), C = 11' - B'B
cut at 0 has the eigenvalues (r-2)(r-3)/2, -(r-3) (r-1 times) and 1 (K-r times), and rho^(L+1) = tr(C^-2) (K r/4)
r^(L-3) |B|_*^2 / K^(L+1).

All r: sqrt(2 (r-1)(r-2)) < sqrt(2) (r - 3/2) < 1.41422 (r - 3/2) leaves a polynomial in r whose Taylor coefficients at
r_0 are nonnegative. One more layer multiplies rho^(L+1) by r/K = 2/(r-1) < 1, so that L = 3 and L = 4 decide for all L.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import zip_longest

from theory.claim import Claim, Evidence, grid, planted

ROOT_TWO = Fraction(141422, 100000)
"""Above sqrt(2)."""


def power(r: int, L: int, variant: str = "disjoint") -> tuple[Fraction, Fraction, int]:
    """(a, b, q) with rho^(L+1) = a + b sqrt(q); the variant `identity` has the sign of W_{L-1} flipped, so that
    tr(C^-2) becomes K."""
    K, q = r * (r - 1) // 2, 2 * (r - 1) * (r - 2)
    trace = (
        Fraction(4, (r - 2) ** 2 * (r - 3) ** 2) + Fraction(r - 1, (r - 3) ** 2) + K - r
        if variant == "disjoint"
        else Fraction(K)
    )
    common = trace * K * r ** (L - 2) / (4 * Fraction(K) ** (L + 1))
    return common * (2 * (r - 1) + (r - 1) ** 2 * (r - 2)), common * 2 * (r - 1), q


def below_one(a: Fraction, b: Fraction, q: int, note: str = "") -> Evidence:
    """Exact evidence of a + b sqrt(q) < 1 for b >= 0: b^2 q < (1 - a)^2, the right side with the sign of 1 - a."""
    return Evidence(b * b * q, "<", (1 - a) * abs(1 - a), strength="exact", note=note)


def number(a: Fraction, b: Fraction, q: int, L: int) -> float:
    return float(float(a) + float(b) * q**0.5) ** (1 / (L + 1))


def check(case):
    if case.get("all_r"):
        least = min(shifted(gap(case.L), case.r))
        yield Evidence(
            least,
            ">=",
            0,
            strength="exact",
            note=f"least Taylor coefficient at r = {case.r}: rho < 1 for every larger r",
        )
        return
    a, b, q = power(case.r, case.L, case.variant)
    yield below_one(a, b, q, f"rho = {number(a, b, q, case.L):.6f}")


def times(p: list, q: list) -> list:
    """Product of polynomials, coefficients from the constant on."""
    found = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, x in enumerate(p):
        for j, y in enumerate(q):
            found[i + j] += Fraction(x) * y
    return found


def plus(p: list, q: list) -> list:
    return [Fraction(x) + y for x, y in zip_longest(p, q, fillvalue=0)]


def product(*polynomials: list) -> list:
    found = [Fraction(1)]
    for p in polynomials:
        found = times(found, p)
    return found


def gap(L: int) -> list:
    """(r-2)^2 (r-3)^2 (K^L - tr(C^-2) r^(L-2) |B|_*^2/4) as a polynomial in r, with the larger rational in place of the
    root."""
    two, three, one = [-2, 1], [-3, 1], [-1, 1]
    K = times([0, Fraction(1, 2)], one)
    squares = product(two, two, three, three)
    trace = plus(plus([4], product(one, two, two)), times(plus(K, [0, -1]), squares))
    nuclear = plus(plus(times([2], one), product(one, one, two)), times([-3 * ROOT_TWO, 2 * ROOT_TWO], one))
    return plus(times(squares, product(*[K] * L)), product([Fraction(-1, 4)], [0] * (L - 2) + [1], trace, nuclear))


def shifted(p: list, r: int) -> list:
    """Taylor coefficients of p at r."""
    found: list = [Fraction(0)]
    for c in reversed(p):
        found = plus(times(found, [r, 1]), [c])
    return found[: len(p)]


def stated(r: int, L: int) -> bool:
    return (r >= 4 and L >= 4) or (r >= 5 and L == 3)


CLAIM = Claim(
    id="sml24:rho",
    title="rho(r, L) < 1 exactly for r >= 4, L >= 4 and for r >= 5, L = 3",
    statement=(
        "For the strongly regular graph code of r vertices and L layers, rho^(L+1) = tr(C^-2) (K r/4) r^(L-3)"
        " |B|_*^2/K^(L+1), K = r(r-1)/2, is below 1 for r >= 4, L >= 4 and for r >= 5, L = 3, and above 1 at r = 4, L ="
        " 3. The weights with the sign of W_(L-1) flipped have rho > 1 at L = 3."
    ),
    source="sml24",
    hypotheses={
        "r >= 4, L >= 4 or r >= 5, L = 3": lambda c: stated(c.r, c.L),
        "W_(L-1) has its own sign": lambda c: c.get("variant", "disjoint") == "disjoint",
    },
    check=check,
    cases=[
        *(c for c in grid(r=range(4, 41), L=[3, 4, 5, 6, 9, 20], variant="disjoint") if stated(c.r, c.L)),
        *grid(r=[5], L=[3, 4], all_r=True),
        *grid(r=[4], L=[4], all_r=True),
    ],
    controls=[
        *grid(r=4, L=3, variant="disjoint"),
        *grid(r=[4, 5, 6, 12], L=3, variant="identity"),
        *grid(r=4, L=3, all_r=True),
        planted("the sign of W_(L-1) is flipped", r=5, L=3, variant="identity"),
    ],
    scope=(
        "fractions for r up to 40; all larger r, and all r from 5 (L = 3) and 4 (L = 4) on, by nonnegative Taylor"
        " coefficients; more layers only lower rho"
    ),
)
