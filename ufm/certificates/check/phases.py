"""The order of two structures on a whole interval of lam, from four enclosures at its ends.

With lam the effective ridge weight, F(Z; lam) = g(Z) + lam R(Z), R = (D/2) sum s_i^(2/D), is linear in lam at a fixed
Z. A named structure with large roots has scales t_1, t_2, ... that each solve G_j(t_j) = lam. Where they exist at
lam_2, G_j falls from t_j(lam_2) on to 0 (proved with the enclosure, `check.scales`): they exist for every smaller lam
too, are the largest roots there, and move down as lam grows. Its value V(lam) has the slope R, by stationarity in t,
and R rises in t: V rises with lam and is concave on (0, lam_2].

So on [lam_1, lam_2] the value of `right` lies on or above its chord, and that of `left` on or below its tangents at
both ends, whose slopes are R there. A mean of the two tangents that lies below the chord at both ends proves left <
right between them. A long interval is cut into pieces.

Where right exists at lam_1 but not at lam_2, and each G_j belongs to one block, it rises to one peak and falls (at L =
1 every G_j only falls): as long as right exists V_right >= V_right(lam_1), and V_left(lam_2) < V_right(lam_1) proves
the order wherever right exists. A structure without scales at lam_1 has none at larger lam: G_j has no positive root
for a level of lam_1, and it tends to 0, hence lies below it.

Source: gk25 (the structures); concavity of the value along a branch as given here.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from itertools import pairwise

from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.model import Model
from ufm.certificates.check.pulls import penalty
from ufm.certificates.check.rejected import DoesNotExist, Rejected
from ufm.certificates.check.scales import enclose, is_closed
from ufm.numerics import balls

METHOD = "phase"
BITS = 256


def check(data: dict) -> Checked:
    """The statement of data {problem, claim, left, right, lam}: the problem at the lowest of the rising exact texts
    lam, all its weights that lam, with equal counts and without a bias.

    claim `order`: left < right on [lam[0], lam[-1]], piece by piece. claim `absent`: the structure `left` does not
    exist there; right is None.
    """
    with balls.precision(BITS):
        lam, left, right = data["lam"], data["left"], data["right"]
        ends = [balls.ball(text) for text in lam]
        if len(lam) < 2 or not ends[0] > 0 or not all(a < b for a, b in pairwise(ends)):
            raise Rejected(f"lam must be positive and rising; got {lam}.")
        problem = stated(data)
        where = f"for all lam in [{lam[0]}, {lam[-1]}] ({_said(problem)})"
        if data["claim"] == "absent":
            if right is not None or end(problem, left, lam[0]) is not None:
                raise Rejected(f"{left} exists at lam={lam[0]}.")
            return Checked("critical", f"{left} does not exist {where}", None, "ball")
        if data["claim"] != "order":
            raise Rejected(f"claim must be order or absent; got {data['claim']!r}.")
        if end(problem, right, lam[0]) is None:
            raise Rejected(f"{right} does not exist at lam={lam[0]}.")
        margins = [
            margin for piece in pairwise(lam) if (margin := piece_margin(problem, left, right, *piece)) is not None
        ]
        whole = end(problem, right, lam[-1]) is not None
        words = f"{left} < {right} {where}" if whole else f"{left} < {right} as long as {right} exists, {where}"
        return Checked("order", words, min(margins), "ball")


def stated(data: dict) -> Model:
    """The problem at the lowest lam, from either form of the data: older certificates write K, n, L, d and loss beside
    lam."""
    if "problem" not in data:
        K, n, L = data["K"], data["n"], data["L"]
        lam = [data["lam"][0]] * (L + 1)
        return Model.from_dict(
            {"K": K, "n": [n] * K, "d": data["d"], "L": L, "lam": lam, "loss": data["loss"], "bias": None}
        )
    problem = Model.of(data)
    if not problem.balanced or problem.bias is not None or set(problem.lam) != {data["lam"][0]}:
        raise Rejected("the problem must have equal counts, no bias, and the lowest lam.")
    return problem


def piece_margin(problem: Model, left: str, right: str, low: str, high: str) -> float | None:
    """A positive number below V_right - V_left where right exists on [low, high]; None where it exists nowhere.

    Raises Rejected where no positive one is found, or left is not shown to exist on all of it.
    """
    with balls.precision(BITS):
        L1, L2, R1, R2 = (end(problem, name, lam) for name in (left, right) for lam in (low, high))
        if L1 is None or L2 is None:
            raise Rejected(f"{left} does not exist at lam={high}.")
        if R1 is None:
            return None
        if R2 is None:
            if problem.K % 2 and right == "pairs" and problem.L > 1:
                raise Rejected(
                    f"{right} does not exist at lam={high}; its scale equation is not shown to have one peak."
                )
            margin = R1[0] - L2[0]
        else:
            width = balls.ball(high) - balls.ball(low)
            first = R1[0] - L1[0], R2[0] - L1[0] - L1[1] * width
            last = R1[0] - L2[0] + L2[1] * width, R2[0] - L2[0]
            margin = _best_mean(first, last)
        if not margin > 0:
            raise Rejected(f"{left} < {right} is not shown for all lam in [{low}, {high}] ({_said(problem)}).")
        return float(balls.below(margin, 6))


def _best_mean(first, last):
    """max over mixtures u first + (1-u) last of the smaller end: u = 0, 1, or where both ends agree."""
    slopes = (first[0] - first[1]).mid(), (last[0] - last[1]).mid()
    shares = [balls.ball(0), balls.ball(1)]
    if slopes[0] * slopes[1] < 0:
        shares.append((slopes[1] / (slopes[1] - slopes[0])).mid())
    ends = [[u * a + (1 - u) * b for a, b in zip(first, last, strict=True)] for u in shares]
    return max((min(pair, key=_lower) for pair in ends), key=_lower)


@functools.lru_cache(maxsize=1 << 14)
def end(problem: Model, name: str, lam: str):
    """(V, R) as balls of the structure `name` (large roots) at one lam, or None where it is proved not to exist.

    Raises Rejected for names and losses without a proof, Undecided next to a fold.
    """
    if not isinstance(name, str) or "small" in name:
        raise Rejected(f"the value of a barrier root is not concave in lam; got {name!r}.")
    if not is_closed(name):
        raise Rejected(f"no closed form is known for a structure called {name!r}.")
    model = replace(problem, lam=(lam,) * problem.D)
    try:
        found = enclose(model, name)
    except DoesNotExist:
        return None
    with balls.precision(BITS):
        return found.loss, penalty(model, found.singular_values) / model.Lam()


def _said(problem: Model) -> str:
    narrow = f", d={','.join(map(str, problem.d))}" if min(problem.d) < problem.K else ""
    said = f"K={problem.K}, n={problem.n[0]}, L={problem.L}{narrow}"
    return said + ("" if problem.loss == "ce" else f", {problem.loss}")


def _lower(x) -> float:
    return float(balls.below(x, 17))


CHECKER = Checker(METHOD, check)
