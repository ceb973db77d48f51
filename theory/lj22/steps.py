"""Discrete steps with weight decay: the conserved quantities decay at a known rate, and vanish where training rests."""

from __future__ import annotations

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.lj22.nets import homogeneous, objective_of, relative, start
from theory.zang24.nets import fits, stationary
from ufm.networks.trace import balancedness

STEP, STATIC = 1e-11, 1e-10
"""Relative to the largest of the terms."""
DIVERGED = 1e20
"""An entry beyond which a run is left: the next gradient would leave the range of floats."""
PRODUCTS = 1e-16
"""Rounding of a sum of products of matrices, of the sum of the products of their norms; it is compared with lam."""


def kept(case, C):
    """The entries that the recursion holds for: all between linear layers, else the diagonal."""
    return C if case.activation == "linear" or case.get("full", False) else np.diag(C)


def recursion(case):
    """Along `steps` steps of gradient descent with decay, C_{t+1} against (1 - h lam)^2 C_t + h^2 (G_{l+1}' G_{l+1} -
    G_l G_l')."""
    objective = objective_of(case, case.lam)
    params, h, lam = start(case, objective), case.lr, case.lam
    factor, second = (1 - h * lam) ** case.get("power", 2), h * h * case.get("curvature", 1)
    velocity, worst, whole = [np.zeros_like(W) for W in params], 0.0, 0.0
    draw = np.random.default_rng(case.rng)
    for taken in range(1, case.steps + 1):  # noqa: B007 (told in the note)
        G = gradients(objective, params, case, draw)
        velocity = [case.momentum * V + g + lam * W for V, g, W in zip(velocity, G, params, strict=True)]
        new = [W - h * V for W, V in zip(params, velocity, strict=True)]
        for l, (old, now) in enumerate(
            zip(balancedness(objective.net, params), balancedness(objective.net, new), strict=True)
        ):
            wanted = factor * old + second * (G[l + 1].T @ G[l + 1] - G[l] @ G[l].T)
            size = max(np.max(np.abs(new[l] @ new[l].T)), np.max(np.abs(new[l + 1].T @ new[l + 1])))
            worst = max(worst, float(np.max(np.abs(kept(case, now - wanted))) / size))
            whole = max(whole, relative(now, wanted))
        params = new
        if max(float(np.max(np.abs(W))) for W in params) > DIVERGED:
            break
    yield Evidence(worst, "==", 0, STEP, note=f"over {taken} steps and all layers; {whole:.1e} on whole matrices")


def gradients(objective, params, case, draw):
    """The gradient of the mean loss on all samples, or on `batch` random ones."""
    if case.batch is None:
        return objective.fit_gradients(params)
    some = draw.permutation(objective.data.N)[: case.batch]
    return objective.net.unpack(
        objective.fit_grad(objective.net.pack(params), objective.data.X[:, some], objective.Y[:, some])[1]
    )


PLAIN = {
    "K": 3,
    "n": 5,
    "d": 6,
    "L": 3,
    "loss": "ce",
    "activation": "linear",
    "lam": 1e-2,
    "lr": 0.1,
    "momentum": 0.0,
    "batch": None,
    "steps": 20,
    "rng": 0,
}

RECURSION = Claim(
    id="lj22:steps",
    title="Under gradient descent with decay, C <- (1 - h lam)^2 C + h^2 (G_{l+1}' G_{l+1} - G_l G_l') exactly",
    statement=(
        "Let C_l = W_{l+1}' W_{l+1} - W_l W_l'. A step W <- (1 - h lam) W - h G of (stochastic) gradient descent"
        " without momentum takes C_l to (1 - h lam)^2 C_l + h^2 (G_{l+1}' G_{l+1} - G_l G_l'): in full across a linear"
        " layer, on the diagonal across an activation with s(a) = s'(a) a."
    ),
    source="lj22",
    hypotheses=fits()
    | {
        "s(a) = s'(a) a": homogeneous,
        "no momentum": lambda c: c.momentum == 0,
        "a batch of at most N samples": lambda c: c.batch is None or c.batch <= c.K * c.n,
        "the diagonal across a ReLU": lambda c: c.activation == "linear" or not c.get("full", False),
    },
    check=recursion,
    cases=[
        *grid(
            K=[2, 3],
            n=5,
            d=[4, 8],
            L=[2, 4],
            loss=["ce", "mse"],
            activation=["linear", "relu", "leaky_relu(0.2)"],
            lam=[0.0, 1e-2],
            lr=[0.1],
            momentum=0.0,
            batch=[None, 2],
            steps=20,
            rng=0,
        ),
        Case(
            K=2,
            n=5,
            d=8,
            L=3,
            loss="logistic",
            activation="relu",
            lam=1e-3,
            lr=0.05,
            momentum=0.0,
            batch=None,
            steps=1000,
            rng=1,
        ),
        Case(
            K=3,
            n=4,
            d=6,
            L=3,
            loss="ce",
            activation="linear",
            lam=1e-2,
            lr=0.05,
            momentum=0.0,
            batch=1,
            steps=1000,
            rng=1,
        ),
    ],
    controls=[
        *grid(
            K=3,
            n=5,
            d=6,
            L=3,
            loss="ce",
            activation="tanh",
            lam=1e-2,
            lr=0.1,
            momentum=0.0,
            batch=None,
            steps=20,
            rng=0,
        ),
        *grid(
            K=3,
            n=5,
            d=6,
            L=3,
            loss="ce",
            activation="relu",
            lam=1e-2,
            lr=0.1,
            momentum=0.5,
            batch=None,
            steps=20,
            rng=0,
        ),
        *grid(
            K=3,
            n=5,
            d=6,
            L=3,
            loss="ce",
            activation="relu",
            lam=1e-2,
            lr=0.1,
            momentum=0.0,
            batch=None,
            steps=20,
            rng=0,
            full=True,
        ),
        planted("(1 - h lam) is not squared", **PLAIN, power=1),
        planted("the term of order h^2 has the wrong sign", **PLAIN, curvature=-1),
    ],
    uses=("lj22:invariants",),
)


