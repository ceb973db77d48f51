"""What a solver returns. Failing to converge is a result with a status and a sentence, not an exception."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ufm.numerics.content import ByContent
from ufm.numerics.records import own
from ufm.numerics.seeds import child, seed_record, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem

GRADIENT, CLARKE = "gradient norm", "Clarke residual"
"""What a result's grad_norm is the norm of."""


class Status(enum.StrEnum):
    """Why a run ended. Programs read this; the sentence beside it is for people and decides nothing."""

    CONVERGED = "converged"
    EARLY = "stopped early"
    """At a tol that asks for less than a critical point does."""
    STOPPED = "stopped by the callback"
    INTERRUPTED = "interrupted"
    STEPS = "used its steps"
    TIME = "reached its end time"
    REACHED = "reached what it was to reach"
    """A mark of its own kind, not a small gradient."""
    STALLED = "stalled"
    """No lower point, or no smaller gradient, was found."""
    DIVERGED = "diverged"
    OVERFLOWED = "overflowed"
    DECLINED = "declined"
    """The method does not apply here."""
    FAILED = "failed"
    """Arithmetic or memory gave up."""
    UNFINISHED = "not finished"


@dataclass(frozen=True)
class Reason:
    """Why a run ended: a status, and the same in a sentence."""

    status: Status
    text: str = ""

    def __str__(self) -> str:
        return self.text or str(self.status)

    def sentence(self, success: bool, grad_norm: float, tol: float, asked: float, measure: str = GRADIENT) -> str:
        """The reason with the numbers that judge the end; asked: the gradient norm that success asks for."""
        itself = self.status in (Status.CONVERGED, Status.EARLY)
        if success:
            return f"converged to {measure} {grad_norm:.1e} <= {tol:g}" if itself else str(self)
        said = "" if itself else f"{self}; "
        if grad_norm <= tol:
            return (
                f"not converged: {said}{measure} {grad_norm:.2e} > {asked:.2e}, the share of the ridge's own that is"
                " small at this lam"
            )
        return f"not converged: {said}{measure} {grad_norm:.2e} > {tol:g}"


CONVERGED = Reason(Status.CONVERGED)


@dataclass(eq=False)
class Trace(ByContent):
    """Records along a run: iteration, value, gradient norm, and class-mean logits (T, K, K) where kept."""

    nit: list[int] = field(default_factory=list)
    fun: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)

    def record(self, nit: int, fun: float, grad_norm: float, logits: np.ndarray | None = None) -> None:
        self.nit.append(int(nit))
        self.fun.append(float(fun))
        self.grad_norm.append(float(grad_norm))
        if logits is not None:
            self.logits.append(np.array(logits))

    def copy(self) -> Trace:
        return Trace(list(self.nit), list(self.fun), list(self.grad_norm), list(self.logits))

    def __len__(self) -> int:
        return len(self.nit)

    def __repr__(self) -> str:
        return (
            f"Trace({len(self)} records)"
            if not self.nit
            else f"Trace({len(self)} records, steps {self.nit[0]}..{self.nit[-1]})"
        )


@dataclass(frozen=True, eq=False)
class Intermediate(ByContent):
    """What a callback sees: step, value, gradient norm and the flat vector x of `objective`."""

    nit: int
    fun: float
    grad_norm: float
    x: np.ndarray
    objective: object


