"""Neural collapse of features, labels and a classifier: NC1-NC4, CDNV and ranks, of arrays, layers or streams.

With class means mu_c, their unweighted mean m, M = (mu_c - m)_c (K, d), residuals x - mu_y, N samples:

    S_W = (1/N) sum (x - mu_y)(x - mu_y)',    S_B = M'M / K,    S = I - 11'/K.

`collapse` reads whole arrays; `Accumulator` reads batches and ends with the same numbers. Both hand counts,
means and a matrix R of rows with R'R = N S_W to the same formulas, so that neither S_W nor S_B is ever formed: the
squares of a covariance would cost half the digits.

Source: papyan20 (NC1-NC4), galanti22 (CDNV), gsgp22 (numerical rank), roy07 (effective rank), chan83 (merging).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.distance import pdist

from ufm.numerics import arguments, ranks
from ufm.numerics.content import ByContent
from ufm.numerics.words import named_arguments

EPS = float(np.finfo(float).eps)
ROUNDING = 1e-13  # class means that differ by less than this part of their size do not differ
CHUNK = 8192


@dataclass(frozen=True, eq=False)
class Collapse(ByContent):
    """What `collapse` measured. A number that is 0/0 is NaN, with a sentence in `warnings`; what needs a classifier is None without one.

    nc1 = tr(pinv(S_B) S_W)/K = sum_{i<=r} |R v_i|^2 / (N s_i^2), M = sum s_i u_i v_i', over every s_i^2 > d eps s_1^2.
    nc1_rank_aware: the same sum over i <= nc1_rank, the singular values before the gap. nc1_quotient = tr S_W / tr S_B.
    nc2 = |MM'/|MM'| - S/sqrt(K-1)|_F. Its parts over the |mu_c - m|: equinorm = std/mean; over the cosines of different
    classes: equiangularity = std, maxangle = mean |cos + 1/(K-1)|. With _W the same of the rows of W (not centred).
    nc2_orthogonal: |mu mu'/|mu mu'| - I/sqrt(K)|_F of the means as they are, zero for the orthogonal frames of ReLU layers.
    nc3 = |WM'/|WM'| - S/sqrt(K-1)|_F.  self_duality = |W/|W| - M/|M||_F^2.
    nc4: part of the samples on which argmin_c |x - mu_c| and argmax_c <w_c, x> (+ b_c where given) agree.
    cdnv: mean over pairs of (v_c + v_c')/(2 |mu_c - mu_c'|^2), v_c = mean |x - mu_c|^2 in class c.
    spectrum: s_i/sqrt(K), i <= min(K-1, d): the between-class standard deviations.
    ranks: of `class_means_centred` (M), `features` (X) and `W`, each with numerical {tol: count}, stable, effective,
    nuclear, participation, and machine (s_i > max(shape) eps s_1).
    """

    nc1: float
    nc1_rank: int
    nc1_rank_aware: float
    nc1_quotient: float
    nc2: float
    equinorm: float
    equiangularity: float
    maxangle: float
    nc2_orthogonal: float
    equinorm_W: float | None
    equiangularity_W: float | None
    maxangle_W: float | None
    nc3: float | None
    self_duality: float | None
    nc4: float | None
    cdnv: float
    ranks: dict
    spectrum: tuple[float, ...]
    counts: tuple[int, ...]
    d: int
    warnings: tuple[str, ...]

    def to_dict(self) -> dict:
        """Every field, ready for JSON: None where undefined."""
        return {f.name: _json(getattr(self, f.name)) for f in fields(self)}

    def __repr__(self) -> str:
        rows = [
            ("NC1", self.nc1_rank_aware, f"rank {self.nc1_rank}; pseudo-inverse {self.nc1:.3e}, quotient {self.nc1_quotient:.3e}"),
            ("NC2", self.nc2, f"equinorm {self.equinorm:.2e}, equiangularity {self.equiangularity:.2e}, max angle {self.maxangle:.2e}"),
            ("NC3", self.nc3, f"self-duality {_number(self.self_duality)}"),
            ("NC4", self.nc4, "part of the samples where the nearest mean is the prediction"),
            ("CDNV", self.cdnv, "variability over distance, mean over pairs of classes"),
        ]
        lines = [f"  {name:<5} {_number(value):<10} {note}" for name, value, note in rows if value is not None]
        tolerances = ", ".join(next(iter(self.ranks.values()))["numerical"])
        lines += [f"  rank  {_ranks_line(r):<28} {name.replace('_', ' ')}; s > tol |s|, tol {tolerances}" for name, r in self.ranks.items()]
        head = f"Collapse: {sum(self.counts)} samples, {len(self.counts)} classes, d={self.d}"
        return "\n".join([head, *lines, *(f"  warning: {text}" for text in self.warnings)])


@dataclass(frozen=True, eq=False)
class LayerCollapse(ByContent):
    """DNC1-DNC3 of every layer, from the first to the last features.

    dnc1 = tr S_W / tr S_B; dnc2 = nc2 (simplex), with `orthogonal` = nc2_orthogonal beside it for layers behind a ReLU;
    dnc3 = |W'W/|W'W| - M'M/|M'M||_F for the weight W that reads this layer (None where not given): zero when W stretches the
    feature space exactly as the class means do, as at balanced collapsed points of equal classes, mean zero and one nonzero
    singular value. Only the last layer's Collapse has nc3 and nc4. `identity` is ufm.identify of the last layer's logits,
    `name` its name; None without a last weight.
    """

    names: tuple[str, ...]
    layers: tuple[Collapse, ...]
    dnc3: tuple[float | None, ...]
    identity: object | None

    @property
    def dnc1(self) -> tuple[float, ...]:
        return tuple(layer.nc1_quotient for layer in self.layers)

    @property
    def dnc2(self) -> tuple[float, ...]:
        return tuple(layer.nc2 for layer in self.layers)

    @property
    def orthogonal(self) -> tuple[float, ...]:
        return tuple(layer.nc2_orthogonal for layer in self.layers)

    @property
    def name(self) -> str | None:
        return None if self.identity is None else self.identity.name

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, key) -> Collapse:
        """The Collapse of a layer, by name or position."""
        return self.layers[self.names.index(key) if isinstance(key, str) else key]

    def to_dict(self) -> dict:
        """{name, layers: {layer: {dnc1, dnc2, orthogonal, dnc3, and every field of its Collapse}}}, ready for JSON."""
        columns = {"dnc1": self.dnc1, "dnc2": self.dnc2, "orthogonal": self.orthogonal, "dnc3": self.dnc3}
        short = [{key: _json(value[l]) for key, value in columns.items()} for l in range(len(self))]
        return {"name": self.name, "layers": {n: {**row, **layer.to_dict()} for n, row, layer in zip(self.names, short, self.layers, strict=True)}}

    def __repr__(self) -> str:
        wide = max(5, *map(len, self.names))
        lines = [f"{'layer':<{wide}}  {'d':>5}  {'DNC1':<9}  {'DNC2':<9}  {'(orth.)':<9}  {'DNC3':<9}  rank"]
        for name, layer, dnc3 in zip(self.names, self.layers, self.dnc3, strict=True):
            cells = "  ".join(f"{_number(v):<9}" for v in (layer.nc1_quotient, layer.nc2, layer.nc2_orthogonal, dnc3))
            lines.append(f"{name:<{wide}}  {layer.d:>5}  {cells}  {layer.nc1_rank}")
        notes = [f"warning, {name}: {text}" for name, layer in zip(self.names, self.layers, strict=True) for text in layer.warnings]
        return "\n".join([*lines, *([f"logits: {self.identity!r}"] if self.identity is not None else []), *notes])


@named_arguments
def collapse(X=None, y=None, W=None, b=None, *, features=None, weights=None, gap: float = 100.0, rank: int | None = None):
    """NC1-NC4, CDNV and ranks of features X (N, d), labels y (N,) in 0..K-1 and, if given, a classifier W (K, d) with bias b (K,).

    The formulas stand at `Collapse`. The sum for NC1 runs over singular values of the class means, and a gap among them (a ratio
    s_i/s_{i+1} >= gap) says that the means have lower rank with noise on top: NC1 by pseudo-inverse is then
    decided by its cutoff, `nc1_rank_aware` stops before the largest gap, and `warnings` says so. rank: the rank, if you know it.

    features: instead of X, arrays (N, d_l) per layer, a list or a dict by name; weights: the matrices (., d_l) that read each
    layer, as many as there are layers (None where unknown), or the last one alone as an array. The answer is a LayerCollapse.

    >>> import numpy as np
    >>> simplex = np.eye(3) - 1 / 3
    >>> found = collapse(np.repeat(simplex, 4, axis=0), np.repeat([0, 1, 2], 4), W=simplex)
    >>> found.nc1_rank, found.nc4, max(found.nc1, found.nc2, found.nc3, found.cdnv) < 1e-14
    (2, 1.0, True)

    Arrays of any kind that numpy can read are converted to float64. Raises ValueError naming the argument for shapes that do not
    fit, entries that are not finite, K < 2, labels out of range, classes without samples, and a rank above that of the means.
    """
    if (X is None) == (features is None):
        raise ValueError("collapse needs either X (N, d) or features, one array (N, d_l) per layer.")
    if features is not None:
        if W is not None:
            raise ValueError("W belongs to X; with features give weights, one matrix per layer.")
        return _layers(features, y, weights, b, gap, rank)
    if weights is not None:
        raise ValueError("weights belong to features; with X give W (K, d).")
    X = _array("X", X, ndim=2)
    W = None if W is None else _array("W", W, shape=(None, X.shape[1]))
    b = _bias(b, W)
    y, K = _labels(y, len(X), None if W is None else len(W))
    counts, means, R, squares = _moments(X, y, K)
    _no_empty(counts)
    nc4 = None if W is None else _agreeing(X, W, b, means) / len(X)
    return _measure(counts, means, R, squares, W, nc4, gap, rank)


@named_arguments
class Accumulator:
    """Counts, class means and within-class scatter of a stream of batches, for K classes of features in R^d.

    Two parts a, b of a class with n_a, n_b samples join as n = n_a + n_b, mu = mu_a + (n_b/n)(mu_b - mu_a), and their scatters add up
    with (n_a n_b/n)(mu_b - mu_a)(mu_b - mu_a)'. The scatter is kept as rows R (at most 2d + a batch, then made triangular
    by QR), with R'R = N S_W, which keeps all digits of small directions. One pass; 16 d^2 + 8 K d bytes are kept, and a batch.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1, 2], 20)
    >>> X = np.eye(3, 5)[y] + 0.1 * rng.standard_normal((60, 5))
    >>> stream = Accumulator(K=3, d=5)
    >>> for rows in np.split(rng.permutation(60), 6):
    ...     stream = stream.update(X[rows], y[rows])
    >>> abs(stream.collapse().nc1 / collapse(X, y).nc1 - 1) < 1e-12
    True

    NC4 compares every sample with the final means and cannot be had in one pass: sum `agreeing` over a second one.
    Raises ValueError for K < 2, d < 1.  Source: chan83.
    """

    def __init__(self, K: int, d: int):
        self.K, self.d = arguments.integer("K", K, 2), arguments.integer("d", d, 1)
        self.counts = np.zeros(self.K, dtype=int)
        self.means = np.zeros((self.K, self.d))
        self._squares = np.zeros(self.K)
        self._rows = np.zeros((0, self.d))

    def update(self, X_batch, y_batch) -> Accumulator:
        """Add samples X_batch (B, d) with labels y_batch (B,) in 0..K-1, of any classes; returns self. Refused batches change nothing."""
        X = _array("X_batch", X_batch, shape=(None, self.d))
        y, _ = _labels(y_batch, len(X), self.K, name="y_batch")
        return self._join(*_moments(X, y, self.K))

    def merge(self, other: Accumulator) -> Accumulator:
        """Add everything another Accumulator (same K and d) has seen; returns self, leaves other as it is."""
        arguments.instance("other", other, Accumulator)
        if (other.K, other.d) != (self.K, self.d):
            raise ValueError(f"other must have K={self.K} and d={self.d}; got K={other.K} and d={other.d}.")
        return self._join(other.counts, other.means, other._rows, other._squares)

    def agreeing(self, X_batch, W, b=None) -> int:
        """How many samples of a batch have argmin_c |x - mu_c| = argmax_c <w_c, x> + b_c, with the means as they are now: NC4 is their part of all."""
        _no_empty(self.counts)
        W = _array("W", W, shape=(self.K, self.d))
        return _agreeing(_array("X_batch", X_batch, shape=(None, self.d)), W, _bias(b, W), self.means)

    def collapse(self, W=None, agreeing: int | None = None, *, gap: float = 100.0, rank: int | None = None) -> Collapse:
        """The Collapse of all samples seen, as `collapse` gives it at once; nc4 is agreeing / N, or None.

        Raises ValueError when a class has no sample yet.
        """
        _no_empty(self.counts)
        N = int(self.counts.sum())
        W = None if W is None else _array("W", W, shape=(self.K, self.d))
        if agreeing is not None and not 0 <= arguments.integer("agreeing", agreeing, 0) <= N:
            raise ValueError(f"agreeing counts samples, at most N={N}; got agreeing={agreeing}.")
        return _measure(self.counts, self.means, self._rows, self._squares, W, None if agreeing is None else agreeing / N, gap, rank)

    def _join(self, counts, means, rows, squares) -> Accumulator:
        total = np.maximum(self.counts + counts, 1)
        step = means - self.means
        between = np.sqrt(self.counts * (counts / total))[:, None] * step
        between = between[(self.counts > 0) & (counts > 0)]
        self._squares = self._squares + squares + self.counts * (counts / total) * np.sum(step**2, axis=1)
        self.means = self.means + (counts / total)[:, None] * step
        self.counts = self.counts + counts
        self._rows = np.concatenate([self._rows, rows, between])
        if len(self._rows) > 2 * self.d:
            self._rows = _triangle(self._rows)
        return self

    def __repr__(self) -> str:
        return f"Accumulator(K={self.K}, d={self.d}): {int(self.counts.sum())} samples, {int(np.sum(self.counts == 0))} classes without"


def class_means(X: np.ndarray, labels: np.ndarray, K: int) -> np.ndarray:
    """Mean row of X (N, d) in every class, (K, d)."""
    member = np.zeros((K, len(X)))
    member[labels, np.arange(len(X))] = 1.0
    return (member @ X) / member.sum(axis=1, keepdims=True)


def summary(X: np.ndarray, labels: np.ndarray, W: np.ndarray | None = None) -> dict[str, float]:
    """nc1 = tr S_W / tr S_B (nc1_quotient of `Collapse`); nc2 = |MM'/|MM'| - S/sqrt(K-1)|_F; nc3 the same with W M'.

    X (N, d) rows are samples; M (K, d) centred class means, S = I - 11'/K, S_W and S_B the within- and
    between-class covariances. Entries that are 0/0 are NaN. Source: papyan20.
    """
    K = int(labels.max()) + 1
    means = class_means(X, labels, K)
    M = means - means.mean(axis=0)
    within, between = np.sum((X - means[labels]) ** 2) / len(X), np.sum(M**2) / K
    result = {"nc1": within / between if between > 0 else float("nan"), "nc2": _gap(M @ M.T, _simplex(K))}
    if W is not None:
        result["nc3"] = _gap(W @ M.T, _simplex(K))
    return {name: float(value) for name, value in result.items()}


def _measure(counts, means, R, squares, W, nc4, gap, rank) -> Collapse:
    """All numbers from counts (K,), means (K, d), rows R with R'R = N S_W, squares (K,) = sum of |x - mu_c|^2 in each class."""
    if not (gap := arguments.real("gap", gap)) > 1:
        raise ValueError(f"gap is a ratio of singular values and must exceed 1; got gap={gap!r}.")
    (K, d), N, notes = means.shape, int(counts.sum()), []
    M = means - means.mean(axis=0)
    separate = np.linalg.norm(M) > ROUNDING * np.linalg.norm(means)
    if not separate:
        notes.append("all class means agree: NC1, NC2, NC3 and CDNV are 0/0")
        M = np.zeros_like(M)
    nc1 = _nc1(M, R, N, gap, rank, notes)
    return Collapse(
        *nc1,
        nc1_quotient=_ratio(squares.sum() / N, np.sum(M**2) / K),
        nc2=_gap(M @ M.T, _simplex(K)),
        **_parts(M, notes, "class mean at the mean of all"),
        nc2_orthogonal=_gap(means @ means.T, np.eye(K) / np.sqrt(K)),
        **({f"{k}_W": v for k, v in _parts(W, notes, "row of W that is zero").items()} if W is not None else dict.fromkeys(f"{k}_W" for k in _PARTS)),
        nc3=None if W is None else _gap(W @ M.T, _simplex(K)),
        self_duality=None if W is None else _gap(W, M / np.linalg.norm(M)) ** 2 if separate else math.nan,
        nc4=nc4,
        cdnv=_cdnv(M, means, squares / counts, notes),
        ranks=_ranks(M, np.concatenate([R, np.sqrt(counts)[:, None] * means]), N, W),
        spectrum=tuple((np.linalg.svd(M, compute_uv=False)[: min(K - 1, d)] / np.sqrt(K)).tolist()),
        counts=tuple(counts.tolist()),
        d=d,
        warnings=tuple(notes),
    )


