"""Three classes: dnc (or zero) is a global minimum, for one problem or for a whole range of C."""

from __future__ import annotations

import time
from typing import Any

from ufm.certificates.certificate import Certificate, conclude, refused
from ufm.certificates.check import Checked, Rejected
from ufm.certificates.check import three_classes as checker
from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import DoesNotExist, Undecided
from ufm.certificates.check.scales import enclose
from ufm.certificates.models import model as exact_model
from ufm.certificates.models import unknown_loss
from ufm.numerics import arguments, balls
from ufm.numerics.bars import progress_bar
from ufm.numerics.hints import Exact
from ufm.problem import Problem

LIMIT = 2_000_000
RANGE_LIMIT = 20_000_000


def three_classes(problem: Problem, lam: Exact = None, limit: int = LIMIT, progress: bool | None = None) -> Certificate:
    """min F is attained at dnc, or at zero: K = 3, cross-entropy, linear layers, L >= 2, equal counts, no bias.

    Branch and bound over the six margins with outward rounding (`check.three_classes`); any n and widths, one lam or
    L+1. Where `blocks(2,1)`, of rank 1, is proved to cost less than both, the certificate does not hold and says so.

    lam: exact text(s) where the float cannot say what is meant. limit: boxes after which the question is left
    undecided.
    progress: a bar of boxes; None shows it on a terminal after two seconds. Raises ValueError for a lam that is not the
    problem's, limit < 1, and models that are not linear.

    >>> three_classes(Problem(K=3, n=2, L=2, lam=0.001))
    proved: dnc is a global minimum (global, interval)
    """
    arguments.instance("problem", problem, Problem)
    limit = arguments.integer("limit", limit, 1)
    reason = unknown_loss(problem)
    if reason:
        return refused("global", "dnc or zero is a global minimum", reason, checker.METHOD)
    exact = exact_model(problem, lam)
    claim, why = "dnc", ""
    try:
        checker.refuse(exact)
        claim, why = candidate(exact)
    except Rejected as reason:
        why = str(reason)
    data = {"claim": claim, "problem": exact.to_dict(), "limit": limit}
    return refused("global", checker.statement(data), why, checker.METHOD) if why else _proved(data, progress)


def candidate(model: Model) -> tuple[str, str]:
    """(the lower of dnc and zero, why it is no global minimum: the losses, where `blocks(2,1)` is proved to cost less;
    else empty)."""
    losses: dict[str, Any] = {"zero": enclose(model, "zero").loss}
    for name in ("dnc", "blocks(2,1)"):
        try:
            losses[name] = enclose(model, name).loss
        except DoesNotExist:
            continue
    rank_one = losses.pop("blocks(2,1)", None)
    best = min(losses, key=lambda name: balls.to_float(losses[name]))
    if rank_one is None or not rank_one < losses[best]:
        return best, ""
    return (
        best,
        (
            f"blocks(2,1), of rank 1, costs less: F = {balls.above(rank_one)} at most, and {best} costs at least"
            f" {balls.below(losses[best])}."
        ),
    )


def three_classes_interval(
    L: int, C_low, C_high, limit: int = RANGE_LIMIT, progress: bool | None = None
) -> Certificate:
    """dnc is a global minimum for every C = (D/2) Lam n^(1/D) in [C_low, C_high]: K = 3, cross-entropy, every n and all
    widths >= 2.

    C_low, C_high: exact texts or numbers; at n = 1 and one lam, lam = 2 C / (L+1). The range is cut into pieces, each
    one branch and bound that compares F with a tangent of F(dnc) in C. limit: boxes of all attempts together.
    Raises ValueError for L < 2 and unless 0 < C_low < C_high.

    >>> three_classes_interval(3, 0.001, 0.0011)
    proved: dnc is a global minimum for K=3, L=3, d >= 2, equal counts n and every C = (D/2) Lam n^(1/D) in [0.001,
        0.0011] (global, interval)
    """
    L = arguments.integer("L", L, 2, "At L=1 the problem is convex.")
    limit = arguments.integer("limit", limit, 1)
    low, high = balls.text(C_low), balls.text(C_high)
    if not 0 < balls.arithmetic.number(low) < balls.arithmetic.number(high):
        raise ValueError(f"C_low and C_high must be numbers with 0 < C_low < C_high; got C_low={low}, C_high={high}.")
    hope, began = checker.statement({"claim": "dnc", "L": L, "cuts": [low, high]}), time.perf_counter()
    try:
        with _bar(progress) as bar:
            cuts, boxes = _cuts(L, low, high, limit, bar.update)
    except Rejected as reason:
        return refused("global", hope, str(reason), checker.METHOD)
    data = {"claim": "dnc", "L": L, "cuts": cuts, "limit": boxes, "boxes": boxes}
    return conclude(
        Checked("global", hope, None, "interval"), True, checker.METHOD, data, time.perf_counter() - began, ""
    )


def _cuts(L: int, low: str, high: str, limit: int, report) -> tuple[list[str], int]:
    """Pieces that each need at most about twice the boxes of a single C, from the top down, and the boxes of those that
    succeeded."""
    least, right, step = balls.arithmetic.number(low), high, 1.2
    usual = checker.search(checker.dnc_case(L, high), limit, report)
    cuts, proved, spent = [high], 0, usual
    while right != low:
        value = balls.arithmetic.number(right) / step
        left = low if value <= least else f"{value:.9g}"
        allowed = 2 * usual + 10_000
        if spent >= limit or step < 1 + 1e-8:
            raise Undecided(f"undecided after {spent} boxes; proved for C from {right} to {high}, and no further")
        try:
            boxes = checker.search(checker.dnc_case(L, left, right), min(allowed, limit - spent), report)
        except Undecided:
            spent, step = spent + allowed, step**0.5
            continue
        usual, proved, spent = max(usual // 2, boxes // 2), proved + boxes, spent + boxes
        cuts, right, step = [left, *cuts], left, step**1.5
    return cuts, proved


def _proved(data: dict, progress: bool | None) -> Certificate:
    """Search once, and seal what was found."""
    began, why, boxes = time.perf_counter(), "", 0
    try:
        with _bar(progress) as bar:
            boxes = checker.count(data, bar.update)
    except Rejected as reason:
        why = str(reason)
    found = Checked("global", checker.statement(data), None, "interval")
    return conclude(found, not why, checker.METHOD, {**data, "boxes": boxes}, time.perf_counter() - began, why)


def _bar(progress: bool | None):
    return progress_bar(desc="boxes", unit="", progress=progress)
