"""Networks, data and points on which the identities of lj22 are read."""

from __future__ import annotations

import numpy as np

from ufm.networks.data import Data
from ufm.networks.network import Network, Skip
from ufm.networks.objective import Objective
from ufm.numerics.seeds import child, generator, seed_sequence

HOMOGENEOUS = ("linear", "relu", "leaky_relu")
"""Activations with s(a) = s'(a) a, up to a slope in brackets."""


def homogeneous(case) -> bool:
    return case.activation.split("(")[0] in HOMOGENEOUS


def outputs(case) -> int:
    return 1 if case.loss in ("logistic", "exponential") else case.K


def objective_of(case, lam=0.0) -> Objective:
    """A mixture of K classes in d dimensions before a network of L matrices and width d with one activation."""
    data = Data.mixture(case.K, case.n, case.d, case.get("sigma", 1.0), child(seed_sequence(case.rng), 0))
    return Objective(Network((*(case.d,) * case.L, outputs(case)), case.activation), data, case.loss, lam)


def residual(case) -> Objective:
    """h0 = W_1 x, h1 = S h0 + W_3 s(W_2 h0), f = W_4 h1, S of the case's `kind` (or no skip: None)."""
    d, m = case.d, case.get("block", case.d + 1)
    data = Data.mixture(case.K, case.n, d, 1.0, child(seed_sequence(case.rng), 0))
    skip = None if case.kind is None else [Skip(1, 3, case.kind)]
    net = Network((d, d + 1, m, d + 1, outputs(case)), ["linear", case.activation, "linear"], skip=skip)
    return Objective(net, data, case.loss)


def start(case, objective: Objective) -> list[np.ndarray]:
    """Random parameters; of a diagonal skip too."""
    draw = generator(child(seed_sequence(case.rng), 1))
    return [
        A * draw.uniform(0.5, 2.0, A.shape) if A.ndim == 1 else A
        for A in objective.net.init(draw, case.get("scale", 1.0))
    ]


def relative(A, B) -> float:
    """max |A - B| / max(|A|, |B|) entrywise in both maxima; 0 for zeros."""
    size = max(np.max(np.abs(A), initial=0.0), np.max(np.abs(B), initial=0.0))
    return float(np.max(np.abs(A - B), initial=0.0) / size) if size > 0 else 0.0