def _nc1(M, R, N, gap, rank, notes) -> tuple[float, int, float]:
    """(by pseudo-inverse, rank, rank-aware) NC1 = sum |R v_i|^2 / (N s_i^2) over the singular values of M."""
    K, d = M.shape
    _, s, Vt = np.linalg.svd(M, full_matrices=False)
    kept = int(np.sum(s[: K - 1] ** 2 > d * EPS * s[0] ** 2))
    if rank is not None and arguments.integer("rank", rank, 1) > kept:
        raise ValueError(f"rank must not exceed the rank of the centred class means, {kept}; got rank={rank}.")
    if kept == 0:
        return math.nan, 0, math.nan
    terms = np.sum((R @ Vt[:kept].T) ** 2, axis=0) / (N * s[:kept] ** 2)
    ratios = s[: kept - 1] / s[1:kept]
    r = kept
    if len(ratios) and ratios.max() >= gap:
        r = int(np.argmax(ratios)) + 1
        notes.append(
            f"the between-class spectrum has a gap: s_{r}/s_{r + 1} = {ratios.max():.1e}. NC1 by pseudo-inverse ({terms.sum():.3e}) is decided by its "
            f"cutoff, which keeps {kept} directions; on the {r} before the gap it is {terms[:r].sum():.3e}"
        )
    elif s[0] / s[kept - 1] >= gap**2:
        notes.append(f"the between-class spectrum falls by {s[0] / s[kept - 1]:.1e} without a gap: NC1 depends on the rank, {kept} here")
    r = r if rank is None else int(rank)
    return float(terms.sum()), r, float(terms[:r].sum())


