"""Theorems for all K and L: ratios below 1 at a few corners, and polynomials that carry them to all larger K and L.

Both theorems set a competitor with the logits of pairs against DNC at the same scale b > 0, with D = L + 1.

*Fit.* With x = e^-b a paired column costs log(1 + (K-2) x + x^2), the lone column of odd K and every column of DNC
log(1 + (K-1) x). The difference of the arguments is x (1 - x) > 0 for 0 < x < 1, whatever K is: pairs fit strictly
better at every scale.

*Penalty.* The least penalty of factors with squared norms A_0, ..., A_L times free constants is (D/2) Lam (A_0 ...
A_L)^(1/D) (AM-GM), and that of DNC is (D/2) Lam (K-1) n^(1/D) b^(2/D). The D-th power of their quotient is a rational
number R(K, L), one formula for either parity of K; the competitor costs less at every scale and every lam iff R < 1
(where R > 1 a large lam decides against it).

gk25:thm1, linear layers. Singular values 2b (m = K // 2 times), and b once more for odd K:
    even  R = 4 (K / (2 (K-1)))^D           odd (both sides less the lone b)  R = 4 ((K-1) / (2 (K-2)))^D.
gk25:thm7, ReLU layers, d >= K >= 2, L >= 2. X = pairs (for odd K with a lone [2]), X^2 = 2 X; Y = y y' with y = 1 on
the 2m paired classes and 0 elsewhere, X Y = 0. Features f (X + Y) >= 0 pass every ReLU unchanged; W_1 H_1 = f (X + Y)
with |W_1|^2 = |H_1|^2 = 2 K sqrt(n) f, its nuclear norm; W_l = X + Y / m for 2 <= l < L doubles X + Y, |W_l|^2 = 4 rank
= 2K+4 or 2K+6; W_L = pairs (odd K: with a lone [1]), |W_L|^2 = 2K or 2K-1; so b = 2^(L-1) f and
    even  R = (1/4) (2K/(K-1))^3 ((2K+4)/(4 (K-1)))^(L-2),  odd
        R = (1/4) (2K/(K-1))^2 ((2K-1)/(K-1)) ((2K+6)/(4 (K-1)))^(L-2).

*All K and L.* R is a product of factors p(K)/q(K) to powers that do not fall with L. Each factor does not rise from K
to K + 2, since p, q and p(K) q(K+2) - p(K+2) q(K) have no negative coefficient about the least K; a factor whose power
grows with L is below 1. So R < 1 at a corner (K_0, L_0) gives R < 1 for all K >= K_0 and L >= L_0. Conversely R > 1 at
(K_1, L_1) goes down to smaller K and L, and two kinds of walls close the set: small K with all L (the growing factor is
at least 1), small L with all K (a polynomial inequality).

Source: gk25 (Theorems 1 and 7); its Theorem 7 is stated for fewer K than the construction proves.
"""

from __future__ import annotations

from itertools import pairwise

from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.rejected import Rejected

METHOD = "theorem"

FACTORS = {
    "gk25:thm1": (
        (((4,), (1,), (1, 0)), ((0, 1), (-2, 2), (1, 1))),
        (((4,), (1,), (1, 0)), ((-1, 1), (-4, 2), (1, 1))),
    ),
    "gk25:thm7": (
        (((1,), (4,), (1, 0)), ((0, 2), (-1, 1), (3, 0)), ((4, 2), (-4, 4), (-2, 1))),
        (((1,), (4,), (1, 0)), ((0, 2), (-1, 1), (2, 0)), ((-1, 2), (-1, 1), (1, 0)), ((6, 2), (-4, 4), (-2, 1))),
    ),
}
"""Theorem -> (even K, odd K) -> factors (p, q, (u, v)) of R: p(K)/q(K) to the power u + v L; coefficients from the
constant up."""

LEAST = {"gk25:thm1": (2, 1), "gk25:thm7": (2, 2)}
"""Least K and L for which R is defined."""

