"""ufm: the solver for unconstrained feature models.

>>> import ufm
>>> problem = ufm.Problem(K=10, n=5, d=70, L=2, lam=2**-10)
>>> ufm.compare(problem, starts=0).winner.name
'pairs'
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_HOME = {
    "Problem": "ufm.problem",
    "FactorPoint": "ufm.points",
    "LogitPoint": "ufm.points",
    "load": "ufm.landscapes.load",
    "Loss": "ufm.losses",
    "Activation": "ufm.activations",
    "minimize": "ufm.solvers.minimize",
    "multistart": "ufm.solvers.multistart",
    "compare": "ufm.landscapes.compare",
    "landscape": "ufm.landscapes.landscape",
    "profile": "ufm.landscapes.profile",
    "follow": "ufm.paths.follow",
    "connect": "ufm.paths.network",
    "path": "ufm.paths.path",
    "read_trajectory": "ufm.paths.trajectory",
    "phase_diagram": "ufm.sweeps.phases",
    "graph_search": "ufm.landscapes.sources.graph_search",
    "relu_profile": "ufm.landscapes.profile",
    "classify": "ufm.critical.classify",
    "identify": "ufm.critical.identify",
    "basins": "ufm.landscapes.basins",
    "census": "ufm.sweeps.census",
    "certify": "ufm.certificates.certify",
    "collapse": "ufm.metrics",
    "Accumulator": "ufm.metrics",
    "sweep": "ufm.sweeps.sweep",
    "structures": None,
    "solvers": None,
    "plot": None,
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str):
    if name not in _HOME:
        from ufm.numerics.words import suggestion

        hint = "" if name.startswith("_") else suggestion(name, _HOME)
        raise AttributeError(f"module 'ufm' has no attribute {name!r}{hint and '; ' + hint}", name=name)
    home = _HOME[name]
    value = importlib.import_module(f"ufm.{name}") if home is None else getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_HOME})
