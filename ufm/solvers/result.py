"""What a solver returns. Failing to converge is a result with a sentence, not an exception."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ufm.numerics.content import ByContent
from ufm.numerics.records import own
from ufm.points import FactorPoint, LogitPoint


@dataclass(eq=False)
class Trace(ByContent):
    """Records along a run: iteration, value, gradient norm, and class-mean logits (T, K, K) where kept."""

    nit: list[int] = field(default_factory=list)
    fun: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)

    def record(self, nit: int, fun: float, grad_norm: float, logits=None) -> None:
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
    and 1e-6 times the norm of the ridge's own gradient (`objectives.stationary`). `rng` replays the start; `settings`
    are those used. Settings and the trace's lists are copied.
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

    def __post_init__(self):
        own(self, "rng", "settings")
        if self.trace is not None:
            object.__setattr__(self, "trace", self.trace.copy())

    @property
    def ok(self) -> bool:
        return self.success

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run; callers with more runs to do should stop too."""
        return self.message.startswith("not converged: interrupted")

    @property
    def problem(self):
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