@dataclass(frozen=True, eq=False)
class Result(ByContent):
    """End of a run: point, value, norm of the full gradient there, and what it took.

    With relu or leaky_relu, a run of L-BFGS that was finished on kinks has as grad_norm the Clarke residual of its
    point (`objectives.clarke`), and its message says so. success is True when grad_norm <= asked, the smaller of tol
    and 1e-6 times the norm of the ridge's own gradient (`objectives.stationary`). status says why the run ended,
    message the same in a sentence. `rng` replays the start; `settings` are those used. Settings and the trace's lists
    are copied.
    """

    point: FactorPoint | LogitPoint
    fun: float
    grad_norm: float
    success: bool
    message: str
    nit: int
    nfev: int
    method: str
    space: str
    rng: dict | None
    settings: dict
    trace: Trace | None
    seconds: float
    asked: float | None = None
    status: Status | None = None

    def __post_init__(self):
        if self.status is None:
            object.__setattr__(self, "status", Status.CONVERGED if self.success else Status.UNFINISHED)
        own(self, "rng", "settings")
        if self.trace is not None:
            object.__setattr__(self, "trace", self.trace.copy())

    @property
    def ok(self) -> bool:
        return self.success

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run; callers with more runs to do should stop too."""
        return self.status is Status.INTERRUPTED

    @property
    def problem(self) -> Problem:
        return self.point.problem

    def require(self) -> Result:
        """Self if converged; RuntimeError with the message if not."""
        if not self.success:
            raise RuntimeError(self.message)
        return self

    def logit_point(self) -> LogitPoint:
        """The end as a LogitPoint (linear models)."""
        return self.point if isinstance(self.point, LogitPoint) else self.point.to_logits(rel_tol=1e-9)

    def __repr__(self) -> str:
        rank = f", rank {self.point.rank}" if isinstance(self.point, LogitPoint) else ""
        return (
            f"Result: F = {self.fun:.12g}, |grad| = {self.grad_norm:.2e}{rank}; {self.message}\n  {self.method} in"
            f" {self.space} space, {self.nit} steps, {self.nfev} evaluations, {self.seconds:.3g} s; rng={self.rng}"
        )


@dataclass(frozen=True, eq=False)
class BatchResult(ByContent):
    """Ends of many starts as arrays over the starts asked for; `done` says which were finished.

    index: number of each start (its child of the seed); fun, grad_norm, rank (-1 where there is none, as for nonlinear
    models), nit, nfev, status (why it ended) and message (the same in a sentence), asked (the gradient norm that
    success asks for, `objectives.stationary`) and success (grad_norm <= asked). kinks: rows whose grad_norm is a Clarke
    residual. `batch[j]` is the Result of row j, `results()` those that are done.
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
    status: np.ndarray
    message: np.ndarray
    asked: np.ndarray
    kinks: np.ndarray
    method: str
    space: str
    settings: dict
    rng: dict
    device: str
    chunk: int
    seconds: float = 0.0
    kept: str = "points"
    traces: dict = field(default_factory=dict, repr=False)
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
        return class_logits(self._store["objective"], self._store["x"])

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

    def point(self, j: int) -> Any:
        """Where row j ended; None where the numbers overflowed."""
        if self.kept != "points":
            raise ValueError(f"points were not kept: run with keep='points'; got keep={self.kept!r}.")
        if self.status[j] is Status.UNFINISHED:
            raise ValueError(f"start {self.index[j]} was not finished, so it has no point.")
        if j in self._store.get("points", ()):
            return self._store["points"][j]
        if not np.isfinite(self._store["U" if "U" in self._store else "x"][j]).all():
            return None
        if "U" in self._store:
            r, b = self.rank[j], self._store["b"][j] if "b" in self._store else None
            U, s, right = (self._store[name][j] for name in ("U", "s", "Vt"))
            return LogitPoint(self.problem, U[:, :r], s[:r], right[:r].T, b)
        objective, x = self._store["objective"], self._store["x"][j]
        if self.problem.linear and objective.shapes[1:] != self.problem.shapes()[1:]:  # narrower than the problem
            return objective.to_logits(x, collapse=objective.collapsed or None, tol=1e-12)
        return objective.point(x)

    def __getitem__(self, j: int) -> Result:
        return self.row(j, seed_record(child(seed_sequence(self.rng), int(self.index[j]))))

    def row(self, j: int, rng: dict | None) -> Result:
        """The Result of row j, whose own seed is `rng`."""
        fun, grad_norm, asked = (float(a[j]) for a in (self.fun, self.grad_norm, self.asked))
        success = bool(self.success[j])
        reason = Reason(self.status[j], self.message[j])
        said = reason.sentence(success, grad_norm, self.settings["tol"], asked, CLARKE if self.kinks[j] else GRADIENT)
        counts = int(self.nit[j]), int(self.nfev[j])
        how = {"method": self.method, "space": self.space, "rng": rng, "settings": dict(self.settings)}
        how |= {"trace": self.traces.get(j), "seconds": self.seconds / max(1, int(self.done.sum()))}
        ended = {"asked": asked, "status": reason.status}
        return Result(self.point(j), fun, grad_norm, success, said, *counts, **how, **ended)

    def results(self) -> list[Result]:
        """The Results of finished starts, in order."""
        return [self[int(j)] for j in np.flatnonzero(self.done)]

    def reached(self) -> list[Result]:
        """The same and, after Ctrl-C, those of starts that were on their way, where they stood."""
        return [self[int(j)] for j in np.flatnonzero(self.done | (self.status == Status.INTERRUPTED))]

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results())

    def __repr__(self) -> str:
        best = f"; lowest F = {np.min(self.fun[self.success]):.12f}" if self.success.any() else ""
        return (
            f"BatchResult: {self.done.sum()} of {len(self)} starts, {self.success.sum()} converged{best}\n "
            f" {self.method} in {self.space} space on {self.device}, chunks of {self.chunk}, {self.seconds:.3g} s;"
            f" rng={self.rng}"
        )


def class_logits(objective: FactorObjective, X: np.ndarray) -> np.ndarray:
    """Mean logits of every class with the bias, (..., K, K), of flat vectors X (..., size) on the host."""
    problem, Z = objective.problem, objective.logits(X) * objective.fit.columns.scale
    Z = Z if objective.collapsed else Z @ (problem.samples.Y.T / problem.counts)
    b = objective.unpack(X)[1]
    return Z if b is None else Z + b[..., :, None]
