"""A trained linear head under decay of all weights ends in low rank, below the best collapsed head found.

A small-scale analogue of one of the paper's four experiments with ResNet-20 on MNIST and CIFAR-10: see
`theory.figures.heads`. Features keep variation within classes here (about a quarter of the norm of the logits), so the
named structure is that of class means.
"""

from __future__ import annotations

import functools

from theory.figures import heads
from theory.figures.figure import PaperFigure

FIGURE = PaperFigure(
    id="gk25-4",
    title="Linear head on digits, standard decay: low rank against a collapsed head",
    source="gk25, Figure 4 (small-scale analogue)",
    data=functools.partial(heads.data, activation="linear", decay=heads.STANDARD),
    draw=heads.draw,
    rows=heads.rows,
    takes="2 minutes on two cores",
    takes_fast="15 s",
)
