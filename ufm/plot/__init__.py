"""Pictures. The only door to matplotlib; every function takes an object and `ax=None` and returns the axes.

>>> import ufm
>>> ax = ufm.plot.logits(ufm.structures.pairs(ufm.Problem(K=4, L=2, lam=0.01)))
>>> ax.get_title()
'pairs'
"""

from ufm.plot import basins, graphs, style
from ufm.plot.atlas import landscape
from ufm.plot.bars import costs
from ufm.plot.certified import certified_phases
from ufm.plot.codes import code
from ufm.plot.connections import disconnectivity_graph as disconnectivity
from ufm.plot.connections import paths, plateaus
from ufm.plot.figures import comparison, runs
from ufm.plot.levels import ladder
from ufm.plot.parts import logits, losses, singular_values
from ufm.plot.phases import plot_branches as branches
from ufm.plot.phases import plot_phases as phases
from ufm.plot.phases import plot_profile as profile
from ufm.plot.rays import ray
from ufm.plot.spectra import hessian_spectra
from ufm.plot.style import colour, colours, save

__all__ = [
    "COLOURS",
    "basins",
    "branches",
    "certified_phases",
    "code",
    "colour",
    "colours",
    "comparison",
    "costs",
    "disconnectivity",
    "graphs",
    "hessian_spectra",
    "ladder",
    "landscape",
    "logits",
    "losses",
    "paths",
    "phases",
    "plateaus",
    "profile",
    "ray",
    "runs",
    "save",
    "singular_values",
]


def __getattr__(name: str):
    if name == "COLOURS":
        return style.colours()
    raise AttributeError(f"module 'ufm.plot' has no attribute {name!r}", name=name)
