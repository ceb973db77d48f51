"""Hong and Ling: unequal class counts in the plain model; classes of equal size merge, and all vanish, at thresholds of
the ridge weight."""

from __future__ import annotations

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.related.shallow import SIDES, class_product, global_value, minimum, spread_lam
from ufm.metrics import collapse
from ufm.objectives.logits import value
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.structures.sel import merging_thresholds, vanishing_threshold

SPLIT = 1e-4
"""Relative difference of two classes' logits that counts as apart, one percent below a threshold; there it is 1e-3 and
more."""
MERGED = 1e-8
"""And as none, one percent above it; rounding leaves 1e-14."""


def two_clusters(case) -> tuple[int, ...]:
    """kA classes of nA samples, then kB of nB."""
    return (case.nA,) * case.kA + (case.nB,) * case.kB


def at(case, counts, c: float, **more) -> Problem:
    """The problem with these counts and sqrt(lam_H lam_W) = c, width K + more."""
    lam = spread_lam(case.but(lam=c))
    return Problem(K=len(counts), n=counts, d=len(counts) + case.more, L=case.L, lam=lam, bias=case.bias)


def difference(point, classes) -> float:
    """max |z_i - z_j| over the rows and columns of W H of these classes, relative to the largest entry of W H; rows are
    what W and the bias see."""
    M = class_product(point)
    inner = M[np.ix_(classes, classes)]
    own, other = np.diag(inner), inner[~np.eye(len(classes), dtype=bool)]
    size = float(np.max(np.abs(M)))
    return (
        float(max(np.ptp(np.concatenate([own, other])), np.ptp(M[classes], axis=0).max())) / size
        if size > 1e-7
        else 0.0
    )


def sides(case, counts, threshold: float, m: int, name: str):
    """The classes of size m one percent below and above a threshold."""
    classes = [i for i, n in enumerate(counts) if n == m]
    for side in SIDES:
        found = difference(minimum(at(case, counts, (1 + side) * threshold), case.rng), classes)
        note = f"{name} at {1 + side:g} of its threshold, n = {counts}"
        yield (
            Evidence(found, ">", SPLIT, 1e-6, note=note)
            if side < 0
            else Evidence(found, "<", MERGED, MERGED / 10, note=note)
        )


def check_two_clusters(case):
    """sqrt(nB)/N for the minority; nothing of it depends on kA, nA apart from N, or on the bias."""
    counts = two_clusters(case)
    yield from sides(case, counts, case.get("times", 1.0) * np.sqrt(case.nB) / sum(counts), case.nB, "minority")


def check_groups(case):
    """Every size that at least two classes have, at its own threshold, as long as the minimum is not zero there."""
    problem = at(case.but(L=1), case.n, 1.0)
    for m, threshold in merging_thresholds(problem).items():
        if 1.02 * threshold < vanishing_threshold(problem):
            yield from sides(case, case.n, case.get("times", 1.0) * threshold, m, f"classes of size {m}")
        elif 1.02 * threshold > vanishing_threshold(problem) > 0.98 * threshold:
            yield Evidence(
                vanishing_threshold(problem),
                "==",
                threshold,
                1e-12,
                note=f"classes of size {m} merge only when all vanish",
            )


def check_vanishing(case):
    """One percent on either side of |grad g(0, b)|_2: the largest singular value, and above the proved minimum."""
    free = at(case.but(L=1), case.n, 1.0)
    threshold = case.get("times", 1.0) * vanishing_threshold(free)
    if case.bias is None:
        S = np.eye(len(case.n)) - 1 / len(case.n)
        yield Evidence(
            vanishing_threshold(free),
            "==",
            np.linalg.norm(S * np.sqrt(case.n), 2) / sum(case.n),
            1e-14,
            note="|S diag(sqrt n)|_2/N",
        )
    for side in SIDES:
        problem = at(case, case.n, (1 + side) * threshold)
        point = minimum(problem, case.rng)
        largest, note = float(np.max(point.s, initial=0.0)), f"largest singular value at {1 + side:g}"
        yield (
            Evidence(largest, ">", 1e-4, 1e-6, note=note) if side < 0 else Evidence(largest, "<", 1e-8, 1e-9, note=note)
        )
        if case.L == 1:
            yield from global_value(problem, value(point), 1e-9, solve=False)


