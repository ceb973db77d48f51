"""What `ufm` has, for type checkers and editors: the names that `__init__.py` loads when they are asked for."""

from collections.abc import Callable
from typing import Any

from theory.verbs import cite as cite
from theory.verbs import claims as claims
from theory.verbs import figure as figure
from theory.verbs import verify as verify
from ufm import plot as plot
from ufm import solvers as solvers
from ufm import structures as structures
from ufm.activations import Activation as Activation
from ufm.certificates.certify import certify as certify
from ufm.critical.classify import classify as classify
from ufm.critical.identify import identify as identify
from ufm.landscapes.basins import basins as basins
from ufm.landscapes.compare import compare as compare
from ufm.landscapes.landscape import landscape as landscape
from ufm.landscapes.profile import profile as profile
from ufm.landscapes.profile import relu_profile as relu_profile
from ufm.landscapes.sources.graph_search import graph_search as graph_search
from ufm.landscapes.table import load as load
from ufm.losses import Loss as Loss
from ufm.metrics import Accumulator as Accumulator
from ufm.metrics import collapse as collapse
from ufm.numerics.families import use as use
from ufm.paths.follow import follow as follow
from ufm.paths.network import connect as connect
from ufm.paths.path import path as path
from ufm.paths.trajectory import read_trajectory as read_trajectory
from ufm.points import FactorPoint as FactorPoint
from ufm.points import LogitPoint as LogitPoint
from ufm.problem import Problem as Problem
from ufm.solvers.minimize import minimize as minimize
from ufm.solvers.multistart import multistart as multistart
from ufm.sweeps.census import census as census
from ufm.sweeps.phases import phase_diagram as phase_diagram
from ufm.sweeps.sweep import sweep as sweep

__version__: str
FIRST_DAY: dict[str, str | None]
LATER: dict[str, str | None]
INSTALLED: tuple[str, ...]

# brought by an installed package, entry points of the group `ufm.verbs`
claims: Callable[..., Any]
verify: Callable[..., Any]
figure: Callable[..., Any]
cite: Callable[..., Any]
