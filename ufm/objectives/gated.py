"""The model with the slopes of its hidden neurons as variables: derivatives of F_Gamma, Gamma_k those of layer k.

F_Gamma agrees with F in value and pre-activations at x; where a pre-activation is zero the slope is free, elsewhere
sigma' of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm.objectives.factors import FactorObjective


@dataclass(eq=False)
class Gated:
    """The model at x with slopes Gamma_k: value and inputs of the true forward pass, derivatives through the slopes."""

    objective: FactorObjective
    x: np.ndarray
    gates: list[np.ndarray]
    factors: list[np.ndarray]
    b: np.ndarray | None
    Z: np.ndarray
    inputs: list[np.ndarray]
    pres: list[np.ndarray]

    @staticmethod
    def of(objective: FactorObjective, x, gates=None) -> Gated:
        """With the true activations; or, gates given, the model whose activation of layer k is u -> Gamma_k u."""
        factors, b = objective.unpack(x)
        s = objective.problem.activation
        inputs, slopes, pres = [factors[0]], [], []
        for k, W in enumerate(factors[1:-1]):
            pres.append(W @ inputs[-1])
            slopes.append(s.derivative(pres[-1]) if gates is None else gates[k])
            inputs.append(s.value(pres[-1]) if gates is None else gates[k] * pres[-1])
        return Gated(objective, x, slopes, factors, b, factors[-1] @ inputs[-1], inputs, pres)

    @property
    def sizes(self) -> list[float]:
        """Largest pre-activation of every layer."""
        return [float(np.max(np.abs(p), initial=0.0)) for p in self.pres]

    def near(self, tol: float) -> list[np.ndarray]:
        """Where pre-activations are within tol of the kink, relative to their layer's largest."""
        return [np.abs(p) <= tol * size for p, size in zip(self.pres, self.sizes, strict=True)]

    def value(self) -> float:
        return float(self.objective.fit.value(self.Z, self.b) + 0.5 * np.sum(self.objective.ridge * self.x**2))

    def gradient(self) -> np.ndarray:
        """grad F_Gamma, flat."""
        _, G, Gb = self.objective.fit.value_grad(self.Z, self.b)
        parts = self.objective.backward(self.factors, self.inputs, self.gates, G)
        return self.objective.pack(parts, Gb) + self.objective.ridge * self.x

    def signals(self) -> list[np.ndarray]:
        """dF/d(output) of every hidden layer, the slope of the layer itself not applied."""
        _, G, _ = self.objective.fit.value_grad(self.Z, self.b)
        found = []
        for k in range(len(self.pres), 0, -1):
            G = self.factors[k + 1].T @ G
            found.append(G)
            G = G * self.gates[k - 1]
        return found[::-1]

    def rows(self, where) -> np.ndarray:
        """Derivatives in x of the pre-activations at `where` (a boolean array per layer), (count, size)."""
        blocks = [np.zeros((0, self.objective.size))]
        for k, mask in enumerate(where):
            a, c = np.nonzero(mask)
            if not len(a):
                continue
            seeds = np.zeros((len(a), *mask.shape))
            seeds[np.arange(len(a)), a, c] = 1.0
            parts = self.objective.backward(self.factors[: k + 2], self.inputs, self.gates, seeds)
            block = np.zeros((len(a), self.objective.size))
            block[:, : self.objective.ends[k + 2]] = np.concatenate([p.reshape(len(a), -1) for p in parts], axis=1)
            blocks.append(block)
        return np.concatenate(blocks)

    def hessian(self) -> np.ndarray:
        """Hessian of F_Gamma, the slopes held fixed: symmetric, (size, size)."""
        o = self.objective
        tangents, db = o.unpack(np.eye(o.size))
        dinputs = [tangents[0]]
        for W, dW, u, gate in zip(self.factors[1:-1], tangents[1:-1], self.inputs, self.gates, strict=False):
            dinputs.append(gate * (dW @ u + W @ dinputs[-1]))
        slopes = self.inputs, self.gates, tangents, db, dinputs
        H = o.pack(*o.backward_directional(self.factors, self.b, self.Z, *slopes))
        H[np.diag_indices(o.size)] += o.ridge
        return 0.5 * (H + H.T)

    def with_gates(self, gates) -> Gated:
        return Gated(self.objective, self.x, gates, self.factors, self.b, self.Z, self.inputs, self.pres)


def gathered(arrays, where) -> np.ndarray:
    """The entries at `where`, a boolean array per layer, as one vector."""
    return np.concatenate([np.zeros(0), *(a[k] for a, k in zip(arrays, where, strict=True))])


def scattered(values, arrays, where) -> list[np.ndarray]:
    """Copies of the arrays with such a vector at `where`."""
    ends = np.cumsum([int(k.sum()) for k in where])[:-1]
    result = [a.copy() for a in arrays]
    for a, k, part in zip(result, where, np.split(values, ends), strict=True):
        a[k] = part
    return result
