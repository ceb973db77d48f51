r"""
Ten classes as the edges of a graph
===================================

ReLU and the square loss. Through nonnegative features neural collapse needs one neuron per class. There is a
cheaper way: draw five points, and let the ten classes be the ten lines between them. A hidden layer then stores
for each class only its two end points, in five neurons. One layer later a class is read off by the lines that
it does *not* meet (black against green), and ReLU turns those numbers, of rank 5, into an invertible matrix:
the Petersen graph, which is strongly regular and gives every class back to the last layer.

The construction and both losses are closed forms (source ``sml24``; constants derived here). It is an upper
bound of the minimum: a DNC point that costs more than it is not a global minimum, whatever else this problem
holds.
"""

import matplotlib.pyplot as plt
import numpy as np

import ufm
from ufm.numerics.graphs import complete
from ufm.plot.graphs import graph_code
from ufm.plot.style import RC, colour
from ufm.structures import graph_codes, relu_collapse

plt.rcParams.update(RC)


def model(L: int) -> ufm.Problem:
    return ufm.Problem(K=10, d=30, L=L, lam=0.004, loss="mse", activation="relu")


depths = (3, 4, 5, 6)
srg = [graph_codes.loss(model(L), complete(5)) for L in depths]
dnc = [relu_collapse.loss(model(L)) for L in depths]
for L, a, b in zip(depths, srg, dnc, strict=True):
    print(f"L={L}: graph {a:.6f}, collapse {b:.6f}, ratio {a / b:.4f}")

# %%
# The last hidden layer of the construction at four layers, before its ReLU and behind it, column c for class c:

point = graph_codes.srg(model(4))
before = point.factors[-2] @ point.layers()[-2]
after = np.maximum(before, 0.0)
ranks = [int(np.linalg.matrix_rank(A, tol=1e-8)) for A in (before, after)]
print("rank before and behind the ReLU:", *ranks)

fig, ((left, second), (third, right)) = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
left.plot(depths, dnc, "o-", color=colour("dnc"), label="dnc")
left.plot(depths, srg, "s-", color=colour("petersen"), label="graph")
left.set(xlabel="$L$", ylabel="$F$", xticks=depths, title="the graph costs less")
left.legend()
graph_code(complete(5), second, title="classes are edges")
for edge, line, text in zip(complete(5).edges, second.lines, second.texts, strict=False):
    shared = len({0, 1} & set(edge))
    line.set(
        color="black" if shared == 2 else colour("petersen"),
        alpha=0.25 if shared == 1 else 1.0,
        linewidth=(1.8, 1.2, 2.6)[shared],
    )
    text.set_position((line.get_xdata().mean(), line.get_ydata().mean()))
reach = np.abs(before).max()
for ax, A, rank, words in ((third, before, ranks[0], "before ReLU"), (right, after, ranks[1], "behind ReLU")):
    ax.imshow(A[:10], cmap="RdBu_r", vmin=-reach, vmax=reach)
    ax.set(
        title=f"{words}: rank {rank}", xlabel="class", ylabel="neuron", xticks=range(0, 10, 2), yticks=range(0, 10, 2)
    )
plt.show()

# %%
# **Try next:** ``complete(6)`` with ``K=15``, where four layers gain more; ``graph_codes.rho(complete(5), L)``
# for the limit of small decay; ``L=2``, where the construction has no layer to work with.