def flat(problem: Problem, run) -> float:
    """How far a leftover gradient and rounding let the logits be from those of the minimum: |grad| over a curvature
    about Lam, times the other factor."""
    return (run.grad_norm + 1e-15) / problem.Lam * max(float(np.linalg.norm(A)) for A in run.point.factors)


def check_collapse(case):
    """Within-class variation where a descent over all samples ends."""
    problem = at(case, case.n, case.lam)
    run = minimize(problem, rng=case.rng, space="factors", tol=1e-12)
    H = run.point.factors[0]
    means = H @ (problem.samples.Y.T / problem.counts)
    apart, size = float(np.linalg.norm(H - means[:, problem.labels])), float(np.linalg.norm(H))
    within = apart / size if size else 0.0
    left = (run.grad_norm + 1e-15) / problem.lams[
        0
    ]  # within a class F grows by lam_H/2 times the square of the distance, and more
    error = left / size if size else 0.0
    if case.get("between"):
        within, error = collapse(H.T, problem.labels).nc2, 0.0
    yield Evidence(
        within,
        "<",
        1e-6,
        1e-8,
        error=error,
        note=f"within-class variation, |H| = {size:.3g}, |grad| = {run.grad_norm:.1e}",
    )
    M = class_product(minimum(problem, case.rng))
    found = class_product(run.point.to_logits(collapse=True))
    yield Evidence(
        np.max(np.abs(found - M)), "==", 0.0, 1e-6, error=flat(problem, run), note="logits of the collapsed problem"
    )


HYPOTHESES = {"L = 1": lambda c: c.L == 1, "d >= K": lambda c: c.more >= 0}
SIZES = [(20, 20, 3, 3, 3), (9, 4, 4, 1, 1), (2, 2, 2), (50, 1, 1), (7, 7, 1), (100, 10, 10, 10, 2, 2)]

COUNTED = {"n lists class counts": lambda c: isinstance(c.n, tuple)}

