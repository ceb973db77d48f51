r"""
Loss against rank
=================

What is the least loss that logits of rank :math:`r` can reach? Neural collapse sits at the right end, :math:`r
= K - 1`. Going left, each singular value given up saves penalty, until so few directions are left that classes
get in each other's way and the fit explodes. The best rank lies between, and the deeper the model, the further
left.

Each marker is the lowest critical point found at its rank, by structures in closed form and a search; filled
markers are local minima of the full problem, from open ones a way leads down. Rank 1 is off the top. These are
values found, not bounds.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.style import RC, colour

plt.rcParams.update(RC)

depths = (1, 2, 4)
profiles = {L: ufm.profile(ufm.Problem(K=8, L=L, lam=1e-3), starts=4, rng=0) for L in depths}

fig, axes = plt.subplots(1, 3, figsize=(10.5, 4.8), layout="constrained", sharey=True)
for ax, (L, found) in zip(axes, profiles.items(), strict=True):
    ufm.plot.profile(found, ax)
    ax.get_legend().remove()
    for e in found:
        if e.rank >= 2 and not e.name.startswith("unnamed"):
            name = e.name.removeprefix("code(").replace("))", ")")
            ax.annotate(
                name,
                (e.rank, e.fun),
                xytext=(0, 9 if e.rank % 2 else -16),
                textcoords="offset points",
                fontsize=8,
                color=colour(e.name),
                ha="center",
            )
    ax.axhline(found.best.fun, color="0.7", lw=0.8, ls=":", zorder=0)
    ax.set(xlim=(1.5, 7.7), ylim=(0.027, 0.18), title=f"$L = {L}$: rank {found.best.rank} is best")
    ax.label_outer()
axes[0].set_yticks([0.03, 0.05, 0.1], ["0.03", "0.05", "0.1"])
axes[0].minorticks_off()
plt.show()

# %%
# The same as numbers:

for L, found in profiles.items():
    print(f"L={L}:", ", ".join(f"rank {e.rank} {e.name} {e.fun:.5f}" for e in found if e.rank))

# %%
# **Try next:** ``zero=True`` and no limits on the axes, to see how high ranks 0 and 1 are; ``K=12``, where rank
# 3 holds an icosahedron.
