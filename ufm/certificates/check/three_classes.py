"""Three classes, cross-entropy, L >= 2, equal counts: the global minimum by branch and bound in intervals.

Normal form: with class means Z (3 x 3), p = 2/D and C = (D/2) Lam n^(1/D),

    F = g(Z) + C sum_i s_i^p,   g = (1/3) sum_c log(1 + e^-m_ca + e^-m_cb),   m_cj = z_cc - z_jc  (entry j of column c).

Projections lower F (within-class means by Jensen, columns to sum 0 as g sees differences only; no singular value
grows), so that every global minimiser is given by its six margins m, ordered m_01, m_02, m_10, m_12, m_20, m_21, and
has rank <= 2. One exists, since F grows at infinity. S_3 permutes the six margins simply transitively: let m_01 be the
largest.

The domain. For F(Z) <= goal: log(1 + e^-m) <= 3 g <= 3 goal bounds every margin below. On the other side m_cj <=
sqrt(2) |z_c| <= sqrt(2) s_1, and C s_1^p <= goal - min_s {(1/3) log(1 + e^(-sqrt(2) s)) + C s^p} with s = s_2: order
the classes by the first left singular vector u; the middle one has, for either sign of its entry of v, another class j
with (u_c - u_j) v_c <= 0, whence m_cj <= sqrt(2) s_2.

A box of margins is discarded for one of four reasons.

*Too costly.* g falls in every margin: its least value is at the upper corner. With T = |Z|^2 = s_1^2 + s_2^2 and V =
s_1 s_2 (the root of the sum of the squared 2 x 2 minors), s_1^p + s_2^p increases in T and in V, as lambda^q = c_q
int_0^inf log(1 + lambda/t) t^(q-1) dt, 0 < q < 1, and prod_i (1 + lambda_i/t) = 1 + T/t + V^2/t^2. Here T = (2/3) sum_c
(m_ca^2 - m_ca m_cb + m_cb^2) is convex, and the minor of columns i, j (third class k), (m_ij m_jk + m_ik m_ji - m_ij
m_ji)/sqrt(3), is affine in every margin: its range is attained at corners.

*Without a critical point.* A minimiser of rank r >= 1 is critical among the matrices U X' with its own column space,
where F is smooth: U' grad g = -C p diag(s^(p-1)) V', hence -Z' grad g = C p (Z'Z)^(p/2). So with the softmax shares q_d
and S_cd = sum_j q_d(j) (m_cj - m_cd), which is -3 Z' grad g,

    S is symmetric,     tr S = 3 C p sum s_i^p,     S_cc >= 3 C p s_1^(p-2) |z_c|^2.

*Too costly, by Taylor.* On centred columns Hess g >= (1/3) (least share of column c) |dz_c|^2, since the variance of dz
under q is at least min q |dz|^2. On 2 x 3 matrices of rank 2, Hess sum s_i^p >= -p (1-p) s_2^(p-2): its eigenvalues are
f''(s_i), the divided differences of f' at (s_1, s_2) (a mean value of f''), and (f'(s_1) + f'(s_2))/(s_1 + s_2),
f'(s_i)/s_i > 0 for f = s^p. The gradient is that of a function of e_1 = T and e_2 = V^2: df/de_1 = (p/2) [x^(p/2)],
df/de_2 = -(p/2) [x^(p/2-1)], divided differences between s_1^2 and s_2^2.

*Convex about DNC.* If these two bounds add to something nonnegative on a box that holds this box and DNC, a critical
point, then F >= F(DNC) there. When the claim is about zero: g >= log 3 - tr(Z)/3, so that F >= log 3 while s_1^(1-p) <=
3 C.

*A range of C.* F is affine in C, and F(DNC) is concave in C with slope P = 2 alpha^p (alpha falls in C): it lies under
its tangent, also affine. A box that is too costly at both ends for the tangent is so between. Zero at one C is a global
minimum at every larger C, as F grows with C and F(0) does not.

Source: the argument as given here; dnc as in gk25.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import DoesNotExist, Rejected, Undecided
from ufm.certificates.check.scales import enclose
from ufm.numerics import balls
from ufm.numerics.intervals import Interval

METHOD = "three_classes"
BITS = 128
CHUNK = 20_000
"""Boxes handled at once: memory stays near 100 MB."""

A, B = slice(0, None, 2), slice(1, None, 2)
"""First and second margin of each column."""
OTHER = [1, 0, 3, 2, 5, 4]
"""The other margin of the same column."""
MINORS = ([0, 3, 4], [1, 2, 5], [2, 5, 1], [3, 4, 0])
"""Margins ij, ik, ji, jk of the minors of columns 01, 12, 20."""
TINY = 1e-9
"""Singular values and volumes below it count as 0."""
THIRD = 1.0 / Interval.of(3.0)
ROOT2, ROOT3, ROOT6 = (Interval.of(x).sqrt() for x in (2.0, 3.0, 6.0))


@dataclass(frozen=True)
class Case:
    """One search: p = 2/D; C as thin intervals, one or the two ends of a range; for each the value to beat; alpha of
    dnc (None: zero)."""

    p: Interval
    C: tuple[Interval, ...]
    goal: tuple[float, ...]
    alpha: Interval | None


# What is searched


def dnc_case(L: int, C_low: str, C_high: str | None = None) -> Case:
    """dnc at one C, or on a range: goal is the tangent of F(DNC) at the middle. Raises DoesNotExist."""
    with balls.precision(BITS):
        ends = (C_low,) if C_high is None else (C_low, C_high)
        middle = C_low if C_high is None else f"(({C_low})+({C_high}))/2"
        found = _dnc(L, middle)
        slope = 2 * found.scales[0] ** balls.ball(Fraction(2, L + 1))
        goal = tuple(_coarse(found.loss + slope * (balls.ball(C) - balls.ball(middle))).hi for C in ends)
        low, high = (_coarse(_dnc(L, C).scales[0]) for C in (ends[-1], ends[0]))
        return Case(
            power(L), tuple(outward(balls.ball(C)) for C in ends), tuple(map(float, goal)), Interval(low.lo, high.hi)
        )


def zero_case(L: int, C: str) -> Case:
    """zero at one C."""
    with balls.precision(BITS):
        return Case(power(L), (outward(balls.ball(C)),), (float(_coarse(balls.ball(3).log()).hi),), None)


def _dnc(L: int, C: str):
    return enclose(Model(3, (1, 1, 1), (3,) * L, L, (f"2*({C})/{L + 1}",) * (L + 1)), "dnc", "large")


def power(L: int) -> Interval:
    """p = 2/D."""
    return Interval.of(2.0) / float(L + 1)


def outward(ball) -> Interval:
    """The interval of neighbouring floats around a ball."""
    return Interval(np.nextafter(float(ball.lower()), -np.inf), np.nextafter(float(ball.upper()), np.inf))


def _coarse(ball) -> Interval:
    """A wider interval with ends of 40 bits, so that the search does not depend on the last bits of a ball."""
    x = outward(ball)
    unit = 2.0 ** (np.frexp(np.maximum(np.abs(x.lo), np.abs(x.hi)))[1] - 40)
    return Interval(np.floor(x.lo / unit) * unit, np.ceil(x.hi / unit) * unit)


def domain(case: Case) -> tuple[float, float]:
    """(below, above) every margin of a point with F <= goal at some C."""
    goal = max(case.goal)
    with balls.precision(BITS):
        least = outward(-(3 * balls.ball(goal)).expm1().log()).lo
    ends = np.concatenate([[0.0], 2.0 ** np.arange(-20, 12, 1 / 64), [np.inf]])
    s, above, C = Interval.of(ends[:-1]), Interval.of(ends[1:]), Interval.of(case.C[0].lo)
    rest = float(np.min(((-(ROOT2 * above)).exp().log1p() * THIRD + C * s.power(case.p)).lo))
    largest = (Interval.of(np.maximum(((goal - Interval.of(rest)) / C).hi, 0.0))).power(1.0 / case.p)
    return float(least), float((ROOT2 * largest).hi)


# Bounds over boxes: lo, hi are (6, boxes)


def fit(m: Interval) -> Interval:
    """g of margins (6, ...)."""
    e = (-m).exp()
    return add((e[A] + e[B]).log1p()) * THIRD


def add(x: Interval) -> Interval:
    """Over the three columns, in a fixed order."""
    return x[0] + x[1] + x[2]


def columns(lo, hi) -> tuple[np.ndarray, np.ndarray]:
    """(below, above) |z_c|^2 = (2/3)(a^2 - ab + b^2), each (3, boxes)."""
    a, b = (lo[A], hi[A]), (lo[B], hi[B])
    inside = (a[0] <= 0) & (a[1] >= 0) & (b[0] <= 0) & (b[1] >= 0)
    low = np.where(inside, 0.0, np.minimum(_edges(a, b), _edges(b, a)))
    high = np.maximum.reduce([_form(Interval.of(x), Interval.of(y)).hi for x in a for y in b])
    return np.maximum((2.0 * Interval.of(low) * THIRD).lo, 0.0), (2.0 * Interval.of(high) * THIRD).hi


def _form(x: Interval, y: Interval) -> Interval:
    """x^2 - xy + y^2, exact over x where y is a point."""
    return y.square() * 0.75 + (x - 0.5 * y).square()


def _edges(a, b):
    return np.minimum(*(_form(Interval(*a), Interval.of(y)).lo for y in b))


def minors(lo, hi) -> Interval:
    """The three minors, (3, boxes)."""
    ij, ik, ji, jk = MINORS
    ik, jk = Interval(lo[ik], hi[ik]), Interval(lo[jk], hi[jk])
    corners = [
        Interval.of(x[ij]) * (jk - Interval.of(y[ji])) + Interval.of(y[ji]) * ik for x in (lo, hi) for y in (lo, hi)
    ]
    return Interval(np.minimum.reduce([v.lo for v in corners]), np.maximum.reduce([v.hi for v in corners])) / ROOT3


def volume(lo, hi) -> np.ndarray:
    """Below V = s_1 s_2."""
    return np.maximum(add(minors(lo, hi).square()).sqrt().lo, 0.0)


def singular_values(T, V) -> tuple[np.ndarray, np.ndarray]:
    """(below s_1, below s_2) of the matrix with |Z|^2 = max(T, 2V) and volume V; s_2 rises in V and falls in T."""
    T, V = Interval.of(np.maximum(T, 2 * V)), Interval.of(V)
    s = ((T + 2.0 * V).sqrt() + (T - 2.0 * V).sqrt()) * 0.5
    return np.maximum(s.lo, 0.0), np.maximum((V / Interval.of(np.maximum(s.hi, 1e-300))).lo, 0.0)


def penalty(T, V, p: Interval) -> np.ndarray:
    """Below sum s_i^p where |Z|^2 >= T and the volume is at least V."""
    first, second = singular_values(T, V)
    return np.maximum((Interval.of(first).power(p) + Interval.of(second).power(p)).lo, 0.0)


def shares(lo, hi) -> Interval:
    """Softmax shares of the other classes, (6, boxes)."""
    small, large = (-Interval.of(hi)).exp(), (-Interval.of(lo)).exp()
    low, high = small / (1.0 + small + large[OTHER]), large / (1.0 + large + small[OTHER])
    return Interval(np.maximum(low.lo, 0.0), high.hi)


def least_shares(lo, hi) -> np.ndarray:
    """Below the smallest softmax share of each column, label included, (3, boxes)."""
    rest = shares(lo, hi)
    small = (-Interval.of(lo)).exp()
    label = 1.0 / (1.0 + small[A] + small[B])
    return np.minimum(np.maximum(label.lo, 0.0), np.minimum(rest[A].lo, rest[B].lo))


def curvature(lo, hi, s, case: Case) -> np.ndarray:
    """Below the curvature of F along each column, (3, boxes), where s_2 >= s > 0, for every C of the case."""
    bend = case.C[-1] * case.p * (1.0 - case.p) / Interval.of(s).power(2.0 - case.p)
    return (Interval.of(least_shares(lo, hi)) * THIRD - bend).lo


def reach(lo, hi, centre: Interval) -> np.ndarray:
    """Above |m - centre|, (6, boxes)."""
    return np.maximum((Interval.of(hi) - centre).hi, (centre - Interval.of(lo)).hi)


def spread(h) -> Interval:
    """Above |dz_c|^2 for |dm| <= h, (3, boxes)."""
    a, b = Interval.of(h[A]), Interval.of(h[B])
    return 2.0 * (a.square() + b.square() + a * b) * THIRD


# Reasons to discard; each returns (boxes,) booleans


def too_costly(fit_low, penalty_low, case: Case) -> np.ndarray:
    """F > goal at every C."""
    costs = [
        (Interval.of(fit_low) + C * Interval.of(penalty_low)).lo > goal
        for C, goal in zip(case.C, case.goal, strict=True)
    ]
    return np.all(costs, axis=0)


def not_critical(lo, hi, penalty_low, case: Case) -> np.ndarray:
    """-Z' grad g = C p (Z'Z)^(p/2) has no solution in the box other than Z = 0."""
    m, q, C = Interval(lo, hi), shares(lo, hi), Interval.of(case.C[0].lo)
    low, high = columns(lo, hi)
    own = m * q
    own = own[A] + own[B]
    weight = 3.0 * C * case.p
    rate = weight / Interval.of(np.maximum(add(Interval.of(high)).hi, 1e-200)).power(1.0 - 0.5 * case.p)
    scale = add(own).hi < (weight * Interval.of(penalty_low)).lo
    single = np.any((own - Interval.of(low) * rate.lo).hi < 0, axis=0)
    return scale | single | _asymmetric(m, q)


def _asymmetric(m: Interval, q: Interval) -> np.ndarray:
    """S_ij = S_ji fails for some pair: S_ij = q_jk (m_ik - m_ij) - q_ji m_ij."""
    ij, ik, ji, jk = MINORS
    gap = q[jk] * (m[ik] - m[ij]) - q[ji] * m[ij] - q[ik] * (m[jk] - m[ji]) + q[ij] * m[ji]
    return np.any((gap.lo > 0) | (gap.hi < 0), axis=0)


def near_the_claim(lo, hi, case: Case) -> np.ndarray:
    """F is at least its value at dnc (or zero) in the box, by convexity (or the infinite slope)."""
    if case.alpha is None:
        radius = (3.0 * case.C[0]).power(1.0 / (1.0 - case.p)).lo
        return add(Interval.of(columns(lo, hi)[1])).sqrt().hi <= radius
    lo, hi = np.minimum(lo, case.alpha.lo), np.maximum(hi, case.alpha.hi)
    away = add(spread(reach(lo, hi, case.alpha))).sqrt()
    s = np.maximum((case.alpha - away).lo, singular_values(add(Interval.of(columns(lo, hi)[1])).hi, volume(lo, hi))[1])
    curved = curvature(lo, hi, np.maximum(s, TINY), case)
    return (s > TINY) & np.all(curved >= 0, axis=0)


def too_costly_by_taylor(lo, hi, case: Case) -> np.ndarray:
    """F > goal at every C by F >= F(m) - sum |dF/dm| h - (1/2) sum_c (curvature)_- |dz_c|^2, where s_2 > 0."""
    V = volume(lo, hi)
    full = V > TINY
    done = np.zeros(V.shape, bool)
    if np.any(full):
        done[full] = _taylor(lo[:, full], hi[:, full], V[full], case)
    return done


def _taylor(lo, hi, V, case: Case) -> np.ndarray:
    middle = Interval.of(0.5 * lo + 0.5 * hi)
    h = reach(lo, hi, middle)
    s = singular_values(add(Interval.of(columns(lo, hi)[1])).hi, V)[1]
    down = np.maximum(-curvature(lo, hi, np.maximum(s, TINY), case), 0.0)
    bend = 0.5 * add(Interval.of(down) * spread(h))
    value, slope = fit(middle), fit_slope(middle)
    cost, cost_slope = penalty_slope(middle, V, case.p)
    beaten = []
    for C, goal in zip(case.C, case.goal, strict=True):
        total = slope + C * cost_slope
        change = Interval.of(np.maximum(np.abs(total.lo), np.abs(total.hi))) * Interval.of(h)
        beaten.append((value + C * cost - add(change[A] + change[B]) - bend).lo > goal)
    return np.all(beaten, axis=0) & (s > TINY)


def fit_slope(m: Interval) -> Interval:
    """dg/dm at thin m."""
    e = (-m).exp()
    return -(e / (1.0 + e + e[OTHER])) * THIRD


def penalty_slope(m: Interval, V, p: Interval) -> tuple[Interval, Interval]:
    """(f, df/dm), f = sum s_i^p, at thin m whose volume is at least V > 0."""
    x = _stack([m[0] / ROOT2, -m[2] / ROOT2, (m[5] - m[4]) / ROOT2])
    y = _stack([(2.0 * m[1] - m[0]) / ROOT6, (2.0 * m[3] - m[2]) / ROOT6, -(m[4] + m[5]) / ROOT6])
    xx, yy, xy = add(x.square()), add(y.square()), add(x * y)
    gap = ((xx - yy).square() + 4.0 * xy.square()).sqrt()
    w = minors(m.lo, m.hi)
    area = add(w.square())
    area = Interval(np.maximum(area.lo, Interval.of(V).square().lo), np.maximum(area.hi, Interval.of(V).square().hi))
    large = (xx + yy + gap) * 0.5
    small = area / large
    half = 0.5 * p
    first, second = _divided(large, small, gap, half)
    on_T, on_area = half * first, 2.0 * half * second
    squares = 2.0 * (2.0 * m - m[OTHER]) * THIRD
    return large.power(half) + small.power(half), on_T * squares + on_area * _minor_slopes(m, w)


def _minor_slopes(m: Interval, w: Interval) -> Interval:
    """sum over minors of w dw/dm, (6, boxes)."""
    ij, ik, ji, jk = (m[k] for k in MINORS)
    parts = [(jk - ji) * w, ji * w, (ik - ij) * w, ij * w]
    total: dict[int, Interval] = {}
    for indices, part in zip(MINORS, parts, strict=True):
        for row, k in enumerate(indices):
            total[k] = total[k] + part[row] if k in total else part[row]
    return _stack([total[k] for k in range(6)]) / ROOT3


def _divided(large: Interval, small: Interval, gap: Interval, half: Interval) -> tuple[Interval, Interval]:
    """Divided differences of x^half and of -x^(half-1) between x = small and large: quotients, and mean values where
    they are close."""
    rest = 1.0 - half
    apart = gap.lo > 1e-6 * large.hi
    gap = Interval(np.where(apart, gap.lo, 1.0), np.where(apart, gap.hi, 1.0))
    high, low = large.power(rest), small.power(rest)
    first = _better((large.power(half) - small.power(half)) / gap, apart, half / high, half / low)
    second = _better((1.0 / low - 1.0 / high) / gap, apart, rest / (high * large), rest / (low * small))
    return first, second


def _better(quotient: Interval, where, least: Interval, most: Interval) -> Interval:
    low, high = np.maximum(quotient.lo, least.lo), np.minimum(quotient.hi, most.hi)
    return Interval(np.where(where, low, least.lo), np.where(where, high, most.hi))


def _stack(parts) -> Interval:
    return Interval(np.stack([v.lo for v in parts]), np.stack([v.hi for v in parts]))


# The search


def search(case: Case, limit: int, report: Callable[[int], object] | None = None) -> int:
    """Boxes examined until none is left. Raises Undecided when more than `limit` are needed."""
    low, high = domain(case)
    stack, count = [(np.full((6, 1), low), np.full((6, 1), high))], 0
    while stack:
        lo, hi = _next(stack)
        count += lo.shape[1]
        if count > limit:
            raise Undecided(f"undecided after {count} boxes")
        if report:
            report(lo.shape[1])
        lo, hi = remaining(lo, hi, case)
        if lo.shape[1]:
            stack.append(halves(lo, hi))
    return count


def _next(stack) -> tuple[np.ndarray, np.ndarray]:
    """Up to CHUNK of the newest boxes, off the stack."""
    lo, hi = stack.pop()
    while stack and lo.shape[1] < CHUNK:
        more = stack.pop()
        lo, hi = np.concatenate([lo, more[0]], 1), np.concatenate([hi, more[1]], 1)
    if lo.shape[1] > CHUNK:
        stack.append((lo[:, CHUNK:], hi[:, CHUNK:]))
    return lo[:, :CHUNK], hi[:, :CHUNK]


def remaining(lo, hi, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The boxes that no reason discards, cut to where m_01 is the largest margin."""
    hi = np.minimum(hi, hi[0])
    lo = np.concatenate([np.max(lo, axis=0, keepdims=True), lo[1:]])
    least = penalty(add(Interval.of(columns(lo, hi)[0])).lo, volume(lo, hi), case.p)
    keep = ~too_costly(fit(Interval.of(hi)).lo, least, case)
    lo, hi, least = lo[:, keep], hi[:, keep], least[keep]
    keep = ~not_critical(lo, hi, least, case)
    lo, hi = lo[:, keep], hi[:, keep]
    for reason in (near_the_claim, too_costly_by_taylor):
        keep = ~reason(lo, hi, case)
        lo, hi = lo[:, keep], hi[:, keep]
    return lo, hi


