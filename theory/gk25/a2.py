"""Theorem A2: Theorem 3 with unequal class sizes."""

from __future__ import annotations

from theory.claim import Case, Claim, grid, planted
from theory.gk25 import thm3i, thm3ii

CLAIMS = (
    Claim(
        id="gk25:a2i",
        title=(
            "1/lam_L = o(L), classes of unequal sizes: the singular values of the global minimum vanish"
            " superexponentially"
        ),
        statement=thm3i.STATEMENT
        + " Class sizes n_c run in equal steps from n R down to n; L_r does not depend on them.",
        source="gk25, Theorem A2 (i)",
        hypotheses=thm3i.HYPOTHESES,
        check=thm3i.check,
        cases=[case.but(R=R) for R, every in ((2.0, 3), (10.0, 5)) for case in thm3i.CASES[::every]],
        controls=[
            *(case.but(R=3.0) for case in thm3i.CONTROLS),
            planted("lam in the penalty is a fiftieth of what it is", **thm3i.LIGHT, R=3.0),
        ],
        uses=("gk25:lemma1", "gk25:thm3i"),
        scope=(
            "lam_L = c L^-alpha at the declared rates, R = 2 and 10; by the a-priori bound for every minimiser, and at"
            " the lowest point of a search"
        ),
    ),
    Claim(
        id="gk25:a2ii",
        title="lam_L = o(1/L), classes of unequal sizes: q_K singular values and no others to speak of",
        statement=thm3ii.STATEMENT + " Class sizes n_c run in equal steps from n R down to n.",
        source="gk25, Theorem A2 (ii)",
        hypotheses=thm3ii.HYPOTHESES | {"R >= 1": lambda c: c.R >= 1},
        check=thm3ii.check,
        cases=grid(K=[2, 3, 4, 6], n=2, L=[6, 12], c=0.05, alpha=[1.2, 2.0], R=[2.0, 10.0], rng=0, point="lowest"),
        controls=[
            *[Case(K=K, n=2, L=12, c=0.05, alpha=2.0, R=2.0, rng=0, point="shallow") for K in (4, 6)],
            *grid(K=[4, 6], n=1, L=12, c=1.0, alpha=0.5, R=3.0, rng=0, point="lowest"),
            planted(
                "the shallow minimum is taken for the lowest point",
                K=5,
                n=1,
                L=12,
                c=0.02,
                alpha=2.0,
                R=3.0,
                rng=0,
                point="shallow",
            ),
        ],
        uses=("gk25:lemma1", "gk25:qk", "gk25:a1", "gk25:thm3ii"),
        scope="for the lowest point of a search, not proved global; K <= 6, L <= 12, R = 2 and 10",
    ),
)
