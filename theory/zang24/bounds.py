"""Distance of a weight matrix from the matrices of rank K, and what bounds it: the within-group part of its gradient,
over lam.

With F = (1/N) sum_i l_i + (1/2) sum_l lam_l |W_l|^2, delta_i = d l_i / d a^l_i, z_i = z^(l-1)_i and a partition of the
samples into k groups with means marked by a bar and deviations by a tilde, the cross terms of G_l = (1/N) sum_i delta_i
z_i' vanish within each group, so

    lam W_l = grad_l F - (1/N) sum_i delta~_i z~_i' - (a matrix of rank <= k),

    dist_k(W_l) <= |(1/N) sum_i delta~_i z~_i'|_F / lam + |grad_l F| / lam                    exact
                <= (TCV(delta) TCV(z))^(1/2) / lam      + |grad_l F| / lam                    second
                <= rms(delta) TCV(z)^(1/2) / lam        + |grad_l F| / lam                    first

and dist_k(W_l) <= M TCV(z)/lam + |grad_l F|/lam where |delta_i - delta_j| <= M |z_i - z_j| within groups (lipschitz).
TCV(z) = (1/N) sum_i |z~_i|^2, rms(delta)^2 = (1/N) sum_i |delta_i|^2, dist_k(W)^2 = sum_{i>k} s_i(W)^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ufm.networks.data import centred
from ufm.networks.objective import Objective

ROUNDING = 1e-14
"""Of |W|: by so much the singular values beyond k may be off."""
NAMES = ("exact", "second", "first", "lipschitz")


@dataclass(frozen=True)
class LayerBound:
    """The distance `dist` of W_l from rank k, its norm, the four bounds, the share `grad` of |grad_l F|/lam in them,
    TCV(z^(l-1)) and TCV(delta^l)."""

    layer: int
    norm: float
    dist: float
    exact: float
    second: float
    first: float
    lipschitz: float
    grad: float
    tcv: float
    tcv_delta: float

    def ratio(self, name: str) -> float:
        """dist over the bound of that name; 0 where dist is rounding."""
        dist, bound = self.dist - ROUNDING * self.norm, getattr(self, name)
        return 0.0 if dist <= 0 else dist / bound if bound > 0 else math.inf

    def vacuous(self, name: str) -> bool:
        """Whether the bound says no more than dist <= |W|."""
        return getattr(self, name) >= self.norm


def layer_bounds(objective: Objective, params, groups=None, drop: str = "") -> list[LayerBound]:
    """The bounds of every layer, for the partition of the samples in `groups` (N,), entries 0..k-1 (default: the
    classes).

    drop: leaves something out, for controls: `grad` (the gradient's term), `rank` (one rank too few is allowed), `half`
    (half the constant). Raises ValueError unless every lam_l is positive.
    """
    net, data = objective.net, objective.data
    groups = data.y if groups is None else np.asarray(groups)
    lams = objective.decay.lams(net)
    if min(lams) <= 0:
        raise ValueError(f"lam must be positive in every layer; got {lams}.")
    k = int(groups.max()) + 1 - (drop == "rank")
    post, deltas, grads = net.features(params, data), objective.deltas(params), objective.gradients(params)
    return [
        _bound(l, params[l - 1], post[l - 1], deltas[l - 1], grads[l - 1], groups, k, lams[l - 1], drop)
        for l in range(1, net.L + 1)
    ]


def _bound(l, W, Z, delta, grad, groups, k: int, lam: float, drop: str) -> LayerBound:
    N = Z.shape[1]
    z, e = centred(Z, groups), centred(delta, groups)
    s = np.linalg.svd(W, compute_uv=False)
    tcv, tcv_delta = np.sum(z**2) / N, np.sum(e**2) / N
    rest = 0.0 if drop == "grad" else np.linalg.norm(grad) / lam
    sizes = {
        "exact": np.linalg.norm(e @ z.T) / N,
        "second": math.sqrt(tcv * tcv_delta),
        "first": math.sqrt(np.sum(delta**2) / N * tcv),
        "lipschitz": lipschitz(z, e, groups) * tcv if tcv else 0.0,
    }
    half = 0.5 if drop == "half" else 1.0
    found = {name: float(half * size / lam + rest) for name, size in sizes.items()}
    return LayerBound(
        l,
        float(np.linalg.norm(W)),
        float(np.linalg.norm(s[k:])),
        **found,
        grad=float(rest),
        tcv=float(tcv),
        tcv_delta=float(tcv_delta),
    )


def lipschitz(Z, D, groups) -> float:
    """The least M with |d_i - d_j| <= M |z_i - z_j| for columns i, j of one group; infinite where two z agree and their
    d do not."""
    largest = 0.0
    for g in range(int(groups.max()) + 1):
        i, j = np.triu_indices(int(np.sum(groups == g)), 1)
        z, d = Z[:, groups == g], D[:, groups == g]
        far, apart = np.linalg.norm(z[:, i] - z[:, j], axis=0), np.linalg.norm(d[:, i] - d[:, j], axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(apart > 0, apart / far, 0.0)
        largest = max(largest, float(np.max(ratios, initial=0.0)))
    return largest
