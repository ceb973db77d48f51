r"""
The duel
========

One problem, one learning rate, two draws of the initial weights. Gradient descent ends in *deep neural
collapse* (DNC) from one of them, and from the other in *pairs*: classes joined two by two, their logits
opposite, at rank 3 instead of 5. Pairs cost less, and both ends are local minima, so that no patience takes the
first run to the second's value.

The horizontal lines are not fitted. They are the values of the structures in closed form, at their exact ranks;
the two runs are the first of each kind among twelve starts. On its way the second run slows down near a mixture
of both, a block of four and a pair, and then goes on. A run is named by the pattern of its logits, whatever the
order of its classes.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.paths.path import permuted
from ufm.plot.style import RC, colour

plt.rcParams.update(RC)

# %%
# Six classes are enough. (The paper's own duel has K=10, n=5, d=70 and takes minutes: ``ufm figure gk25-1``.)

problem = ufm.Problem(K=6, n=2, d=24, L=2, lam=2**-6)
runs = ufm.multistart(problem, starts=12, rng=0, method="gd", lr=0.5, steps=3000, trace=10)
names = [ufm.identify(run).name for run in runs.results]
dnc, pairs = (runs.results[names.index(name)] for name in ("dnc", "pairs"))
table = ufm.compare(problem, starts=0, prove=False)
print(table)

# %%
# Each heat map shows the mean logits of every class, classes sorted so that pairs stand together. In collapse
# every class is told apart from all others equally well; in pairs each class has one twin, which it pushes away
# as hard as it pulls itself up, and leaves the others at zero.

fig, axes = plt.subplot_mosaic(
    [["F", "dnc"], ["F", "pairs"]], figsize=(9, 5.8), width_ratios=(1.5, 1), layout="constrained"
)
ufm.plot.losses([dnc, pairs], table, axes["F"], lines=2)
for run, name, ax in ((dnc, "dnc", axes["dnc"]), (pairs, "pairs", axes["pairs"])):
    order = [c for block in ufm.identify(run).members for c in block]
    end = run.point.to_logits(collapse=True, rel_tol=1e-3)
    ufm.plot.logits(permuted(end, order), ax, f"{name}: F = {run.fun:.4f}, rank {end.rank}")
    ax.title.set_color(colour(name))
axes["F"].set_title("two starts of one problem")
plt.show()

# %%
# **Try next:** ``d=12`` (narrow: nearly all starts end in pairs), ``d=32`` (wide: most end in DNC), or the paper's
# own problem on the command line, ``ufm compare -K 10 -n 5 -d 70 -L 2 --lam 2**-10 --plot duel.png``.
