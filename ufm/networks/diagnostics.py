"""What the layers of a network look like: ranks of its weights, within-class variation and collapse of its features.

`layers` works on arrays, one per layer, wherever they come from; `diagnose` makes them from a network of this package;
`export` writes them to a file in the orientation other libraries use (samples as rows).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ufm import metrics
from ufm.networks.data import Data, class_means, tcv
from ufm.networks.network import Network
from ufm.networks.training import Training
from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.files import save_arrays
from ufm.numerics.hints import Arrays, FileName
from ufm.numerics.ranks import TOLERANCES, all_ranks
from ufm.numerics.renamed import renamed
from ufm.numerics.tables import Column, Listed

COLUMNS = (
    Column("layer", "name", side="<", width=8),
    Column("d", "d", width=5),
    Column("TCV", "tcv", ".3e", 10),
    Column("ratio", "tcv_ratio", ".2e", 9),
    Column("NC1", "nc1", ".2e", 9),
)
SMOOTH = ("stable", "effective")
"""What is printed of a layer's features, and the ranks of its weight besides the counts."""


@dataclass(frozen=True, eq=False)
class Layer(ByContent):
    """One layer: features Z (d, N) and, where known, the weight W that they enter (d_next, d).

    tcv: within-class variation (1/N) sum |z_i - mean of its class|^2; tcv_ratio: over the mean squared distance to the
    global mean (NaN if that is 0); nc1, nc2 as in `ufm.metrics.summary`; means: ranks of the centred class means;
    features: ranks of Z; weight: ranks of W, or None;
    tail: sqrt(sum_{i > K} s_i(W)^2), the distance of W to the matrices of rank K, or None. Ranks are dicts, see
    `ufm.numerics.ranks`.
    """

    name: str
    d: int
    tcv: float
    tcv_ratio: float
    nc1: float
    nc2: float
    means: dict
    features: dict
    weight: dict | None
    tail: float | None


@dataclass(frozen=True, eq=False, repr=False)
class Layers(ByContent, Listed):
    """All layers, first to last; prints as a table."""

    rows: tuple[Layer, ...]
    K: int
    tolerances: tuple[float, ...]

    def to_dict(self) -> dict:
        return {"K": self.K, "layers": [vars(row) for row in self.rows]}

    def shown(self) -> list:
        at = [f"{tol:g}" for tol in self.tolerances]

        def counts(row):
            return row.weight and ", ".join(str(row.weight["numerical"][tol]) for tol in at)

        ranks = Column(f"ranks of W at {', '.join(at)}", counts, side="<", width=32)
        smooth = [Column(kind, lambda row, kind=kind: row.weight and row.weight[kind], ".3f") for kind in SMOOTH]
        return [(self.rows, [*COLUMNS, ranks, *smooth, Column("tail > K", "tail", ".2e", 9)], False)]


@renamed(y="labels")
def layers(
    features: Iterable[Arrays],
    labels: Arrays,
    weights: Iterable[Arrays] | None = None,
    tolerances: Sequence[float] = TOLERANCES,
    names: Sequence[str] | None = None,
) -> Layers:
    """The layers of feature arrays, samples as columns (d_l, N), with labels (N,) in 0..K-1 and their weights.

    weights: as many matrices as layers or fewer; W_l (d_l, d_{l-1}) takes the l-th array of features.

    >>> data = Data.mixture(K=3, n=4, d=5, sigma=0.0, rng=0)
    >>> table = layers([data.X], data.y, [np.eye(2, 5)])
    >>> table[0].tcv < 1e-28, table[0].means["numerical"]["0.001"], round(table[0].weight["stable"], 12)
    (True, 2, 2.0)

    Raises ValueError for shapes that do not fit.
    """
    y = arguments.plain("labels", labels)
    y, K = arguments.labels("labels", y, y.size)
    arguments.every_class("labels", np.unique(y), K)
    features = [arguments.array("features", Z, shape=(None, len(y))) for Z in features]
    pairs = zip([] if weights is None else weights, features, strict=False)
    weights = [arguments.array("weights", W, shape=(None, len(Z))) for W, Z in pairs]
    names = [f"z^{l}" for l in range(len(features))] if names is None else list(names)
    if len(names) != len(features):
        raise ValueError(f"names must be one per layer, {len(features)}; got {len(names)}.")
    padded = [*weights, *[None] * (len(features) - len(weights))]
    rows = tuple(_layer(name, Z, y, W, K, tolerances) for name, Z, W in zip(names, features, padded, strict=True))
    return Layers(rows, K, tuple(tolerances))


def diagnose(
    run: Training | Network,
    params: Sequence[np.ndarray] | None = None,
    data: Data | None = None,
    tolerances: Sequence[float] = TOLERANCES,
) -> Layers:
    """The layers of a `Training` (data=...: on other data), or of a network at parameters on data."""
    if isinstance(run, Training):
        net, params, data = run.network, run.params, run.data if data is None else data
    else:
        net = arguments.instance("net", run, Network)
    data = arguments.instance("data", data, Data)
    if params is None:
        raise ValueError("params must be given with a network, its list of arrays; got params=None.")
    return layers(net.features(params, data), data.y, net.weights(params), tolerances)


def export(path: FileName, net: Network, params: Sequence[np.ndarray], data: Data) -> None:
    """Write features_0, ..., features_L (N, d_l), weight_1, ..., weight_L and labels (N,) to an .npz file.

    `Data.load(path, features="features_2")` reads a layer back as data; any tool for collapse metrics reads the rest.
    """
    arrays = {f"features_{l}": z.T for l, z in enumerate(net.features(params, data))}
    arrays |= {f"weight_{l}": W for l, W in enumerate(net.weights(params), 1)}
    save_arrays(path, labels=data.y, **arrays)


def tail(s: np.ndarray, r: int) -> float:
    """sqrt(sum_{i > r} s_i^2): the Frobenius distance to the matrices of rank at most r.

    >>> tail([5.0, 4.0, 3.0], 1)
    5.0
    """
    s = np.sort(arguments.array("s", s, ndim=1))[::-1]
    return float(np.linalg.norm(s[arguments.integer("r", r, 0) :]))


def _layer(name, Z, y, W, K, tolerances) -> Layer:
    within, total = tcv(Z, y), float(np.mean(np.sum((Z - Z.mean(axis=1, keepdims=True)) ** 2, axis=0)))
    M = class_means(Z, y)
    nc = metrics.summary(Z.T, y)
    s = None if W is None else np.linalg.svd(W, compute_uv=False)
    ratio = within / total if total > 0 else float("nan")
    means = all_ranks(np.linalg.svd(M - M.mean(axis=1, keepdims=True), compute_uv=False), tolerances)
    ranks = means, all_ranks(np.linalg.svd(Z, compute_uv=False), tolerances)
    weight = (None, None) if s is None else (all_ranks(s, tolerances), tail(s, K))
    return Layer(name, len(Z), within, ratio, nc["nc1"], nc["nc2"], *ranks, *weight)