SAYS = {
    "gk25:thm1": "no DNC point is a global minimum at any lam (linear layers, cross-entropy, balanced classes), for {}",
    "gk25:thm7": (
        "ReLU layers of width d >= K with the logits of pairs cost less than linear dnc at every scale and every lam, "
        "so that under Assumption 1 of gk25 no DNC point of the ReLU model is a global minimum, for {}"
    ),
}
SAYS_SET = {
    "gk25:thm1": "for {}, pairs at the scale of dnc cost less at every scale and every lam exactly where {}",
    "gk25:thm7": (
        "for {}, ReLU layers with the logits of pairs built as in gk25's Theorem 7 cost less than linear dnc at every"
        " scale and every lam exactly where {}"
    ),
}
MOST = 40_000
"""Most pairs (K, L) that a list may hold, and the largest K and L in it are at most a tenth of it."""


def sides(theorem: str, K: int, L: int) -> tuple[int, int]:
    """(left, right), positive integers with R(K, L) = left / right."""
    left = right = 1
    for p, q, (u, v) in FACTORS[theorem][K % 2]:
        left, right = left * _at(p, K) ** (u + v * L), right * _at(q, K) ** (u + v * L)
    return left, right


def steps(theorem: str, corners, exact: bool) -> list[dict]:
    """The argument as data: what each step says and the integers that show it. `check` verifies every step.

    corners: [[K, L], ...] with L rising and K falling. exact: also show that R > 1 everywhere else.
    """
    written = [
        {
            "step": "fit",
            "says": "dnc minus pairs at equal scale is positive for 0 < x < 1",
            "in": "x",
            "polynomial": _fit_gap(),
        }
    ]
    written += [
        {"step": "corner", "says": f"R({K}, {L}) < 1", "K": K, "L": L} for K0, L in corners for K in (K0, K0 + 1)
    ]
    for parity, factors in enumerate(FACTORS[theorem]):
        start = LEAST[theorem][0] + parity
        for number, (p, q, (_, v)) in enumerate(factors):
            name = f"factor {number + 1} of R for {('even', 'odd')[parity]} K"
            for word, part in (("numerator", p), ("denominator", q)):
                written.append(
                    {
                        "step": "positive",
                        "says": f"{name} has a positive {word}",
                        "polynomial": list(part),
                        "from": start,
                    }
                )
            fall = _minus(_times(p, _shifted(q, 2)), _times(_shifted(p, 2), q))
            written.append({"step": "falls", "says": f"{name} does not rise with K", "polynomial": fall, "from": start})
            if v:
                first = _same_parity(min(K for K, _ in corners), parity)
                written.append(
                    {"step": "below one", "says": f"{name} is below 1", "polynomial": _minus(q, p), "from": first}
                )
    return written + (_converse(theorem, corners) if exact else [])


def _converse(theorem: str, corners) -> list[dict]:
    """R > 1 outside the corners' quadrants."""
    (least_K, least_L), (last_K, _) = LEAST[theorem], corners[-1]
    written = []
    for L in range(least_L, corners[0][1]):
        for parity in (0, 1):
            text = f"R > 1 for L = {L} and every {('even', 'odd')[parity]} K"
            written.append(
                {"step": "never", "says": text, "polynomial": _excess(theorem, L, parity), "from": least_K + parity}
            )
    for (K, _), (_, L) in pairwise(corners):
        written += [{"step": "outside", "says": f"R({k}, {L - 1}) > 1", "K": k, "L": L - 1} for k in (K - 1, K - 2)]
    written += [
        {"step": "wall", "says": f"R({K}, L) > 1 for every L", "K": K, "L": least_L} for K in range(least_K, last_K)
    ]
    return written


