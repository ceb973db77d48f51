"""The critical set of deep linear MSE: how many, at what values, of what index, and which are minima; against dense
Hessians and random Newton runs."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from theory.related.deep_mse_modes import Labelled, labelled_points, modes
from theory.related.deep_tools import READABLE, dense_inertia, newton_points, readable
from ufm.landscapes.landscape import landscape
from ufm.objectives.logits import Stratum, value
from ufm.structures.modes import spinodal

VALUE = 1e-12
"""Of F: rounding of a fit and a Schatten penalty."""
MOST = 30
"""Largest number of dense Hessians formed in one case; more points are thinned evenly."""
ZERO = 1e-10
"""Of Lam: an eigenvalue of that modulus counts as zero; two small roots next to each other turn at about (N Lam)^3
Lam."""
DISTINCT = 1e-11
"""Of F: two critical values that far apart are different."""


def ratios(case) -> np.ndarray:
    """N Lam over the spinodal, per mode; NaN where the case names no problem with known modes."""
    if not readable(case) or (case.get("bias") and isinstance(case.n, tuple)):
        return np.array([math.nan])
    problem = case.problem(loss="mse")
    return problem.N * problem.Lam / np.array([spinodal(y, problem.D) for y in modes(problem)[1]])


HERE = READABLE | {
    "L >= 1": lambda c: c.L >= 1,
    "MSE": lambda c: c.get("loss", "mse") == "mse",
    "no bias, or a free one": lambda c: not c.get("bias"),
    "no mode within 1e-6 of its spinodal": lambda c: np.all(np.abs(ratios(c) - 1) > 1e-6),
    "small roots are resolved: N Lam at least 1/200 of every spinodal": lambda c: np.all(ratios(c) >= 5e-3),
}


def check_morse(case):
    """Value, gradient, index and nullity of every labelled point by the formulas, against the dense Hessian in all
    parameters."""
    problem = case.problem(loss="mse")
    found = labelled_points(problem)
    falsified = {name: False for name in ("ties", "pairs") if case.get("without") == name}
    for i, labelled in enumerate(thinned(found, MOST)):
        point, fun = labelled.point(), labelled.fun()
        where = f"point {i}, rank {labelled.rank}, s = {np.round(labelled.s, 6).tolist()}"
        yield Evidence(fun, "==", value(point), VALUE * max(1.0, fun), note=f"{where}: F")
        stratum = Stratum(point)
        yield Evidence(stratum.grad_norm, "<=", max(1e-10 * stratum.ridge_norm, 1e-14), 0.0, note=f"{where}: gradient")
        index, nullity = labelled.signature(**falsified)
        measured = dense_inertia(point, case.rng, ZERO)
        yield Evidence(measured[0], "==", index, 0, note=f"{where}: index of the dense Hessian")
        yield Evidence(measured[1], "==", nullity, 0, note=f"{where}: nullity of the dense Hessian")


def thinned(found: list, most: int) -> list:
    """Every point, or `most` of them, evenly chosen."""
    return [found[i] for i in sorted({round(x) for x in np.linspace(0, len(found) - 1, min(most, len(found)))})]


def check_count(case):
    """Critical values counted three ways: binomials, labelled points, the landscape; ends of random Newton runs among
    them."""
    problem = case.problem(loss="mse")
    found = labelled_points(problem)
    alive = int(np.sum(ratios(case) < 1))
    each, room = 1 if problem.D == 2 else case.get("roots", 2), problem.max_rank
    expected = sum(math.comb(alive, r) * each**r for r in range(min(alive, room) + 1))
    atlas = landscape(problem)
    values = np.sort([p.fun() for p in found])
    distinct = 1 + int(np.sum(np.diff(values) > DISTINCT * values[-1]))
    yield Evidence(
        distinct, "==", expected, 0, note=f"distinct values; sum over r <= {min(alive, room)} of C({alive}, r) {each}^r"
    )
    yield Evidence(len(atlas), "==", expected, 0, note="families of the landscape, which is complete")
    if room >= alive and problem.D > 2:
        yield Evidence(
            distinct, "==", (1 + each) ** alive, 0, note="without a bottleneck 3^(modes below their spinodal)"
        )
    apart = max(min(abs(values - p.fun)) for p in atlas)
    yield Evidence(
        float(apart),
        "<=",
        VALUE * values[-1] * 10,
        0.0,
        note="every value of the landscape is that of a labelled point",
    )
    ends = [value(p) for p in newton_points(problem, case.tries, case.rng, math.sqrt(problem.N))]
    far = max((min(abs(values - end)) for end in ends), default=0.0)
    yield Evidence(
        far,
        "<=",
        1e-9 * values[-1],
        0.0,
        "sampled",
        note=f"{len(ends)} ends of Newton runs: largest distance to a listed value",
    )


def check_minima(case):
    """Local minima by the formula are the top-k sets on large roots, their dense Hessians say so, and all others have a
    negative direction."""
    problem = case.problem(loss="mse")
    found = labelled_points(problem)
    alive = int(np.sum(ratios(case) < 1))
    expected = [p for p in found if top(p, case.get("any_root", False))]
    minima = [p for p in found if p.signature()[0] == 0]
    yield Evidence(
        len(minima), "==", len(expected), 0, note="labelled points of index 0, and labelled top sets on large roots"
    )
    yield Evidence(
        sum(a is b for a, b in zip(minima, expected, strict=False)),
        "==",
        len(expected),
        0,
        note="they are the same points",
    )
    ranks = {p.rank for p in minima}
    reach = min(alive, problem.max_rank)
    yield Evidence(
        len(ranks), "==", 1 if problem.D == 2 else reach + 1, 0, note=f"ranks of local minima: {sorted(ranks)}"
    )
    lowest = min(found, key=Labelled.fun)
    yield Evidence(lowest.signature()[0], "==", 0, 0, note="the global minimum is one of them")
    others = [p for p in found if not top(p, False)]
    for p in thinned(expected, 8) + thinned(others, 8):
        index = dense_inertia(p.point(), case.rng, ZERO)[0]
        yield Evidence(
            min(index, 1),
            "==",
            int(not top(p, case.get("any_root", False))),
            0,
            note=f"dense Hessian at rank {p.rank}: index {index}",
        )


def top(labelled: Labelled, any_root: bool) -> bool:
    """Whether the active modes are the k strongest (any of them among equals), all on the large root; at D = 2 with
    every threshold passed."""
    p, active = labelled.problem, labelled.s > 0
    idle = labelled.y[~active] if p.D > 2 else labelled.y[~active & (labelled.y > p.N * p.Lam)]
    room = p.D > 2 or labelled.rank == p.widths[0] or not len(idle)
    ordered = (
        not len(idle)
        or not np.any(active)
        or np.min(labelled.y[active]) >= np.max(labelled.y[~active], initial=0.0) * (1 - 1e-12)
    )
    return bool(room and ordered and (any_root or not np.any(labelled.small)))


def level(L: int, n, share: float, spread: tuple = ()) -> float | tuple:
    """lam with N Lam = share times the spinodal of the weakest class; `spread`: factors of product one for the
    layers."""
    counts = n if isinstance(n, tuple) else (n,)
    raise_to = share * spinodal(math.sqrt(min(counts)), L + 1)
    return raise_to if not spread else tuple(raise_to * x for x in spread)


def cases_for(shares, tries: int = 0) -> list[Case]:
    """Unequal counts, ties, bottlenecks, unequal layer weights and widths; lam is set by the spinodal of the weakest
    class."""
    shapes = [
        (2, (3, 1), 3, 2, ()),
        (3, (5, 3, 2), 4, 2, ()),
        (3, (5, 3, 2), 4, 3, (0.5, 1.0, 4.0, 0.5)),
        (3, (4, 2, 1), 2, 2, (2.0, 0.25, 2.0)),
        (3, (4, 2, 1), (4, 2), 2, ()),
        (3, (3, 2, 1), 4, 1, (4.0, 0.25)),
        (3, (3, 2, 1), 2, 1, ()),
        (4, (4, 3, 2, 1), 4, 2, ()),
    ]
    found = []
    for K, n, d, L, spread in shapes:
        for share in shares:
            lam = level(L, n, share, spread)
            lam = tuple(x / sum(n) for x in lam) if isinstance(lam, tuple) else lam / sum(n)
            found.append(Case(K=K, n=n, d=d, L=L, lam=lam, bias=None, rng=0, **({"tries": tries} if tries else {})))
    return found


def tied_cases(shares) -> list[Case]:
    """Equal counts, and two of three: families of positive dimension."""
    shapes = [
        (2, 1, 3, 2),
        (3, 1, 4, 2),
        (3, 2, 3, 3),
        (3, (2, 2, 1), 4, 2),
        (4, (3, 3, 1, 1), 4, 3),
        (3, 2, 4, 1),
        (3, 1, 2, 2),
    ]
    made = []
    for K, n, d, L in shapes:
        N = sum(n) if isinstance(n, tuple) else K * n
        made += [Case(K=K, n=n, d=d, L=L, lam=level(L, n, share) / N, bias=None, rng=1) for share in shares]
    return made


CLAIMS = (
    Claim(
        id="related:deep-mse-morse",
        title="Value, index and nullity of every critical point of deep linear MSE by counting modes out of order",
        statement=(
            "index = #small roots + #active pairs with (y_i - y_j)(s_i - s_j) < 0 or equal y on the small root +"
            " #(active i, inactive j) with y_j > y_i [+ (d-r) #inactive y_j > N Lam at D = 2]; nullity = sum_l (r d_l -"
            " r(r+1)/2) + #active pairs of equal y on different roots + #(active, inactive) pairs of equal y; F = sum"
            " (y^2/2N)((1-t)^2 + D t (1-t)), t = s/y."
        ),
        source="dang23",
        hypotheses=HERE,
        check=check_morse,
        cases=[*cases_for([0.7, 1.3]), *tied_cases([0.6]), Case(K=3, n=(4, 2, 1), d=3, L=2, lam=0.05, bias=0.0, rng=0)],
        controls=[
            planted("terms of equal modes are left out", K=3, n=1, d=4, L=2, lam=0.1, bias=None, rng=1, without="ties"),
            planted(
                "pairs of active modes are left out",
                K=3,
                n=(5, 3, 2),
                d=4,
                L=2,
                lam=0.05,
                bias=None,
                rng=1,
                without="pairs",
            ),
        ],
        uses=("related:deep-mse-spinodal", "related:deep-stratum-inertia"),
        scope=f"dense Hessians of all parameters at up to {MOST} labelled points a case",
    ),
    Claim(
        id="related:deep-mse-count",
        title=(
            "Deep linear MSE has 3^m critical values, m modes below their spinodal; with a bottleneck the subsets of"
            " size at most d"
        ),
        statement=(
            "For D >= 3, distinct y and m of them below their spinodal there are sum_{r <= min(d)} C(m, r) 2^r critical"
            " values, 3^m without a bottleneck; at D = 2 sum_r C(m, r). Every critical point is at one of them."
        ),
        source="dang23",
        hypotheses=HERE
        | {
            "class counts are distinct": lambda c: isinstance(c.n, tuple) and len(set(c.n)) == c.K,
            "no bias": lambda c: c.get("bias") is None,
        },
        check=check_count,
        cases=cases_for([0.7, 1.2], tries=12),
        controls=[
            planted(
                "small roots are forgotten", K=3, n=(5, 3, 2), d=4, L=2, lam=0.05, bias=None, rng=0, tries=4, roots=1
            ),
            Case(K=3, n=2, d=4, L=2, lam=0.05, bias=None, rng=0, tries=4),
        ],
        uses=("related:deep-mse-spinodal",),
        scope=(
            "completeness rests on the proof in ufm.structures.modes; here it is sampled by Newton runs from random"
            " points of every rank"
        ),
    ),
    Claim(
        id="related:deep-mse-minima",
        title=(
            "Local minima of deep linear MSE: the k strongest modes on their large roots; everything else is a strict"
            " saddle"
        ),
        statement=(
            "D >= 3 and N Lam off every spinodal: a critical point is a local minimum iff its active modes are k"
            " strongest ones, all on large roots, 0 <= k <= min(m, min d); every other critical point has a negative"
            " curvature. D = 2: only the largest such k."
        ),
        source="dang23",
        hypotheses=HERE,
        check=check_minima,
        cases=[*cases_for([0.7, 1.3]), *tied_cases([0.6])],
        controls=[
            planted("small roots are let in", K=3, n=(5, 3, 2), d=4, L=2, lam=0.05, bias=None, rng=0, any_root=True)
        ],
        uses=("related:deep-mse-morse",),
        scope="index by the count on every labelled point, by dense Hessians on sixteen of them",
    ),
)