def balance(case):
    """lam_{l+1} W_{l+1}' W_{l+1} - lam_l W_l W_l' against W_{l+1}' g_{l+1} - g_l W_l', g the gradient of F with
    decay."""
    lams = case.lam if isinstance(case.lam, tuple) else (case.lam,) * case.L
    objective = objective_of(case, case.lam)
    params = start(case, objective)
    if case.get("trained", False):
        params = stationary(objective, params, 1e-10, 1000)
    g, worst, size, error = objective.gradients(params), 0.0, 0.0, 0.0
    post, deltas, N = objective.net.features(params, objective.data), objective.deltas(params), objective.data.N
    terms = [
        np.linalg.norm(delta) * np.linalg.norm(z) / N for delta, z in zip(deltas, post, strict=False)
    ]  # gradients are sums of terms of these sizes
    for l in range(case.L - 1):
        A, B = params[l], params[l + 1]
        left = lams[l + 1] * B.T @ B - case.get("sign", 1) * lams[l] * A @ A.T
        scale = max(np.max(np.abs(lams[l + 1] * B.T @ B)), np.max(np.abs(lams[l] * A @ A.T)), 1e-300)
        worst = max(worst, float(np.max(np.abs(kept(case, left - B.T @ g[l + 1] + g[l] @ A.T))) / scale))
        size = max(size, float(np.max(np.abs(kept(case, left))) / scale))
        error = max(error, PRODUCTS * (np.linalg.norm(B) * terms[l + 1] + np.linalg.norm(A) * terms[l]) / scale)
    yield Evidence(
        worst,
        "==",
        0,
        STATIC,
        error=error,
        note=f"largest over layers; |grad F| = {max(map(np.linalg.norm, g)):.1e}, imbalance {size:.1e}",
    )


BALANCE = Claim(
    id="lj22:balance",
    title="Weight decay balances: lam_{l+1} W_{l+1}' W_{l+1} = lam_l W_l W_l' at every critical point",
    statement=(
        "At every point lam_{l+1} W_{l+1}' W_{l+1} - lam_l W_l W_l' = W_{l+1}' grad_{l+1} F - (grad_l F) W_l', in full"
        " across a linear layer and on the diagonal across an activation with s(a) = s'(a) a. So C_l = 0 at critical"
        " points with equal decay, and |C_l| <= (|W_{l+1}' grad_{l+1} F| + |grad_l F W_l'|)/lam near them."
    ),
    source="lj22",
    hypotheses=fits()
    | {
        "s(a) = s'(a) a": homogeneous,
        "the diagonal across a ReLU": lambda c: c.activation == "linear" or not c.get("full", False),
    },
    check=balance,
    cases=[
        *grid(
            K=[2, 4],
            n=5,
            d=[4, 8],
            L=[2, 3, 5],
            loss=["ce", "mse"],
            activation=["linear", "relu", "leaky_relu(0.2)"],
            lam=[1e-3, 0.1],
            rng=[0],
        ),
        *grid(K=3, n=4, d=6, L=3, loss=["ce", "mse"], activation="linear", lam=[1e-2, 3e-2], rng=[0, 1], trained=True),
        *grid(K=3, n=(4, 2, 1), d=6, L=3, loss="ce", activation=["linear", "relu"], lam=[(1e-3, 1e-1, 1e-2)], rng=0),
    ],
    controls=[
        Case(K=3, n=4, d=6, L=3, loss="ce", activation="tanh", lam=1e-2, rng=0),
        Case(K=3, n=4, d=6, L=3, loss="ce", activation="relu", lam=1e-2, rng=0, full=True),
        planted(
            "the sign of W_l W_l' is flipped",
            K=3,
            n=4,
            d=6,
            L=3,
            loss="ce",
            activation="linear",
            lam=1e-2,
            rng=0,
            sign=-1,
        ),
    ],
    uses=("lj22:invariants",),
    scope="the balance that gk25's Lemma 1 starts from, for networks on data",
)

CLAIMS = (RECURSION, BALANCE)