def halves(lo, hi) -> tuple[np.ndarray, np.ndarray]:
    """Every box in two, across a margin that is wide and matters: a large margin changes g little."""
    middle = 0.5 * lo + 0.5 * hi
    k, n = np.argmax((hi - lo) * (0.3 + 1.0 / (1.0 + np.maximum(middle, 0.0)) ** 2), axis=0), np.arange(lo.shape[1])
    left, right = hi.copy(), lo.copy()
    left[k, n] = right[k, n] = middle[k, n]
    return np.concatenate([lo, right], 1), np.concatenate([left, hi], 1)


# The statement


def check(data: dict) -> Checked:
    """data: claim (dnc or zero), limit, boxes, and either problem, or L and cuts [C_0 < ... < C_k] (exact texts) for a
    range of C."""
    boxes = count(data)
    if boxes != data["boxes"]:
        raise Rejected(f"the branch and bound takes {boxes} boxes, not {data['boxes']}.")
    return Checked("global", statement(data), None, "interval")


def statement(data: dict) -> str:
    """What the data are about."""
    if "L" not in data:
        return f"{data['claim']} is a global minimum"
    return (
        f"dnc is a global minimum for K=3, L={data['L']}, d >= 2, equal counts n and every C = (D/2) Lam n^(1/D) in"
        f" [{data['cuts'][0]}, {data['cuts'][-1]}]"
    )


