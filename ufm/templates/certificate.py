"""A kind of certificate, with its checker: min F <= F(0) = log K under cross-entropy.

`make` finds the numbers that prove the statement, `check` computes it again from them alone, in balls. Replace both;
`ufm.certificates.kind` says what else a kind may state.
"""

from __future__ import annotations

from ufm.certificates.certificate import Certificate, certify_data
from ufm.certificates.check import Checked, Checker, Rejected
from ufm.certificates.check.model import Model
from ufm.certificates.kind import Kind
from ufm.certificates.models import model
from ufm.numerics import balls
from ufm.problem import Problem

WORD = "example"


def make(problem: Problem, lam=None) -> Certificate:
    """The certificate of a problem; lam: exact texts, None for the problem's own numbers."""
    upper = balls.above(balls.ball(problem.K).log(), 8)
    return certify_data(WORD, {"problem": model(problem, lam).to_dict(), "upper": upper}, WORD, "min F <= a number")


def applies(problem: Problem) -> str:
    """Why nothing of this kind can be proved of a problem, or ""."""
    fits = problem.linear and problem.loss.cross_entropy
    return "" if fits else "the value at zero is log K for linear layers and cross-entropy."


def check(data: dict) -> Checked:
    """The statement that the data prove, from them alone; Rejected where they do not."""
    problem = Model.of(data)
    if problem.loss != "ce":
        raise Rejected(f"the value at zero is log K under cross-entropy; the problem has loss {problem.loss!r}.")
    gap = balls.ball(data["upper"]) - balls.ball(problem.K).log()
    if not gap >= 0:
        raise Rejected(f"F(0) is not shown to be at most {data['upper']}.")
    return Checked(WORD, f"min F <= {data['upper']}", balls.to_float(gap), "ball")


CHECKER = Checker(WORD, check, states_problem=True)
EXAMPLE = Kind(WORD, says="min F <= F(0)", hope="min F <= a number", make=make, applies=applies)
