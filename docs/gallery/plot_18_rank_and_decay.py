r"""
Rank follows learning rate times decay
======================================

Away from free features: a small ReLU network trained by SGD on a mixture of Gaussians, for a fixed number of
epochs, over batch sizes, learning rates and weight decays. The rank of the trained matrices depends on all
three (left, by decay alone: a cloud). Against :math:`E = \sum_t \mu\lambda`, the total decay that the run has
seen, the cloud becomes a line. Small batches mean more steps, more steps mean more decay, and decay is what
removes directions that the gradients do not feed.

Each point is one run; the rank is the mean effective rank of the hidden matrices. Spearman's correlation is
printed on the panels. It is a trend over these runs, from a published claim about such networks (``gsgp22``);
nothing here is a proof.
"""

import itertools

import matplotlib.pyplot as plt

from theory.gsgp22.sweep import correlation, trained
from ufm.plot.style import RC

plt.rcParams.update(RC)

shape = {"K": 6, "n": 20, "d": 40, "width": 40, "L": 3, "sigma": 1.0, "epochs": 24, "rng": 0}
grid = itertools.product((2, 4, 8, 16), (0.05, 0.2), (3e-3, 1e-2, 2e-2))
runs = [trained({**shape, "B": B, "lr": lr, "lam": lam}) for B, lr, lam in grid]

fig, axes = plt.subplots(1, 2, figsize=(8.5, 4.4), layout="constrained", sharey=True)
tints = {2: "#D55E00", 4: "#E69F00", 8: "#009E73", 16: "#0072B2"}
for ax, key, label in ((axes[0], "lam", r"decay $\lambda$"), (axes[1], "E", r"$E = \Sigma\,\mu\lambda$")):
    for B, tint in tints.items():
        mine = [run for run in runs if run["B"] == B]
        ax.plot(
            [run[key] for run in mine],
            [run["effective"] for run in mine],
            "o",
            ms=5,
            color=tint,
            mec="white",
            mew=0.5,
            label=f"batch {B}",
        )
    ax.set(xscale="log", xlabel=label, title=rf"Spearman $\rho$ = {correlation(runs, 'effective', key):.2f}")
axes[0].set_xticks([3e-3, 1e-2, 2e-2], ["0.003", "0.01", "0.02"])
axes[0].minorticks_off()
axes[0].set_ylabel("effective rank of hidden matrices")
axes[1].legend(fontsize=8)
plt.show()

# %%
# **Try next:** the full sweep with five measures of rank, ``ufm figure gsgp22-sweep``; your own features in
# ``ufm.collapse(X, y)``.