def count(data: dict, report: Callable[[int], object] | None = None) -> int:
    """Boxes of the whole proof. Raises Rejected where it fails."""
    total = 0
    for case in cases(data):
        total += search(case, data["limit"] - total, report)
    return total


def cases(data: dict) -> list[Case]:
    """The searches that prove the statement."""
    if "L" not in data:
        model = Model.of(data)
        refuse(model)
        if data["claim"] == "dnc" and model.max_rank < 2:
            raise DoesNotExist(f"dnc needs widths of at least its rank 2; got d={list(model.d)}.")
        return [{"dnc": dnc_case, "zero": zero_case}[data["claim"]](model.L, C_text(model))]
    L, cuts = data["L"], data["cuts"]
    if (
        data["claim"] != "dnc"
        or type(L) is not int
        or L < 2
        or len(cuts) < 2
        or not all(isinstance(C, str) for C in cuts)
    ):
        raise Rejected(f"a range is about dnc, L >= 2 and at least two exact texts of C; got L={L}, {cuts}.")
    with balls.precision(BITS):
        if not balls.ball(cuts[0]) > 0 or not all(balls.ball(a) < balls.ball(b) for a, b in pairwise(cuts)):
            raise Rejected(f"the values of C must be positive and rise; got {cuts}.")
    return [dnc_case(L, a, b) for a, b in pairwise(cuts)]


def C_text(model: Model) -> str:
    """C = (D/2) Lam n^(1/D) as an exact text."""
    D = model.D
    Lam = f"({model.lam[0]})" if len(set(model.lam)) == 1 else f"({'*'.join(f'({lam})' for lam in model.lam)})**(1/{D})"
    return f"{D}/2*{Lam}" + ("" if model.n[0] == 1 else f"*{model.n[0]}**(1/{D})")


def refuse(model: Model) -> None:
    """Rejected where the argument does not apply."""
    if model.K != 3:
        raise Rejected(f"three classes are K=3; got K={model.K}.")
    if model.loss != "ce":
        raise Rejected(f"the argument is for cross-entropy; got loss={model.loss!r}.")
    if model.bias is not None:
        raise Rejected(f"the argument is for models without a bias; got bias={model.bias}.")
    if not model.balanced:
        raise Rejected(f"the argument needs equal counts; got n={list(model.n)}.")
    if model.L < 2:
        raise Rejected(f"the argument needs L >= 2 (at L=1 the problem is convex); got L={model.L}.")


CHECKER = Checker(METHOD, check, states_problem=True)
