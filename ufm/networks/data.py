"""Labelled samples as columns, from a mixture, from digits, from arrays and files of the user."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ufm.numerics import arguments, install
from ufm.numerics.content import ByContent
from ufm.numerics.documents import Fields
from ufm.numerics.files import load_arrays, save_arrays
from ufm.numerics.hints import Arrays, FileName, Rng
from ufm.numerics.records import own
from ufm.numerics.renamed import renamed
from ufm.numerics.seeds import generator, seed_sequence
from ufm.numerics.words import named_arguments

ALIASES = {"features": ("X", "features", "H", "x", "data"), "labels": ("y", "labels", "targets", "Y")}
"""Names under which files keep samples and labels, tried in order."""


@named_arguments
@dataclass(frozen=True, eq=False, init=False)
class Data(ByContent):
    """Samples X (d, N) as columns, classes y (N,) in 0..K-1, K >= 2, each with a sample; T (m, N) other targets.

    >>> Data.mixture(K=3, n=[4, 4, 2], d=5, sigma=0.5, rng=0, exact=True)
    Data(mixture): 10 samples in R^5, 3 classes (4, 4, 2), within-class variation 0.25

    Raises ValueError for wrong shapes, entries that are not finite, labels that are not 0..K-1 or a class without
    samples.
    """

    X: np.ndarray
    y: np.ndarray
    K: int
    name: str
    T: np.ndarray | None

    def __init__(
        self, X: Arrays, y: Arrays, K: int | None = None, name: str = "arrays", T: Arrays | None = None
    ) -> None:
        put = functools.partial(object.__setattr__, self)
        put("X", np.ascontiguousarray(arguments.array("X", X, ndim=2)))
        y = arguments.array("y", y, shape=(self.X.shape[1],))
        if not len(y) or np.any(y != np.round(y)) or y.min() < 0:
            how = "one per column of X (at least one). Data.from_arrays takes any labels"
            raise ValueError(f"y must hold integer classes 0, 1, ..., {how}.")
        put("y", y.astype(int))
        K = int(y.max()) + 1 if K is None else K
        put("K", arguments.integer("K", K, 2, "Fewer than two classes leave nothing to separate."))
        present = np.unique(self.y)
        if len(present) != self.K or present[-1] >= self.K:
            has = f"it has {len(present)} different labels up to {present[-1]}"
            raise ValueError(f"y must use every class 0..{self.K - 1} and no other; {has}.")
        put("name", name)
        put("T", None if T is None else arguments.array("T", T, shape=(None, self.N)))
        own(self, "X", "y", "T")

    # ------------------------------------------------------------------------------------------ sources

    @staticmethod
    def mixture(
        K: int,
        n: int | Sequence[int],
        d: int,
        sigma: float | Sequence[float] = 0.1,
        rng: Rng = None,
        separation: float = 1.0,
        means: Arrays | None = None,
        exact: bool = False,
    ) -> Data:
        """x = separation m_k + sigma_k g / sqrt(d), g Gaussian: sigma_k^2 is the mean square distance to the centre.

        m_k: orthonormal where K <= d, else random unit vectors; or `means` (K, d). n, sigma: one number or one per
        class.
        exact: the noise of every class is centred and rescaled so that its mean square is sigma_k^2 exactly (two or
        more samples).
        """
        K, d = arguments.integer("K", K, 2), arguments.integer("d", d, 1)
        counts = [arguments.integer("n", v, 1) for v in _many("n", n, K)]
        sigmas = [arguments.nonnegative("sigma", v) for v in _many("sigma", sigma, K)]
        separation = arguments.nonnegative("separation", separation)
        draw = generator(seed_sequence(rng))
        means = _unit_means(K, d, draw) if means is None else arguments.array("means", means, shape=(K, d))
        parts = []
        for m, count, size in zip(means, counts, sigmas, strict=True):
            noise = draw.standard_normal((d, count)) / np.sqrt(d)
            if exact:
                if count < 2 and size:
                    raise ValueError(f"exact needs at least two samples in every class with sigma > 0; got n={count}.")
                noise -= noise.mean(axis=1, keepdims=True)
                noise /= np.sqrt(np.sum(noise**2) / count) if count > 1 else 1.0
            parts.append(separation * m[:, None] + size * noise)
        return Data(np.concatenate(parts, axis=1), np.repeat(np.arange(K), counts), K, "mixture")

    @staticmethod
    def separable(n: int, d: int, margin: float = 0.1, rng: Rng = None) -> Data:
        """Two classes, n samples each: y u'x >= margin for a random unit vector u and labels y = -1, +1."""
        n, d = arguments.integer("n", n, 1), arguments.integer("d", d, 1)
        margin = arguments.positive("margin", margin)
        draw = generator(seed_sequence(rng))
        u = draw.standard_normal(d)
        u /= np.linalg.norm(u)
        X = draw.standard_normal((d, 2 * n))
        sign = np.repeat([-1.0, 1.0], n)
        along = u @ X
        X += u[:, None] * (sign * (margin + np.abs(along)) - along)
        return Data(X, np.repeat([0, 1], n), 2, "separable")

    @staticmethod
    def digits(classes: Iterable[int] | None = None, n: int | None = None, rng: Rng = None) -> Data:
        """scikit-learn's 8 x 8 handwritten digits, pixels divided by 16; n per class, random ones when rng is given.

        classes: the digits to keep, in the order of their new labels (default 0..9). ImportError without scikit-learn.
        """
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise install.missing("Data.digits", "scikit-learn", "data") from None
        X, y = load_digits(return_X_y=True)
        whole = Data(X.T / 16.0, y, 10, "digits")
        return whole.subset(range(10) if classes is None else classes, n, rng)

    @staticmethod
    @renamed(X="features", y="labels")
    def from_arrays(features: Arrays, labels: Arrays, name: str = "arrays") -> Data:
        """Rows of features (N, d) are samples, as most libraries keep them; labels (N,) of any kind become 0..K-1 in
        sorted order (-1, +1 -> 0, 1)."""
        X, y = arguments.plain("features", features), arguments.plain("labels", labels)
        X = arguments.array("features", X.reshape(len(X), -1) if X.ndim > 2 else X, ndim=2)
        if y.shape != (len(X),):
            raise ValueError(f"labels must hold one label per row of features, {len(X)} here; got shape {y.shape}.")
        known, index = np.unique(y, return_inverse=True)
        return Data(X.T, index, len(known), name)

    @staticmethod
    @renamed(X="features", y="labels")
    def load(path: FileName, features: str | None = None, labels: str | None = None) -> Data:
        """The samples (rows of features) and labels of an .npz file, under the names given, or the usual ones.

        Exported features of any network are data too: `load("run.npz", features="layer3", labels="targets")`.
        ValueError lists the file's arrays.
        """
        arrays = load_arrays(path)
        if "ufm_data" in arrays and features is None and labels is None:
            fields = Fields(f"file {str(path)!r} does not hold a data set", arrays)
            about = fields.document("ufm_data")
            K, name, given = about.whole("K", 2), about.text("name"), fields.array("X", (None, None)).T
            return fields.take("y", lambda y: Data(given, y, K, name, arrays.get("T")))
        return Data.from_arrays(
            _pick(arrays, "features", features, path), _pick(arrays, "labels", labels, path), str(path)
        )

    def save(self, path: FileName) -> None:
        """Write X as rows (N, d), y and what else there is to an .npz file that `load` and numpy read."""
        more = {} if self.T is None else {"T": self.T}
        save_arrays(path, ufm_data=np.array(json.dumps({"K": self.K, "name": self.name})), X=self.X.T, y=self.y, **more)

    # ------------------------------------------------------------------------------------------ what it is

    @property
    def d(self) -> int:
        return self.X.shape[0]

    @property
    def N(self) -> int:
        return self.X.shape[1]

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """Samples per class, (K,)."""
        return np.bincount(self.y, minlength=self.K)

    @property
    def signs(self) -> np.ndarray:
        """Labels -1 (class 0) and +1 (class 1) of two classes, (N,)."""
        if self.K != 2:
            raise ValueError(f"signs need two classes; got K={self.K}.")
        return 2.0 * self.y - 1.0

    def targets(self, outputs: int) -> np.ndarray:
        """T if given, else +-1 (1, N) for one output and two classes, else one-hot labels (K, N); else ValueError."""
        if self.T is not None:
            if len(self.T) != outputs:
                raise ValueError(f"the network must have one output per row of T, {len(self.T)}; got {outputs}.")
            return self.T
        if outputs == 1 and self.K == 2:
            return self.signs[None]
        if outputs != self.K:
            also = " (or one in all)" if self.K == 2 else ""
            raise ValueError(f"the network must have one output per class, {self.K}{also}; got {outputs}.")
        return np.eye(self.K)[:, self.y]

    def predicted(self, Z: np.ndarray) -> np.ndarray:
        """Classes (N,) that logits Z (outputs, N) name: the largest, or the sign of one output."""
        return (Z[0] > 0).astype(int) if len(Z) == 1 else np.argmax(Z, axis=0)

    def class_means(self) -> np.ndarray:
        """(d, K)."""
        return class_means(self.X, self.y)

    def tcv(self) -> float:
        """Within-class variation (1/N) sum_i |x_i - mean of its class|^2."""
        return tcv(self.X, self.y)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the numbers."""
        whole = hashlib.sha256()
        for A in (self.X, self.y, self.T):
            whole.update(b"-" if A is None else np.ascontiguousarray(A).tobytes() + str(A.shape).encode())
        return whole.hexdigest()[:16]

    # ------------------------------------------------------------------------------------------ other data from it

    def standardised(self) -> Data:
        """Every coordinate with mean 0 and variance 1; constant coordinates become 0."""
        X = self.X - self.X.mean(axis=1, keepdims=True)
        size = np.sqrt(np.mean(X**2, axis=1, keepdims=True))
        floor = 1e-12 * np.max(np.abs(self.X), axis=1, keepdims=True)
        X = np.where(size > floor, X / np.where(size > floor, size, 1.0), 0.0)
        return replace(self, X=X, name=f"{self.name}, standardised")

    @renamed(tol="rel_tol")
    def whitened(self, rel_tol: float = 1e-10) -> Data:
        """Principal coordinates (rank, N), covariance the identity; singular values up to rel_tol s_1 are dropped."""
        X = self.X - self.X.mean(axis=1, keepdims=True)
        s, Vt = np.linalg.svd(X, full_matrices=False)[1:]
        rank = int(np.sum(s > arguments.nonnegative("rel_tol", rel_tol) * s[0])) if s[0] > 0 else 0
        if not rank:
            raise ValueError("X cannot be whitened: all samples are equal.")
        return replace(self, X=np.sqrt(self.N) * Vt[:rank], name=f"{self.name}, whitened")

    def subset(self, classes: Iterable[int] | None = None, n: int | None = None, rng: Rng = None) -> Data:
        """The given classes, relabelled 0, 1, ... in order, and n samples of each: the first, or random with rng."""
        classes = list(range(self.K) if classes is None else classes)
        if len(set(classes)) != len(classes) or any(c not in range(self.K) for c in classes):
            raise ValueError(f"classes must be different numbers among 0..{self.K - 1}; got {classes}.")
        if len(classes) < 2:
            raise ValueError(f"classes must be at least two; got {classes}.")
        draw, kept = None if rng is None else generator(seed_sequence(rng)), []
        for c in classes:
            index = np.flatnonzero(self.y == c)
            if n is not None and not 1 <= n <= len(index):
                raise ValueError(f"n must lie between 1 and the {len(index)} samples of class {c}; got n={n}.")
            index = index if draw is None else np.sort(draw.permutation(index)[:n])
            kept.append(index[:n])
        index = np.concatenate(kept)
        y = np.repeat(np.arange(len(classes)), [len(part) for part in kept])
        return Data(self.X[:, index], y, len(classes), self.name, None if self.T is None else self.T[:, index])

    def split(self, share: float, rng: Rng = None) -> tuple[Data, Data]:
        """Two parts, the first with the given share of every class (at least one sample each way)."""
        if not 0 < arguments.real("share", share) < 1:
            raise ValueError(f"share must lie strictly between 0 and 1; got share={share!r}.")
        if self.counts.min() < 2:
            raise ValueError(f"split needs two samples in every class; got counts {self.counts.tolist()}.")
        draw, first = generator(seed_sequence(rng)), np.zeros(self.N, dtype=bool)
        for c in range(self.K):
            index = draw.permutation(np.flatnonzero(self.y == c))
            first[index[: min(max(round(share * len(index)), 1), len(index) - 1)]] = True
        return self._part(first), self._part(~first)

    def _part(self, kept: np.ndarray) -> Data:
        T = None if self.T is None else self.T[:, kept]
        return Data(self.X[:, kept], self.y[kept], self.K, self.name, T)

    def with_targets(self, T: Arrays) -> Data:
        """The same samples with targets T (m, N) for a network of m outputs."""
        return replace(self, T=T)

    def __repr__(self) -> str:
        listed = f"({', '.join(map(str, self.counts[:8]))}{', ...' if self.K > 8 else ''})"
        counts = f"x {self.counts[0]}" if len(set(self.counts.tolist())) == 1 else listed
        targets = "" if self.T is None else f", targets {len(self.T)} x {self.N}"
        head = f"Data({self.name}): {self.N} samples in R^{self.d}, {self.K} classes {counts}"
        return f"{head}, within-class variation {self.tcv():.6g}{targets}"


@renamed(Z="features", y="labels")
def class_means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean column of the features (d, N) in every class 0..K-1, (d, K)."""
    member = np.eye(int(np.max(labels)) + 1)[labels]
    return features @ (member / member.sum(axis=0))


