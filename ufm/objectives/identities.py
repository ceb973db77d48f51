"""What holds at every stationary point of a homogeneous model, whatever the slopes at its kinks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm.numerics import arguments
from ufm.points import FactorPoint


@dataclass(frozen=True)
class Identities:
    """How far a point is from what holds at all stationary points of a homogeneous model, relative to T.

    first     lam_1 W_1' W_1 = lam_0 H_1 H_1'
    neurons   lam_l ||row j of W_l||^2 = lam_{l+1} ||column j of W_{l+1}||^2 for every hidden neuron
    norms     lam_l ||A_l||^2 = T, the same for all factors
    pull      T = -<grad g(Z), Z>, Z without the bias
    loss      MSE without bias: F = ||R||^2/(2N) - (L+1)/(2N) <R, Z>, R = Z - Y, relative to F; None otherwise
    """

    first: float
    neurons: float
    norms: float
    pull: float
    loss: float | None

    @property
    def worst(self) -> float:
        return max(self.first, self.neurons, self.norms, self.pull, self.loss or 0.0)


def identities(point: FactorPoint) -> Identities:
    """The deviations of a point; all zero at the zero point. Raises ValueError for activations without s(t x) = t s(x).

    Masks do not enter: W_l and its neighbours see the same sums whatever the slopes at kinks. Source: sml24 for MSE;
    du18 for the balance of neurons.
    """
    arguments.instance("point", point, FactorPoint)
    problem = point.problem
    problem.needs_ridge("the identities of stationary points")
    if not problem.activation.homogeneous:
        raise ValueError(f"the identities need s(t x) = t s(x); got activation={problem.activation.name!r}.")
    A, lams, Z = point.factors, problem.lams, point.product()
    costs = np.array([lam * np.sum(F**2) for lam, F in zip(lams, A, strict=True)])
    T = float(np.mean(costs))
    scale = T or 1.0
    columns = problem.samples
    logits = Z if point.b is None else Z + point.b[:, None]
    G = problem.loss.grad(logits, columns.Y) * columns.weight
    neurons = [
        np.max(np.abs(p * np.sum(W**2, axis=1) - q * np.sum(V**2, axis=0)))
        for p, W, q, V in zip(lams[1:-1], A[1:-1], lams[2:], A[2:], strict=True)
    ]
    first = np.linalg.norm(lams[1] * A[1].T @ A[1] - lams[0] * A[0] @ A[0].T)
    loss = None
    if problem.loss.quadratic and point.b is None:
        R, fun = Z - columns.Y, problem.loss.value(Z, columns.Y) @ columns.weight + 0.5 * np.sum(costs)
        loss = float(abs(fun - (np.sum(R * R) - problem.D * np.sum(R * Z)) / (2 * problem.N)) / fun)
    largest, unequal, trace = max(neurons, default=0.0), np.ptp(costs), abs(T + np.sum(G * Z))
    return Identities(float(first / scale), float(largest / scale), float(unequal / scale), float(trace / scale), loss)
