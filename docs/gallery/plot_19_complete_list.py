r"""
A complete list
===============

For most landscapes nobody can say that all critical points were found. With the square loss and a linear model
one can: singular modes do not talk to each other, each sits at zero or at one of two roots of its own scalar
equation, and the list of all combinations is the list of all critical points. Here are four classes of sizes 4,
3, 2 and 1, with 81 critical points and not one more.

Five of them are local minima (thick): nothing learned, the largest class learned, the largest two, three, all
four. A point that has learned a smaller class but not a larger one is never a minimum here: there is a way down
from it.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.levels import ladder
from ufm.plot.style import RC

plt.rcParams.update(RC)

atlas = ufm.landscape(ufm.Problem(K=4, n=(4, 3, 2, 1), L=2, lam=0.004, loss="mse"))
print(atlas.scope)
for p in atlas.minima:
    print(f"{p.fun:.6f}  rank {p.rank}  {p.name}")

# %%
# Left: value against rank. Right: value against the index, the number of directions that lead down.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4.8), layout="constrained", sharey=True)
ladder(atlas, left, labels=False)
left.set_title(f"{len(atlas)} critical points, {len(atlas.minima)} minima")
for p in atlas:
    right.plot(p.index, p.fun, "o", ms=6, color="0.15" if p.status == "local minimum" else "0.75", mec="white", mew=0.5)
right.set(xlabel="index", title="only five have no way down")
plt.show()

# %%
# **Try next:** equal sizes, ``n=2`` (15 families instead of 81: which of the classes are learned no longer
# matters); ``lam=0.05``, where the smallest class has no roots any more; ``lam=0.1``, where only zero and the
# largest class are left.
