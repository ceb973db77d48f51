"""Networks at the points where the bounds of zang24 are read: random ones, and ones trained to stationarity."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from ufm.activations import Activation, activation
from ufm.networks.data import Data
from ufm.networks.decay import Decay
from ufm.networks.network import Network
from ufm.networks.objective import Objective
from ufm.numerics.seeds import child, generator, seed_sequence

SQUARE = Activation("square", lambda a: a * a, lambda a: 2.0 * a, lambda a: 2.0 + 0.0 * a)
"""An activation that is Lipschitz nowhere but locally; for controls."""


def fits(extra: int = 0) -> dict:
    """Hypotheses of every claim here: that the case's numbers fit each other. lam may be one number or L + extra."""
    return {
        "logistic and exponential losses: K = 2": lambda c: (
            c.K == 2 or c.get("loss") not in ("logistic", "exponential")
        ),
        "n: one number or one per class": lambda c: not isinstance(c.get("n"), tuple) or len(c.n) == c.K,
        "lam: one number or one per factor": lambda c: not isinstance(c.get("lam"), tuple) or len(c.lam) == c.L + extra,
    }


def objective_of(case) -> Objective:
    """A Gaussian mixture (K, n, sigma) in R^inputs (default d) before a network of L matrices and width d, with its
    loss, decay lam and skips."""
    data = Data.mixture(case.K, case.n, case.get("inputs", case.d), case.sigma, child(seed_sequence(case.rng), 0))
    outputs = 1 if case.loss in ("logistic", "exponential") else case.K
    widths = (data.d, *(case.d,) * (case.L - 1), outputs)
    net = Network(
        widths,
        SQUARE if case.activation == "square" else activation(case.activation),
        bias=case.get("bias", False),
        skip=case.get("skip"),
    )
    return Objective(net, data, case.loss, Decay(W=case.lam))


def point_of(case, objective: Objective) -> list[np.ndarray]:
    """The parameters that `case.at` names: a random `start`, or the `stationary` point that L-BFGS reaches from
    there."""
    params = objective.net.init(generator(child(seed_sequence(case.rng), 1)), case.get("scale", 1.0))
    return stationary(objective, params) if case.at == "stationary" else params


def stationary(objective: Objective, params, tol: float = 1e-10, steps: int = 1500) -> list[np.ndarray]:
    """Where L-BFGS ends: |grad F|_inf <= tol, or no further descent to rounding. The gradient that is left is the
    reader's to measure."""
    x = objective.net.pack(params)
    for _ in range(2):  # a restart forgets curvatures spoilt by rounding
        with np.errstate(over="ignore", invalid="ignore"):  # a trial step may go where the loss is infinite
            found = minimize(
                objective.value_grad,
                x,
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": steps, "maxfun": 2 * steps, "gtol": tol, "ftol": 0.0, "maxcor": 30},
            )
        done, x = np.max(np.abs(found.jac)) <= tol or found.nit == 0, found.x
        if done:
            break
    return objective.net.unpack(x)
