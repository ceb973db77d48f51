"""Gradient flow dx/dt = -grad F(x) with scipy's integrators."""

from __future__ import annotations

import numpy as np

from ufm.objectives.factors import FactorObjective
from ufm.objectives.stationary import halts


def gradient_flow(
    objective: FactorObjective,
    x,
    tol: float,
    time: float = 1e4,
    integrator: str = "RK45",
    rtol: float = 1e-6,
    atol: float = 1e-9,
    watch=None,
):
    """(x, steps, evaluations, sentence) at the given time or where `stationary.halts`.

    F falls along the exact flow; `rtol`, `atol` bound the integrator's local error.
    """
    from scipy import integrate

    classes = {"RK45": integrate.RK45, "DOP853": integrate.DOP853, "BDF": integrate.BDF, "LSODA": integrate.LSODA}
    solver = classes[integrator](
        lambda t, x: -objective.grad(x), 0.0, np.array(x, dtype=float), time, rtol=rtol, atol=atol
    )
    steps = 0
    while True:
        fun, grad = objective.value_grad(solver.y)
        if watch is not None:
            watch(steps, fun, grad, solver.y)
        norm = np.linalg.norm(grad)
        if norm <= tol and halts(objective, solver.y, norm, tol):
            return solver.y, steps, solver.nfev + steps, "converged"
        if solver.status != "running":
            said = "reached its end time" if solver.status == "finished" else "the integrator failed"
            return solver.y, steps, solver.nfev + steps, f"{said} at t={solver.t:.6g}"
        solver.step()
        steps += 1
