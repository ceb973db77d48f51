"""Where we are: a point in factor space or in logit space, and the ways between the two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ufm.numerics import arguments, products
from ufm.numerics.content import ByContent
from ufm.numerics.files import load_arrays, save_arrays
from ufm.numerics.hints import FileName, Rng
from ufm.numerics.records import own
from ufm.numerics.renamed import renamed
from ufm.numerics.spectra import thin_svd
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.problem import Columns, Problem


@named_arguments
@own_numpy_state
@dataclass(frozen=True, eq=False)
class FactorPoint(ByContent):
    """Factors (H_1, W_1, ..., W_L) of a problem, and its bias b (K,) where it has one.

    H_1 (d_1, N) with samples in class blocks, W_l (d_{l+1}, d_l), W_L (K, d_L). Arrays are copied: what a running
    training does to its own later does not reach the point.
    Raises ValueError when a shape differs from the problem's or an entry is not finite.
    """

    problem: Problem
    factors: tuple[np.ndarray, ...]
    b: np.ndarray | None = None

    def __post_init__(self):
        shapes = self.problem.shapes()
        if len(self.factors) != len(shapes):
            raise ValueError(f"factors must be (H_1, W_1, ..., W_L), {len(shapes)} arrays; got {len(self.factors)}.")
        names = ["H_1", *(f"W_{l}" for l in range(1, len(shapes)))]
        checked = (arguments.array(name, A, shape=s) for name, A, s in zip(names, self.factors, shapes, strict=True))
        object.__setattr__(self, "factors", tuple(checked))
        object.__setattr__(self, "b", _bias(self.problem, self.b))
        own(self, "factors", "b")

    def layers(self) -> list[np.ndarray]:
        """Inputs of every weight: [H_1, s(W_1 H_1), ..., s(W_{L-1} ...)]."""
        sigma = self.problem.activation.value
        result = [self.factors[0]]
        for W in self.factors[1:-1]:
            result.append(sigma(W @ result[-1]))
        return result

    def product(self) -> np.ndarray:
        """Output W_L s(... s(W_1 H_1)) (K, N) without the bias."""
        if self.problem.linear:
            return products.product(self.factors)
        return self.factors[-1] @ self.layers()[-1]

    def logits(self) -> np.ndarray:
        """Z (K, N), with the bias."""
        Z = self.product()
        return Z if self.b is None else Z + self.b[:, None]

    def balancedness(self) -> float:
        """max_l |lam_l A_l A_l' - lam_{l+1} A_{l+1}' A_{l+1}|_F, zero at every critical point of a linear model.

        Without a ridge all weights count as 1: what gradient flow keeps.
        """
        weights = self.problem.shares if self.problem.ridgeless else self.problem.lams
        pairs = zip(weights[:-1], self.factors[:-1], weights[1:], self.factors[1:], strict=True)
        return max(float(np.linalg.norm(p * A @ A.T - q * B.T @ B)) for p, A, q, B in pairs)

    def balance(self, rank: int | None = None) -> FactorPoint:
        """Balanced factors of least penalty with the same logits (linear models)."""
        return self.to_logits(rank=rank, collapse=False).lift()

    @renamed(tol="rel_tol")
    def to_logits(self, rank: int | None = None, rel_tol: float = 1e-10, collapse: bool | None = None) -> LogitPoint:
        """The LogitPoint of the product, of declared or detected rank (singular values above rel_tol * s_max).

        collapse: True forgets within-class variation, False keeps all N columns, None collapses
        when the variation is below rel_tol of the norm.
        """
        if not self.problem.linear:
            raise ValueError(f"to_logits needs a linear model; got activation={self.problem.activation.name!r}.")
        return from_matrix(self.problem, self.product(), rank, rel_tol, collapse, self.b)

    def save(self, path: FileName) -> None:
        """Write the problem, factors and bias to an .npz file."""
        named = {f"factor_{i}": A for i, A in enumerate(self.factors)}
        _save(path, "factors", self, named)

    def __repr__(self) -> str:
        p = self.problem
        return f"FactorPoint(K={p.K}, L={p.L}, widths {p.widths}, {p.N} columns)"


@named_arguments
@own_numpy_state
@dataclass(frozen=True, eq=False)
class LogitPoint(ByContent):
    """Logits Z = U diag(s) V' of declared rank r, in thin factors.

    U (K, r), s (r,) positive and descending, V (N, r). A within-class collapsed point stores its right
    factor once per class: `right` (K, r) with V_j = right_c / sqrt(n_c) for the samples j of class c, so
    that nothing of size N is formed. `right` (N, r) is a general point.

    `name` and `scales` say which structure it is, where it came from one. Arrays are copied.
    Raises ValueError for wrong shapes, non-finite entries, singular values that are not positive, or frames that are
    not orthonormal.
    """

    problem: Problem
    U: np.ndarray
    s: np.ndarray
    right: np.ndarray
    b: np.ndarray | None = None
    name: str | None = None
    scales: tuple[float, ...] = field(default=())

    def __post_init__(self):
        put, K = object.__setattr__, self.problem.K
        s = arguments.array("s", self.s, ndim=1)
        if np.any(s <= 0):
            what = "the positive singular values only, the rank being declared"
            raise ValueError(f"s must hold {what}; got {s.tolist()}.")
        put(self, "s", s)
        put(self, "U", arguments.array("U", self.U, shape=(K, len(s))))
        put(self, "right", arguments.array("right", self.right, shape=(None, len(s))))
        if len(self.right) not in (K, self.problem.N):
            rows = f"{K} rows (classes) or {self.problem.N} rows (samples)"
            raise ValueError(f"right must have {rows}; got {len(self.right)}.")
        _check_frame("U", self.U)
        if self.right is not self.U:
            _check_frame("right", self.right)
        put(self, "b", _bias(self.problem, self.b))
        own(self, "U", "s", "right", "b")

    @property
    def rank(self) -> int:
        return len(self.s)

    @property
    def collapsed(self) -> bool:
        return len(self.right) == self.problem.K

    @property
    def V(self) -> np.ndarray:
        """Right singular vectors over all samples, (N, r)."""
        if not self.collapsed or self.problem.N == self.problem.K:
            return self.right
        return (self.right * self.problem.classes.scale[:, None])[self.problem.labels]

    @property
    def columns(self) -> Columns:
        """The problem's columns over which this point is stored: classes or samples."""
        return self.problem.classes if self.collapsed else self.problem.samples

    def matrix(self) -> np.ndarray:
        """U diag(s) right': the stored columns, (K, K) or (K, N), without the bias."""
        return (self.U * self.s) @ self.right.T

    def logits(self) -> np.ndarray:
        """Z (K, N), with the bias."""
        Z = (self.U * self.s) @ self.V.T
        return Z if self.b is None else Z + self.b[:, None]

    def class_logits(self) -> np.ndarray:
        """Mean logits of every class (K, K), with the bias: column c is the mean over class c."""
        if self.collapsed:
            M = self.matrix() * self.problem.classes.scale
        else:
            member = self.problem.samples.Y.T / self.problem.counts
            M = (self.U * self.s) @ (self.right.T @ member)
        return M if self.b is None else M + self.b[:, None]

    def lift(
        self, widths: Sequence[int] | None = None, rng: Rng = None, frames: Sequence[np.ndarray] | None = None
    ) -> FactorPoint:
        """Balanced factors A_l = sqrt(Lam/lam_l) Q_l diag(s)^(1/D) Q_{l-1}' whose product is Z.

        widths: hidden sizes (default the problem's; each at least the rank). Q_l are coordinate frames,
        random ones when rng is given, or `frames`, a list of (d_l, r) orthonormal columns.
        Source: gk25 (Lemma 1); per-factor weights by rescaling.
        """
        from ufm.numerics.seeds import generator, seed_sequence

        problem = self.problem if widths is None else _with_widths(self.problem, widths)
        r = self.rank
        if r > min(problem.widths):
            raise ValueError(f"widths must be at least the rank {r} of the point; got widths={problem.widths}.")
        if frames is None:
            draw = None if rng is None else generator(seed_sequence(rng))
            frames = [frame(d, r, draw) for d in problem.widths]
        return FactorPoint(problem, balanced_factors(problem, [self.V, *frames, self.U], self.s), self.b)

    def save(self, path: FileName) -> None:
        """Write the problem, U, s, right and bias to an .npz file."""
        _save(path, "logits", self, {"U": self.U, "s": self.s, "right": self.right})

    def __repr__(self) -> str:
        what = "collapsed" if self.collapsed else f"{len(self.right)} columns"
        listed = np.array2string(self.s, precision=6, threshold=8, edgeitems=3)
        return f"LogitPoint({self.name or 'unnamed'}, K={self.problem.K}, rank {self.rank}, {what}, s={listed})"


