"""Why a run ended, in one sentence."""

from __future__ import annotations

GRADIENT, CLARKE = "gradient norm", "Clarke residual"


def sentence(success: bool, message: str, grad_norm: float, tol: float, measure: str = GRADIENT) -> str:
    """The reason of a run's end with the numbers that judge it."""
    if success:
        return f"converged to {measure} {grad_norm:.1e} <= {tol:g}" if message == "converged" else message
    said = "" if message == "converged" else message + "; "
    return f"not converged: {said}{measure} {grad_norm:.2e} > {tol:g}"


def reason(message: str) -> str:
    """Why a run stopped, without the numbers that `sentence` adds."""
    return message.removeprefix("not converged: ").rsplit(f"; {GRADIENT}", 1)[0].rsplit(f"; {CLARKE}", 1)[0]
