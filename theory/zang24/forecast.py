"""Singular values of a trained deep linear network, from the data alone, before training."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.zang24.nets import fits, stationary
from ufm.networks.data import Data, tcv
from ufm.networks.network import Network
from ufm.networks.objective import Objective
from ufm.networks.trace import balancedness
from ufm.numerics.seeds import child, generator, seed_sequence

SPECTRA, COLLAPSE = 1e-3, 1e-4
"""Of s_1(Y X^+)^(1/L), the distance of the spectra; of the total variation, the within-class one of the hidden
layers."""
ROUNDING = 1e-15
"""Of a gradient, whose terms are of size one."""
START = 1e-4
"""The first lam of a run, lowered tenfold until it is the case's; larger ones kill small singular values for good."""


def data_of(case) -> Data:
    return Data.mixture(case.K, case.n, case.inputs, case.sigma, child(seed_sequence(case.rng), 0))


def forecast(data: Data, L: int) -> np.ndarray:
    """s_i(Y X^+)^(1/L), (K,): what every matrix of L tends to as lam -> 0. X (d, N) samples, Y (K, N) one-hot."""
    return _modes(data)[0] ** (1 / L)


def shift(data: Data, L: int, lam: float) -> np.ndarray:
    """How far lam > 0 lowers the forecast to first order: (lam N/L) s_i^(3/L - 2) v_i' (X X')^+ v_i, (K,), with Y X^+ =
    U diag(s) V'."""
    s, V = _modes(data)
    return lam * data.N / L * s ** (3 / L - 2) * np.sum((np.linalg.pinv(data.X) @ V) ** 2, axis=0)


def _modes(data: Data):
    """(s (K,), V (d, K)) of Y X^+."""
    _, s, Vt = np.linalg.svd(data.targets(data.K) @ np.linalg.pinv(data.X), full_matrices=False)
    return s, Vt.T


def close(case) -> bool:
    """Whether lam is small enough for these data: the first-order shift is at most SPECTRA/2 of the largest singular
    value."""
    data = data_of(case)
    return bool(np.max(shift(data, case.L, case.lam)) <= 0.5 * SPECTRA * forecast(data, case.L)[0])


def trained(case, data: Data):
    """(objective, parameters) at the end of L-BFGS for lam = 1e-4, 1e-5, ..., case.lam, from a random start."""
    net = Network((data.d, *(case.d,) * (case.L - 1), case.K), case.get("activation", "linear"))
    params, lam = net.init(generator(child(seed_sequence(case.rng), 1))), START
    while lam > 1.001 * case.lam:
        params, lam = stationary(Objective(net, data, "mse", lam), params, 1e-8, 400), lam / 10
    objective = Objective(net, data, "mse", case.lam)
    return objective, stationary(objective, params, 1e-12, 3000)


def check(case):
    """The largest distance between singular values and their forecast; within-class variation of hidden layers over the
    total, where N <= inputs.

    Errors: the imbalance W'W - W W' of neighbours that is left, which decay removes last, moves squares of singular
    values by so much; and a gradient g leaves |g|/lam beyond the K-th.
    """
    data = data_of(case)
    objective, params = trained(case, data)
    L = case.L + case.get("extra", 0)
    wanted, lower = forecast(data, L), shift(data, L, case.lam)
    errors, seconds = [], []
    for W in params:
        s = np.linalg.svd(W, compute_uv=False)
        errors += [np.max(np.abs(s[: case.K] - wanted)) / wanted[0], np.max(s[case.K :], initial=0.0) / wanted[0]]
        seconds.append(np.max(np.abs(s[: case.K] - wanted + lower)) / wanted[0])
    left = max(np.linalg.norm(g) for g in objective.gradients(params))
    uneven = sum(float(np.linalg.norm(C, 2)) for C in balancedness(objective.net, params))
    rest, kept = (left + ROUNDING) / (case.lam * wanted[0]), uneven / (2 * wanted[-1] * wanted[0])
    yield Evidence(
        float(max(errors)),
        "==",
        0,
        SPECTRA,
        error=max(rest, kept),
        note=f"largest |s_i(W_l) - forecast|/forecast_1; |grad| = {left:.1e}",
    )
    first = float(np.max(lower) / wanted[0])
    yield Evidence(
        float(max(seconds)),
        "==",
        0,
        0.1 * first + 1e-5,
        error=kept,
        note=f"the same with the forecast lowered by its first-order shift in lam, {first:.1e} at most",
    )
    hidden = objective.net.features(params, data)[1:]
    ratios = [tcv(Z, data.y) / float(np.mean(np.sum((Z - Z.mean(axis=1, keepdims=True)) ** 2, axis=0))) for Z in hidden]
    yield Evidence(
        max(ratios),
        "==",
        0,
        COLLAPSE,
        note=f"TCV over total variation of layers 1 to L, the largest; at the input {tcv(data.X, data.y):.3g}",
    )


CLAIM = Claim(
    id="zang24:forecast",
    title="Trained singular values of a deep linear net are known before training: s_i(Y X^+)^(1/L)",
    statement=(
        "For a linear network of L >= 2 matrices and widths >= K under MSE, N independent inputs, the least sum_l"
        " |W_l|^2 with W_L ... W_1 X = Y is L sum_i s_i(Y X^+)^(2/L); its minimisers have s_i(W_l) = s_i(Y X^+)^(1/L)"
        " in every layer, and hidden features that are equal within classes although the inputs are not. Minimisers at"
        " lam > 0 tend to these: s_i(W_l) is lower by (lam N/L) s_i^(3/L - 2) v_i' (X X')^+ v_i + o(lam), Y X^+ = U"
        " diag(s) V'."
    ),
    source="zang24",
    hypotheses=fits()
    | {
        "linear": lambda c: c.get("activation", "linear") == "linear",
        "N independent inputs": lambda c: samples(c) <= c.inputs and c.sigma > 0,
        "lam > 0": lambda c: c.lam > 0,
        "lam small: a first-order shift of at most 5e-4": lambda c: close(c),
        "d >= K": lambda c: c.d >= c.K,
        "L >= 2": lambda c: c.L >= 2,
    },
    check=check,
    cases=[
        *grid(K=[2, 3], n=4, inputs=30, d=8, L=[2, 3], sigma=[0.5, 1.0], lam=1e-6, rng=[0]),
        *grid(K=4, n=3, inputs=40, d=[4, 10], L=[2, 4], sigma=0.5, lam=1e-6, rng=1),
        *grid(K=3, n=(6, 1, 3), inputs=24, d=6, L=3, sigma=0.5, lam=[1e-5, 1e-7], rng=0),
    ],
    controls=[
        *grid(K=3, n=4, inputs=30, d=8, L=3, sigma=1.0, lam=0.01, rng=0),
        *grid(K=3, n=12, inputs=12, d=8, L=3, sigma=1.0, lam=1e-6, rng=0),
        *grid(K=3, n=4, inputs=30, d=8, L=3, sigma=1.0, lam=1e-6, rng=0, activation="relu"),
        planted("the exponent is 1/(L+1)", K=3, n=4, inputs=30, d=8, L=3, sigma=1.0, lam=1e-6, rng=0, extra=1),
    ],
    scope=(
        "minimisers found by L-BFGS from random starts while lam is lowered; the error is a first-order shift in lam,"
        " which is forecast too"
    ),
)


def samples(case) -> int:
    """N."""
    return sum(case.n) if isinstance(case.n, tuple) else case.K * case.n