_PARTS = ("equinorm", "equiangularity", "maxangle")


def _parts(A, notes, zero: str) -> dict[str, float]:
    """Equinorm, equiangularity and the distance from the simplex's angle, of the rows of A (K, d)."""
    K, size = len(A), np.linalg.norm(A, axis=1)
    if not np.all(size > 0):
        if np.any(size > 0) or "W" in zero:
            notes.append(f"a {zero} has no direction: angles are undefined")
        equinorm = _ratio(np.std(size), np.mean(size))
        return dict(zip(_PARTS, (equinorm, math.nan, math.nan), strict=True))
    unit = A / size[:, None]
    cosines = (unit @ unit.T)[~np.eye(K, dtype=bool)]
    return dict(zip(_PARTS, map(float, (np.std(size) / np.mean(size), np.std(cosines), np.mean(np.abs(cosines + 1 / (K - 1))))), strict=True))


def _cdnv(M, means, variance, notes) -> float:
    """Mean over pairs of (v_c + v_c') / (2 |mu_c - mu_c'|^2)."""
    distance = pdist(M)
    if np.any(distance <= ROUNDING * np.linalg.norm(means) / np.sqrt(len(M))):
        if np.any(distance > 0):
            notes.append("two class means agree: CDNV is undefined")
        return math.nan
    i, j = np.triu_indices(len(M), 1)
    return float(np.mean((variance[i] + variance[j]) / (2 * distance**2)))