def centred(Z, y) -> np.ndarray:
    """Z (d, N) minus the mean of each column's class, subtracted twice, so that the means' rounding is gone."""
    for _ in range(2):
        Z = Z - class_means(Z, y)[:, y]
    return Z


@renamed(Z="features", y="labels")
def tcv(features: np.ndarray, labels: np.ndarray) -> float:
    """Variation of columns (d, N) about the means of their classes (N,): (1/N) sum_i |z_i - mean of its class|^2.

    An upper bound of its minimum over all partitions into K clusters; every bound of `zang24` holds with any partition.
    Source: zang24.
    """
    return float(np.sum(centred(features, labels) ** 2) / features.shape[1])


def _unit_means(K: int, d: int, draw) -> np.ndarray:
    """(K, d): orthonormal rows where they fit, else random unit vectors."""
    if K <= d:
        Q, R = np.linalg.qr(draw.standard_normal((d, K)))
        return (Q * np.sign(np.diag(R))).T
    M = draw.standard_normal((K, d))
    return M / np.linalg.norm(M, axis=1, keepdims=True)


def _many(name: str, value, K: int) -> list:
    if np.ndim(value) == 0:
        return [value] * K
    if len(value) != K:
        raise ValueError(f"{name} must be one number or {K}, one per class; got {len(value)}.")
    return list(value)


def _pick(arrays: dict, what: str, name: str | None, path) -> np.ndarray:
    for key in ALIASES[what] if name is None else (name,):
        if key in arrays:
            return arrays[key]
    wanted = f"one of {', '.join(ALIASES[what])}" if name is None else repr(name)
    raise ValueError(f"file {str(path)!r} must hold {what} under {wanted}; it holds {', '.join(arrays) or 'nothing'}.")