def class_logits(point: FactorPoint | LogitPoint) -> np.ndarray:
    """Mean logits of every class, with the bias (K, K)."""
    if isinstance(point, LogitPoint):
        return point.class_logits()
    return point.logits() @ (point.problem.samples.Y.T / point.problem.counts)


def point_of(name: str, value) -> FactorPoint | LogitPoint:
    """The point that a value is or holds: a FactorPoint, a LogitPoint, or what has one as `.point` (a Result, a row).

    Raises ValueError naming the argument for anything else.
    """
    held = held_point(value)
    if held is None:
        raise ValueError(
            f"{name} must be a point, or hold one as .point (Result, CriticalPoint, a row of a table); got"
            f" {type(value).__name__}."
        )
    return held


class HasPoint(Protocol):
    """Whatever holds a point: a Result, a CriticalPoint, a row of a table."""

    @property
    def point(self) -> Any: ...


PointLike = FactorPoint | LogitPoint | HasPoint
"""What every verb takes as a point."""


def held_point(value) -> FactorPoint | LogitPoint | None:
    """The point that a value is or holds, or None."""
    while not isinstance(value, (FactorPoint, LogitPoint)):
        value = getattr(value, "point", None)
        if value is None or callable(value):
            return None
    return value


def logit_point_of(name: str, value) -> LogitPoint:
    """`point_of` as a LogitPoint; ValueError for models that are not linear."""
    point = point_of(name, value)
    if not point.problem.linear:
        raise ValueError(f"{name} must belong to a linear model; got activation={point.problem.activation.name!r}.")
    return point if isinstance(point, LogitPoint) else point.to_logits(rel_tol=1e-9)


