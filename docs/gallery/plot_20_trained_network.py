r"""
Pairs in a trained network
==========================

Nothing is free here: Gaussian clouds as inputs, a ReLU layer that has to separate them, linear layers behind
it, cross-entropy, weight decay. Three networks are trained and differ in one thing only, how many linear layers
stand behind the ReLU. They all classify every sample correctly. The one with none and the one with a single
layer end in neural collapse; the one with three ends in pairs, at rank 3, as the model of free features says
that deep linear heads like to.

The name is that of the pattern nearest to the mean logits, with its relative distance: a trained network is
never exactly at a structure. The runs are L-BFGS with a fixed number of steps; minima of ReLU networks lie on
kinks, so no gradient norm is claimed.
"""

import matplotlib.pyplot as plt
import numpy as np

import ufm
from ufm.networks import Data, Network, train
from ufm.plot.style import RC, colour

plt.rcParams.update(RC)

data = Data.mixture(K=6, n=20, d=20, sigma=0.3, rng=0)
runs = {}
for head in (0, 1, 3):
    net = Network([20, 60, *[30] * head, 6], ["relu", *["linear"] * head])
    runs[head] = train(net, data, "ce", "lbfgs", decay=3e-3, rng=0, max_steps=3000)

# %%
# Mean logits of the classes, sorted by the blocks that were found, and the singular values of the last weight
# matrix.

fig, axes = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
axes = axes.ravel()
found = {}
for (head, run), ax in zip(runs.items(), axes, strict=False):
    Z = run.features()[-1]
    M = np.stack([Z[:, data.y == c].mean(axis=1) for c in range(6)], axis=1)
    found[head] = name = ufm.identify(M)
    order = [c for block in name.members for c in block]
    M = (M - M.mean(axis=0))[np.ix_(order, order)]
    ax.imshow(M, cmap="RdBu_r", vmin=-abs(M).max(), vmax=abs(M).max())
    ax.set(xlabel="class", ylabel="logit", xticks=range(6), xticklabels=order, yticks=range(6), yticklabels=order)
    ax.set_title(f"{head} linear layers: {name.name}", color=colour(name.name))
    s = np.linalg.svd(run.weights[-1], compute_uv=False)
    axes[-1].plot(
        range(1, 7),
        s / s[0],
        "o-",
        color=colour(name.name),
        alpha=1 - 0.45 * (head == 1),
        label=f"{head} linear layers",
    )
    print(f"{head} linear layers: accuracy {run.accuracy:.0%}, {name.name} within {name.distance:.3f}")
axes[-1].set(xlabel="number", ylabel="singular value of the last weight / largest", ylim=(-0.03, 1.05))
axes[-1].legend(fontsize=8, loc="lower left")
plt.show()

# %%
# **Try next:** your own network: ``ufm.identify(features=X, weights=W, labels=y)`` or ``ufm.collapse(X, y, W)``
# on arrays from anywhere; ``sigma=0.5``, where mixtures of blocks and points without a name appear.
