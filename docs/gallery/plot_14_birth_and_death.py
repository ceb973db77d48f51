r"""
Birth and death of collapse
===========================

Follow a structure while the ridge weight grows. DNC is stable for small :math:`\lambda` (solid). Then, long
before it disappears, it goes soft: nine directions turn downhill at once and it becomes a saddle (circle). A
little later the branch folds back (triangle), meets its own barrier and both are gone. Pairs lie lower all the
way and live longer.

Branches are continued by arclength, so that they turn around at folds; folds and bifurcations are located to
ten digits. Where DNC goes soft is known in closed form: its scale there is :math:`K(L-1)/(L+1)`.
"""

import matplotlib.pyplot as plt
import numpy as np

import ufm
from ufm.plot.style import RC, colour

plt.rcParams.update(RC)

problem = ufm.Problem(K=6, L=2, lam=1e-2)
branches = [ufm.follow(getattr(ufm.structures, name)(problem), 0.3) for name in ("dnc", "pairs")]
for branch in branches:
    print(branch.name, *branch.events, sep="\n  ")

# %%
# Left: the value. Right: the singular value of the logits, where fold and barrier are easier to see.

fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.6), layout="constrained")
ufm.plot.branches(branches, left)
left.get_legend().remove()
for branch in branches:
    s = [point.s[0] for point in branch.points]
    right.plot(branch.lam, s, color=colour(branch.name), lw=1.4, label=branch.name)
    for event in branch.events:
        right.plot(
            event.lam,
            event.point.s[0],
            {"fold": ">"}.get(event.kind, "o"),
            color=colour(branch.name),
            mfc="white",
            ms=6,
        )
right.axhline(problem.K * (problem.L - 1) / (problem.L + 1), color=colour("dnc"), lw=0.8, ls=":")
right.set(xscale="log", xlabel=r"$\lambda$", ylabel="largest singular value of $Z$")
right.annotate(
    "DNC is stable above $K(L-1)/(L+1)$",
    (left.get_xlim()[0], 2),
    xytext=(4, 4),
    textcoords="offset points",
    color=colour("dnc"),
    fontsize=8,
)
right.legend()
plt.show()

soft = branches[0].events[0]
print(np.isclose(soft.point.s[0], problem.K * (problem.L - 1) / (problem.L + 1), rtol=1e-6))

# %%
# **Try next:** ``L=1`` (no fold: the branch shrinks to zero), ``loss="mse"``, or ``K=20, L=3``, where DNC goes
# soft before :math:`10^{-3}`.
