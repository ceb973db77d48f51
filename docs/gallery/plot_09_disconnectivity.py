r"""
The tree of barriers
====================

How would water collect in this landscape? Every minimum hangs from the lowest saddle over which it can be left,
and that one from the next, until everything is joined: a *disconnectivity graph*, as chemists draw it for
molecules. With six classes collapse is two steps away from pairs: over a low threshold to a mixture, a block of
four beside a pair, and from there over a threshold so low that it can hardly be seen down to pairs. The circle
hangs from a higher one on the other side.

Saddles of index one come from symmetry and from a search; one more is the top of a string between the mixture
and pairs. Each was joined to its minima by going downhill on both sides. A saddle that was missed could only
lower a barrier.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.style import RC

plt.rcParams.update(RC)

problem = ufm.Problem(K=6, L=2, lam=2e-3)
atlas = ufm.landscape(problem, rng=0, starts=2).filter(lambda p: p.fun < 0.1 and p.index in (0, 1))
string = ufm.path(ufm.structures.blocks(problem, (4, 2)), ufm.structures.pairs(problem), rng=0)
network = ufm.connect([*(p.critical for p in atlas), string.top])
print(network)

fig, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
ufm.plot.disconnectivity(network, ax=ax)
plt.show()

# %%
# How much is hidden in the word "hardly":

mixture = ufm.classify(ufm.structures.blocks(problem, (4, 2)))
print(f"the mixture lies at {mixture.fun:.9f}, its way out at {string.top.fun:.9f}")

# %%
# **Try next:** ``K=5`` (the winner is two pairs and an apex), or no filter: high above hang the points that
# have given up single classes, and zero.
