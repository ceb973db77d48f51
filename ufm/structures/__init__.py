"""Structures: points known in closed form, one file each. A file states its facts as a `Structure`
(`ufm.structures.structure`) or helps files that do.

For linear models a structure makes a LogitPoint of exact rank; for models with a hidden activation that keeps
nonnegative numbers (relu, leaky relu) a FactorPoint with explicit weights. It raises ValueError with the reason where
it does not exist. A structure from a file of the user's own is here under its name too: `structures.get("tetra")` its
facts, `structures.tetra(problem)` its point.
"""

from __future__ import annotations

from ufm.structures.blocks import blocks, partitions
from ufm.structures.circle import circle
from ufm.structures.dnc import dnc
from ufm.structures.graph_codes import graph_code, srg
from ufm.structures.pairs import pairs, pairs_apex
from ufm.structures.petersen import petersen
from ufm.structures.relu_collapse import relu_dnc, relu_zero
from ufm.structures.relu_pairs import relu_pairs
from ufm.structures.structure import STRUCTURES, Structure, catalogue, existing, get, is_barrier
from ufm.structures.zero import zero

__all__ = [
    "STRUCTURES",
    "Structure",
    "blocks",
    "catalogue",
    "circle",
    "dnc",
    "existing",
    "get",
    "graph_code",
    "is_barrier",
    "pairs",
    "pairs_apex",
    "partitions",
    "petersen",
    "relu_dnc",
    "relu_pairs",
    "relu_zero",
    "srg",
    "zero",
]


def __getattr__(name: str):
    members = {} if name.startswith("_") else STRUCTURES.members()
    if name not in members:
        raise AttributeError(f"module 'ufm.structures' has no attribute {name!r}", name=name)
    return members[name].make
