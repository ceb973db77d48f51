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