@renamed(tol="rel_tol")
def from_matrix(
    problem: Problem, Z, rank: int | None = None, rel_tol: float = 1e-10, collapse: bool | None = None, b=None
) -> LogitPoint:
    """The LogitPoint of a matrix Z of logits without the bias: (K, N), samples in class blocks.

    A (K, K) matrix with N > K is read as one column per class. `rank`, `rel_tol`: as rank and tol in `thin_svd`.
    `collapse` as in `FactorPoint.to_logits`. Raises ValueError for other shapes.
    """
    Z = arguments.array("Z", Z, ndim=2)
    K, N = problem.K, problem.N
    if Z.shape not in ((K, N), (K, K)):
        raise ValueError(f"Z must have shape ({K}, {N}) (samples) or ({K}, {K}) (classes); got {Z.shape}.")
    roots = np.sqrt(problem.counts)
    if Z.shape == (K, N):
        means = Z @ (problem.samples.Y.T / problem.counts)
        if collapse is None:
            collapse = bool(np.linalg.norm(Z - means[:, problem.labels]) <= rel_tol * np.linalg.norm(Z))
        Z = means * roots if collapse else Z
    else:
        Z = Z * roots
    svd = thin_svd(Z, rank, rel_tol)
    return LogitPoint(problem, svd.U, svd.s, svd.V, b)


@named_arguments
@own_numpy_state
def load(path) -> FactorPoint | LogitPoint:
    """The point written by `save`; ValueError naming the file, and the field that is missing or wrong."""
    data = load_arrays(path)
    try:
        header = data.header("ufm")
        kind = arguments.choice("kind", header["kind"], ("factors", "logits"))
        problem, b = Problem.from_dict(header["problem"]), data.get("b")
        if kind == "factors":
            return FactorPoint(problem, tuple(data[f"factor_{i}"] for i in range(problem.D)), b)
        name, scales = header["name"], arguments.array("scales", header["scales"], ndim=1)
        if name is not None:
            arguments.instance("name", name, str)
        return LogitPoint(problem, data["U"], data["s"], data["right"], b, name, tuple(scales.tolist()))
    except ValueError as error:
        said = str(error).removeprefix(data.where).lstrip(" ,")
        raise ValueError(f"{data.where} does not hold a point: {said}") from None


def _save(path, kind: str, point: Any, arrays: dict) -> None:
    from ufm import __version__

    header = {"kind": kind, "problem": point.problem.to_dict(), "version": __version__}
    header |= {"name": getattr(point, "name", None), "scales": list(getattr(point, "scales", ()))}
    if point.b is not None:
        arrays = {**arrays, "b": point.b}
    save_arrays(path, ufm=np.array(json.dumps(header)), **arrays)


ORTHONORMAL = 1e-9
"""Largest entry of U'U - I; F is wrong by as much, relatively."""
LARGE_FRAME = 10**8
"""Multiplications of U'U above which it is seen through two vectors only."""


def _check_frame(name: str, U: np.ndarray) -> None:
    """ValueError unless the columns of U (m, r) are orthonormal."""
    m, r = U.shape
    if m * r * r <= LARGE_FRAME:
        off = np.max(np.abs(U.T @ U - np.eye(r)), initial=0.0)
    else:
        v = np.cos(np.arange(1.0, 2 * r + 1).reshape(2, r).T ** 2)
        off = np.max(np.abs(U.T @ (U @ v) - v))
    if not off <= ORTHONORMAL:
        why = f"{name}'{name} is off the identity by {off:.2g}. points.from_matrix takes any matrix of logits"
        raise ValueError(f"{name} must have orthonormal columns; {why}.")


def _bias(problem: Problem, b) -> np.ndarray | None:
    if problem.bias is None:
        if b is not None:
            raise ValueError("b must be None: the problem has no bias (bias=None).")
        return None
    return arguments.array("b", np.zeros(problem.K) if b is None else b, shape=(problem.K,))


def _with_widths(problem: Problem, widths) -> Problem:
    from dataclasses import replace

    return replace(problem, d=widths)


def balanced_factors(problem: Problem, frames, s) -> tuple[np.ndarray, ...]:
    """A_l = sqrt(Lam/lam_l) Q_l diag(s)^(1/D) Q_{l-1}' for frames (Q_0 = V, Q_1, ..., Q_D = U)."""
    root = s ** (1.0 / problem.D)
    return tuple(problem.stretches[l] * (frames[l + 1] * root) @ frames[l].T for l in range(problem.D))


def frame(d: int, r: int, draw: np.random.Generator | None = None) -> np.ndarray:
    """r orthonormal columns in R^d: the first coordinates, or Haar random ones from a generator."""
    if draw is None:
        return np.eye(d, r)
    Q, R = np.linalg.qr(draw.standard_normal((d, r)))
    return Q * np.sign(np.diag(R))
