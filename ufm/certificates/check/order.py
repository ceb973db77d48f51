"""The order of two points of one problem: F(left) < F(right), from proved enclosures of both.

A side is a structure in closed form (its scales and loss are recomputed by `scales.enclose`), or any point of declared
rank

    Z = U diag(s) V',   F = g(Z) + (D/2) Lam sum_i s_i(Z)^(2/D) + (bias/2)|b|^2,

with U (K, r), V (N, r) or one row per class (times sqrt(n_c)) only nearly orthonormal. By Ostrowski's inequality
sigma_i(Z) lies in s_i [smin(U) smin(V), smax(U) smax(V)], and smin^2, smax^2 in 1 -+ |U'U - I|_F. The point need not be
critical.

Data: `problem`; `left`, `right` with `structure`, `root`, `scales` (or `point`, `U`, `s`, `V`, `b`), `loss` and
`radius`. Data are sealed (`record`), so that a slip in a number that hardly matters (a width, the last digit of U) is
seen; outputs are recomputed: every scale is correctly rounded, and the radius is the least
two-digit number with |F - loss| <= radius (at least 1e-28 |loss|).

Source: ostrowski59.
"""

from __future__ import annotations

import decimal
import math
import re
from fractions import Fraction

from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.contributed import structure
from ufm.certificates.check.losses import column_loss
from ufm.certificates.check.model import Model
from ufm.certificates.check.origin import origin
from ufm.certificates.check.pulls import penalty
from ufm.certificates.check.rejected import Rejected
from ufm.certificates.check.scales import enclose, is_closed
from ufm.numerics import balls
from ufm.numerics.arithmetic import exact

METHOD = "order"
GUARD = 8
MOST_DIGITS = 550
_DECIMAL = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")
_LABEL = re.compile(r"[\w(),+=. #-]+")


def check(data: dict) -> Checked:
    """F(left) < F(right), from the stated enclosures after both were recomputed. Raises Rejected."""
    model = Model.of(data)
    left, right = data["left"], data["right"]
    intervals = [_verified(model, side, where) for side, where in ((left, "left"), (right, "right"))]
    found = compared(label(left), label(right), *intervals)
    return found.resting(_source(model, left), _source(model, right))


def compared(left: str, right: str, low, high) -> Checked:
    """The order of two intervals (lower, upper) of exact numbers."""
    gap, reverse = high[0] - low[1], low[0] - high[1]
    if gap > 0:
        return Checked("order", f"{left} < {right}", _float_below(gap), "ball")
    if reverse > 0:
        raise Rejected(f"the reverse is true: {right} < {left} by at least {_float_below(reverse):.6g}.")
    width = max(low[1] - low[0], high[1] - high[0])
    raise Rejected(
        f"undecided: the losses of {left} and {right} are enclosed to {float(width):.2g} and not told apart."
    )


def label(side: dict) -> str:
    """The words of the statement: a structure's name with its roots, or point(name)."""
    if "point" in side:
        if not _LABEL.fullmatch(side["point"]):
            raise Rejected(f"a point cannot be called {side['point']!r}.")
        return f"point({side['point']})"
    roots = [side["root"]] if isinstance(side["root"], str) else side["root"]
    said = set(roots) == {"large"} or side["structure"].endswith(("large)", "small)"))
    return side["structure"] if said else f"{side['structure']}({','.join(roots)})"


def _source(model: Model, side: dict) -> str:
    """The file whose balls a side rests on; empty for this package's own."""
    if "point" in side:
        return column_loss(model.loss).origin
    return "" if is_closed(side["structure"]) else origin(structure(side["structure"]))


def _verified(model: Model, side: dict, where: str):
    """(lower, upper) of the stated interval, once the recomputed enclosure is seen to lie in it and to need it."""
    digits = significant(side["loss"])
    if not (1 if "point" in side else 15) <= digits <= MOST_DIGITS:
        raise Rejected(f"{where}: a loss has 15 to {MOST_DIGITS} digits; got {side['loss']!r}.")
    ball = recomputed(model, side, digits, where)
    with balls.precision(4 * digits + 128):
        if decimal.Decimal(side["radius"]) != decimal.Decimal(radius(ball, side["loss"])):
            raise Rejected(f"{where}: the loss is not {side['loss']} +/- {side['radius']}; it lies in {ball.str(20)}.")
    middle, reach = Fraction(side["loss"]), Fraction(side["radius"])
    return middle - reach, middle + reach


def recomputed(model: Model, side: dict, digits: int, where: str):
    """The ball of F at a side of a certificate; its scales are compared on the way."""
    if "point" in side:
        return point_value(model, side)
    root = side["root"] if isinstance(side["root"], str) else tuple(side["root"])
    found = enclose(model, side["structure"], root, digits + GUARD)
    if len(found.scales) != len(side["scales"]):
        raise Rejected(f"{where}: {side['structure']} has {len(found.scales)} scales; got {len(side['scales'])}.")
    for i, (ball, text) in enumerate(zip(found.scales, side["scales"], strict=True)):
        with balls.precision(4 * digits + 128):
            if (
                significant(text) < 15
                or not abs(ball - balls.ball(Fraction(text))) <= balls.ball(_unit(text)) * 0.5000001
            ):
                raise Rejected(f"{where}: scale {i} is not {text}; it lies in {ball.str(20)}.")
    return found.loss


def significant(text: str) -> int:
    """How many significant digits a decimal text has; Rejected where it is none."""
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise Rejected(f"{text!r} is not a decimal number.")
    exact(text)  # ValueError where its exponent is out of all proportion
    return len(decimal.Decimal(text).as_tuple().digits)