CLAIMS = (
    Claim(
        id="related:hong-two-clusters",
        title="Minority collapse sets in at sqrt(lam_H lam_W) = sqrt(n_B)/N",
        statement=(
            "L = 1, cross-entropy, k_A classes of n_A samples and k_B >= 2 of n_B, any bias weight or none, d >= K: the"
            " minority classes share logits and classifiers iff sqrt(lam_H lam_W) >= sqrt(n_B)/N, N = k_A n_A + k_B"
            " n_B; the number of majority classes enters through N alone."
        ),
        source="hong23, minority collapse",
        hypotheses=HYPOTHESES | {"k_B >= 2": lambda c: c.kB >= 2},
        check=check_two_clusters,
        cases=[
            *grid(
                kA=[1, 3],
                nA=[20, 300],
                kB=[2, 4],
                nB=[1, 9],
                L=1,
                more=[0, 2],
                spread=1.0,
                bias=[None, 0.0, 0.1],
                rng=0,
            )[::11],
            Case(kA=5, nA=300, kB=5, nB=100, L=1, more=0, spread=4.0, bias=None, rng=1),
        ],
        controls=[
            Case(kA=2, nA=20, kB=2, nB=4, L=2, more=0, spread=1.0, bias=None, rng=0),
            planted(
                "the threshold is two percent higher",
                kA=2,
                nA=20,
                kB=3,
                nB=4,
                L=1,
                more=0,
                spread=1.0,
                bias=None,
                rng=0,
                times=1.02,
            ),
            planted(
                "the threshold is two percent lower",
                kA=2,
                nA=20,
                kB=3,
                nB=4,
                L=1,
                more=0,
                spread=1.0,
                bias=None,
                rng=0,
                times=0.98,
            ),
        ],
        scope="both sides of the threshold, one percent away",
    ),
    Claim(
        id="related:hong-merging",
        title="Classes of one size m merge at sqrt(lam_H lam_W) = sqrt(m)/N, whatever the others",
        statement=(
            "L = 1, cross-entropy, any counts, any bias weight or none, d >= K: two or more classes of size m have one"
            " and the same logits and classifier iff sqrt(lam_H lam_W) >= sqrt(m)/N. Merged, the fit pulls on their"
            " contrasts with exactly sqrt(m)/N; apart, with less, while an active direction is pulled with sqrt(lam_H"
            " lam_W)."
        ),
        source="hong23, minority collapse (two sizes; any sizes are added here)",
        hypotheses=HYPOTHESES | COUNTED | {"two classes of one size": lambda c: len(set(c.n)) < len(c.n)},
        check=check_groups,
        cases=[
            Case(n=n, L=1, more=0, spread=1.0, bias=bias, rng=0)
            for n, bias in zip(SIZES, (None, 0.1, 0.0, None, 1.0, None), strict=True)
        ],
        controls=[
            Case(n=(20, 20, 3, 3, 3), L=2, more=0, spread=1.0, bias=None, rng=0),
            planted(
                "the threshold is two percent lower",
                n=(20, 20, 3, 3, 3),
                L=1,
                more=0,
                spread=1.0,
                bias=None,
                rng=0,
                times=0.98,
            ),
        ],
        uses=("related:hong-two-clusters",),
    ),
    Claim(
        id="related:hong-vanishing",
        title="All classes vanish at sqrt(lam_H lam_W) = |S diag(sqrt n)|_2/N",
        statement=(
            "L = 1, cross-entropy, any counts: W H = 0 iff sqrt(lam_H lam_W) >= |grad g(0, b)|_2 at the best bias b;"
            " without bias |S diag(sqrt n)|_2/N."
        ),
        source="hong23, minority collapse (two sizes; any sizes are added here)",
        hypotheses=HYPOTHESES | COUNTED,
        check=check_vanishing,
        cases=[
            Case(n=n, L=1, more=0, spread=1.0, bias=bias, rng=0)
            for n, bias in zip(SIZES[:5], (None, 0.1, None, 0.0, 1.0), strict=True)
        ],
        controls=[
            Case(n=(20, 5, 5, 1), L=2, more=0, spread=1.0, bias=None, rng=0),
            planted(
                "the threshold is two percent higher",
                n=(9, 4, 1),
                L=1,
                more=0,
                spread=1.0,
                bias=None,
                rng=0,
                times=1.02,
            ),
        ],
    ),
    Claim(
        id="related:hong-within",
        title="Features collapse within classes for any counts",
        statement=(
            "L = 1, cross-entropy, any counts, any bias weight or none: at every global minimum the features of a class"
            " are equal."
        ),
        source="hong23, collapse within classes",
        hypotheses=HYPOTHESES | COUNTED,
        check=check_collapse,
        cases=[
            Case(n=n, L=1, more=more, lam=lam, spread=2.0, bias=bias, rng=0)
            for n, more, lam, bias in [
                ((9, 4, 4, 2), 0, 1e-2, None),
                ((5, 1), 2, 1e-3, 0.1),
                ((12, 3, 3), 1, 5e-3, 0.0),
                ((6, 5, 4, 3, 2), 0, 1e-3, None),
            ]
        ],
        controls=[
            planted(
                "the simplex is asked for as well",
                n=(9, 4, 4, 2),
                L=1,
                more=0,
                lam=1e-2,
                spread=1.0,
                bias=None,
                rng=0,
                between=True,
            )
        ],
    ),
)
