"""Theorem 4, sharp: when exactly collapse is stable, and what its index is where it is not."""

from __future__ import annotations

from fractions import Fraction

from scipy.optimize import brentq

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.dnc_spectrum import dnc_at, exponential, fold_scale, index_of_blocks, stratum_blocks
from ufm.critical.classify import classify
from ufm.numerics import balls

DISTANCES = (Fraction(1, 10**2), Fraction(1, 10**4), Fraction(1, 10**6))
"""Relative distances to the threshold at which both sides are looked at."""
EIGENVALUE = 1e-9
"""Of Lam: an eigenvalue below it counts as zero; the nearest here is 1e-6 (L-1) Lam."""
PROVED = 6
"""Largest K whose index is proved by an isolating ball as well (at n = 1), at the largest distance; at the others up to
PROVED_NEAR."""
PROVED_NEAR = 4


def threshold(K: int, L: int, shift: int = -1) -> Fraction:
    """K (L-1)/(L+1). `shift` other than -1 falsifies it."""
    return Fraction(K * (L + shift), L + 1)


def lowest_block(K: int, L: int, a, exp_a):
    """The least of the zero-diagonal eigenvalue, the scale eigenvalue and det/trace of the standard block, in units of
    lam; K >= 2."""
    scale, (x, y2, z), zero_diagonal = stratum_blocks(K, L, a, exp_a)
    parts = [scale] + ([(x * z - y2) / (x + z)] if K >= 3 else []) + ([zero_diagonal] if K >= 4 else [])
    return next(p for p in parts if not any(other < p for other in parts))


def in_balls(K: int, L: int, a: Fraction):
    """(index, lower and upper end of the lowest block, strength) at a rational scale, e^a enclosed where Arb is
    installed."""
    if not balls.available():
        x = float(a)
        low = lowest_block(K, L, x, exponential(x))
        return index_of_blocks(K, L, x, exponential(x)), low, low, "float"
    with balls.precision(128 + 8 * K):
        x = balls.ball(a)
        low = lowest_block(K, L, x, x.exp())
        return index_of_blocks(K, L, x, x.exp()), float(low.lower()), float(low.upper()), "certified"


