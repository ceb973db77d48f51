"""Ends of many starts: what `run_batch` returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ufm.numerics.arrays import namespace
from ufm.numerics.content import ByContent
from ufm.numerics.seeds import child, seed_record, seed_sequence
from ufm.objectives.rows import BatchObjective
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers import messages
from ufm.solvers.kinks import finished_on_kinks
from ufm.solvers.result import Result


@dataclass(frozen=True, eq=False)
class BatchResult(ByContent):
    """Ends of many starts as arrays over the starts asked for; `done` says which were finished.

    index: number of each start (its child of the seed); fun, grad_norm, rank (-1 where there is none, as for nonlinear
    models), nit, nfev, message, asked (the gradient norm that success asks for, `objectives.stationary`) and success
    (grad_norm <= asked). `batch[j]` is the Result of row j, `results()` those that are done.
    Points are kept as stored columns of logits (reduced space) or flat factors; keep="logits" keeps class logits
    (B, K, K) alone and keep="numbers" neither.
    """

    problem: Problem
    index: np.ndarray
    done: np.ndarray
    fun: np.ndarray
    grad_norm: np.ndarray
    rank: np.ndarray
    nit: np.ndarray
    nfev: np.ndarray
    message: np.ndarray
    asked: np.ndarray
    method: str
    space: str
    settings: dict
    rng: dict
    device: str
    chunk: int
    seconds: float = 0.0
    kept: str = "points"
    _store: dict = field(default_factory=dict, repr=False)

    @property
    def success(self) -> np.ndarray:
        return self.done & (self.grad_norm <= self.asked)

    def __len__(self) -> int:
        return len(self.index)

    def class_logits(self) -> np.ndarray:
        """Mean logits of every class with the bias, (B, K, K); NaN where a start was not finished."""
        if self.kept == "numbers":
            raise ValueError("class logits were not kept: run with keep='points' or keep='logits'; got keep='numbers'.")
        if self.kept == "logits":
            return self._store["class_logits"]
        if "U" in self._store:
            scaled = (self._store["U"] * self._store["s"][:, None, :]) @ self._store["Vt"] * self.problem.classes.scale
            return scaled if self.problem.bias is None else scaled + self._store["b"][:, :, None]
        return class_logits(BatchObjective(self._store["objective"], namespace()), self._store["x"])

    def biases(self) -> np.ndarray | None:
        """b of every start, (B, K); None for problems without a bias."""
        if self.problem.bias is None:
            return None
        if self.kept != "points":
            raise ValueError(f"biases were not kept: run with keep='points'; got keep={self.kept!r}.")
        return self._store["b"] if "U" in self._store else self._store["x"][:, -self.problem.K :]

    def logit_point(self, j: int) -> LogitPoint:
        """Where row j of a linear model ended, seen through its class means."""
        point = self.point(j)
        return point if isinstance(point, LogitPoint) else point.to_logits(rel_tol=1e-14, collapse=True)

    def point(self, j: int) -> LogitPoint | FactorPoint | None:
        """Where row j ended; None where the numbers overflowed."""
        if self.kept != "points":
            raise ValueError(f"points were not kept: run with keep='points'; got keep={self.kept!r}.")
        if not self.done[j]:
            raise ValueError(f"start {self.index[j]} was not finished, so it has no point.")
        if not np.isfinite(self._store["U" if "U" in self._store else "x"][j]).all():
            return None
        if "U" in self._store:
            r, b = self.rank[j], self._store["b"][j] if "b" in self._store else None
            U, s, right = (self._store[name][j] for name in ("U", "s", "Vt"))
            return LogitPoint(self.problem, U[:, :r], s[:r], right[:r].T, b)
        return self._store["objective"].point(self._store["x"][j])

    @property
    def _measure(self) -> str:
        on_kinks = self.method == "lbfgs" and finished_on_kinks(self.problem, self.settings["max_steps"])
        return messages.CLARKE if on_kinks else messages.GRADIENT

    def __getitem__(self, j: int) -> Result:
        success = bool(self.success[j])
        said = messages.sentence(
            success, str(self.message[j]), self.grad_norm[j], self.settings["tol"], self.asked[j], self._measure
        )
        record = seed_record(child(seed_sequence(self.rng), int(self.index[j])))
        numbers = float(self.fun[j]), float(self.grad_norm[j]), success, said, int(self.nit[j]), int(self.nfev[j])
        how = (
            self.method,
            self.space,
            record,
            dict(self.settings),
            None,
            self.seconds / max(1, int(self.done.sum())),
            float(self.asked[j]),
        )
        return Result(self.point(j), *numbers, *how)

    def results(self) -> list[Result]:
        """The Results of finished starts, in order."""
        return [self[j] for j in np.flatnonzero(self.done)]

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results())

    def __repr__(self) -> str:
        best = f"; lowest F = {np.min(self.fun[self.success]):.12f}" if self.success.any() else ""
        return (
            f"BatchResult: {self.done.sum()} of {len(self)} starts, {self.success.sum()} converged{best}\n "
            f" {self.method} in {self.space} space on {self.device}, chunks of {self.chunk}, {self.seconds:.3g} s;"
            f" rng={self.rng}"
        )


def class_logits(objective: BatchObjective, x) -> np.ndarray:
    """Mean logits of every class with the bias, (B, K, K)."""
    problem, columns = objective.problem, objective.single.fit.columns
    Z, b = objective.logits(x) * columns.scale, objective.unpack(x)[1]
    Z = Z if objective.single.collapsed else Z @ (problem.samples.Y.T / problem.counts)
    return Z if b is None else Z + b[:, :, None]
