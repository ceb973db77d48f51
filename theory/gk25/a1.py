"""Theorem A1: Theorem 2 with unequal class sizes."""

from __future__ import annotations

from theory.claim import Claim, planted
from theory.gk25 import thm2

CLAIM = Claim(
    id="gk25:a1",
    title="Beyond a depth, lower rank costs less, with classes of unequal sizes",
    statement=thm2.STATEMENT + " Class sizes n_c run in equal steps from n R down to n.",
    source="gk25, Theorem A1",
    hypotheses=thm2.HYPOTHESES,
    check=thm2.check,
    cases=[*thm2.sampled_cases(3.0, (0,)), *thm2.sampled_cases(12.5, (1,))],
    controls=[
        *(case.but(R=4.0) for case in thm2.CONTROLS),
        planted(
            "the rows of M are permuted after its rank was counted",
            K=4,
            n=1,
            L=150,
            lam=1e-6,
            p=3,
            q=2,
            shape="code",
            rng=1,
            R=4.0,
            mixed=True,
        ),
    ],
    uses=("gk25:lemma1", "gk25:thm2"),
    scope=(
        "seeded X and M, at R = 3 and 12.5; the note of each case has its L_0, from the proof and thus not the smallest"
    ),
)
