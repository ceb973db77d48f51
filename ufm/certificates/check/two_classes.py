"""Two classes under cross-entropy (with smoothing), any L and widths: the global minimum by a one-dimensional argument.

Let m_c be the margins (logit of the label less the other one), l(m) = log(1 + e^-m) + (delta/2) m, and w_c = n_c/N:

    g(Z, b) = sum_c w_c l(m_c).

Replacing Z by its class means (Jensen; a projection on the right) and by S Z (a projection on the left; l sees
differences only) lowers no fit and raises no singular value. Then Z = (1, -1)' (x_1, -x_2) on sqrt(n_c)-scaled columns
has the one singular value s = sqrt(2 (x_1^2 + x_2^2)), and without a bias m_c = 2 x_c/sqrt(n_c), so that sum_c w_c
m_c^2 = 2 s^2/N. As l is convex,

    g >= l(mean m),  mean m = sum_c w_c m_c <= (sum_c w_c m_c^2)^(1/2) = s sqrt(2/N),

and l falls up to its lowest point (infinity for delta = 0): with m = s sqrt(2/N),

    F >= min_{m >= 0} l(m) + (D/2) Lam (m sqrt(N/2))^(2/D),

attained at equal margins, which for equal counts is dnc. A bias adds +-(b_1 - b_2) to the margins and cancels in
their mean for equal counts (its penalty is not negative), so that it changes nothing then.

On this ray log(-l'(m) m^(1-2/D)) rises, peaks and falls: its slope (1 - 2/D)/m + l''/l' is a decreasing function plus
one that decreases too (with u = 1/(e^m + 1), -l''/l' = u(1-u)/(u - delta/2), whose derivative in u has the sign of
-(u^2 - delta u + delta/2) < 0). So the critical points are a barrier and the large root, and the minimum is at 0 or at
the large root: two numbers to compare.

Source: the argument as given here; dnc and its scale as in gk25.
"""

from __future__ import annotations

from fractions import Fraction

from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.equations import solve
from ufm.certificates.check.model import Model
from ufm.certificates.check.pulls import block_equation, block_fit, penalty
from ufm.certificates.check.record import at_least, decided, proved_below
from ufm.certificates.check.rejected import DoesNotExist, Rejected, Undecided
from ufm.numerics import balls

METHOD = "two_classes"


def check(data: dict) -> Checked:
    """data: problem, claim (`global` or `bound`), lower (exact text at most the minimum)."""
    model = Model.of(data)
    name, value, margin = decided(lambda: minimum(model))
    proved_below(value, data["lower"])
    if data["claim"] == "bound":
        return Checked("bound", at_least(model, data["lower"]), None, "ball")
    return Checked("global", f"{name} is a global minimum", margin, "ball")


def minimum(model: Model) -> tuple[str, object, float | None]:
    """(name, value as a ball, how far the other end of the ray lies above it; None where there is no other)."""
    refuse(model)
    count, zero = Fraction(model.N, 2), balls.ball(2).log()
    try:
        m = solve(block_equation(model, 2, count), "large", "dnc")
    except DoesNotExist:
        return "zero", zero, None
    value = block_fit(model, 2, m) + penalty(model, ((m * balls.ball(count).sqrt(), 1),))
    if value < zero:
        return ("dnc" if model.balanced else "the rank 1 point of equal margins"), value, balls.to_float(zero - value)
    if value > zero:
        return "zero", zero, balls.to_float(value - zero)
    raise Undecided("dnc and zero are too close to tell which is lower")


def refuse(model: Model) -> None:
    """Rejected where the argument does not apply."""
    if model.K != 2:
        raise Rejected(f"two classes are K=2; got K={model.K}.")
    if model.loss == "mse":
        raise Rejected("the argument is for cross-entropy with or without smoothing; got loss='mse'.")
    if model.bias is not None and not model.balanced:
        raise Rejected(f"with a bias the argument needs equal counts; got n={list(model.n)}.")


CHECKER = Checker(METHOD, check, states_problem=True)
