"""The objective in layer means alone: every weight but those means is minimised out exactly.

For a homogeneous activation s, no bias, within-class collapsed, M_l (d_l, K) the pre-activations of layers l = 2, ...,
L (class means), G_l = s(M_l) D s(M_l)', D = diag(n_c):

    first two factors   min over W_1 M_1 = M_2   = sqrt(lam_0 lam_1) ||M_2 D^(1/2)||_*   (F1)
    hidden 2 <= l < L  W_l = M_{l+1} s(M_l)^+,  cost (lam_l/2) ||W_l||^2, infinite unless M_{l+1} s(M_l)^+ s(M_l) =
        M_{l+1}  (F2)
    last, MSE  ridge regression,  fit + cost = (lam_L/2) tr Y D^(1/2) (D^(1/2) s(M_L)' s(M_L) D^(1/2) + N lam_L I)^(-1)
        D^(1/2) Y'  (F3)
    last, other losses  min over W_L of g(W_L s(M_L)) + (lam_L/2)||W_L||^2, convex for a convex loss: Newton in the
    coordinates W_L = A s(M_L)'

Unequal class sizes enter as the weights D: F1 by the norm of the stacked samples, F2 not at all (collapsed columns are
equal), F3 as weighted least squares. The sum is min F over all factors with these means, widths being large enough for
the ranks (d_1 >= rank M_2).
Sources: sml24 (the reduction); F1 is the variational form of the nuclear norm (srebro04).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.spectra import thin_svd
from ufm.objectives.fit import Fit
from ufm.points import FactorPoint
from ufm.problem import Problem

RANK = 1e-12
"""Singular value, relative to the largest, below which a mean's directions do not count."""
RANGE = 1e-8
"""Part of M_{l+1} outside the rows of s(M_l), relative to M_{l+1}, up to which a hidden layer exists."""


