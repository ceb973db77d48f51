r"""
A descent that passes saddles, each with a name
===============================================

Loss curves have plateaus. Here every plateau is a known critical point: gradient descent starts next to two
blocks of four classes, leaves, rests for tens of thousands of steps where one block has split into pairs,
leaves again, and ends in four pairs. The theory of a saddle says how fast it must be left: its lowest Hessian
eigenvalue is the rate of escape, and where the run came near enough to measure it, it keeps to that rate within
one percent.

Nobody looked at the curve to name anything: every record is compared with the structures in closed form, modulo
permutations of the classes.
"""

import matplotlib.pyplot as plt
import numpy as np

import ufm
from ufm.plot.style import RC
from ufm.points import FactorPoint
from ufm.solvers import starts

plt.rcParams.update(RC)

# %%
# The first block is pushed off its balance by one percent, the second by next to nothing: otherwise both would
# split at once.

problem = ufm.Problem(K=8, d=12, L=2, lam=2e-3)
H, *weights = ufm.structures.blocks(problem, (4, 4)).lift().factors
push = np.eye(8)
push[:4, :4] += 1e-2 * np.random.default_rng(1).standard_normal((4, 4))
start = starts.near(FactorPoint(problem, (H @ push, *weights)), 1e-7)

run = ufm.minimize(problem, start, "gd", lr=0.5, steps=60_000, trace=100, rng=1)
reading = ufm.read_trajectory(run, lr=0.5)
print(reading)

# %%
# Above: the loss, plateaus shaded. Below: the distance from each point on a logarithmic scale, where an
# approach and an escape at constant rates are two straight lines.

fig, (top, bottom) = plt.subplots(2, 1, figsize=(7.5, 5), layout="constrained", sharex=True)
ufm.plot.plateaus(reading, run, ax=top)
ufm.plot.plateaus(reading, ax=bottom)
top.set_xlabel("")
for label in list(bottom.texts):
    label.remove()
plt.show()

# %%
# **Try next:** other saddles, such as ``blocks(problem, (5, 3))``, which ends in a local minimum of higher
# rank; or your own logged logits, ``ufm.read_trajectory(array, problem=problem)``.
