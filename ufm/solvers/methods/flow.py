"""Gradient flow dx/dt = -grad F(x)."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.solvers.methods.method import Method, one_of, setting


@dataclass(frozen=True)
class Flow(Method):
    """The flow to a given time with scipy's integrators; rtol and atol bound the local error."""

    name = "flow"
    title = "gradient flow"

    time: float = setting(1e4, arguments.positive, "end time")
    integrator: str = setting("RK45", one_of("RK45", "DOP853", "BDF", "LSODA"), "RK45, DOP853, BDF or LSODA")
    rtol: float = setting(1e-6, arguments.positive, "relative error per step")
    atol: float = setting(1e-9, arguments.positive, "absolute error per step")

    def run(self, chunk) -> None:
        import numpy as np

        from ufm.solvers.descent import gradient_flow

        label = np.zeros(1, dtype=int)
        for part in chunk.alone():

            def watch(nit, fun, grad, x, part=part):
                part.tick(label, nit, x[None])
                return part.watch is not None and part.watch(label, nit, [fun], [grad], x[None])[0]

            x, nit, nfev, reason = gradient_flow(part.objective.host, part.X[0], part.tol, **self.settings, watch=watch)
            part.ended(label, x[None], np.array([nit]), np.array([nfev]), reason)

    @property
    def every(self) -> int:
        return 10

    def said(self) -> str:
        return f"{self.title} to time {self.time:g}"