def _unit(text: str) -> Fraction:
    return Fraction(10) ** int(decimal.Decimal(text).as_tuple().exponent)


def rounded(ball, digits: int) -> str:
    """The middle of a ball as a decimal text of so many significant digits."""
    mantissa, exponent = (int(part) for part in ball.mid().man_exp())
    exact = Fraction(mantissa) * Fraction(2) ** exponent
    context = decimal.Context(prec=digits, rounding=decimal.ROUND_HALF_EVEN, Emin=-(10**9), Emax=10**9)
    value = context.divide(decimal.Decimal(exact.numerator), decimal.Decimal(exact.denominator))
    return (
        str(value.quantize(decimal.Decimal(1).scaleb(value.adjusted() - digits + 1), context=context))
        if value
        else "0." + "0" * digits
    )


def worthwhile(ball, most: int) -> int:
    """How many digits of the middle of a ball mean something: the last one is worth more than the radius."""
    if ball.rad() == 0:
        return most
    ratio = abs(ball.mid()) / ball.rad()
    return max(1, min(most, math.floor(balls.to_float(ratio.log() / balls.ball(10).log())))) if ratio > 1 else 1


def radius(ball, text: str) -> str:
    """The least two-digit number that is at least |F - text| for all F in the ball, and at least 1e-28 |text|."""
    centre = balls.ball(Fraction(text))
    distance = abs(ball - centre).upper()
    least = (
        abs(centre) * balls.ball("1e-28")
        if significant(text) <= 28
        else abs(centre) * balls.ball(10) ** (-significant(text) - 2)
    ).upper()
    return balls.above(distance if distance > least else least, 2)


def point_value(model: Model, side: dict, bits: int = 160):
    """The ball of F at Z = U diag(s) V' as stated, whatever it is."""
    with balls.precision(bits):
        U, V = _matrix(side["U"], model.K), _matrix(side["V"], None)
        s = [_exact(text) for text in side["s"]]
        r, rows = len(s), len(side["V"])
        if rows not in (model.K, model.N) or any(len(row) != r for row in (*side["U"], *side["V"])):
            raise Rejected(
                f"a point of rank {r} has {model.K} rows of {r} numbers in U, and as many or {model.N} in V."
            )
        if r > model.max_rank:
            raise Rejected(f"rank {r} does not fit into widths {list(model.d)}.")
        if not all(value > 0 for value in s):
            raise Rejected("singular values must be positive.")
        labels, weights, shrink = _columns(model, rows)
        b = [_exact(text) for text in side.get("b") or ["0"] * model.K]
        if len(b) != model.K or (model.bias is None and side.get("b") is not None):
            raise Rejected("the bias does not belong to the problem.")
        fit, loss = balls.ball(0), column_loss(model.loss)
        if U is not None and V is not None:
            matrix = balls.flint().arb_mat
            Z = (U * matrix([[s[i] if i == j else 0 for j in range(r)] for i in range(r)]) * V.transpose()).tolist()
            low, high = (x * y for x, y in zip(_stretch(U, r), _stretch(V, r), strict=True))
            singular = [((low * x).union(high * x), 1) for x in s]
        else:
            Z, singular = [[balls.ball(0)] * rows for _ in range(model.K)], []
        for j, (c, weight) in enumerate(zip(labels, weights, strict=True)):
            column = [Z[i][j] * shrink[j] + b[i] for i in range(model.K)]
            fit += weight * loss.value(column, c)
        ridge = (
            balls.ball(0) if model.bias is None else balls.ball(model.bias) / 2 * sum((x * x for x in b), balls.ball(0))
        )
        return fit + penalty(model, singular) + ridge


def _columns(model: Model, rows: int):
    """(class, weight, factor on the stored column) of every stored column: one per class, else one per sample."""
    if rows == model.K:
        weights = [balls.ball(Fraction(n, model.N)) for n in model.n]
        return list(range(model.K)), weights, [1 / balls.ball(n).sqrt() for n in model.n]
    labels = [c for c, n in enumerate(model.n) for _ in range(n)]
    return labels, [balls.ball(Fraction(1, model.N))] * rows, [balls.ball(1)] * rows


def _stretch(A, r: int):
    """(at most smin, at least smax) of a nearly orthonormal matrix."""
    gram = (A.transpose() * A).tolist()
    off = balls.total((x - (i == j)) ** 2 for i, row in enumerate(gram) for j, x in enumerate(row)).sqrt()
    if not off < 1:
        raise Rejected(f"a factor is too far from orthonormal: |U'U - I| = {off.str(5)}.")
    return (1 - off).sqrt().lower(), (1 + off).sqrt().upper()


def _matrix(rows, count):
    if count is not None and len(rows) != count:
        raise Rejected(f"U has {count} rows; got {len(rows)}.")
    return balls.flint().arb_mat([[_exact(text) for text in row] for row in rows]) if rows and rows[0] else None


def _exact(text: str):
    """A hexadecimal float or a decimal text, exactly."""
    if not isinstance(text, str):
        raise Rejected(f"numbers of a point are texts; got {text!r}.")
    return balls.ball(float.fromhex(text)) if "0x" in text else balls.ball(exact(text))


def _float_below(value: Fraction) -> float:
    """The exact positive number rounded down to a float."""
    near = float(value)
    return near if Fraction(near) <= value else math.nextafter(near, 0.0)


CHECKER = Checker(METHOD, check, states_problem=True)
