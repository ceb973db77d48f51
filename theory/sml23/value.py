"""Two classes at any ridge weights: the global minimum in closed form, attained by explicit weights."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.sml23.threshold import ROUNDING, known, linear_bound, predicted
from theory.sml23.twin import problem_of
from ufm.objectives.factors import value
from ufm.structures import relu_collapse


def attained(problem) -> float:
    """F of the explicit weights that fit the classes for which that pays, or of zero."""
    fitted = [c for c, k in enumerate(relu_collapse.kappa(problem)) if k < relu_collapse.tau(problem.L)]
    return value(relu_collapse.relu_dnc(problem, fitted=fitted) if fitted else relu_collapse.relu_zero(problem))


def check(case):
    problem = problem_of(case)
    closed = predicted(problem) * (1 + case.get("off", 0.0))
    yield Evidence(closed, "==", linear_bound(problem), ROUNDING, note="the linear model's minimum, a lower bound")
    yield Evidence(min(attained(problem), known(problem)), "==", closed, ROUNDING, note="explicit ReLU weights")


CLAIM = Claim(
    id="sml23:value",
    title="Two classes: the global minimum of the ReLU model is that of the linear model, class by class",
    statement=(
        "K = 2, L >= 1, widths >= 2, MSE, no bias, n_c samples: min F = sum_c n_c/N min(1/2, f(kappa_c)) with f(kappa)"
        " = min over z of (1-z)^2/2 + ((L+1)/2) kappa z^(2/(L+1)) and kappa_c = (N/n_c) (n_c prod lam)^(1/(L+1)), the"
        " minimum of the linear model; explicit weights attain it."
    ),
    source="sml23",
    hypotheses={"K = 2": lambda c: c.K == 2, "d >= 2": lambda c: np.min(c.d) >= 2},
    check=check,
    cases=[
        *grid(K=2, n=[1, 4], d=[2, 7], L=[1, 2, 5, 12], lam=[1e-8, 1e-3, 0.05, 1.0], spread=[0.0, 1.0], rng=0),
        *grid(K=2, n=(1, 30), d=3, L=[2, 4], lam=[1e-3, 0.03, 0.06, 1.0], spread=0.5, rng=[0, 1]),
    ],
    controls=[
        *grid(K=[6, 10], n=1, d=10, L=4, lam=[1e-3, 1e-2], spread=0.0, rng=0),
        planted("the value is raised by a millionth", K=2, n=1, d=3, L=3, lam=0.01, spread=0.0, rng=0, off=1e-6),
    ],
    uses=("sml23:twin",),
    scope=(
        "proved: the lower bound by sml23:twin and the decoupling of singular modes under MSE, the upper by the"
        " weights; the cases are float identities"
    ),
)
