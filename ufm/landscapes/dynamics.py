"""What many starts were run with, in one sentence."""

from __future__ import annotations

from ufm.problem import Problem
from ufm.solvers import choices


def dynamics(problem: Problem, method: str, space: str, settings: dict) -> str:
    """One sentence: what was run, from which starts, and what its shares say nothing about."""
    objective = choices.objective_in(problem, space)
    width = max(shape[0] for shape in objective.shapes[:-1])
    scale = settings.get("scale")
    begin = f"Gaussian starts of scale {scale:g}" if scale is not None else "Gaussian starts of scale 1/sqrt(width)"
    ran = {"lbfgs": "L-BFGS", "gd": "gradient descent", "adam": "Adam"}[method]
    if method != "lbfgs":
        ran += f" (lr={settings['lr']:g}" + (f", momentum={settings['momentum']:g}" if settings.get("momentum") else "")
        ran += (f", batches of {settings['batch']}" if settings.get("batch") else "") + f", at most {settings['steps']} steps)"
    end = "; ends finished by Newton on the rank stratum" if problem.linear else ""
    if space == "factors":
        return f"{ran} at width {_widths(problem)} in all {objective.size} parameters, {begin}{end}"
    what = "class means" + (f" and width {width}" if problem.linear else "")
    return (
        f"{ran} on the exact reduction of minima to {what} ({objective.size} parameters), {begin}{end}"
        f" (says nothing of basins of gradient descent at width {_widths(problem)})"
    )


def _widths(problem: Problem) -> str:
    return str(problem.d) if isinstance(problem.d, int) else ",".join(map(str, problem.d))
