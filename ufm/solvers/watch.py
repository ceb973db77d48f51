"""What looks on while a run goes down: the trace, the callback, the bar, and Ctrl-C."""

from __future__ import annotations

import numpy as np

from ufm.solvers.result import Intermediate


class Stopped(Exception):
    """A run ended early, by its callback or by Ctrl-C, at x."""

    def __init__(self, x, nit: int, why: str):
        super().__init__(why)
        self.x, self.nit = x, nit


class Watcher:
    """Feeds the trace and the callback, and turns their wish to stop, or Ctrl-C, into `Stopped`."""

    def __init__(self, objective, every, records, callback, bar):
        self.objective, self.every, self.records, self.callback, self.bar = objective, every, records, callback, bar
        self._x, self._nit = None, 0

    def stopped(self, stop, start) -> Stopped:
        """The early end as a `Stopped`; after Ctrl-C, at the last point seen."""
        if isinstance(stop, Stopped):
            return stop
        return Stopped(np.array(start if self._x is None else self._x), self._nit, "interrupted")

    def __call__(self, nit, fun, grad, x):
        self._x, self._nit = x, nit
        if nit % 100 == 0:
            self.bar.update(nit - self.bar.n)
        if self.every and nit % self.every == 0:
            self.records.record(nit, fun, np.linalg.norm(grad), self._class_logits(x))
        if self.callback is not None:
            try:
                self.callback(Intermediate(nit, float(fun), float(np.linalg.norm(grad)), np.array(x), self.objective))
            except StopIteration:
                raise Stopped(np.array(x), nit, "stopped by the callback") from None

    def stratum(self, nit, stratum):
        """The same for Newton's iterates on a stratum."""
        self._x, self._nit = self.objective.lift(stratum.point), nit
        if self.every and nit % self.every == 0:
            self.records.record(nit, stratum.fun, stratum.grad_norm, stratum.point.class_logits())
        if self.callback is not None:
            try:
                self.callback(Intermediate(nit, stratum.fun, stratum.grad_norm, None, stratum))
            except StopIteration:
                raise Stopped(self.objective.lift(stratum.point), nit, "stopped by the callback") from None

    def _class_logits(self, x, largest: int = 64):
        problem = self.objective.problem
        if problem.K > largest:
            return None
        Z, columns = self.objective.logits(x) * self.objective.fit.columns.scale, problem.samples
        Z = Z if self.objective.collapsed else Z @ (columns.Y.T / problem.counts)
        b = self.objective.unpack(x)[1]
        return Z if b is None else Z + b[:, None]