def _ranks(M, rows, N: int, W) -> dict:
    """Ranks of M, of X by rows with the same X'X, and of W; `machine` as numpy counts."""
    d = M.shape[1]
    result = {"class_means_centred": _ranks_of(M, M.shape), "features": _ranks_of(_triangle(rows), (N, d))}
    return result if W is None else {**result, "W": _ranks_of(W, W.shape)}


def _ranks_of(A, shape) -> dict:
    s = np.linalg.svd(A, compute_uv=False)[: min(shape)]
    return {**ranks.all_ranks(s), "machine": int(np.sum(s > max(shape) * EPS * s[0]))}


def _layers(features, y, weights, b, gap, rank) -> LayerCollapse:
    names, arrays = _named(features)
    weights = _per_layer(weights, names)
    arrays = [_array(f"features[{name!r}]", X, ndim=2) for name, X in zip(names, arrays, strict=True)]
    for name, X in zip(names, arrays, strict=True):
        if len(X) != len(arrays[0]):
            raise ValueError(f"features must have one row per sample in every layer; {names[0]!r} has {len(arrays[0])}, {name!r} has {len(X)}.")
    weights = [None if A is None else _array(f"weights[{l}]", A, shape=(None, X.shape[1])) for l, (A, X) in enumerate(zip(weights, arrays, strict=True))]
    last = weights[-1]
    y, K = _labels(y, len(arrays[0]), None if last is None else len(last))
    parts = [collapse(X, y, gap=gap, rank=rank) for X in arrays[:-1]]
    parts.append(collapse(arrays[-1], y, last, b, gap=gap, rank=rank))
    dnc3 = [None if A is None else _stretch_gap(A, class_means(X, y, K)) for A, X in zip(weights, arrays, strict=True)]
    return LayerCollapse(tuple(names), tuple(parts), tuple(dnc3), None if last is None else _identity(arrays[-1], last, y))


