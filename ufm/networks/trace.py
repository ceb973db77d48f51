"""What is written down along a run: values, spectra of every weight, variation of every layer, balancedness."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ufm.networks.data import tcv
from ufm.networks.losses import has_log, log_mean
from ufm.networks.network import Network
from ufm.networks.objective import Objective
from ufm.numerics.content import ByContent
from ufm.numerics.documents import Fields
from ufm.numerics.tables import Listed

NUMBERS = ("step", "epoch", "time", "fun", "loss", "log_loss", "grad_norm", "accuracy", "norm", "moved", "lr_sum")
LAYERED = ("tcv", "tcv_ratio", "balance")


@dataclass(frozen=True, eq=False, repr=False)
class Trace(ByContent, Listed):
    """Records along a run, T of them; every column is an array whose first axis is the record.

    step, epoch, time (of a flow), fun, loss, log_loss (the logarithm of the mean loss, accurate where it underflows),
    grad_norm, accuracy, norm |x|, moved |x - x of the previous record| / |x|, lr_sum (sum of learning rates so far)
    (T,);
    spectra: singular values of every W_l, a list of L arrays (T, min of its sides), descending;
    tcv (T, L + 1): within-class variation of z^0, ..., z^L, and tcv_ratio, the same over the mean squared distance to
    the global mean; balance (T, L - 1): |W_{l+1}' W_{l+1} - W_l W_l'|_F; x (T, size) where parameters were kept.
    """

    net: Network
    rows: tuple[dict, ...] = field(default=(), repr=False)

    def __getattr__(self, name: str) -> np.ndarray:
        if name in (*NUMBERS, *LAYERED):
            return np.array([row[name] for row in self.rows])
        raise AttributeError(f"a Trace has {', '.join(NUMBERS)}, tcv, tcv_ratio, balance, spectra and x; not {name!r}")

    @property
    def spectra(self) -> list[np.ndarray]:
        return [np.array([row["spectra"][l] for row in self.rows]) for l in range(self.net.L)]

    @property
    def x(self) -> np.ndarray:
        if any("x" not in row for row in self.rows):
            raise ValueError("parameters were not kept: pass keep=True to train.")
        return np.array([row["x"] for row in self.rows])

    def params(self, i: int) -> list[np.ndarray]:
        """The parameters of record i (where they were kept)."""
        return self.net.unpack(self.x[i])

    def per_layer(self, function: Callable[[np.ndarray], float]) -> np.ndarray:
        """function(singular values (r,)) of every record and layer, (T, L): `trace.per_layer(stable_rank)`."""
        return np.array([[function(s) for s in row["spectra"]] for row in self.rows]).reshape(len(self), self.net.L)

    def with_row(self, row: dict) -> Trace:
        return replace(self, rows=(*self.rows, row))

    def arrays(self) -> dict[str, np.ndarray]:
        """All columns as arrays for a file."""
        if not self.rows:
            return {}
        result = {f"trace_{name}": getattr(self, name) for name in (*NUMBERS, *LAYERED)}
        result |= {f"trace_spectra_{l}": s for l, s in enumerate(self.spectra, 1)}
        return result | ({"trace_x": self.x} if "x" in self.rows[0] else {})

    @staticmethod
    def read(net: Network, arrays: Fields) -> Trace:
        """The trace written by `arrays`; ValueError naming the array that is missing or of another length."""
        if "trace_step" not in arrays.values:
            return Trace(net)
        count = arrays.take("trace_step", len)
        names = (*NUMBERS, *LAYERED, *(("x",) if "trace_x" in arrays.values else ()))
        columns = {name: arrays.take(f"trace_{name}", _records(count)) for name in names}
        spectra = [arrays.take(f"trace_spectra_{l}", _records(count)) for l in range(1, net.L + 1)]
        rows = []
        for i in range(count):
            row = {name: column[i].item() if name in NUMBERS else column[i] for name, column in columns.items()}
            rows.append(row | {"spectra": tuple(s[i] for s in spectra)})
        return Trace(net, tuple(rows))

    def shown(self) -> list:
        if not self.rows:
            return ["Trace(0 records)"]
        a, b = self.rows[0], self.rows[-1]
        ends = f"F {a['fun']:.6g} -> {b['fun']:.6g}, |grad| {a['grad_norm']:.2e} -> {b['grad_norm']:.2e}"
        return [f"Trace({len(self)} records, steps {a['step']}..{b['step']}, {ends})"]


def _records(count: int):
    """The check of a column: so many records of numbers (NaN where something was not defined)."""

    def checked(column):
        if np.shape(column)[:1] != (count,) or column.dtype.kind not in "fi":
            raise ValueError(f"it must hold {count} records of numbers; got shape {np.shape(column)} of {column.dtype}")
        return column

    return checked


def measure(objective: Objective, x, previous=None, keep: bool = False, **known) -> dict:
    """One record at the flat x; `previous`: that of the record before, `known`: the step, epoch, time and lr_sum."""
    net, data = objective.net, objective.data
    fun, grad = objective.value_grad(x)
    params = net.unpack(x)
    layers = net.forward(params, data.X).post
    Z = layers[-1]
    loss = float(np.mean(objective.loss.value(Z, objective.Y)))
    log_loss = log_mean(objective.loss, Z, objective.Y)[0] if has_log(objective.loss) else _log(loss)
    size = float(np.linalg.norm(x))
    within = np.array([tcv(z, data.y) for z in layers])
    total = np.array([np.mean(np.sum((z - z.mean(axis=1, keepdims=True)) ** 2, axis=0)) for z in layers])
    moved = float("nan") if previous is None else float(np.linalg.norm(x - previous)) / size if size else 0.0
    row = {"step": 0, "epoch": 0.0, "time": 0.0, "lr_sum": 0.0} | known
    row |= {"fun": fun, "loss": loss, "log_loss": log_loss, "grad_norm": float(np.linalg.norm(grad))}
    row |= {"norm": size, "moved": moved}
    row |= {"accuracy": float(np.mean(data.predicted(Z) == data.y)), "spectra": tuple(spectra(net, params))}
    row |= {"tcv": within, "tcv_ratio": np.divide(within, total, out=np.full(len(within), np.nan), where=total > 0)}
    row["balance"] = np.array([np.linalg.norm(C) for C in balancedness(net, params)])
    return row | ({"x": np.array(x)} if keep else {})


def _log(value: float) -> float:
    return float(np.log(value)) if value > 0 else -np.inf


def spectra(net: Network, params: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Singular values of every W_l, descending."""
    return [np.linalg.svd(W, compute_uv=False) for W in net.weights(params)]


def balancedness(net: Network, params: Sequence[np.ndarray]) -> list[np.ndarray]:
    """[C_1, ..., C_{L-1}], C_l = W_{l+1}' W_{l+1} - W_l W_l' (d_l, d_l).

    Constant along gradient flow between linear layers, on its diagonal across a ReLU. Under steps h with decay lam,
    C <- (1 - h lam)^2 C + h^2 (G_{l+1}' G_{l+1} - G_l G_l'). Source: lj22, du18.
    """
    W = net.weights(params)
    return [B.T @ B - A @ A.T for A, B in itertools.pairwise(W)]
