"""From any factors that fit the targets, a path that keeps fitting them goes down to the least norm there is."""

from __future__ import annotations

import itertools
import math

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.zang24.nets import fits
from theory.zang24.path import energy, path, product
from ufm.numerics.seeds import generator, seed_sequence

VALUE, MONOTONE = 1e-8, 1e-12
"""Relative: the end's value, the rise of the energy between two looks."""
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Where every piece of the path is looked at."""


def targets(case, draw) -> np.ndarray:
    """Y (K, N): one-hot labels, or a random matrix of rank `rank`."""
    counts = case.n if isinstance(case.n, tuple) else (case.n,) * case.K
    if case.rank is None:
        return np.repeat(np.eye(case.K), counts, axis=1)
    return draw.standard_normal((case.K, case.rank)) @ draw.standard_normal((case.rank, sum(counts)))


def start(case, Y, draw) -> list[np.ndarray]:
    """Random W_1, ..., W_L and an H with W_L ... W_1 H = Y that has a random part which the matrices kill: [H, W_1,
    ..., W_L], scaled by the root of lam."""
    widths = (*(case.d,) * case.L, case.K)
    W = [draw.standard_normal((b, a)) / math.sqrt(a) for a, b in itertools.pairwise(widths)]
    A = product(W)
    inverse = np.linalg.pinv(A)
    noise = draw.standard_normal((case.d, Y.shape[1]))
    H = inverse @ Y + noise - inverse @ (A @ noise)
    return [math.sqrt(w) * F for w, F in zip(weights(case), [H, *W], strict=True)]


def rounding(factors) -> float:
    """How far rounding may move the product, relatively: 1e-12, or D^2 units of 1e-15 times |F_1| ... |F_D| / |F_D ...
    F_1| where that is more."""
    spread = math.prod(float(np.linalg.norm(F, 2)) for F in factors) / float(np.linalg.norm(product(factors)))
    return max(1e-12, 1e-15 * len(factors) ** 2 * spread)


def weights(case) -> tuple[float, ...]:
    """(lam_H, lam_1, ..., lam_L)."""
    return case.lam if isinstance(case.lam, tuple) else (case.lam,) * (case.L + 1)


def check(case):
    """Energy at the end of the path, its largest rise on the way, the largest change of the product; within-class
    variation of H at the end for labels."""
    draw = generator(seed_sequence(case.rng))
    Y, D = targets(case, draw), case.L + 1
    r = case.K if case.rank is None else case.rank
    factors = start(case, Y, draw)
    Z, rise, miss, first, fit = product(factors), 0.0, 0.0, energy(factors), rounding(factors)
    last, pieces = first, 0
    s = np.linalg.svd(Z, compute_uv=False)[:r]
    best = (case.get("factors") or D) * float(np.sum(s ** (2 / (case.get("factors") or D))))
    if case.get("straight"):
        yield Evidence(straight(factors, r, Z), "==", 0, fit, note="largest relative change of the product")
        return
    for piece in path(factors, r):
        pieces += 1
        for t in SHARES if not case.get("back") else (-0.5,):
            found = piece.at(t)
            value = energy(found)
            rise, last = max(rise, value / last - 1), value
            miss = max(miss, float(np.linalg.norm(product(found) - Z) / np.linalg.norm(Z)))
    yield Evidence(
        last / best, "==", 1, VALUE, note=f"(1/2) energy {first / 2:.6g} -> {last / 2:.9g} in {pieces} pieces"
    )
    yield Evidence(rise, "==", 0, MONOTONE, note="largest relative rise of the energy along the path")
    yield Evidence(miss, "==", 0, fit, note="largest relative change of the product along the path")
    spectra = max(float(np.max(np.abs(np.linalg.svd(F, compute_uv=False)[:r] / s ** (1 / D) - 1))) for F in found)
    yield Evidence(spectra, "==", 0, math.sqrt(VALUE), note="singular values of every factor over s_i^(1/D), minus 1")


def straight(factors, r: int, Z) -> float:
    """Relative change of the product half way along the straight line to the end of the path."""
    *_, last = path(factors, r)
    found = [0.5 * (F + E) for F, E in zip(factors, _embedded(last.at(1.0), factors), strict=True)]
    return float(np.linalg.norm(product(found) - Z) / np.linalg.norm(Z))


def _embedded(small, factors):
    """Factors of small inner spaces in the first coordinates of the original ones."""
    found = []
    for F, like in zip(small, factors, strict=True):
        found.append(np.zeros_like(like))
        found[-1][: F.shape[0], : F.shape[1]] = F
    return found


CLAIM = Claim(
    id="zang24:fibre",
    title="No barrier inside the interpolating set of a linear UFM: a path down to the Schatten value",
    statement=(
        "For almost every point of {W_L ... W_1 H = Y}, d >= K, a continuous path in this set, along which (1/2)(lam_H"
        " |H|^2 + sum_l lam_l |W_l|^2) never rises, leads to its minimum (D/2) (lam_H lam_1 ... lam_L)^(1/D) sum_i"
        " s_i(Y)^(2/D), D = L + 1: straight lines that delete what other factors do not see, then geodesics e^(tX/2)"
        " between neighbours. For labels Y = I_K (x) 1_n' the end has sum |.|^2 = D K n^(1/D) at lam = 1 and collapsed"
        " features. Here Z = Y is fixed; nothing follows where Z may vary."
    ),
    source="zang24",
    hypotheses=fits(1)
    | {
        "d >= K": lambda c: c.d >= c.K,
        "1 <= rank <= K": lambda c: c.rank is None or 1 <= c.rank <= c.K,
    },
    check=check,
    cases=[
        *grid(K=[2, 4], n=[1, 5], d=[4, 9], L=[1, 2, 4], lam=1.0, rank=None, rng=0),
        *grid(K=4, n=3, d=[4, 6], L=[2, 3], lam=0.01, rank=[1, 2, 4], rng=[0, 1]),
        *grid(K=3, n=(7, 1, 3), d=5, L=2, lam=[(1e-3, 1.0, 0.1)], rank=None, rng=0),
        Case(K=10, n=5, d=20, L=3, lam=2**-10, rank=None, rng=0),
        Case(K=3, n=2, d=8, L=8, lam=1.0, rank=None, rng=0),
    ],
    controls=[
        planted("the exponent 2/D is replaced by 2/L", K=4, n=2, d=6, L=2, lam=1.0, rank=None, rng=0, factors=2),
        planted("the straight line to the end is taken", K=4, n=2, d=6, L=2, lam=1.0, rank=None, rng=0, straight=True),
        planted("every piece is walked backwards", K=4, n=2, d=6, L=2, lam=1.0, rank=None, rng=0, back=True),
    ],
    scope="from random interpolating starts; the path is looked at in four points of every piece",
)
