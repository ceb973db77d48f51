"""Along gradient flow the trailing linear layers become rank one, at a rate that their first imbalance bounds."""

from __future__ import annotations

import itertools

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.lj22.tails import imbalance
from theory.zang24.nets import fits
from ufm.networks.data import Data
from ufm.networks.network import Network
from ufm.networks.train import train
from ufm.numerics.seeds import child, seed_sequence

CURVE = 1e-2
"""Relative: how far the steps of the integrator may leave the bound of the exact curve."""
FLOOR = -1e4
"""log of the loss at which a run ends: e^-10000."""


def run_of(case, trace: int = 50):
    """The log-loss flow of `body` ReLU (or `last`) layers and L - body linear ones on separable data, recorded every
    `trace` steps."""
    seed = seed_sequence(case.rng)
    one = case.loss != "ce"
    data = (
        Data.separable(case.n, case.d, 0.2, child(seed, 0))
        if one
        else Data.mixture(case.K, case.n, case.d, 0.3, child(seed, 0))
    )
    kinds = ["relu"] * case.body + [case.get("last", "linear")] * (case.L - case.body - 1)
    net = Network((case.d, *(case.width,) * (case.L - 1), 1 if one else case.K), kinds)
    return train(
        net,
        data,
        case.loss,
        "log_flow",
        rng=child(seed, 1),
        scale=case.scale,
        trace=trace,
        keep=True,
        progress=False,
        time=20.0,
        step=5e-3,
        integrator="heun",
        floor=case.get("floor", FLOOR),
    )


def trailing(trace, body: int, K: int):
    """(tails (T, m), norms squared (T, m), bounds (m,)) of the m layers body + 1, ..., L; the bounds from the first
    record."""
    spectra = [s**2 for s in trace.spectra[body:]]
    tails = np.stack([s[:, K:].sum(axis=1) for s in spectra], axis=1)
    return (
        tails,
        np.stack([s.sum(axis=1) for s in spectra], axis=1),
        np.array(imbalance(trace.net.weights(trace.params(0))[body:])),
    )


def alignment(weights) -> float:
    """min over l of |<u_1(W_l), v_1(W_{l+1})>|, of successive matrices."""
    found = [np.linalg.svd(W, full_matrices=False) for W in weights]
    return min((abs(float(a[0][:, 0] @ b[2][0])) for a, b in itertools.pairwise(found)), default=1.0)


def turned(weights) -> float:
    """How much of the alignment, at most, the imbalance C = B'B - A A' that the flow keeps may still take at norms like
    these: (|C|/s_1^2)^2."""
    return max(
        float(np.linalg.norm(B.T @ B - A @ A.T, 2) / np.linalg.norm(B, 2) ** 2) ** 2
        for A, B in itertools.pairwise(weights)
    )


def check(case):
    """Tails over their bounds along the whole curve; the share outside rank K at the end, and alignment (one
    output)."""
    K = 1 if case.loss != "ce" else case.K
    trace = run_of(case).trace
    tails, norms, bounds = trailing(trace, case.body, K)
    inner = bounds > 0
    ratio = float(np.max(tails[:, inner] / bounds[inner])) * case.get("times", 1)
    yield Evidence(
        ratio,
        "<=",
        1,
        CURVE,
        note=f"largest tail over bound on {len(trace)} records to log-loss {trace.log_loss[-1]:.4g}",
    )
    share, first = tails / norms, float(np.max(tails[0] / norms[0]))
    if first > 0:  # else there never was a tail
        yield Evidence(
            float(np.max(share[-1])),
            "<",
            first,
            1e-12,
            note=f"tail/|W|^2 at the end and at the start; bound {np.max(bounds / norms[-1]):.2e}",
        )
    if K == 1:
        last = trace.net.weights(trace.params(len(trace) - 1))[case.body :]
        yield Evidence(
            alignment(last), ">", 0.98, 1e-9, error=turned(last), note="alignment of neighbouring layers at the end"
        )


CLAIM = Claim(
    id="lj22:rank-one",
    title=(
        "Trailing linear layers become rank one along gradient flow: tails stay below the first imbalance while norms"
        " grow"
    ),
    statement=(
        "If the layers p, ..., L - 1 are linear and W_L has K rows, along gradient flow at all times sum_{i>K}"
        " s_i(W_l(t))^2 <= sum_{j=l}^{L-1} tr_+(-C_j(0)), l >= p, whatever the loss and the layers below. So 1 - (s_1^2"
        " + ... + s_K^2)/|W_l|^2 <= sum_j tr_+(-C_j(0))/|W_l(t)|^2, which tends to 0 where |W_l| -> infinity: for one"
        " output the layers become rank one and align."
    ),
    source="lj22",
    hypotheses=fits()
    | {
        "trailing layers are linear": lambda c: c.get("last", "linear") == "linear",
        "two of them": lambda c: c.L - c.body >= 2,
    },
    check=check,
    cases=[
        *grid(K=2, n=5, d=5, width=7, L=[2, 3], body=0, loss=["exponential", "logistic"], scale=[0.3, 0.7], rng=0),
        *grid(K=2, n=5, d=5, width=7, L=4, body=[1, 2], loss="exponential", scale=[0.5], rng=[0]),
        Case(K=3, n=4, d=6, width=8, L=3, body=0, loss="ce", scale=0.5, rng=0),
    ],
    controls=[
        Case(K=2, n=5, d=5, width=7, L=3, body=0, last="relu", loss="exponential", scale=0.3, rng=0),
        planted(
            "a twentieth of the bound",
            K=2,
            n=5,
            d=5,
            width=7,
            L=3,
            body=0,
            loss="exponential",
            scale=0.7,
            rng=0,
            times=20,
        ),
    ],
    uses=("lj22:invariants", "lj22:tails"),
    scope=(
        "the curve is followed by Heun's steps of 1/200 of |W| down to a loss of e^-10000, far below what training in"
        " float64 reaches: |W| grows like a power 1/L of -log loss"
    ),
)
