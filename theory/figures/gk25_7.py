"""A trained ReLU head with the model's decay: its ends against the linear model's DNC, a bound for every DNC point of
ReLU.

A small-scale analogue of one of the paper's four experiments with ResNet-20 on MNIST and CIFAR-10: see
`theory.figures.heads`.
"""

from __future__ import annotations

import functools

from theory.figures import heads
from theory.figures.figure import PaperFigure

FIGURE = PaperFigure(
    id="gk25-7",
    title="ReLU head on digits, UFM-style decay: low rank against the linear DNC bound",
    source="gk25, Figure 7 (small-scale analogue)",
    data=functools.partial(heads.data, activation="relu", decay=heads.UFM),
    draw=heads.draw,
    rows=heads.rows,
    takes="2 minutes on two cores",
    takes_fast="15 s",
)