def _holds(theorem: str, step: dict) -> bool:
    """One step, by integer arithmetic."""
    kind = step["step"]
    if kind == "fit":
        return positive_inside(step["polynomial"])
    if kind == "falls":
        return all(c >= 0 for c in _shifted(step["polynomial"], step["from"]))
    if kind in ("positive", "below one", "never"):
        return positive_from(step["polynomial"], step["from"])
    left, right = sides(theorem, step["K"], step["L"])
    if kind == "corner":
        return left < right
    grows = all(_at(p, step["K"]) >= _at(q, step["K"]) for p, q, (_, v) in FACTORS[theorem][step["K"] % 2] if v)
    return left > right and (kind == "outside" or grows)


def check(data: dict) -> Checked:
    """The statement of data {theorem, claim, corners, ranges, steps}, every step verified.

    claim `all`: ranges [[K_lo, K_hi, L_lo, L_hi], ...] (None for no upper end), each inside the quadrant K >= K_0, L >=
    L_0 of one corner. claim `set`: one range; the corners' quadrants are exactly where R < 1 in it. claim `list`: the
    same by evaluating R at every (K, L).
    """
    theorem, claim, corners, ranges = data["theorem"], data["claim"], data["corners"], data["ranges"]
    if theorem not in FACTORS or claim not in ("all", "set", "list"):
        raise Rejected(f"no theorem is called {theorem!r} with the claim {claim!r}.")
    _readable(theorem, corners, ranges)
    if claim == "list":
        _listed(theorem, corners, ranges)
    if data["steps"] != (_fit_only() if claim == "list" else steps(theorem, corners, claim == "set")):
        raise Rejected("the written steps are not those of the argument.")
    for step in data["steps"]:
        if not _holds(theorem, step):
            raise Rejected(f"a step fails: {step['says']}.")
    if claim == "all":
        for box in ranges:
            if not any(box[0] >= K and box[2] >= L for K, L in corners):
                raise Rejected(
                    f"not for {box_text(box)}: R < 1 is shown for {' and '.join(map(box_text, parts(corners)))}."
                )
        return Checked("theorem", SAYS[theorem].format(", and ".join(map(box_text, ranges))), None, "exact")
    if len(ranges) != 1:
        raise Rejected("the exact set is stated on one range.")
    inside = [box for box in (meet(part, ranges[0]) for part in parts(corners)) if box]
    return Checked(
        "theorem",
        SAYS_SET[theorem].format(box_text(ranges[0]), " or ".join(map(box_text, inside)) or "never"),
        None,
        "exact",
    )


def _fit_only() -> list[dict]:
    return steps("gk25:thm1", [[2, 1]], False)[:1]


def _readable(theorem: str, corners, ranges) -> None:
    (least_K, least_L), numbers = LEAST[theorem], [v for row in (*corners, *ranges) for v in row]
    whole = all(type(v) is int or v is None for v in numbers) and all(type(v) is int for row in corners for v in row)
    if not corners or not ranges or not whole or any(len(c) != 2 for c in corners) or any(len(r) != 4 for r in ranges):
        raise Rejected("corners must be [K, L] and ranges [K_lo, K_hi, L_lo, L_hi] of whole numbers.")
    if max(v for row in corners for v in row) > 1000 or any(a[0] <= b[0] or a[1] >= b[1] for a, b in pairwise(corners)):
        raise Rejected(f"corners must have falling K and rising L, at most 1000; got {corners}.")
    if any(K < least_K or L < least_L for K, L in corners):
        raise Rejected(f"corners must have K >= {least_K} and L >= {least_L}; got {corners}.")
    for K_lo, K_hi, L_lo, L_hi in ranges:
        if K_lo < least_K or L_lo < least_L or (K_hi is not None and K_hi < K_lo) or (L_hi is not None and L_hi < L_lo):
            raise Rejected(
                f"{theorem} is about K >= {least_K}, L >= {least_L} and ranges that are not empty; got"
                f" {[K_lo, K_hi, L_lo, L_hi]}."
            )


