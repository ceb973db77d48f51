"""D5. With decay the gradients of small batches cannot all vanish: a floor under the noise of SGD."""

from __future__ import annotations

import itertools
import math

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from theory.gsgp22.gradient_rank import batch_gradient, objective_of, start_of, tail
from ufm.networks.train import train

ZERO = 1e-4
"""Below this norm a weight matrix at the end of a run is zero, and within it of 1 a cosine is 1: the cases that the
claim excepts."""


def check(case):
    """eta = max over all batches |G_B + lam W|, against how far the sample gradients are from -lam W, W from rank one,
    and W from 0."""
    objective, x = point_of(case)
    N, lam = objective.data.N, case.lam
    chosen = [np.array(batch) for batch in itertools.combinations(range(N), case.B)]
    whole = [batch_gradient(objective, x, batch) for batch in chosen]
    single = [batch_gradient(objective, x, np.array([i])) for i in range(N)]
    layers = objective.net.features(objective.net.unpack(x), objective.data)
    for l, W in enumerate(objective.net.unpack(x)[: case.L]):
        size = float(np.linalg.norm(W))
        if size < ZERO:
            yield Evidence(0, "<=", 0, strength="exact", note=f"W_{l + 1} = 0")
            continue
        eta = max(float(np.linalg.norm(G[l] + lam * W)) for G in whole)
        reach = (2 * case.B - 1) * eta * case.get("part", 1.0)
        floor = lam * size * math.sqrt((1 - parallel(layers[l])) / 2)
        scale = max(eta, lam * size)
        if case.B > 1:
            worst = max(float(np.linalg.norm(G[l] + lam * W)) for G in single)
            yield Evidence(
                worst / scale,
                "<=",
                reach / scale,
                1e-9,
                note=f"layer {l + 1}: max_i |G_i + lam W| <= (2B-1) eta, in units of {scale:.3g}",
            )
        yield Evidence(
            lam * tail(W, 1) / scale, "<=", reach / scale, 1e-12, note=f"layer {l + 1}: lam dist_1(W) <= (2B-1) eta"
        )
        yield Evidence(
            floor / scale,
            "<=",
            reach / scale,
            1e-12,
            note=f"layer {l + 1}: lam |W| sqrt((1 - c)/2) <= (2B-1) eta, |W| = {size:.3g}",
        )
        if parallel(layers[l]) < 1 - ZERO:
            yield Evidence(eta, ">", 1e-9, 1e-10, note=f"layer {l + 1}: some batch has a gradient")


def parallel(Z) -> float:
    """The least |cos| of the angle between two columns of Z; columns that are 0 are at right angles to all."""
    size = np.linalg.norm(Z, axis=0)
    U = np.divide(Z, size, out=np.zeros_like(Z), where=size > 0)
    return min(1.0, float(np.min(np.abs(U.T @ U) + np.eye(Z.shape[1]))))


def point_of(case):
    """(objective, flat x): the start, or the minimiser on all samples (`stationary`), where the full gradient is
    zero."""
    objective = objective_of(case)
    x = start_of(objective, case.rng)
    if case.point == "stationary":
        start = objective.net.unpack(x)
        end = train(
            objective.net,
            objective.data,
            objective.loss,
            "lbfgs",
            objective.decay,
            start=start,
            tol=case.get("tol", 1e-7),
            progress=False,
        )
        x = objective.net.pack(end.params)
    return objective, x


def settings(count: int) -> list[Case]:
    """So many drawn cases at both kinds of point; smooth activations where the run must converge."""
    draw, found = np.random.default_rng(5), []
    for rng in range(count):
        K, n, B, point = (
            int(draw.integers(2, 4)),
            int(draw.integers(2, 4)),
            int(draw.integers(1, 4)),
            ("start", "stationary")[rng % 2],
        )
        words = {
            "activation": str(draw.choice(["tanh", "linear"] + ["relu"] * (point == "start"))),
            "loss": str(draw.choice(["ce", "mse"])),
        }
        sizes = {"d": int(draw.integers(2, 9)), "width": int(draw.integers(2, 9)), "L": int(draw.integers(1, 4))}
        found.append(
            Case(
                K=K,
                n=n,
                **sizes,
                B=min(B, K * n - 1),
                lam=float(10 ** draw.uniform(-3, -1)),
                sigma=1.0,
                point=point,
                rng=rng,
                **words,
            )
        )
    return found


BASE = {"K": 3, "n": 2, "d": 8, "width": 6, "L": 2, "activation": "tanh", "sigma": 1.0, "point": "stationary"}

CLAIM = Claim(
    id="gsgp22:noise",
    title="With decay the batches' gradients cannot all vanish: a floor under SGD's noise",
    statement=(
        "Let eta = max over the batches of B < N samples of |G_B + lam W_l|. Then |G_i + lam W_l| <= (2B-1) eta for"
        " every sample i, W_l is within (2B-1) eta/lam of rank one, and eta >= lam |W_l| sqrt((1-c)/2)/(2B-1), c the"
        " least |cos| between two inputs z_i, z_j of the layer. If all batches are stationary, W_l has rank one at"
        " most, and W_l = 0 unless the inputs of the layer are parallel; for l = 1 without biases that is the zero"
        " function."
    ),
    source="gsgp22, SGD does not converge to a nonzero function",
    hypotheses={
        "lam > 0": lambda c: c.lam > 0,
        "B < N": lambda c: c.B < c.K * c.n,
        "all batches can be looked at: at most a thousand": lambda c: math.comb(c.K * c.n, c.B) <= 1000,
    },
    check=check,
    cases=settings(60),
    controls=[
        Case(**BASE, B=6, lam=0.01, rng=0),
        Case(**{**BASE, "L": 1}, loss="mse", B=2, lam=0.0, tol=1e-12, rng=0),
        planted("(2B-1) eta is replaced by a tenth of it", **{**BASE, "point": "start"}, B=1, lam=0.1, rng=0, part=0.1),
    ],
    uses=("gsgp22:gradient-rank",),
    scope=(
        "all batches of up to 9 samples; the constants are ours. The controls: at B = N the floor is gone, and at lam ="
        " 0 an interpolating network has no noise"
    ),
)