def _stretch_gap(W, means) -> float:
    """|W'W/|W'W| - M'M/|M'M||_F, M the centred means."""
    M = means - means.mean(axis=0)
    if np.linalg.norm(M) <= ROUNDING * np.linalg.norm(means):
        return math.nan
    B = M.T @ M
    return _gap(W.T @ W, B / np.linalg.norm(B))


def _identity(X, W, y):
    # naming lies above metrics in the tree: reached through the package's vocabulary, when called
    from ufm import identify

    return identify(features=X, weights=W, labels=y)


def _named(features) -> tuple[list[str], list]:
    if isinstance(features, Mapping):
        names, arrays = [str(name) for name in features], list(features.values())
    elif isinstance(features, (list, tuple)):
        names, arrays = [f"H_{l + 1}" for l in range(len(features))], list(features)
    else:
        raise ValueError(f"features must be a list or dict of arrays (N, d_l), one per layer; got {type(features).__name__}.")
    if not arrays:
        raise ValueError("features must hold at least one layer; got none.")
    return names, arrays


def _per_layer(weights, names: list[str]) -> list:
    if weights is None:
        return [None] * len(names)
    if isinstance(weights, Mapping):
        unknown = sorted({str(name) for name in weights} - set(names))
        if unknown:
            raise ValueError(f"weights must be named after the layers of features, {', '.join(names)}; got {unknown[0]!r}.")
        return [weights.get(name) for name in names]
    if isinstance(weights, (list, tuple)):
        if len(weights) != len(names):
            raise ValueError(f"weights must hold one matrix (or None) per layer of features, {len(names)}; got {len(weights)}.")
        return list(weights)
    return [None] * (len(names) - 1) + [weights]


