r"""
A thousand starts in a second
=============================

Which minimum is found is a matter of luck, and luck can be measured. A thousand random starts of ten classes
and three layers, run as one batch, each end finished by Newton's method and named: two codes of rank 4 share
most of them. The lowest end of all has rank 3 and gets one start in sixteen. DNC gets none, although it is a
local minimum: its basin is too small for this dynamics to find.

Bars are shares with their 95 % Wilson intervals. A share belongs to a dynamics and a law of starts, here L-BFGS
on the exact reduction from Gaussian weights; the next example asks gradient descent, and gets another answer.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.style import RC

plt.rcParams.update(RC)

found = ufm.basins(ufm.Problem(K=10, L=3, lam=1e-3), starts=1000, rng=0)
print(found)

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ufm.plot.basins.shares(found, ax)
ax.set_xlim(0, 0.6)
ax.set_title(f"{found.starts} starts: the most frequent end is not the lowest")
plt.show()

# %%
# What of the ends that nobody reached? The interval says what a thousand starts can say:

share, low, high = found.share("dnc")
print(f"dnc: {share:.4f}, and with 95 % confidence below {high:.4f}")

# %%
# **Try next:** ``method="gd", lr=0.5`` with ``d=100`` (minutes), ``scale=0.1`` for smaller starts,
# ``found.point("petersen")`` for the point itself.
