r"""
An atlas of critical points
===========================

Ten classes, three layers, and every critical point that three kinds of search could find: structures in closed
form, points fixed by a group of class permutations, and descents and saddle searches from random points. Each
rung is one of them, up to the order of the classes. Thick rungs are local minima. The lowest are codes of rank
3 and 4 that have no name in the literature on collapse but old ones elsewhere: antiprisms, the Petersen graph.
DNC is at the far right, a minimum too, and of all minima drawn only the circle costs more.

The list is not claimed to be complete; the atlas says in a sentence what was searched. (A thousand starts find
one more minimum, 0.00001 below the lowest here.)
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.levels import ladder
from ufm.plot.style import RC

plt.rcParams.update(RC)

atlas = ufm.landscape(ufm.Problem(K=10, L=3, lam=1e-3), rng=0, starts=4)
print(len(atlas), "critical points,", len(atlas.minima), "local minima")
print(atlas.scope)

# %%
# Only the lowest part is drawn. Above it the ladder goes on to zero, one rung for every group of classes that
# is left unlearned.

fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
ladder(atlas, ax, highest=1.06 * atlas["dnc"].fun)
ax.set_title("K = 10, L = 3: thick rungs are minima")
plt.show()

# %%
# The minima in order of their loss:

for p in atlas.minima.filter(lambda p: p.fun < 0.06):
    print(f"{p.fun:.6f}  rank {p.rank}  {p.name}")

# %%
# **Try next:** ``starts=40`` (more rungs), ``ufm.plot.landscape(atlas)`` (index against value),
# ``ufm.plot.code(atlas.best.point)``.
