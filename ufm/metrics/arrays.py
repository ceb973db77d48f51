"""Collapse metrics of whole arrays: of one layer, or of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from ufm.metrics.measures import measure, stretch_gap
from ufm.metrics.moments import Moments, agreement, moments
from ufm.metrics.records import Collapse, LayerCollapse
from ufm.numerics import arguments
from ufm.numerics.hints import Arrays
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.points import FactorPoint, LogitPoint, PointLike, held_point


@overload
def collapse(X: PointLike, *, gap: float = ..., rank: int | None = ...) -> LayerCollapse: ...
@overload
def collapse(
    X: None = None,
    y: Arrays | None = ...,
    W: None = None,
    b: Arrays | None = ...,
    *,
    features: Mapping[str, Arrays] | list[np.ndarray] | tuple[np.ndarray, ...],
    labels: Arrays | None = ...,
    weights: Mapping[str, Arrays | None] | Sequence[Arrays | None] | np.ndarray | None = ...,
    gap: float = ...,
    rank: int | None = ...,
) -> LayerCollapse: ...
@overload
def collapse(
    X: Arrays | None = ...,
    y: Arrays | None = ...,
    W: Arrays | None = ...,
    b: Arrays | None = ...,
    *,
    features: Arrays | None = ...,
    labels: Arrays | None = ...,
    weights: Arrays | None = ...,
    gap: float = ...,
    rank: int | None = ...,
) -> Collapse: ...
@named_arguments
@own_numpy_state
def collapse(
    X: PointLike | Arrays | None = None,
    y: Arrays | None = None,
    W: Arrays | None = None,
    b: Arrays | None = None,
    *,
    features: Mapping[str, Arrays] | Arrays | None = None,
    labels: Arrays | None = None,
    weights: Mapping[str, Arrays | None] | Sequence[Arrays | None] | Arrays | None = None,
    gap: float = 100.0,
    rank: int | None = None,
) -> Collapse | LayerCollapse:
    """NC1-NC4, CDNV and ranks of features (N, d), labels in 0..K-1 and, if given, a classifier (K, d) with bias (K,).

    The formulas stand at `Collapse`. The sum for NC1 runs over singular values of the class means, and a gap among them
    (a ratio s_i/s_{i+1} >= gap) says that the means have lower rank with noise on top: NC1 by pseudo-inverse is then
    decided by its cutoff, `nc1_rank_aware` stops before the largest gap, and `warnings` says so. rank: the rank, if you
    know it.

    features, labels, weights are other names of X, y, W. Of several layers: features a list or a dict by name of arrays
    (N, d_l), weights the matrices (., d_l) that read each layer, as many as there are layers (None where unknown), or
    the last one alone as an array. The answer is then a LayerCollapse, and that of a point too, or of what holds one
    (`collapse(result)`).

    >>> import numpy as np
    >>> simplex = np.eye(3) - 1 / 3
    >>> found = collapse(np.repeat(simplex, 4, axis=0), np.repeat([0, 1, 2], 4), W=simplex)
    >>> found.nc1_rank, found.nc4, max(found.nc1, found.nc2, found.nc3, found.cdnv) < 1e-14
    (2, 1.0, True)
    >>> found == collapse(features=np.repeat(simplex, 4, axis=0), labels=np.repeat([0, 1, 2], 4), weights=simplex)
    True

    Arrays of real numbers of any kind, and tensors wherever they are, are converted to float64. Raises ValueError
    naming the argument for shapes that do not fit, entries that are not finite, K < 2, labels out of range, classes
    without samples, an argument given under both names, and a rank above that of the means.
    """
    point = held_point(X)
    if point is not None:
        return _of_point(point, y, W, b, features, labels, weights, gap=gap, rank=rank)
    if (X is None) == (features is None):
        raise ValueError("collapse needs either X (N, d) or features, one array (N, d) or one per layer (N, d_l).")
    y_name, y = _either("y", y, "labels", labels)
    if _is_layers(features):
        if W is not None:
            raise ValueError("W belongs to X; with features give weights, one matrix per layer.")
        return _layers(features, y_name, y, weights, b, gap, rank)
    X_name, X = _either("X", X, "features", features)
    if _is_layers(weights):
        raise ValueError("weights belong to features, one matrix per layer; with X (N, d) give W (K, d).")
    W_name, W = _either("W", W, "weights", weights)
    X = _features(X_name, X)
    W = None if W is None else arguments.array(W_name, W, shape=(None, X.shape[1]))
    b = _bias(b, W)
    y, K = _classes(y_name, y, X, W)
    return _one(X, y, K, W, b, gap, rank)[0]


def _of_point(point: FactorPoint | LogitPoint, *given, gap: float, rank: int | None) -> LayerCollapse:
    """All layers of a point, whose problem has the labels and whose factors are the weights."""
    if any(value is not None for value in given):
        raise ValueError("X is a point, which has features, labels, weights and bias of its own: give it alone.")
    point = point.lift() if isinstance(point, LogitPoint) else point
    features, weights = [H.T for H in point.layers()], list(point.factors[1:])
    return _layers(features, "labels", point.problem.labels, weights, point.b, gap, rank)


def _either(name: str, value, other: str, second) -> tuple[str, Any]:
    """(the name used, its value) of an argument with two names."""
    if value is not None and second is not None:
        raise ValueError(f"{name} and {other} are two names of one argument; give only one of them.")
    return (name, value) if second is None else (other, second)


def _is_layers(value) -> bool:
    """Whether several arrays are meant: a dict, or a list that is not one of rows of numbers."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, (list, tuple)) and (len(value) == 0 or _axes(value[0]) != 1)


