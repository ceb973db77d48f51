r"""
Width flips the winner
======================

Pairs cost less than DNC at every width; the minima of the problem do not know how wide the hidden layers are.
Gradient descent does. At width 6 it ends in pairs nine times out of ten and never in collapse. At width 32
collapse is the usual end. The set of weights that produce one and the same logits gains dimensions with the
width in proportion to the rank, so that it grows faster for collapse than for pairs; that is the paper's
explanation, and the picture does not contradict it.

Thirty starts for each width, full-batch gradient descent with the same learning rate, every end named. Thin
lines are 95 % intervals: thirty starts leave room for doubt about any single bar, and none about the trend.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.style import RC

plt.rcParams.update(RC)

problem = ufm.Problem(K=6, n=2, L=2, lam=2**-6)
found = ufm.census(problem, starts=30, rng=0, over={"d": [6, 8, 12, 16, 24, 32]}, method="gd", steps=3000)
print(found)

fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.6), layout="constrained")
ufm.plot.basins.census(found, left)
ufm.plot.basins.census(found, right, kind="lines", most=2)
left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)
plt.show()

# %%
# And the losses, which do not change with the width:

for name in ("dnc", "pairs"):
    print(name, ufm.classify(getattr(ufm.structures, name)(problem)).fun)

# %%
# **Try next:** ``{"lam": [2**-4, 2**-6, 2**-8]}`` at ``d=24``; the paper's own cut at K=10 is ``ufm figure
# gk25-2``.
