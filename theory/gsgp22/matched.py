"""At a fixed number of steps, not of epochs, the batch size leaves no trace in the ranks."""

from __future__ import annotations

import itertools

from theory.claim import Case, Claim, Evidence, planted
from theory.gsgp22.sweep import BASE, RANKS, trained

WITHIN = 1.1
"""Ratio of the largest to the smallest rank over batch sizes that is still called no effect; across E the ranks change
by factors of two to five."""


def check(case):
    """The ranks of runs that differ in the batch alone: the largest over the smallest, at the worst (lr, lam)."""
    groups = {
        (lr, lam): [trained(run(case, B, lr, lam)) for B in case.batches]
        for lr, lam in itertools.product(case.lrs, case.lams)
    }
    ratios = {name: max(ratio([row[name] for row in rows]) for rows in groups.values()) for name in RANKS}
    words = ", ".join(f"{name} {found:.3f}" for name, found in ratios.items())
    for name in ("stable", "effective"):
        yield Evidence(
            ratios[name],
            "<=",
            WITHIN,
            1e-9,
            "sampled",
            f"{name} rank over batches {case.batches} at {len(groups)} (lr, lam); largest ratios {words}",
        )


def run(case, B: int, lr: float, lam: float) -> Case:
    """One run: the steps of the case, or the steps that the batch has in its epochs; planted: twice the lr for the
    largest batch."""
    lr = 2 * lr if case.get("doubled") and max(case.batches) == B else lr
    return case.but(B=B, lr=lr, lam=lam, steps=case.steps if case.count == "steps" else None)


def ratio(values) -> float:
    """Largest over smallest."""
    return max(values) / min(values)


SMALL = {
    **BASE,
    "batches": (2, 4, 10, 40),
    "lrs": (0.05, 0.2),
    "lams": (1e-2, 3e-2),
    "steps": 600,
    "epochs": 20,
    "count": "steps",
}

CLAIM = Claim(
    id="gsgp22:matched-steps",
    title="At equal numbers of steps the batch size does not change the ranks",
    statement=(
        "Runs from one start with the same learning rate, decay and number of steps, and so the same E, but batches of"
        " 2 to 40 samples, end with stable and effective ranks within ten per cent of each other. At equal numbers of"
        " epochs they do not."
    ),
    source="gsgp22, rank against batch size",
    hypotheses={
        "equal numbers of steps": lambda c: c.count == "steps",
        "a hidden matrix: L >= 2": lambda c: c.L >= 2,
        "2 <= B <= N": lambda c: min(c.batches) >= 2 and max(c.batches) <= c.K * c.n,
        "lr <= 0.2": lambda c: max(c.lrs) <= 0.2,
        "E <= 6": lambda c: max(c.lrs) * max(c.lams) * c.steps <= 6,
        "cross-entropy": lambda c: c.get("loss", "ce") == "ce",
    },
    check=check,
    kind="empirical",
    cases=[Case(**SMALL, rng=rng) for rng in range(2)]
    + [Case(**{**SMALL, "activation": "tanh", "L": 4, "steps": 1000, "K": 4, "n": 25, "width": 30}, rng=2)],
    controls=[
        Case(**{**SMALL, "count": "epochs"}, rng=0),
        planted("the largest batch is given twice the learning rate", **SMALL, rng=0, doubled=True),
    ],
    uses=("gsgp22:forgetting", "gsgp22:sweep"),
    scope=(
        "E up to 6, Gaussian mixtures, batches from 2 samples to a third of them; a batch of one sample with a large"
        " learning rate is noisier"
    ),
)
