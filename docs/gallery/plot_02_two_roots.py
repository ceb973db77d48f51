r"""
One structure, two roots
========================

Fix the *shape* of the logits to neural collapse, :math:`Z = a\,(I - \frac1K 11^T)`, and let only the scale
:math:`a` move. With one weight layer the loss along this ray has a single valley. With more layers the penalty
starts like :math:`a^{2/(L+1)}`, infinitely steep at zero: zero itself becomes a minimum, and between it and the
valley stands a barrier. Both the barrier and the valley are roots of one scalar equation. Raise the ridge
weight and they meet in a *fold*, beyond which collapse does not exist at all.

The roots are solved for to rounding; the curve between them is F itself, at declared rank.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.rays import ray
from ufm.plot.style import RC

plt.rcParams.update(RC)

shallow = ufm.Problem(K=4, L=1, lam=0.08)
deep = [ufm.Problem(K=4, L=3, lam=lam) for lam in (0.08, 0.11, 0.125)]

# %%
# The larger root is what ``structures.dnc`` returns; ``root="small"`` asks for the barrier.

valleys = [ufm.structures.dnc(p) for p in deep]
barriers = [ufm.structures.dnc(p, root="small") for p in deep]

fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4.4), layout="constrained", sharey=True)
ray({"$\\lambda = 0.08$": ufm.structures.dnc(shallow)}, reach=2, ax=left)
left.set_title("$L = 1$: one valley")
ray({f"$\\lambda = {p.problem.lam:g}$": p for p in valleys}, reach=1.7, ax=right)
for point in barriers:
    size, F = float((point.s**2).sum() ** 0.5), ufm.classify(point).fun
    right.plot(size, F, "D", ms=5, mfc="white", mec="0.2", zorder=4)
nothing = ufm.classify(ufm.structures.zero(deep[0])).fun
right.axhline(nothing, color="0.6", lw=0.8, ls=":")
right.annotate(
    "zero",
    (1, nothing),
    xycoords=("axes fraction", "data"),
    xytext=(-2, 3),
    textcoords="offset points",
    ha="right",
    color="0.4",
    fontsize=8,
)
right.set(title="$L = 3$: a barrier (diamonds) guards the valley", ylabel="")
right.label_outer()
plt.show()

# %%
# Past the fold the structure refuses and says where the fold is:

try:
    ufm.structures.dnc(ufm.Problem(K=4, L=3, lam=0.2))
except ValueError as refusal:
    said = refusal
    print(said)

# %%
# At the highest of the three ridge weights the valley is still there, but zero lies lower: collapse is a
# minimum that loses to having learned nothing.
#
# **Try next:** other shapes on the same axes, ``ufm.structures.pairs(p)`` or ``ufm.structures.blocks(p, (3,
# 1))``; ``L=6``, where the fold comes sooner.
