"""What the ridge weights and the number of samples do to the loss: only their product counts."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import objective_of
from ufm.points import FactorPoint
from ufm.problem import Problem

ROUNDING = 1e-12


def check(case):
    """A random collapsed point of (n, lam_l) and its image at n = 1 and equal weights (n prod lam)^(1/(L+1)), factors
    times sqrt of the ratios."""
    draw = generator(child(seed_sequence(case.rng), 0))
    lams = case.lam * np.exp(draw.uniform(-2, 2, case.L + 1))
    problem = Problem(K=case.K, n=case.n, d=case.d, L=case.L, lam=tuple(lams), loss="mse", activation=case.activation)
    factors = [draw.standard_normal(shape) * np.sqrt(1.5 / shape[1]) for shape in problem.shapes()]
    H = factors[0][:, : case.K]
    factors[0] = np.repeat(H, case.n, axis=1)
    common = (
        (case.n * np.prod(lams)) ** (1 / (case.L + 1))
        if case.get("mean", "product") == "product"
        else case.n * np.mean(lams)
    )
    ratios = np.sqrt(np.array([case.n * lams[0], *lams[1:]]) / common)
    twin = Problem(K=case.K, d=case.d, L=case.L, lam=float(common), loss="mse", activation=case.activation)
    image = FactorPoint(twin, tuple(r * A for r, A in zip(ratios, [H, *factors[1:]], strict=True)))
    left, right = (float(o.value(x)) for o, x in map(objective_of, (FactorPoint(problem, tuple(factors)), image)))
    yield Evidence(
        left, "==", right, ROUNDING * max(1.0, right), note="F of the point, F of its image at n = 1 and equal weights"
    )


CLAIM = Claim(
    id="sml24:scaling",
    title="The loss of a deep ReLU model depends on n and the ridge weights only through n lam_0 lam_1 ... lam_L",
    statement=(
        "Scaling the factors by a_l > 0 with product one leaves the logits of a bias-free ReLU model as they are and"
        " turns lam_l into lam_l/a_l^2; n equal samples act as n lam_0. So F on collapsed points, and with it the"
        " minimum, depends on n, lam_0, ..., lam_L only through n lam_0 ... lam_L."
    ),
    source="sml24",
    hypotheses={
        "K >= 2": lambda c: c.K >= 2,
        "s(t x) = t s(x) for t > 0": lambda c: c.activation.split("(")[0] in ("relu", "linear", "leaky_relu"),
    },
    check=check,
    cases=grid(
        K=[2, 5],
        n=[1, 4],
        d=[3, 8],
        L=[1, 2, 4, 7],
        lam=[1.0, 1e-3],
        activation=["relu", "leaky_relu(0.1)"],
        rng=[0, 1],
    ),
    controls=[
        *grid(K=3, n=2, d=4, L=3, lam=0.1, activation="tanh", rng=[0, 1]),
        planted(
            "the arithmetic mean stands in place of the geometric",
            K=3,
            n=2,
            d=4,
            L=3,
            lam=0.1,
            activation="relu",
            rng=0,
            mean="arithmetic",
        ),
    ],
)
