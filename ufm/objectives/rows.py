"""F and its gradient for many starts at once, X (B, size), in any array namespace.

    F(x) = g(Z(x), b) + (1/2) sum_l lam_l ||A_l||^2 + (bias/2)||b||^2

with the products and their order of `objectives.factors`: on numpy row i has the bits that FactorObjective gives for it
alone. On numpy losses and activations are the problem's own objects, the user's included; elsewhere those that say
what they are there (`Loss.on`, `Activation.on`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ufm.numerics.arrays import Arrays
from ufm.objectives.factors import FactorObjective


@dataclass(frozen=True)
class BatchObjective:
    """`value_grad` and `logits` of a FactorObjective over a leading axis of starts, on the arrays of `on`."""

    single: FactorObjective
    on: Arrays

    def __post_init__(self):
        if not self.on.host:  # refused before any work where a loss or an activation is known to numpy only
            self.problem.loss.on(self.on.xp)
            if not self.problem.linear:
                self.problem.activation.on(self.on.xp)

    @property
    def problem(self):
        return self.single.problem

    @functools.cached_property
    def _constants(self):
        """(ridge, Y, weight, scale or None, bias shape) as arrays of the namespace; the ridge a number where one
        serves."""
        problem, columns, put = self.problem, self.single.fit.columns, self.on.put_in
        lams = [*problem.lams, *([] if problem.bias is None else [problem.bias])]
        ridge = (
            lams[0]
            if len(set(lams)) == 1
            else put(np.repeat(lams, [*np.diff(self.single.ends), problem.K][: len(lams)]))
        )
        scale = put(columns.scale) if np.any(columns.scale != 1.0) else None
        return ridge, put(columns.Y), put(columns.weight), scale

    @functools.cached_property
    def _loss(self):
        loss = self.problem.loss
        return loss.prepared(self.single.fit.columns.Y) if self.on.host else loss.on(self.on.xp)

    def unpack(self, X):
        """(factors, b) of X (B, size), each with the leading axis; views on numpy."""
        lead, ends, shapes = X.shape[:1], self.single.ends, self.single.shapes
        factors = [
            self.on.xp.reshape(X[:, i:j], lead + shape) for i, j, shape in zip(ends[:-1], ends[1:], shapes, strict=True)
        ]
        return factors, None if self.problem.bias is None else X[:, ends[-1] :]

    def logits(self, X):
        """Output without the bias, as stored columns (B, K, M)."""
        factors, _ = self.unpack(X)
        return self._suffixes(factors)[1] if self.problem.linear else self._forward(factors)[0]

    def value_grad(self, X, weight=None, buffers=(None, None)):
        """(F (B,), gradient (B, size)); weight (B, M) replaces the columns' weights (mini-batches), buffers as in
        `parts`."""
        fit, penalty, grad = self.parts(X, weight, buffers)
        return fit + 0.5 * self.on.dot(penalty, X), grad

    def parts(self, X, weight=None, buffers=(None, None), whole: bool = True):
        """(g (B,), ridge times X, gradient of F, or of g unless whole); on numpy gradient and ridge are written to
        `buffers` if given."""
        on, problem = self.on, self.problem
        factors, b = self.unpack(X)
        grad = None if not on.host else np.empty_like(X) if buffers[0] is None else buffers[0]
        parts = self.unpack(grad)[0] if on.host else [None] * len(factors)
        if problem.linear:
            P, Z = self._suffixes(factors)
            value, G, Gb = self._fit(Z, b, weight)
            R = G
            for l, A in enumerate(factors[:-1]):
                parts[l] = on.matmul(on.transpose(P[l]), R, out=parts[l])
                R = on.matmul(R, on.transpose(A))
            parts[-1] = _store(R, parts[-1])
        else:
            Z, inputs, slopes = self._forward(factors)
            value, G, Gb = self._fit(Z, b, weight)
            for l in range(len(factors) - 1, 0, -1):
                if l < len(factors) - 1:
                    G = G * slopes[l - 1]
                parts[l] = on.matmul(G, on.transpose(inputs[l - 1]), out=parts[l])
                G = on.matmul(on.transpose(factors[l]), G)
            parts[0] = _store(G, parts[0])
        if on.host:
            if Gb is not None:
                grad[:, self.single.ends[-1] :] = Gb
        else:
            flat = [on.xp.reshape(part, (X.shape[0], -1)) for part in parts]
            grad = on.xp.concat(flat if Gb is None else [*flat, Gb], axis=1)
        ridge = self._constants[0]
        penalty = np.multiply(ridge, X, out=buffers[1]) if on.host else ridge * X
        if whole:
            grad += penalty
        return value, penalty, grad

    def _suffixes(self, factors):
        """([P_1, ..., P_{D-1}], Z) with P_l = A_D ... A_{l+1}."""
        P = [factors[-1]]
        for A in reversed(factors[1:-1]):
            P.append(self.on.matmul(P[-1], A))
        return P[::-1], self.on.matmul(P[-1], factors[0])

    def _forward(self, factors):
        sigma, slope = self._activation
        inputs, slopes = [factors[0]], []
        for W in factors[1:-1]:
            pre = self.on.matmul(W, inputs[-1])
            slopes.append(slope(pre))
            inputs.append(sigma(pre))
        return self.on.matmul(factors[-1], inputs[-1]), inputs, slopes

    @functools.cached_property
    def _activation(self):
        own = self.problem.activation
        return (own.value, own.derivative) if self.on.host else own.on(self.on.xp)

    def _fit(self, Z, b, weight):
        """(g, dg/dZ, dg/db or None)."""
        xp, (_, Y, own, scale) = self.on.xp, self._constants
        Z = Z if scale is None else Z * scale
        Z = Z if b is None else Z + b[:, :, None]
        value, grad = self._loss(Z, Y)
        weight = own if weight is None else weight
        grad = grad * (weight if weight.ndim == 1 else weight[:, None, :])
        value = self.on.dot(value, weight if weight.ndim == 2 else xp.broadcast_to(weight, value.shape))
        return value, grad if scale is None else grad * scale, None if b is None else xp.sum(grad, axis=-1)


def _store(found, place):
    if place is None:
        return found
    place[...] = found
    return place