def _listed(theorem: str, corners, ranges) -> None:
    K_lo, K_hi, L_lo, L_hi = ranges[0]
    if None in ranges[0] or (K_hi - K_lo + 1) * (L_hi - L_lo + 1) > MOST or max(K_hi, L_hi) > MOST // 10:
        raise Rejected(f"a list holds at most {MOST} pairs (K, L) with K and L at most {MOST // 10}.")
    for K in range(K_lo, K_hi + 1):
        for L in range(L_lo, L_hi + 1):
            left, right = sides(theorem, K, L)
            claimed = any(K >= K0 and L >= L0 for K0, L0 in corners)
            if left == right or (left < right) != claimed:
                raise Rejected(
                    f"R({K}, {L}) is {'below' if left < right else 'not below'} 1, against the corners {corners}."
                )


def parts(corners) -> list[list]:
    """The union of the corners' quadrants as boxes [K_lo, None, L_lo, L_hi] without common L."""
    ends = [L - 1 for _, L in corners[1:]] + [None]
    return [[K, None, L, end] for (K, L), end in zip(corners, ends, strict=True)]


def meet(a, b) -> list | None:
    """The box of the pairs (K, L) in both boxes, or None."""
    both = []
    for low, high in ((0, 1), (2, 3)):
        ends = [box[high] for box in (a, b) if box[high] is not None]
        both += [max(a[low], b[low]), min(ends) if ends else None]
        if both[-1] is not None and both[-2] > both[-1]:
            return None
    return both


def box_text(box) -> str:
    return f"{_range('K', *box[:2])} with {_range('L', *box[2:])}"


def _range(name: str, low: int, high: int | None) -> str:
    return f"{name} >= {low}" if high is None else f"{name} = {low}" if low == high else f"{name} = {low}..{high}"


def _fit_gap() -> list[int]:
    """(1 + (K-1) x) - (1 + (K-2) x + x^2) by powers of x; refused should K remain in it."""
    dnc, pair = ([1, 0], [-1, 1], [0, 0]), ([1, 0], [-2, 1], [1, 0])
    gap = [_minus(a, b) for a, b in zip(dnc, pair, strict=True)]
    if any(slope for _, slope in gap):
        raise Rejected("the difference of the fits depends on K.")
    return [constant for constant, _ in gap]


def _excess(theorem: str, L: int, parity: int) -> list[int]:
    """Numerator less denominator of R at one L, a polynomial in K."""
    left, right = [1], [1]
    for p, q, (u, v) in FACTORS[theorem][parity]:
        for _ in range(u + v * L):
            left, right = _times(left, p), _times(right, q)
    return _minus(left, right)


def _same_parity(K: int, parity: int) -> int:
    return K + (K - parity) % 2


def _at(p, x: int) -> int:
    return sum(c * x**i for i, c in enumerate(p))


def _times(p, q) -> list[int]:
    product = [0] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            product[i + j] += a * b
    return product


def _minus(p, q) -> list[int]:
    size = max(len(p), len(q))
    return [(p[i] if i < len(p) else 0) - (q[i] if i < len(q) else 0) for i in range(size)]


def _shifted(p, by: int) -> list[int]:
    """Coefficients of t -> p(by + t)."""
    result = [0]
    for c in reversed(p):
        result = _minus(_times(result, [by, 1]), [-c])
    return result


def positive_from(p, start: int) -> bool:
    """p(x) > 0 for every real x >= start, seen from the signs of its coefficients about start."""
    about = _shifted(p, start)
    return about[0] > 0 and all(c >= 0 for c in about)


def positive_inside(p) -> bool:
    """p(x) > 0 for every 0 < x < 1: (1 + y)^deg p(1/(1+y)) has no negative coefficient, and one that is positive."""
    total = [0]
    for i, c in enumerate(p):
        power = [c]
        for _ in range(len(p) - 1 - i):
            power = _times(power, [1, 1])
        total = _minus(total, [-v for v in power])
    return all(c >= 0 for c in total) and any(total)


CHECKER = Checker(METHOD, check)
