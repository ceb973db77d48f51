"""Odd K with a lone class: pairs of one scale, and pairs+apex.

`pairs`: m pairs and a lone class of one scale b, the stationary point of F along it. `pairs+apex`: a zero of the
gradient on the symmetric family (b, t_0, t_1), proved to be critical and the only one near; that no lower one lies on
its family is not proved.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ufm.certificates.check.enclosed import Enclosed
from ufm.certificates.check.equations import Equation, solve
from ufm.certificates.check.krawczyk import zero_near
from ufm.certificates.check.model import Model
from ufm.certificates.check.pulls import (
    block_equation,
    block_fit,
    block_piece,
    exponent,
    linear_piece,
    lone_piece,
    loss_kind,
    penalty,
)
from ufm.certificates.check.rejected import DoesNotExist, Undecided
from ufm.numerics import balls


def odd_pairs(model: Model, root: str, name: str) -> Enclosed:
    """m pairs and a lone class of one scale b, the stationary point of F along it."""
    _odd_only(model, name)
    kind, smoothing = loss_kind(model)
    K, m, n, q = model.K, model.K // 2, model.n[0], exponent(model)
    p = balls.ball(Fraction(2, model.D))
    if kind == "mse":
        pieces = (linear_piece(balls.ball(1), balls.ball(Fraction(4 * m + 1, K))),)
    else:
        pieces = (
            block_piece(model, 2, balls.ball(Fraction(2 * m, K)), 2),
            lone_piece(model, balls.ball(Fraction(1, K))),
        )
    level = model.Lam() * balls.ball(n).root(model.D) * (m * balls.ball(2) ** p + 1)
    b = solve(Equation(pieces, level, q), root, name)
    if kind == "mse":
        fit = (1 - 2 * b + (4 * m + 1) * b * b / K) / 2
    else:
        lone = ((K - 1) * (-b).exp()).log1p() + smoothing * b * (K - 1) / K
        fit = (2 * m * block_fit(model, 2, 2 * b) + lone) / K
    s = balls.ball(n).sqrt() * b
    singular = ((2 * s, m), (s, 1))
    return Enclosed(fit + penalty(model, singular), (b,), singular)


def apex(model: Model, name: str, start) -> Enclosed:
    """m pairs and an apex: a zero of the gradient in (b, t_0, t_1), isolated by Krawczyk's test."""
    _odd_only(model, name)
    kind, _ = loss_kind(model)
    if model.K == 3:
        raise DoesNotExist("pairs+apex needs K >= 5: at K=3 its family contains dnc.")
    if kind == "mse":
        a = solve(block_equation(model, 2, model.n[0]), "large", name)
        r = model.K // 2 + 1
        singular = ((a * balls.ball(model.n[0]).sqrt(), r),)
        return Enclosed(
            (1 - balls.ball(Fraction(r, model.K)) * a * (2 - a)) / 2 + penalty(model, singular), (a / 2, a), singular
        )
    v = zero_near(lambda v: _apex_terms(model, v)[1:], start if start is not None else _apex_start(model, name))
    if v is None:
        raise Undecided(f"{name}: Krawczyk's test does not hold")
    b, tau = v[0], (v[1] ** 2 + v[2] ** 2).sqrt()
    if not (b > 0 and tau > 0):
        raise Undecided(f"{name}: a scale is not shown to be positive")
    root = balls.ball(model.n[0]).sqrt()
    return Enclosed(_apex_terms(model, v)[0] * model.Lam(), tuple(v), ((2 * root * b, model.K // 2), (root * tau, 1)))


def _apex_terms(model: Model, v):
    """(F, gradient, Hessian)/Lam in v = (b, t_0, t_1): columns b(e_0 - e_1) + c t_1 u, and t_0 u, c = 1/sqrt(K-1).

    With delta = u_K - u_1 = sqrt(K/(K-1)) the losses are log(1 + e^-2b + (K-3)e^-b + e^(-b + c delta t_1)), log(1 +
    (K-1)e^(-delta t_0)).
    """
    _, smoothing = loss_kind(model)
    K, m, n, D, Lam = model.K, model.K // 2, model.n[0], model.D, model.Lam()
    b, t0, t1 = v
    p, delta, c = balls.ball(Fraction(2, D)), balls.ball(Fraction(K, K - 1)).sqrt(), 1 / balls.ball(K - 1).sqrt()
    E0, E1, E2 = (-2 * b).exp(), (K - 3) * (-b).exp(), (c * delta * t1 - b).exp()
    S, E = 1 + E0 + E1 + E2, (K - 1) * (-delta * t0).exp()
    first, k = (2 * E0 + E1 + E2) / S, c * delta
    tilt, own = E2 / S, E / (1 + E)
    low, high = -1 / balls.ball(K * (K - 1)).sqrt(), balls.ball(Fraction(K - 1, K)).sqrt()
    pairs, lone = balls.ball(Fraction(K - 1, K)) / Lam, balls.ball(Fraction(1, K)) / Lam
    tau2 = t0 * t0 + t1 * t1
    pair, apex = m * (4 * balls.ball(n)) ** (p / 2) * b**p, (n * tau2) ** (p / 2)
    fit = pairs * ((E0 + E1 + E2).log1p() + smoothing * (b + c * low * t1)) + lone * (E.log1p() + smoothing * high * t0)
    value = fit + (pair + apex) / p
    gradient = [
        pairs * (smoothing - first) + pair / b,
        lone * (smoothing * high - delta * own) + apex * t0 / tau2,
        pairs * (k * tilt + smoothing * c * low) + apex * t1 / tau2,
    ]
    bend, twist = apex / tau2, (p - 2) * apex / tau2**2
    bb = pairs * ((4 * E0 + E1 + E2) / S - first**2) + (p - 1) * pair / b**2
    b1 = pairs * k * tilt * (first - 1)
    aa = lone * delta**2 * own / (1 + E) + bend + twist * t0 * t0
    cc = pairs * k**2 * tilt * (1 - tilt) + bend + twist * t1 * t1
    ac = twist * t0 * t1
    return value, gradient, [[bb, 0 * b, b1], [0 * b, aa, ac], [b1, ac, cc]]


def _apex_start(model: Model, name: str):
    """The lowest end of Newton descents (with |Hessian|) from five starts: a guess in float64."""

    def terms(v):
        with balls.precision(128):
            f, g, H = _apex_terms(model, [balls.ball(float(x)) for x in v])
        return (
            balls.to_float(f),
            np.array([balls.to_float(x) for x in g]),
            np.array([[balls.to_float(x) for x in row] for row in H]),
        )

    try:
        guess = balls.to_float(odd_pairs(model, "large", name).scales[0])
    except DoesNotExist:
        raise Undecided(
            f"{name} was not found: the pairs of one scale that the search starts from do not exist"
        ) from None
    ends = []
    for start in ((1, 1, 0), (1, 2, 0), (1, 1.5, -0.5), (1, 1.5, 0.5), (0.7, 1, -1)):
        v = guess * np.array(start, dtype=float)
        f, g, H = terms(v)
        for _ in range(60):
            size, frame = np.linalg.eigh(H)
            step = -frame @ ((frame.T @ g) / np.maximum(abs(size), 1e-12 * np.max(abs(size))))
            step *= min(1.0, float(np.linalg.norm(v) / np.linalg.norm(step)))
            for halving in range(30):
                w = v + step * 0.5**halving
                if w[0] > 0 and np.hypot(w[1], w[2]) > 0 and (new := terms(w))[0] < f:
                    break
            else:
                break
            v, (f, g, H) = w, new
        if v[0] > 1e-6 * guess and np.hypot(v[1], v[2]) > 1e-6 * guess:
            ends.append((f, tuple(v)))
    if not ends:
        raise Undecided(f"{name} was not found: every start ended at a lower rank")
    return min(ends)[1]


def _odd_only(model: Model, name: str) -> None:
    if model.K % 2 == 0 or not model.balanced or model.bias is not None:
        raise DoesNotExist(
            f"{name} with a lone class needs odd K, equal counts and no bias; got K={model.K}, bias={model.bias}."
        )
    if model.K // 2 + 1 > min(model.d):
        raise DoesNotExist(f"{name} needs widths of at least its rank {model.K // 2 + 1}; got d={list(model.d)}.")
