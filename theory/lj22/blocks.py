"""The identities of residual blocks: what each matrix gives away, its neighbours receive."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.lj22.invariants import TOL
from theory.lj22.nets import homogeneous, relative, residual, start
from theory.zang24.nets import fits


def check(case):
    """For h0 = W_0 x, h1 = S h0 + W_b s(W_a h0), f = W_c h1: the identities of the kind of S, entries or diagonals."""
    objective = residual(case)
    params = start(case, objective)
    (W0, Wa, Wb, Wc), (G0, Ga, Gb, Gc) = params[:4], objective.fit_gradients(params)[:4]
    yield Evidence(
        relative(np.diag(Wb.T @ Gb), np.diag(Ga @ Wa.T)), "==", 0, TOL, note="inside the block, on the diagonal"
    )
    into, out = (G0 @ W0.T, Wa.T @ Ga), (Wc.T @ Gc, Gb @ Wb.T)
    kind = case.get("treat", case.kind)
    if kind == "identity":
        apart = max(relative(*into), relative(*out))
        yield Evidence(
            relative(into[0] + out[1], into[1] + out[0]),
            "==",
            0,
            TOL,
            note=f"around the block, in full; its two halves fail apart by {apart:.2g}",
        )
    elif kind == "diagonal":
        v, g = params[-1], objective.fit_gradients(params)[-1]
        yield Evidence(
            relative(np.diag(into[0]), np.diag(into[1]) + v * g), "==", 0, TOL, note="before the block, on the diagonal"
        )
        yield Evidence(
            relative(np.diag(out[0]), np.diag(out[1]) + v * g), "==", 0, TOL, note="after the block, on the diagonal"
        )
    else:
        S, GS = (
            (params[-1], objective.fit_gradients(params)[-1])
            if kind == "trainable"
            else (np.zeros((1, 1)), np.zeros((1, 1)))
        )
        yield Evidence(relative(into[0], into[1] + S.T @ GS), "==", 0, TOL, note="before the block, in full")
        yield Evidence(relative(out[0], out[1] + GS @ S.T), "==", 0, TOL, note="after the block, in full")


CLAIM = Claim(
    id="lj22:blocks",
    title="Identities around a residual block, for identity, diagonal and trainable skips",
    statement=(
        "For h0 = W_0 x, h1 = S h0 + W_b s(W_a h0), f = W_c h1 with s(a) = s'(a) a, at every point: diag(W_b' G_b) ="
        " diag(G_a W_a'). Trainable S: G_0 W_0' = W_a' G_a + S' G_S and W_c' G_c = G_b W_b' + G_S S'; diagonal S ="
        " diag(v): the diagonals of both, with v g_v. S = I: only the sum, G_0 W_0' + G_b W_b' = W_a' G_a + W_c' G_c,"
        " so that W_c' W_c + W_a' W_a - W_0 W_0' - W_b W_b' is kept by gradient flow and its parts are not. No skip:"
        " the first two with S = 0."
    ),
    source="lj22",
    hypotheses=fits()
    | {
        "s(a) = s'(a) a": homogeneous,
        "the identities of its own kind of skip": lambda c: c.get("treat", c.kind) == c.kind,
    },
    check=check,
    cases=[
        *grid(
            K=[2, 3],
            n=[1, 5],
            d=[3, 8],
            loss=["ce", "mse"],
            activation=["relu", "leaky_relu(0.3)", "linear"],
            kind=["identity", "diagonal", "trainable", None],
            rng=[0, 1],
        ),
        *grid(
            K=2,
            n=6,
            d=5,
            loss=["logistic", "exponential"],
            activation="relu",
            kind=["identity", "diagonal", "trainable"],
            rng=[0, 1],
            block=3,
        ),
    ],
    controls=[
        *grid(K=3, n=5, d=6, loss="ce", activation="tanh", kind=["identity", "trainable"], rng=0),
        planted(
            "the identity skip is treated as no skip",
            K=3,
            n=5,
            d=6,
            loss="ce",
            activation="relu",
            kind="identity",
            rng=0,
            treat=None,
        ),
        planted(
            "the trainable skip is treated as the identity",
            K=3,
            n=5,
            d=6,
            loss="ce",
            activation="relu",
            kind="trainable",
            rng=0,
            treat="identity",
        ),
    ],
    uses=("lj22:invariants",),
)
