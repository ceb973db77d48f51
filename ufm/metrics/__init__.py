"""Neural collapse of features, labels and a classifier: NC1-NC4, CDNV and ranks, of arrays, layers or streams.

With class means mu_c, their unweighted mean m, M = (mu_c - m)_c (K, d), residuals x - mu_y, N samples:

    S_W = (1/N) sum (x - mu_y)(x - mu_y)',    S_B = M'M / K,    S = I - 11'/K.

`collapse` reads whole arrays; `Accumulator` reads batches and ends with the same numbers. Both hand counts, means and a
matrix R of rows with R'R = N S_W (`moments`) to the same formulas (`measures`), so that neither S_W nor S_B is ever
formed: the squares of a covariance would cost half the digits.

No number changes when classes are renumbered, samples reordered, the feature space rotated, or features or classifier
scaled: what a float sum leaves open (two means that agree up to rounding, two classes equally near) is treated as
equal.

Source: papyan20 (NC1-NC4), galanti22 (CDNV), gsgp22 (numerical rank), roy07 (effective rank), chan83 (merging).
"""

from ufm.metrics.arrays import collapse
from ufm.metrics.measures import summary
from ufm.metrics.moments import class_means
from ufm.metrics.records import Collapse, LayerCollapse
from ufm.metrics.streams import Accumulator

__all__ = ["Accumulator", "Collapse", "LayerCollapse", "class_means", "collapse", "summary"]
