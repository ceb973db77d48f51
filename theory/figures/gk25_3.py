"""A trained linear head with the model's decay ends in low rank, below the closed form of DNC.

A small-scale analogue of one of the paper's four experiments with ResNet-20 on MNIST and CIFAR-10: see
`theory.figures.heads`.
"""

from __future__ import annotations

import functools

from theory.figures import heads
from theory.figures.figure import PaperFigure

FIGURE = PaperFigure(
    id="gk25-3",
    title="Linear head on digits, UFM-style decay: below DNC in low rank",
    source="gk25, Figure 3 (small-scale analogue)",
    data=functools.partial(heads.data, activation="linear", decay=heads.UFM),
    draw=heads.draw,
    rows=heads.rows,
    takes="2 minutes on two cores",
    takes_fast="15 s",
)
