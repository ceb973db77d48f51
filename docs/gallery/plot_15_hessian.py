r"""
Flat in a thousand directions
=============================

The Hessian at DNC, for the paper's problem: ten classes with five samples each, width 70, two layers, 9100
parameters. It has 9100 eigenvalues and only a handful of *different* ones, because every symmetry of the
structure repeats them. More than a thousand are zero: directions that rotate hidden features and change
nothing. Pairs are flat in half as many directions, because they have half as many singular values to rotate:
their set of solutions is smaller, although each of them costs less.

No matrix of that size is formed. The whole spectrum follows from one as small as the rank, and costs the same
at width :math:`10^5`.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.critical.measures import flatness, solution_dimension
from ufm.plot.spectra import hessian_spectra
from ufm.plot.style import RC

plt.rcParams.update(RC)

problem = ufm.Problem(K=10, n=5, d=70, L=2, lam=2**-10)
points = {"dnc": ufm.structures.dnc(problem), "pairs": ufm.structures.pairs(problem)}

fig, axes = plt.subplots(2, 1, figsize=(7.5, 4.8), layout="constrained", sharex=True)
hessian_spectra(points, axes)
plt.show()

# %%
# Hollow markers are the flat directions; their number is the dimension of the set of factors that give the same
# logits.

for name, point in points.items():
    print(f"{name}: dimension of the solutions {solution_dimension(point)};", flatness(point))

# %%
# **Try next:** ``d=10**5`` (no slower), ``ufm.structures.blocks(problem, (5, 5))`` (a saddle: stems left of
# zero).