@dataclass(frozen=True)
class LayerObjective:
    """F(M_2, ..., M_L), the least value of the objective over all factors whose layers have these class means.

    problem: L >= 2, no bias, homogeneous activation, convex loss. Raises ValueError naming what is not so.
    """

    problem: Problem

    def __post_init__(self):
        p = self.problem
        arguments.instance("problem", p, Problem)
        p.needs_ridge("the last layer's least value")
        if p.L < 2:
            raise ValueError(f"layer means need a hidden layer, L >= 2; got L={p.L}.")
        if p.bias is not None:
            raise ValueError(f"layer means are for models without a bias; got bias={p.bias}.")
        if not p.activation.homogeneous:
            raise ValueError(f"layer means need s(t x) = t s(x); got activation={p.activation.name!r}.")
        if not p.loss.convex:
            raise ValueError(f"the last layer is minimised out for convex losses only; got loss={p.loss.name!r}.")

    def value(self, means: Sequence) -> float:
        """F; inf where a mean M_{l+1} is outside the row space of s(M_l), so that no weight maps one to the other."""
        means, p = self._checked(means), self.problem
        first, W = thin_svd(means[0] * np.sqrt(p.counts), tol=RANK), self._hidden(means)
        if W is None:
            return np.inf
        total = np.sqrt(p.lams[0] * p.lams[1]) * float(np.sum(first.s))
        total += sum(0.5 * lam * float(np.sum(A**2)) for lam, A in zip(p.lams[2:-1], W, strict=True))
        return float(total + self._last(means[-1])[1])

    def factors(self, means: Sequence) -> FactorPoint:
        """A FactorPoint of the problem's own width and samples with these means and value(means) as its objective.

        Raises ValueError where the value is infinite or d_1 is below the rank of M_2.
        """
        means, p = self._checked(means), self.problem
        W = self._hidden(means)
        if W is None:
            raise ValueError("means have no weights between them: a mean M_{l+1} is outside the row space of s(M_l).")
        roots = np.sqrt(p.counts)
        svd = thin_svd(means[0] * roots, tol=RANK)
        r = len(svd.s)
        if r > p.widths[0]:
            raise ValueError(f"d_1 must be at least the rank {r} of M_2; got d_1={p.widths[0]}.")
        H, W1 = np.zeros((p.widths[0], p.K)), np.zeros((means[0].shape[0], p.widths[0]))
        tilt = (p.lams[1] / p.lams[0]) ** 0.25
        H[:r], W1[:, :r] = tilt * np.sqrt(svd.s)[:, None] * svd.V.T / roots, svd.U * np.sqrt(svd.s) / tilt
        return FactorPoint(p, (H[:, p.labels], W1, *W, self._last(means[-1])[0]))

    def balanced(self, means: Sequence) -> list[np.ndarray]:
        """The means rescaled, M_L kept, so that lam_l ||A_l||^2 is the same T for all l < L: the least value on these
        rays,

        (L/2) T + fit and cost of the last, T^L = lam_0 lam_1 ||M_2 D^(1/2)||_*^2 prod lam_l ||W_l||^2. Zero means are
        left as they are.
        """
        means, p = self._checked(means), self.problem
        W = self._hidden(means)
        first = np.sqrt(p.lams[0] * p.lams[1]) * float(np.sum(thin_svd(means[0] * np.sqrt(p.counts), tol=RANK).s))
        later = (lam * float(np.sum(A**2)) for lam, A in zip(p.lams[2:-1], W or [], strict=W is not None))
        costs = [first, first, *later]
        if W is None or min(costs) == 0:
            return means
        T = np.exp(np.mean(np.log(costs)))
        grown = np.cumprod([T / first, *(np.sqrt(T / cost) for cost in costs[2:])])
        return [c * M for c, M in zip(grown[:-1], means[:-1], strict=True)] + [means[-1]]

    def means(self, point: FactorPoint) -> list[np.ndarray]:
        """(M_2, ..., M_L) of a point: class means of the pre-activations W_l s(...)."""
        p = self.problem
        inputs = point.layers()
        pres = [W @ u for W, u in zip(point.factors[1:-1], inputs[:-1], strict=True)]
        return [M @ (p.samples.Y.T / p.counts) for M in pres]

    def _checked(self, means) -> list[np.ndarray]:
        p = self.problem
        if len(means) != p.L - 1:
            raise ValueError(f"means must be (M_2, ..., M_L), {p.L - 1} arrays; got {len(means)}.")
        return [arguments.array(f"M_{l}", M, shape=(p.widths[l - 1], p.K)) for l, M in enumerate(means, start=2)]

    def _hidden(self, means) -> list[np.ndarray] | None:
        """[W_2, ..., W_{L-1}] of least norm, or None where one does not exist."""
        found = []
        for M, after in itertools.pairwise(means):
            u = self.problem.activation.value(M)
            W = after @ np.linalg.pinv(u, rcond=RANK)
            if np.linalg.norm(W @ u - after) > RANGE * np.linalg.norm(after):
                return None
            found.append(W)
        return found

    def _last(self, M) -> tuple[np.ndarray, float]:
        """(W_L, min over W_L of fit + (lam_L/2)||W_L||^2)."""
        p = self.problem
        u = p.activation.value(M)
        W = self._ridge(u) if p.loss.quadratic else self._newton(u)
        return W, float(Fit.of(p, True).value(W @ (u * np.sqrt(p.counts)))) + 0.5 * p.lams[-1] * float(np.sum(W**2))

    def _ridge(self, u) -> np.ndarray:
        """Y D u' (u D u' + N lam_L I)^-1, by the singular values of u D^(1/2)."""
        p = self.problem
        roots = np.sqrt(p.counts)
        U, s, Vt = np.linalg.svd(u * roots, full_matrices=False)
        return (Vt * roots).T * (s / (s * s + p.N * p.lams[-1])) @ U.T

    def _newton(self, u, most: int = 60) -> np.ndarray:
        """argmin over W of g(W u) + (lam_L/2)||W||^2 for a convex loss: damped Newton on B, W = B U'."""
        p = self.problem
        fit, roots, lam = Fit.of(p, True), np.sqrt(p.counts), p.lams[-1]
        svd = thin_svd(u * roots, tol=RANK)
        X, r = svd.s[:, None] * svd.V.T, len(svd.s)
        B = np.zeros((p.K, r))
        scaled = X * fit.columns.scale

        def at(B):
            value, G, _ = fit.value_grad(B @ X)
            return value + 0.5 * lam * np.sum(B * B), G @ X.T + lam * B

        fun, grad = at(B)
        for _ in range(most if r else 0):
            column = fit.hessians(B @ X)
            H = np.einsum("jab,cj,dj->acbd", column, scaled, scaled).reshape(B.size, B.size)
            H[np.diag_indices(B.size)] += lam
            step = -np.linalg.solve(H, grad.ravel()).reshape(B.shape)
            if not np.sum(grad * step) < 0:
                break
            for halvings in range(30):
                trial = B + 0.5**halvings * step
                value, after = at(trial)
                falls = value <= fun + 1e-4 * 0.5**halvings * np.sum(grad * step)
                if falls or np.linalg.norm(after) < 0.5 * np.linalg.norm(grad):
                    break
            else:
                break
            B, fun, grad = trial, value, after
            if np.linalg.norm(grad) <= 1e-15 * max(1.0, float(np.linalg.norm(lam * B))):
                break
        return B @ svd.U.T