def check(case):
    """On both sides of the threshold: the sign of the lowest block and the index, by closed form and as `how` says."""
    K, L = case.K, case.L
    for distance in DISTANCES:
        for side in (1, -1):
            a = threshold(K, L, case.get("shift", -1)) * (1 + side * distance)
            index, low, high, strength = in_balls(K, L, a)
            expected = 0 if side > 0 else case.get("below", K * (K - 3) // 2)
            note = f"a = {float(a):.9g}, {'above' if side > 0 else 'below'} by {float(distance):g}"
            tol = 1e-12 if strength == "float" else 0.0
            yield (
                Evidence(low, ">", 0.0, tol, strength, note)
                if side > 0
                else Evidence(high, "<", 0.0, tol, strength, note)
            )
            yield Evidence(index, "==", expected, 0, strength, note)
            if case.how == "Hessian":
                most = PROVED if distance == DISTANCES[0] else PROVED_NEAR
                yield from measured(
                    case, float(a), expected, note, prove=K <= most and case.n == 1 and not case.planted
                )


def measured(case, a: float, expected: int, note: str, prove: bool):
    """The index of the Hessian at the collapsed point of scale a: by its eigenvalues, and proved if asked for."""
    point = dnc_at(case.K, case.n, case.L, a)
    found = classify(point, eig_tol=EIGENVALUE, extremes=False)
    yield Evidence(found.index, "==", expected, 0, "float", f"{note}: eigenvalues")
    proof = proved_index(point) if prove else None
    if proof is not None:
        yield Evidence(proof, "==", expected, 0, "certified", f"{note}: an isolating ball")


def proved_index(point) -> int | None:
    """The index of a critical point proved near the given one; None where nothing is proved or Arb is missing."""
    try:
        from ufm.certificates.critical_points import critical

        proof = critical(point)
    except ImportError:
        return None
    return proof.data["index"] if proof.holds else None


def standard_turn(K: int, L: int) -> float:
    """The scale between fold and threshold at which the standard block is singular, L >= 2."""

    def determinant(a):
        _, (x, y2, z), _ = stratum_blocks(K, L, a, exponential(a))
        return x * z - y2

    return brentq(determinant, fold_scale(K, L), float(threshold(K, L)), xtol=1e-15, rtol=1e-14)


def breakpoints(K: int, L: int) -> tuple[float, float, float]:
    """(threshold, where the standard block turns, fold): the scales at which the index changes, falling."""
    return float(threshold(K, L)), standard_turn(K, L), fold_scale(K, L)


def stairs(case):
    """The index of the Hessian inside each of the four pieces of the branch."""
    K, L = case.K, case.L
    top, standard, fold = breakpoints(K, L)
    steps = (0, K * (K - 3) // 2, K * (K - 1) // 2 - 1, case.get("last", K * (K - 1) // 2))
    yield Evidence(steps[0], "<", steps[1], strength="exact", note="the index rises at the threshold")
    yield Evidence(standard, "<", top, 1e-12, note="the standard block turns after the zero-diagonal one")
    yield Evidence(fold, "<", standard, 1e-12, note="and before the fold")
    for expected, high, low in zip(
        steps, (1.5 * top, top, standard, fold), (top, standard, fold, 0.3 * fold), strict=True
    ):
        for share in (0.02, 0.5, 0.98):
            a = low + share * (high - low)
            yield Evidence(
                index_of_blocks(K, L, a, exponential(a)), "==", expected, 0, note=f"closed form, a = {a:.6g}"
            )
            if K <= case.dense:
                found = classify(dnc_at(K, case.n, L, a), eig_tol=EIGENVALUE, extremes=False)
                yield Evidence(
                    -1 if found.index is None else found.index, "==", expected, 0, note=f"eigenvalues, a = {a:.6g}"
                )


SHARP = Claim(
    id="gk25:thm4-sharp",
    title="The Hessian at collapse is PSD iff a >= K(L-1)/(L+1); just below, its index is K(K-3)/2",
    statement=(
        "For K >= 4 and L >= 2 the collapsed point of scale a has no negative eigenvalue iff a >= K(L-1)/(L+1). Above"
        " it, D t >= D - 2 makes scale and standard blocks positive too (det >= D t delta (K-2)(1+t)); just below it"
        " only the zero-diagonal block is negative."
    ),
    source="gk25, Theorem 4 (a sharper form)",
    hypotheses={"K >= 4": lambda c: c.K >= 4, "L >= 2": lambda c: c.L >= 2},
    check=check,
    cases=[
        *grid(K=range(4, 61), L=range(2, 13), n=1, how="blocks"),
        *(
            Case(K=K, L=L, n=n, how="Hessian")
            for K, L, n in [(4, 2, 1), (5, 3, 1), (6, 4, 1), (5, 2, 3), (8, 2, 5), (10, 3, 1), (16, 2, 1)]
        ),
    ],
    controls=[
        *grid(K=[2, 3], L=[2, 5], n=1, how="blocks"),
        planted("the threshold is taken to be K L/(L+1)", K=6, L=3, n=1, how="Hessian", shift=0),
        planted("the index below is taken to be K(K-1)/2", K=6, L=3, n=1, how="Hessian", below=15),
    ],
    uses=("gk25:dnc-spectrum",),
    scope=(
        "at relative distances 1e-2, 1e-4, 1e-6 on both sides; signs of closed-form blocks enclosed in balls, the index"
        " of the Hessian itself for K to 16"
    ),
)

STAIRS = Claim(
    id="gk25:thm4-stairs",
    title="Index of collapse along its branch: 0, K(K-3)/2, K(K-1)/2 - 1, K(K-1)/2",
    statement=(
        "For K >= 4, L >= 2, as a falls from infinity to 0 the index rises at a = K(L-1)/(L+1), "
        "where the standard block turns, and at the fold, and nowhere else."
    ),
    source="gk25, Theorem 4 (a sharper form)",
    hypotheses={"K >= 4": lambda c: c.K >= 4, "L >= 2": lambda c: c.L >= 2},
    check=stairs,
    cases=[*grid(K=[4, 5, 8, 30, 60], L=[2, 3, 7, 12], n=1, dense=5), Case(K=7, L=2, n=4, dense=7)],
    controls=[
        Case(K=3, L=2, n=1, dense=3),
        planted("beyond the fold the standard block is left out", K=5, L=3, n=1, dense=5, last=6),
    ],
    uses=("gk25:dnc-spectrum", "gk25:thm4-sharp"),
    scope="three scales inside each of the four pieces",
)

CLAIMS = (SHARP, STAIRS)
