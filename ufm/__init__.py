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
    "load": "ufm.landscapes.table",
    "use": "ufm.numerics.families",
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
INSTALLED = ("claims", "verify", "figure", "cite")
"""Verbs of the first day that another package brings, here `theory`, by entry points of the group `ufm.verbs`."""
_HOME = {**FIRST_DAY, **LATER}
__all__ = [*FIRST_DAY, "__version__"]


def __getattr__(name: str):
    if name in _HOME:
        home = _HOME[name]
        value = importlib.import_module(f"ufm.{name}") if home is None else getattr(importlib.import_module(home), name)
    else:
        value = _brought(name)
    globals()[name] = value
    return value


def _brought(name: str):
    """A verb of another package, by its entry point; AttributeError where none brings it."""
    from ufm.numerics.families import entry_points
    from ufm.numerics.words import suggestion

    found = [] if name.startswith("_") else [entry for entry in entry_points("ufm.verbs") if entry.name == name]
    if found:
        return found[0].load()
    hint = "" if name.startswith("_") else suggestion(name, [*_HOME, *INSTALLED])
    if name in INSTALLED:
        hint = (
            "it comes with the package theory, through the entry points of the group ufm.verbs, and what is installed"
            " here has none of that name; install ufm again from the folder of its source"
        )
    raise AttributeError(f"module 'ufm' has no attribute {name!r}{hint and '; ' + hint}", name=name)


def __dir__() -> list[str]:
    return sorted([*__all__, *INSTALLED])
