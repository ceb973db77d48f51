"""Any number of classes: the ridge weights at which the DNC branch costs as much as zero."""

from __future__ import annotations

from fractions import Fraction

from theory.claim import Claim, Evidence, grid, planted
from theory.sml23.threshold import problem_at
from ufm.objectives.factors import value
from ufm.structures import relu_collapse


def check(case):
    """In fractions, at z = (L-1)/L and kappa^(L+1) = (L-1)^(L-1)/L^(2L); then explicit weights a little to either
    side."""
    L, D = case.L, case.L + 1
    z = Fraction(L - 1, L) + Fraction(case.get("shift", 0), 100)
    kappa_D = Fraction((L - 1) ** (L - 1), L ** (2 * L - (case.get("power", "2L") == "2L-1")))
    yield Evidence(
        (1 - z) ** D * z ** (L - 1),
        "==",
        kappa_D,
        strength="exact",
        note="stationary: (1 - z)^(L+1) z^(L-1) = kappa^(L+1)",
    )
    yield Evidence(
        (1 - z) ** 2 / 2 + Fraction(D, 2) * z * (1 - z),
        "==",
        Fraction(1, 2),
        strength="exact",
        note="value there, kappa z^(2/(L+1)) = z (1 - z)",
    )
    for times in (1 - case.aside, 1 + case.aside):
        problem = problem_at(case.but(times=times))
        F = value(relu_collapse.relu_dnc(problem))
        yield Evidence(F, "<" if times < 1 else ">", 0.5, 1e-13, note=f"explicit weights at {times:g} of the threshold")


CLAIM = Claim(
    id="sml23:tie",
    title="For any number of classes the DNC branch meets zero at n prod lam = (L-1)^(L-1)/(K^(L+1) L^(2L))",
    statement=(
        "L >= 2, MSE, no bias: where n lam_0 ... lam_L = (L-1)^(L-1)/(K^(L+1) L^(2L)), that is kappa = K (n prod"
        " lam)^(1/(L+1)) = tau_L = ((L-1)/L)^((L-1)/(L+1))/L, the best DNC point has logits z = (L-1)/L and costs 1/2"
        " as zero does; below it costs less, above it more."
    ),
    source="sml23",
    hypotheses={
        "K >= 2": lambda c: c.K >= 2,
        "L >= 2": lambda c: c.L >= 2,
        "d >= K": lambda c: c.d >= c.K,
        "near the tie, DNC still exists": lambda c: 0 < c.aside <= 0.05,
    },
    check=check,
    cases=grid(K=[2, 3, 10], n=[1, 5], d=12, L=[2, 3, 4, 12], aside=[0.01, 1e-4], spread=[0.0, 0.5], rng=0),
    controls=[
        planted("L^(2L) is replaced by L^(2L-1)", K=2, n=1, d=4, L=3, aside=0.01, spread=0.0, rng=0, power="2L-1"),
        planted("z is one per cent larger", K=4, n=2, d=4, L=4, aside=0.01, spread=0.0, rng=0, shift=1),
    ],
    scope=(
        "that DNC costs less on the whole side below follows, since its least loss rises with kappa; looked at 1 per"
        " cent and 0.01 per cent aside"
    ),
)
