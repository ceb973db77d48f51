"""D2, its closed form: how many steps it takes to forget, and why no ceiling is needed."""

from __future__ import annotations

import math

from theory.claim import Claim, Evidence, grid, planted

LARGEST = 2 * math.exp(-2)
"""2/e^2: for eps up to this an integer lies between the exact number of steps and log(2/eps)/(lr lam)."""


def least_steps(shrink: float, eps: float, ratio: float = 1.0) -> int:
    """The least n with (1 - shrink)^n ratio <= eps, shrink = lr lam in (0, 1)."""
    return max(0, math.ceil(math.log(ratio / eps) / -math.log1p(-shrink)))


def check(case):
    """At n = floor(log(2/eps)/(lr lam)) steps, 2 (1 - lr lam)^n <= eps, in logarithms."""
    eps, shrink = case.eps, case.lr * case.lam
    n = math.floor(case.get("double", 1) * math.log(2 / eps) / shrink)
    left, tol = math.log(2) + n * math.log1p(-shrink), 1e-15 * (1 + math.log(2 / eps))
    yield Evidence(left, "<", math.log(eps), tol, note=f"n = {n} steps, the least is {least_steps(shrink, eps, 2.0)}")


CLAIM = Claim(
    id="gsgp22:window",
    title="log(2/eps)/(lr lam) steps forget all but eps, without a ceiling",
    statement=(
        "If |W_{T-n}| <= 2 |W_T| for n = floor(log(2/eps)/(lr lam)), lr lam < 1 and eps <= 2/e^2, then 2 (1 - lr lam)^n"
        " <= eps, so that W_T/|W_T| is within eps of rank m B log(2/eps)/(lr lam) at most. For 1/x + 1/log(1-x) > 1/2"
        " on (0, 1), an integer lies between log(2/eps)/-log(1-x) and log(2/eps)/x."
    ),
    source="gsgp22, the limit of the memory bound",
    hypotheses={
        "0 < lr lam < 1": lambda c: 0 < c.lr * c.lam < 1,
        "eps <= 2/e^2": lambda c: c.eps <= LARGEST,
    },
    check=check,
    cases=grid(
        lr=[0.01, 0.1, 0.4, 1.0, 3.0], lam=[1e-4, 5e-4, 6e-3, 0.08, 0.3], eps=[0.27, 0.1, 0.04, 1e-2, 1e-3, 1e-6]
    ),
    controls=[
        *grid(lr=1.0, lam=0.021, eps=0.35),
        *grid(lr=0.4, lam=0.08, eps=1.2),
        planted("the paper's 2 lam is used with a lam that is already doubled", lr=0.1, lam=5e-4, eps=1e-3, double=0.5),
    ],
    uses=("gsgp22:memory",),
    scope=(
        "the inequality 1/x + 1/log(1-x) > 1/2 is -log(1-x) = 2 artanh(x/(2-x)) > 2x/(2-x); seen for lr lam from 1e-6"
        " to 0.9"
    ),
)