def _moments(X, y, K: int):
    """(counts (K,), means (K, d), residuals (N, d), their squares per class (K,)); means of empty classes are 0."""
    counts = np.bincount(y, minlength=K)
    member = csr_array((np.ones(len(y)), (y, np.arange(len(y)))), shape=(K, len(y)))
    means = (member @ X) / np.maximum(counts, 1)[:, None]
    R = X - means[y]
    return counts, means, R, member @ np.sum(R**2, axis=1)


def _agreeing(X, W, b, means) -> int:
    m = means.mean(axis=0)
    M = means - m
    half, shift, total = 0.5 * np.sum(M**2, axis=1), 0.0 if b is None else b, 0
    for start in range(0, len(X), CHUNK):
        part = X[start : start + CHUNK]
        total += int(np.sum(np.argmax((part - m) @ M.T - half, axis=1) == np.argmax(part @ W.T + shift, axis=1)))
    return total


def _triangle(A) -> np.ndarray:
    """At most d rows with the same A'A as A (m, d)."""
    return np.linalg.qr(A, mode="r") if len(A) > A.shape[1] else A


def _simplex(K: int) -> np.ndarray:
    return (np.eye(K) - 1 / K) / np.sqrt(K - 1)


def _gap(A: np.ndarray, B: np.ndarray) -> float:
    size = np.linalg.norm(A)
    return float(np.linalg.norm(A / size - B)) if size > 0 else float("nan")


