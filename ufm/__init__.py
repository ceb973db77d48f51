"""ufm: the solver for unconstrained feature models.

>>> import ufm
>>> problem = ufm.Problem(K=10, n=5, d=70, L=2, lam=2**-10)
>>> ufm.compare(problem, starts=0).winner.name
'pairs'
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

FIRST_DAY = {
    "Problem": "ufm.problem",
    "minimize": "ufm.solvers.minimize",
    "multistart": "ufm.solvers.multistart",
    "compare": "ufm.landscapes.compare",
    "landscape": "ufm.landscapes.landscape",
    "basins": "ufm.landscapes.basins",
    "profile": "ufm.landscapes.profile",
    "follow": "ufm.paths.follow",
    "connect": "ufm.paths.network",
    "classify": "ufm.critical.classify",
    "identify": "ufm.critical.identify",
    "certify": "ufm.certificates.certify",
    "collapse": "ufm.metrics",
    "sweep": "ufm.sweeps.sweep",
    "plot": None,
    "load": "ufm.landscapes.load",
}
"""The first screen, as `dir(ufm)` and `import *` have it: name -> the module it lives in, None for a module. A name
added here or below is added to `__init__.pyi` too, which type checkers and editors read."""
LATER = {
    "FactorPoint": "ufm.points",
    "LogitPoint": "ufm.points",
    "Loss": "ufm.losses",
    "Activation": "ufm.activations",
    "path": "ufm.paths.path",
    "read_trajectory": "ufm.paths.trajectory",
    "phase_diagram": "ufm.sweeps.phases",
    "census": "ufm.sweeps.census",
    "graph_search": "ufm.landscapes.sources.graph_search",
    "relu_profile": "ufm.landscapes.profile",
    "Accumulator": "ufm.metrics",
    "structures": None,
    "solvers": None,
}
"""Names of `ufm` beyond the first day."""
_HOME = {**FIRST_DAY, **LATER}
__all__ = [*FIRST_DAY, "__version__"]


def __getattr__(name: str):
    if name not in _HOME:
        from ufm.numerics.words import suggestion

        hint = "" if name.startswith("_") else suggestion(name, _HOME)
        raise AttributeError(f"module 'ufm' has no attribute {name!r}{hint and '; ' + hint}", name=name)
    home = _HOME[name]
    value = importlib.import_module(f"ufm.{name}") if home is None else getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
