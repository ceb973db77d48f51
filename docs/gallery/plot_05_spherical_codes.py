r"""
Spherical codes nobody asked for
================================

Let a deep model find its own compromise between fit and rank, and it may stop at rank 3. Then :math:`K` classes
must share the space of everyday life, and what they do is what electrons on a sphere do: spread out. Eight
classes form a square antiprism (not a cube), nine a three-capped prism, twelve an icosahedron.

No symmetry was put in. Each picture is the lowest end of a few random starts; names come from the pattern of
equal logits, up to the order of the classes. "Lowest found" is all that is claimed.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.style import RC

plt.rcParams.update(RC)

best = {K: ufm.multistart(ufm.Problem(K=K, L=4, lam=1e-3), starts=16, rng=0).best for K in (8, 9, 12)}

fig = plt.figure(figsize=(10, 3.8), layout="constrained")
for i, (K, run) in enumerate(best.items()):
    ax = fig.add_subplot(1, 3, i + 1, projection="3d")
    ufm.plot.code(run.point, ax, title=f"K = {K}: {ufm.identify(run).name.removeprefix('code(')[:-1]}")
plt.show()

# %%
# All of them are local minima in every parameter of the model:

for run in best.values():
    print(ufm.classify(run.point))

# %%
# **Try next:** ``K=10``; then ``L=3`` with ``lam=2e-4``, where rank 4 is lowest and ten classes become the
# Petersen graph (too many dimensions for this picture, but ``ufm.plot.logits`` shows it).
