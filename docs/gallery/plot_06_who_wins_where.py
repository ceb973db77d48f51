r"""
Who wins where
==============

A map of winners over the number of classes :math:`K` and the depth :math:`L`, at three ridge weights. With one
layer (bottom row) it is collapse, until the ridge weight is so large that zero wins. One layer more, and from
four to six classes on collapse is beaten: by pairs where classes can be paired off, by pairs and an apex where
one is left over. With two or three classes there is hardly anything of lower rank to lose to. At the largest many
classes in a deep model are not worth their price at all: the winner is zero, a model that has learned nothing.

The colour is the lowest of the structures known in closed form. Where it is not DNC, DNC is beaten, which takes
no more than a comparison of two numbers; where it is DNC, or pairs, something without a closed form may still
lie lower.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.paths.follow import structure_crossing
from ufm.plot.style import RC

plt.rcParams.update(RC)

maps = [ufm.phase_diagram(range(2, 11), range(1, 6), lams=[lam]) for lam in (1e-4, 2e-2, 1e-1)]

fig, axes = plt.subplots(2, 2, figsize=(9, 5.8), layout="constrained")
*panels, corner = axes.flat
for ax, diagram in zip(panels, maps, strict=True):
    ufm.plot.phases(diagram, ax)
    legend = ax.get_legend()
    legend.remove()
corner.legend(
    legend.legend_handles, [text.get_text() for text in legend.get_texts()], loc="center left"
)  # the last map has all winners
corner.axis("off")
plt.show()

# %%
# Borders are roots of differences of values, not pixels. For four classes and two layers:

border = structure_crossing(ufm.Problem(K=4, L=2, lam=0.01), "dnc", "pairs", 1e-3, 5e-2)
print(f"K=4, L=2: pairs cost less than DNC from lam = {border:.12f} on")

# %%
# **Try next:** ``starts=5`` (lets a search object to the named winner), ``n=5`` (more samples act as a larger
# ridge weight), or the next example, where every colour is a proof.
