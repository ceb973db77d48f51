r"""
Why rank is cheap
=================

Neural collapse separates all classes from each other equally well. It loses nevertheless, and this picture
shows where it pays. In a model of :math:`L` layers over free features, the cheapest factors of logits with
singular values :math:`s_i` cost :math:`\frac{L+1}{2}\lambda \sum_i s_i^{2/(L+1)}`. With :math:`L = 1` that is
the nuclear norm. As :math:`L` grows the power tends to zero and the sum tends to a *count*: what is paid for is
the number of singular values, hardly their size. DNC has :math:`K - 1` of them, pairs have :math:`K/2`.

Dark is the fit, light the penalty, each structure at its own best scale.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.bars import costs, split
from ufm.plot.style import RC

plt.rcParams.update(RC)

depths = (1, 2, 3, 5)
duels = {}
for L in depths:
    problem = ufm.Problem(K=10, L=L, lam=1e-3)
    duels[L] = [ufm.structures.dnc(problem), ufm.structures.pairs(problem)]

fig, axes = plt.subplots(len(depths), 1, figsize=(7, 5.6), layout="constrained", sharex=True)
for ax, (L, points) in zip(axes, duels.items(), strict=True):
    costs(points, ax)
    ax.set_title(f"$L = {L}$", loc="left", fontsize=9)
    ax.label_outer()
axes[0].set_xlim(0, 0.085)
plt.show()

# %%
# With one layer pairs lose on both counts. From two layers on they win on both: directions that are not paid
# for leave money for larger logits, and larger logits fit better.

for L, (dnc, pairs) in duels.items():
    fits, penalties = zip(split(dnc), split(pairs), strict=True)
    print(f"L={L}: fit {fits[0]:.5f} against {fits[1]:.5f}, penalty {penalties[0]:.5f} against {penalties[1]:.5f}")

# %%
# **Try next:** more classes (``K=50``: the gap grows), or the mixtures between the two, such as
# ``ufm.structures.blocks(problem, (4, 2, 2, 2))``.