def _ratio(a, b) -> float:
    return float(a / b) if b > 0 else math.nan


def _array(name: str, value, ndim=None, shape=None) -> np.ndarray:
    try:
        result = arguments.array(name, value, ndim=ndim, shape=shape)
    except RuntimeError as error:  # tensors that need a gradient refuse to become arrays
        raise ValueError(f"{name} cannot be read as an array: {error}") from None
    if 0 in result.shape[1:]:
        raise ValueError(f"{name} must have at least one column; got shape {result.shape}.")
    return result


def _bias(b, W):
    if b is None:
        return None
    if W is None:
        raise ValueError("b is the bias of a classifier and needs W (K, d).")
    return _array("b", b, shape=(len(W),))


def _labels(y, N: int, K: int | None, name: str = "y") -> tuple[np.ndarray, int]:
    if y is None:
        raise ValueError(f"{name} must hold the class, 0..K-1, of every sample; got None.")
    labels = _array(name, y, shape=(N,))
    if np.any(labels != np.floor(labels)) or np.any(labels < 0):
        raise ValueError(f"{name} must hold integers 0..K-1; got values from {labels.min():g} to {labels.max():g}.")
    classes = K if K is not None else int(labels.max(initial=-1)) + 1
    if classes < 2:
        source = "W has that many rows" if K is not None else f"{name} has no other labels"
        raise ValueError(f"K must be at least 2 classes; got K={classes}: {source}.")
    if np.any(labels >= classes):
        raise ValueError(f"{name} must lie in 0..{classes - 1} for K={classes} classes; got {int(labels.max())}.")
    return labels.astype(int), classes


def _no_empty(counts) -> None:
    empty = np.flatnonzero(counts == 0).tolist()
    if empty:
        shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        raise ValueError(f"y must have samples of every class 0..{len(counts) - 1}; there are none of {shown}.")


def _number(value) -> str:
    return "-" if value is None else f"{value:.3e}"


def _ranks_line(r: dict) -> str:
    return f"{'/'.join(str(count) for count in r['numerical'].values())} (stable {r['stable']:.3g})"


def _json(value):
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
