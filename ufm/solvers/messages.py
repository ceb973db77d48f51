"""Why a run ended, in one sentence."""

from __future__ import annotations

GRADIENT, CLARKE = "gradient norm", "Clarke residual"


def sentence(success: bool, message: str, grad_norm: float, tol: float, asked: float, measure: str = GRADIENT) -> str:
    """The reason of a run's end with the numbers that judge it; asked: the gradient norm that success asks for, at most
    tol."""
    if success:
        return f"converged to {measure} {grad_norm:.1e} <= {tol:g}" if message == "converged" else message
    said = "" if message == "converged" else message + "; "
    if grad_norm <= tol:
        return (
            f"not converged: {said}{measure} {grad_norm:.2e} > {asked:.2e}, the share of the ridge's own that is small"
            " at this lam"
        )
    return f"not converged: {said}{measure} {grad_norm:.2e} > {tol:g}"


def reason(message: str) -> str:
    """Why a run stopped, without the numbers that `sentence` adds."""
    return message.removeprefix("not converged: ").rsplit(f"; {GRADIENT}", 1)[0].rsplit(f"; {CLARKE}", 1)[0]