def _axes(value) -> int:
    """Number of axes of an array, a tensor or nested lists."""
    if isinstance(value, (list, tuple)):
        return 1 + (_axes(value[0]) if value else 0)
    return getattr(value, "ndim", 0)


def _one(X, y, K: int, W, b, gap, rank) -> tuple[Collapse, Moments]:
    known = moments(X, y, K)
    nc4, ties = (None, None) if W is None else (count / len(X) for count in agreement(X, W, b, known))
    return measure(known, W, nc4, ties, gap, rank), known


def _layers(features, y_name: str, y, weights, b, gap, rank) -> LayerCollapse:
    names, arrays = _named(features)
    weights = _per_layer(weights, names)
    arrays = [_features(f"features[{name!r}]", X) for name, X in zip(names, arrays, strict=True)]
    for name, X in zip(names, arrays, strict=True):
        if len(X) != len(arrays[0]):
            sizes = f"{names[0]!r} has {len(arrays[0])}, {name!r} has {len(X)}"
            raise ValueError(f"features must have one row per sample in every layer; {sizes}.")
    given = enumerate(zip(weights, arrays, strict=True))
    weights = [A if A is None else arguments.array(f"weights[{l}]", A, shape=(None, X.shape[1])) for l, (A, X) in given]
    last = weights[-1]
    b = _bias(b, last)
    y, K = _classes(y_name, y, max(arrays, key=lambda X: X.shape[1]), last)
    reads = [*[(X, None, None) for X in arrays[:-1]], (arrays[-1], last, b)]
    parts, known = zip(*(_one(X, y, K, W, b, gap, rank) for X, W, b in reads), strict=True)
    dnc3 = [None if A is None else stretch_gap(A, m) for A, m in zip(weights, known, strict=True)]
    return LayerCollapse(tuple(names), parts, tuple(dnc3), None if last is None else _identity(arrays[-1], last, y))


def _identity(X, W, y):
    # naming lies above metrics in the tree: reached through the package's vocabulary, when called
    from ufm import identify

    return identify(features=X, weights=W, labels=y)


def _named(features) -> tuple[list[str], list]:
    named = isinstance(features, Mapping)
    names = [str(name) for name in features] if named else [f"H_{l + 1}" for l in range(len(features))]
    if not names:
        raise ValueError("features must hold at least one layer; got none.")
    return names, list(features.values() if named else features)


def _per_layer(weights, names: list[str]) -> list:
    if weights is None:
        return [None] * len(names)
    if isinstance(weights, Mapping):
        unknown = sorted({str(name) for name in weights} - set(names))
        if unknown:
            known = ", ".join(names)
            raise ValueError(f"weights must be named after the layers of features, {known}; got {unknown[0]!r}.")
        return [weights.get(name) for name in names]
    if _is_layers(weights):
        if len(weights) != len(names):
            what = f"one matrix (or None) per layer of features, {len(names)}"
            raise ValueError(f"weights must hold {what}; got {len(weights)}.")
        return list(weights)
    return [None] * (len(names) - 1) + [weights]


def _features(name: str, value) -> np.ndarray:
    X = arguments.array(name, value, ndim=2)
    if X.shape[1] == 0:
        raise ValueError(f"{name} must have at least one column; got shape {X.shape}.")
    return X


def _bias(b, W):
    if b is None:
        return None
    if W is None:
        raise ValueError("b is the bias of a classifier and needs W (K, d).")
    return arguments.array("b", b, shape=(len(W),))


def _classes(name: str, y, X, W) -> tuple[np.ndarray, int]:
    y, K = arguments.labels(name, y, len(X), None if W is None else len(W), X.shape[1])
    arguments.every_class(name, np.unique(y), K)
    return y, K
