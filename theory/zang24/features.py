"""Collapsing features never raises an unconstrained feature model's objective, whatever comes after them."""

from __future__ import annotations

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.zang24.nets import fits
from ufm.networks.data import tcv
from ufm.networks.losses import loss as loss_named
from ufm.networks.network import Network
from ufm.numerics.seeds import child, generator, seed_sequence

ROUNDING = 1e-12
"""Of F."""


def counts(case) -> list[int]:
    return list(case.n) if isinstance(case.n, tuple) else [case.n] * case.K


def check(case):
    """F after over F before replacing every feature by its class's best, the largest over `points` random (H, W); TCV
    of all layers after it."""
    seed, loss = seed_sequence(case.rng), loss_named(case.loss)
    net = Network((*(case.d,) * case.L, case.K), case.activation, bias=case.get("bias", False), skip=case.get("skip"))
    y = np.repeat(np.arange(case.K), counts(case))
    Y, ratios, within = np.eye(case.K)[:, y], [], []
    for i in range(case.points):
        draw = generator(child(seed, i))
        params = net.init(draw, scale=float(10 ** draw.uniform(-1, 0.7)))
        params = [A + 0.3 * draw.standard_normal(A.shape) if A.ndim == 1 else A for A in params]
        H = 10 ** draw.uniform(-1, 1) * draw.standard_normal((case.d, len(y)))
        ridge = 0.5 * sum(w * np.sum(W**2) for w, W in zip(weights(case), net.weights(params), strict=True))
        before, shares = value(case, net, loss, params, H, Y, y)
        collapsed = collapse(H, y, shares, case.get("choice", "best"))
        after, _ = value(case, net, loss, params, collapsed, Y, y)
        ratios.append((after + ridge) / (before + ridge))
        within.append(max(tcv(Z, y) / (np.mean(np.sum(Z**2, axis=0)) or 1.0) for Z in net.features(params, collapsed)))
    yield Evidence(
        max(ratios),
        "<=",
        1,
        ROUNDING,
        "sampled",
        note=f"F after / F before, the largest of {case.points}; the least is {min(ratios):.3g}",
    )
    yield Evidence(max(within), "==", 0, ROUNDING, "sampled", note="TCV of every layer afterwards: DNC1 everywhere")


def weights(case) -> tuple[float, ...]:
    """(lam_1, ..., lam_L)."""
    return case.lam[1:] if isinstance(case.lam, tuple) else (case.lam,) * case.L


def value(case, net, loss, params, H, Y, y):
    """(F without the decay of the matrices, the share phi_k(h_i) of every sample (N,)). A coupling of samples rewards
    spread within classes."""
    lam = case.lam[0] if isinstance(case.lam, tuple) else case.lam
    shares = loss.value(net.forward(params, H).logits, Y) / H.shape[1] + 0.5 * lam * np.sum(H**2, axis=0)
    spread = tcv(H, y) / np.mean(np.sum(H**2, axis=0))
    return float(np.sum(shares)) - case.coupling * spread, shares


def collapse(H, y, shares, choice: str):
    """H with every column replaced by one of its class: the one of least share (`best`), of largest (`worst`), or their
    mean."""
    if choice == "mean":
        return np.stack([H[:, y == k].mean(axis=1) for k in range(y.max() + 1)], axis=1)[:, y]
    key = shares if choice == "best" else -shares
    columns = [np.flatnonzero(y == k)[np.argmin(key[y == k])] for k in range(y.max() + 1)]
    return H[:, columns][:, y]


CLAIM = Claim(
    id="zang24:features",
    title="Collapsing the features of a class to the best one never raises F",
    statement=(
        "In a deep unconstrained feature model of any depth, activation, skips and loss that is a sum over samples, F ="
        " sum_{k,i} phi_k(h_ki) + ridge of the weights with phi_k(h) = l(f_W(h), k)/N + (lam_H/2)|h|^2. Replacing every"
        " h_ki by the feature of class k with the least phi_k gives DNC1 in every layer and does not raise F, so some"
        " global minimiser is collapsed, and all have h_ki in argmin phi_k. Nothing is said about the geometry or the"
        " rank of the class means."
    ),
    source="zang24",
    hypotheses=fits(1)
    | {
        "the loss is a sum over samples: coupling = 0": lambda c: c.coupling == 0,
        "some class has two samples": lambda c: max(counts(c)) > 1,
    },
    check=check,
    cases=[
        *grid(
            K=[2, 5],
            n=[2, 6],
            d=[3, 9],
            L=[1, 2, 4],
            lam=[1e-3, 0.1],
            loss=["ce", "mse"],
            activation=["relu", "tanh"],
            coupling=0.0,
            points=15,
            rng=0,
        ),
        *grid(
            K=3,
            n=(5, 1, 2),
            d=4,
            L=[2, 5],
            lam=1e-2,
            loss=["ce", "focal", "label_smoothing(0.1)"],
            activation=["linear", "leaky_relu(0.2)"],
            coupling=0.0,
            points=20,
            rng=1,
            bias=True,
        ),
        *grid(
            K=3,
            n=4,
            d=5,
            L=[3, 6],
            lam=1e-2,
            loss=["ce", "mse"],
            activation=["relu", "tanh"],
            coupling=0.0,
            points=20,
            rng=2,
            skip=["identity", "trainable"],
        ),
        Case(K=4, n=3, d=6, L=2, lam=(1e-2, 1e-4, 1.0), loss="ce", activation="tanh", coupling=0.0, points=100, rng=3),
    ],
    controls=[
        Case(K=3, n=4, d=5, L=3, lam=1e-3, loss="ce", activation="tanh", coupling=3.0, points=40, rng=0),
        planted(
            "the worst feature is taken",
            K=3,
            n=4,
            d=5,
            L=3,
            lam=1e-2,
            loss="ce",
            activation="tanh",
            coupling=0.0,
            points=40,
            rng=0,
            choice="worst",
        ),
        planted(
            "the mean feature is taken",
            K=3,
            n=4,
            d=5,
            L=3,
            lam=1e-4,
            loss="ce",
            activation="relu",
            coupling=0.0,
            points=200,
            rng=0,
            choice="mean",
        ),
    ],
    scope="thousands of random points; the statement is proved, the points test the conventions",
)
