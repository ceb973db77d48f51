r"""
The pass between collapse and pairs
===================================

DNC is a local minimum and pairs lie lower. How high is the wall between them? Three roads, from bad to good:
straight through the space of factors, where halfway the product nearly vanishes; straight in logits, with the
cheapest factors of each point on the way; and a string that relaxes downhill until it hangs over a saddle. That
saddle is refined by Newton's method and has index one: a true pass.

The barrier of any road bounds the least one from above. The string is a local best, so it is a bound too, only
a far better one.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.plot.style import RC

plt.rcParams.update(RC)

problem = ufm.Problem(K=4, L=2, lam=2 * 0.02 / 3)
dnc, pairs = ufm.structures.dnc(problem), ufm.structures.pairs(problem)
roads = [ufm.path(dnc, pairs, kind=kind, rng=0) for kind in ("straight", "balanced", "string")]
for road in roads:
    print(f"{road.kind}: barrier {road.barrier:.7f}")
print(roads[-1].top)

fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
ufm.plot.paths(roads, ax)
plt.show()

# %%
# **Try next:** a smaller ``lam`` (who is lower changes at 0.01176), or the way back from ``pairs`` to ``zero``.
