r"""
Minority collapse
=================

Two large classes and two small ones, and the imbalance grows: :math:`R` samples in each large class for every
one in a small. With one layer the directions of the two small classes drift together until, at some finite
:math:`R`, they are one and the model cannot tell them apart. That is *minority collapse*. Depth makes it
harsher. With more layers the gap shrinks at first in the same manner and then breaks off: what lies lowest
jumps to a point that gives the minority no direction of its own, at a smaller :math:`R`.

The plotted number is the distance between the classifiers of the two small classes over that of the two large
ones, at the lowest of a few starts. Every :math:`R` costs the same, because samples of a class enter as one
weighted column.
"""

import matplotlib.pyplot as plt
import numpy as np

import ufm
from ufm.plot.style import RC

plt.rcParams.update(RC)

ratios = np.unique(np.round(np.geomspace(1, 600, 22))).astype(int).tolist()


def lowest(L: int, R: int):
    problem = ufm.Problem(K=4, n=(R, R, 1, 1), L=L, lam=1e-3)
    return ufm.multistart(problem, starts=6, rng=0).best.point


def gap(point) -> float:
    """Distance of the minority's classifiers over that of the majority's."""
    W = point.U * point.s ** (1 / point.problem.D)
    return float(np.linalg.norm(W[2] - W[3]) / np.linalg.norm(W[0] - W[1]))


gaps = {L: [gap(lowest(L, R)) for R in ratios] for L in (1, 2, 3)}

# %%
# First the gap; dotted, where one layer's minority merges by a closed form, as soon as there are more samples
# than one over ``lam`` (with one sample in each small class). Then logits before collapse and after. With one
# layer the two small classes end with one and the same column, which still says "small"; with two layers they
# end with nothing.

fig, axes = plt.subplots(2, 2, figsize=(8.5, 6.8), layout="constrained")
left, *maps = axes.flat
for (L, values), tint in zip(gaps.items(), ("#0072B2", "#D55E00", "#882255"), strict=True):
    left.plot(ratios, values, "o-", ms=4, color=tint, label=f"$L = {L}$")
left.axvline(1 / (2 * 1e-3) - 1, color="#0072B2", lw=0.8, ls=":")
left.set(xscale="log", xlabel="imbalance $R$", ylabel="gap of the minority / of the majority", ylim=(-0.02, 1.05))
left.legend()
for ax, (L, R) in zip(maps, ((1, 16), (1, ratios[-1]), (2, ratios[-1])), strict=True):
    ufm.plot.logits(lowest(L, R), ax, f"$L = {L}$, $R = {R}$").set(xticks=range(4), yticks=range(4))
plt.show()

# %%
# **Try next:** a smaller ``lam`` (collapse moves to larger ``R``), three minority classes, ``n=(R, 1, 1, 1)``.
