r"""
A phase diagram in which every colour is a proof
================================================

A computed map of winners can lie in two ways: rounding, and the space between its grid points. Here neither is
possible. A stretch of :math:`\lambda` is coloured only where the order of two losses is proved for *every*
ridge weight in it, in ball arithmetic; what could not be decided stays hatched. Losses of structures are
concave in :math:`\lambda`, so two enclosures at the ends of a stretch bound all that lies between.

Orange and light blue mean: this structure costs less than DNC. Dark blue means: DNC costs less than every
structure compared, which is not yet global optimality.
"""

import matplotlib.pyplot as plt

import ufm
from ufm.certificates.certified_phases import certified_phase_diagram
from ufm.plot.style import RC

plt.rcParams.update(RC)

# %%
# Needs the extra ``[certify]`` (Arb's balls).

diagram = certified_phase_diagram([4, 5, 6, 8], [1, 2, 3], ("1e-4", "1e-1"), cells=6, splits=5)
print(diagram)

fig, ax = plt.subplots(figsize=(8.5, 3.8), layout="constrained")
ufm.plot.certified_phases(diagram, ax)
plt.show()

# %%
# A proof is data. It can be checked again without the program that found it:

proofs = diagram.certificates
print(len(proofs), "certificates; one of them:", proofs[0].statement)
checked = proofs[0].check()

# %%
# **Try next:** more ``splits`` (the hatched slits shrink by half each), ``diagram.save("phases.json")`` and
# ``ufm certify --check phases.json``.
