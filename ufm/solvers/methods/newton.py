"""Newton's method: the critical point nearest the start, of any index."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.solvers.methods.method import Method, setting, whole


@dataclass(frozen=True)
class Newton(Method):
    """Newton on the rank stratum (linear models) or in factors, with the zero modes of the Hessian projected out."""

    name = "newton"
    title = "Newton's method"
    space = "reduced"
    finished = True

    max_steps: int = setting(50, whole, "most steps")

    def check(self, problem, space: str) -> None:
        problem.needs_ridge("method newton")

    def run(self, chunk) -> None:
        for part in chunk.alone():
            (self._on_stratum if part.problem.linear else self._in_factors)(part)

    def _on_stratum(self, chunk) -> None:
        from dataclasses import replace

        from ufm.points import LogitPoint
        from ufm.solvers.newton import newton_on_stratum

        objective, given = chunk.objective.host, chunk.job.given
        if isinstance(given, LogitPoint):
            point = replace(given, problem=chunk.problem)
        else:
            point = objective.to_logits(chunk.X[0], collapse=objective.collapsed or None, tol=1e-12)

        def watch(nit, here):
            return chunk.watch_stratum(0, nit, here)

        end, nit, reason = newton_on_stratum(point, chunk.tol, self.max_steps, watch)
        chunk.ended_at(0, end, nit, nit, reason)

    def _in_factors(self, chunk) -> None:
        import numpy as np

        from ufm.solvers.newton import newton_on_factors

        label = np.zeros(1, dtype=int)

        def watch(nit, fun, grad, x):
            chunk.tick(label, nit, x[None])
            return chunk.watch is not None and chunk.watch(label, nit, [fun], [grad], x[None])[0]

        x, nit, reason = newton_on_factors(chunk.objective.host, chunk.X[0], chunk.tol, self.max_steps, watch=watch)
        chunk.ended(label, x[None], np.array([nit]), np.array([nit]), reason)
