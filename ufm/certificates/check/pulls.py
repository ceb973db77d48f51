"""The losses of `losses` along the ray of one scale t, in closed form: the pull v = -dl/dt and the fit of a column.

Every piece has e(t) = -t v'(t)/v(t) increasing strictly from 0 as long as v > 0, and v' < 0 throughout, which is what
`equations` goes by. *Cross-entropy, a block of k classes in K = k + r*, x = e^(t/k): v = (k + r x)/(x^k + k - 1 + r x)
and -v'/v = A/B,

    A = k x^k + r (1 - 1/k) x^(k+1) + (r/k) x,   B = (x^k + k - 1 + r x)(k + r x).

In A'B - AB' every coefficient is positive but two: -(r^3/k) x^2, outweighed for x >= 1 by r^3 (k-1)^2/k x^(k+2), and
-r x^(2k). With y = r x, t (log A/B)' >= -log(x) y/((k + (1-1/k) y)(k + y)) >= -y log(y)/(4 + 3y + y^2/2) > -1, so t A/B
increases. *A lone class*, z = t e_c: v = (K-1)/(e^t + K - 1), e = t e^t/(e^t + K - 1). *Label smoothing* subtracts a
constant c from v: e becomes e v/(v - c), a product of two increasing factors. *MSE*: v = 1 - rho t, e = rho t/(1 -
rho t).

Source: gk25 (the scale equations of dnc and pairs).
"""

from __future__ import annotations

from fractions import Fraction

from ufm.certificates.check.equations import Equation, Piece
from ufm.certificates.check.losses import CrossEntropy, Squared, column_loss
from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls


def has_closed_forms(loss: str) -> bool:
    """Whether this file knows the loss of this name."""
    return isinstance(column_loss(loss), (Squared, CrossEntropy))


def loss_kind(model: Model):
    """(`ce` or `mse`, smoothing as a ball); Rejected for losses without closed forms here."""
    loss = column_loss(model.loss)
    if isinstance(loss, Squared):
        return "mse", balls.ball(0)
    if isinstance(loss, CrossEntropy):
        return "ce", loss.smoothing
    raise Rejected(
        f"no proof that the scales under the loss {model.loss!r} are unique on their branch; ce, mse and"
        " label_smoothing have one."
    )


def block_piece(model: Model, k: int, weight, stretch: int = 1) -> Piece:
    """The pull on a column of a block of k classes at t = stretch times the variable: v of the module."""
    kind, smoothing = loss_kind(model)
    if kind == "mse":
        return linear_piece(weight, balls.ball(1))
    r = model.K - k

    def parts(t):
        X = (-t / k).exp()
        return X, X**k, X ** (k - 1)

    def plain(t):
        X, Xk, Xk1 = parts(stretch * t)
        return (k * Xk + r * Xk1) / (1 + (k - 1) * Xk + r * Xk1)

    def drop(t):
        t = stretch * t
        X, Xk, Xk1 = parts(t)
        rate = (k * X + balls.ball(Fraction(r * (k - 1), k)) + balls.ball(Fraction(r, k)) * Xk) / (
            (1 + (k - 1) * Xk + r * Xk1) * (k * X + r)
        )
        return t * rate * (k * Xk + r * Xk1) / (1 + (k - 1) * Xk + r * Xk1)

    return Piece(weight, lambda t: plain(t) - smoothing, drop)


def lone_piece(model: Model, weight) -> Piece:
    """The pull on a lone column z = t e_c."""
    _, smoothing = loss_kind(model)
    others = model.K - 1
    constant = smoothing * others / model.K

    def drop(t):
        y = others * (-t).exp()
        return t * y / (1 + y) ** 2

    def value(t):
        y = others * (-t).exp()
        return y / (1 + y) - constant

    return Piece(weight, value, drop)


def linear_piece(weight, rho) -> Piece:
    """v = 1 - rho t."""
    return Piece(weight, lambda t: 1 - rho * t, lambda t: rho * t)


def block_fit(model: Model, k: int, t):
    """The loss of one column of a block of k classes at scale t, without bias; k = 1 is a column of zeros."""
    kind, smoothing = loss_kind(model)
    share = balls.ball(Fraction(k - 1, k))
    if kind == "mse":
        return (1 - share * t * (2 - t)) / 2
    y, z = (-t).exp(), (-share * t).exp()
    return ((k - 1) * y + (model.K - k) * z).log1p() + smoothing * share * t


def penalty(model: Model, singular_values):
    """(D/2) Lam sum s^(2/D)."""
    total = sum((times * s ** balls.ball(Fraction(2, model.D)) for s, times in singular_values), balls.ball(0))
    return model.Lam() * model.D / 2 * total


def exponent(model: Model) -> Fraction:
    """q = 1 - 2/D."""
    return 1 - Fraction(2, model.D)


def block_equation(model: Model, k: int, count: int | Fraction) -> Equation:
    """(sqrt(count)/N) v(t) = Lam (sqrt(count) t)^(-q): a block of k classes with `count` samples each."""
    root = balls.ball(count).sqrt()
    level = model.Lam() * model.N / root
    q = exponent(model)
    return Equation((block_piece(model, k, balls.ball(1)),), level * root ** balls.ball(-q) if q else level, q)
