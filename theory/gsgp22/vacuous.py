"""Where the memory bound says nothing: the settings of the paper's own plots."""

from __future__ import annotations

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gsgp22.window import least_steps


def check(case):
    """The rank that the bound names where |W| no longer changes, the best case, against the width."""
    n = least_steps(case.lr * case.lam, case.eps) // case.get("divide", 1)
    yield Evidence(
        case.B * n,
        ">=",
        case.width + 1,
        strength="exact",
        note=f"forgets all but eps = {case.eps:g} in {n} steps; constant |W|",
    )


CLAIM = Claim(
    id="gsgp22:vacuous",
    title="At the usual learning rates and decays the memory bound exceeds the width",
    statement=(
        "For lr <= 1, lam <= 6e-3, B >= 4, eps <= 1e-3 and width <= 4500 the least n with (1 - lr lam)^n <= eps has n B"
        " > width: the memory bound holds but says nothing, even where |W| is constant. The low ranks seen there need"
        " another explanation."
    ),
    source="gsgp22, the grid of its experiments",
    hypotheses={
        "lr <= 1": lambda c: c.lr <= 1,
        "lam <= 6e-3": lambda c: c.lam <= 6e-3,
        "B >= 4": lambda c: c.B >= 4,
        "eps <= 1e-3": lambda c: c.eps <= 1e-3,
        "width <= 4500": lambda c: c.width <= 4500,
        "0 < lr lam": lambda c: c.lr * c.lam > 0,
    },
    check=check,
    cases=grid(
        B=[4, 8, 16, 32, 64, 128],
        lr=[1e-3, 0.01, 0.1, 0.5, 1.0],
        lam=[1e-4, 5e-4, 1e-3, 6e-3],
        eps=1e-3,
        width=[100, 500, 4500],
    ),
    controls=[
        Case(B=1, lr=0.4, lam=0.08, eps=0.1, width=200),
        Case(B=1, lr=1.0, lam=0.5, eps=1e-3, width=100),
        planted("n is an epoch of a hundred steps", B=4, lr=1.0, lam=6e-3, eps=1e-3, width=500, divide=100),
    ],
    uses=("gsgp22:memory",),
    scope=(
        "integers; lr constant: where it is lowered along the run, as in the paper's schedule, forgetting takes longer"
        " still"
    ),
)
