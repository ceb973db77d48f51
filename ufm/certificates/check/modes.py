"""MSE: the singular modes decouple, so that the global minimum is one decision per mode.

    F(Z) = (1/2N) ||Z - Y||^2 + (D/2) Lam sum_i s_i(Z)^(2/D),   rank Z <= R = min(K, d).

By Mirsky's inequality ||Z - Y||^2 >= sum_i (s_i(Z) - y_i)^2, both sorted, y_c = sqrt(n_c) the singular values of Y.
Hence

    F >= sum_i n_i/(2N) - sum of the R largest gains,   gain(y) = max(0, max_s (2 s y - s^2)/(2N) - (D/2) Lam s^(2/D)),

which grows with y, and the bound is attained on the singular vectors of Y. On the ray of one mode s = 0 competes with
the large root of s + N Lam s^(2/D - 1) = y. The root has a positive gain iff

    N^D prod(lam) (D-1)^(2D-2) < n^(D-1) (D-2)^(D-2)                        (takeover)

and exists iff N^D prod(lam) (2D-2)^(2D-2) < n^(D-1) D^D (D-2)^(D-2) (fold), with 0^0 = 1: statements between rational
numbers when lam is rational. At equality both ends of the ray are minimal, and the mode counts as off.

An unpenalised bias with equal counts leaves ||(Z - Y)(1 - 11'/N)||^2: Z may be replaced by Z (1 - 11'/N), a projection,
and the same holds with y = sqrt(n) K - 1 times. A penalised bias weighs one mode differently; Mirsky's inequality then
says less.

Source: mirsky75, dang23 (takeover and roots); the equality case as given here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.equations import solve
from ufm.certificates.check.model import Model
from ufm.certificates.check.pulls import block_equation, penalty
from ufm.certificates.check.record import at_least, decided, proved_below
from ufm.certificates.check.rejected import Rejected, Undecided
from ufm.numerics import arithmetic, balls

METHOD = "modes"


@dataclass(frozen=True)
class Mode:
    """`size` equal modes y = sqrt(count), `places` within the width; the signs of the gain and of fold - Lam."""

    count: int
    size: int
    places: int
    gain: int
    root: int

    @property
    def on(self) -> int:
        return self.places if self.gain > 0 else 0


def check(data: dict) -> Checked:
    """data: problem, claim (`global` or `bound`), lower (exact text at most the minimum)."""
    model = Model.of(data)
    name, value, margin, arithmetic_used = decided(lambda: minimum(model))
    proved_below(value, data["lower"])
    if data["claim"] == "bound":
        return Checked("bound", at_least(model, data["lower"]), None, "ball")
    return Checked("global", f"{name} is a global minimum", margin, arithmetic_used)


def minimum(model: Model) -> tuple[str, object, float | None, str]:
    """(name, value as a ball, least |gain| of a mode that has a root, `exact` where lam is rational)."""
    refuse(model)
    found = modes(model)
    value, margins = balls.ball(Fraction(sum(g.count * g.size for g in found), 2 * model.N)), []
    for g in found:
        if g.root > 0 and g.places:
            gain = _gain(model, g.count)
            value -= g.on * gain
            margins.append(abs(balls.to_float(gain)) if g.gain else 0.0)
    used = "ball" if _rational(model) is None else "exact"
    return _name(model, found), value, min(margins, default=None), used


def modes(model: Model) -> list[Mode]:
    """Equal modes together, strongest first."""
    simplex = 0 if model.bias is None else 1
    room, found = min(model.max_rank, model.K - simplex), []
    for count in sorted(set(model.n), reverse=True):
        size = model.n.count(count) - simplex
        found.append(Mode(count, size, min(size, room), takeover(model, count), fold(model, count)))
        room -= found[-1].places
    return found


def refuse(model: Model) -> None:
    """Rejected where the modes do not decouple, or are not shown to."""
    if model.loss != "mse":
        raise Rejected(f"the modes decouple under MSE only; got loss={model.loss!r}.")
    if model.bias is not None and not (balls.ball(model.bias) == 0 and model.balanced):
        raise Rejected(
            f"with a bias the argument needs bias=0 and equal counts; got bias={model.bias}, n={list(model.n)}."
        )


def takeover(model: Model, count: int) -> int:
    """1 where the mode sqrt(count) gains by being on, -1 where it loses, 0 at equality."""
    D = model.D
    return _sign_of(model, count ** (D - 1) * (D - 2) ** (D - 2), model.N**D * (D - 1) ** (2 * D - 2))


def fold(model: Model, count: int) -> int:
    """1 where the mode has a large root, -1 where it has none, 0 at the fold."""
    D = model.D
    return _sign_of(model, count ** (D - 1) * D**D * (D - 2) ** (D - 2), model.N**D * (2 * D - 2) ** (2 * D - 2))


def _sign_of(model: Model, left: int, factor: int) -> int:
    """The sign of left - factor prod(lam)."""
    exact = _rational(model)
    if exact is not None:
        return (left > factor * exact) - (left < factor * exact)
    difference = balls.ball(left) - factor * model.Lam() ** model.D
    if difference > 0 or difference < 0:
        return 1 if difference > 0 else -1
    raise Undecided("lam is too close to a takeover or a fold to tell the side")


def _rational(model: Model) -> Fraction | None:
    """prod(lam) as a fraction, None where a text is not a rational number."""
    product = Fraction(1)
    for text in model.lam:
        value = arithmetic.evaluate(text, Fraction)
        if not isinstance(value, Fraction):
            return None
        product *= value
    return product


def _gain(model: Model, count: int):
    """F(0) - F(large root) of one mode."""
    a = solve(block_equation(model, model.K, count), "large", f"the mode of {count} samples")
    return balls.ball(Fraction(count, 2 * model.N)) * a * (2 - a) - penalty(model, ((a * balls.ball(count).sqrt(), 1),))


def _name(model: Model, found: list[Mode]) -> str:
    """zero, dnc (every mode with a root, as the width allows), or the modes that are on (`ufm.structures.modes`)."""
    if not any(g.on for g in found):
        return "zero"
    narrow_bias = model.bias is not None and model.max_rank < model.K
    if not narrow_bias and all(g.root and g.on == (g.places if g.root > 0 else 0) for g in found):
        return "dnc"
    if len(found) == 1:
        return f"modes(large={found[0].on})"
    return "modes(" + "; ".join(f"n={g.count}: large={g.on}" for g in found if g.on) + ")"


CHECKER = Checker(METHOD, check, states_problem=True)
