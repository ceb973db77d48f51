"""The named structures of a problem side by side, the best of a short search, and the winner."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ufm.certificates.certificate import Certificate, refused, sides
from ufm.certificates.global_bound import lower_bound
from ufm.certificates.models import uncovered
from ufm.landscapes.gather import STRUCTURE, Gathering, anything
from ufm.landscapes.row import FUN, GRAD, INDEX, NULLITY, RANK, STATUS, Row, name_column
from ufm.landscapes.sources.narrow import NARROW
from ufm.landscapes.sources.source import Settings, asked
from ufm.landscapes.sources.starts import SEARCH
from ufm.landscapes.table import Landscape, View
from ufm.numerics import arguments, balls, interruption
from ufm.numerics.hints import Rng
from ufm.numerics.records import picked
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.tables import Column
from ufm.numerics.words import named_arguments
from ufm.points import LogitPoint
from ufm.problem import Problem


@named_arguments
@own_numpy_state
def compare(
    problem: Problem,
    starts: int | None = None,
    rng: Rng = None,
    *,
    trace: int = 0,
    progress: bool | None = None,
    search_options: Mapping[str, Any] | None = None,
    prove: bool | None = None,
) -> Landscape:
    """Every structure that exists for a problem: value, rank, signature; the best of a short search; the winner.

    F is reported at exact rank; index and nullity are those of the Hessian in the full factor space. Structures that
    are one point (under MSE rotations of the logits are symmetries) share a row, under the first name;
    table["blocks(3,1)"] finds it by any.
    starts: random starts of the search (default 20 up to K = 30, 5 up to K = 60, none above; 0 switches it
    off), joined from K = 11 on, and in models narrower than K - 1, by twice as many at small widths and by one from
    every known code (`landscapes.sources.narrow`); `hits` counts the random starts of full width alone. With relu (K <=
    21) the default is a short search for low rank instead (`landscapes.sources.relu_search`), and structures that are
    not stationary (K <= 28) are followed by what descent from them finds. Sources of the user's own
    (`landscapes.sources.source`) join. rng: seed of the search. trace: record runs
    every that many steps, for plots.
    search_options: passed to `multistart` (method, space, ...). prove: prove the winner's orders (default: where the
    extra [certify] is installed; milliseconds each).

    >>> print(compare(Problem(K=6, n=2, d=8, L=2, lam=2e-3), starts=0, prove=False).verdict())
    pairs (rank 3) has the lowest value found, 0.068673013157, 0.00346 below the next; no point lies below ...

    Source: gk25 (the duel of DNC and a low-rank structure); sml24 (with relu).
    """
    arguments.instance("problem", problem, Problem)
    problem.needs_ridge("compare")
    began, seed = time.perf_counter(), seed_sequence(rng)
    starts = None if starts is None else arguments.count("starts", starts, 0)
    settings = Settings("compare", problem, seed, starts, progress, {"trace": trace, **(search_options or {})})
    reasons = settings.structures[1]
    found = Gathering(anything, extremes=True).collect(*asked(settings))
    ran = {"rng": seed_record(seed), "interrupted": found.interrupted, "runs": settings.runs}
    facts = {**ran, "left_out": reasons, "note": "\n".join(found.said)}
    table = _settled(Landscape(problem, _listed(found.rows()), DUEL, **facts), prove)
    return replace(table, seconds=time.perf_counter() - began)


def _settled(table: Landscape, prove: bool | None) -> Landscape:
    """With the lower bound and the winner's orders proved, unless Ctrl-C came first."""
    if table.interrupted:
        return table
    try:
        table = replace(table, lower_bound=lower_bound(table.problem))
        return replace(table, certificates=_prove(table)) if prove or (prove is None and balls.available()) else table
    except KeyboardInterrupt:
        interruption.pass_on()
        return replace(table, interrupted="before its proofs")


def _listed(rows: list[Row]) -> tuple[Row, ...]:
    """Without what was met at small widths only, or did not converge, and is not below all others."""
    others = [row.fun for row in rows if not _extra(row)]
    lowest = min(others, default=float("inf"))
    return tuple(row for row in rows if not _extra(row) or row.fun < lowest)


def _extra(row: Row) -> bool:
    return set(row.how) <= {NARROW} or (row.status == "not critical" and set(row.how) <= {SEARCH})


def _prove(table: Landscape) -> tuple[Certificate, ...]:
    """Orders of the winner against every other structure, and against the next distinct point if a search found it."""
    from ufm.certificates.orders import by_name, order

    best = table.best
    others = [row for i, row in enumerate(table.above) if STRUCTURE in row.how or i == 0]
    reason = uncovered(table.problem)
    if reason:
        return tuple(refused("order", f"{best.name} < {row.name}", reason, "order") for row in others[:1])
    if not isinstance(best.point, LogitPoint):
        return ()
    problem = table.problem
    named = {row.name for row in (best, *others) if STRUCTURE in row.how and by_name(row.name, problem)}
    side: dict[str, Any] = {row.name: row.name if row.name in named else row.point for row in (best, *others)}
    return tuple(order(side[best.name], side[row.name], problem) for row in others)


# how it is shown


def _columns(table: Landscape) -> list[Column]:
    hits = Column("hits", lambda row: row.hits or "", str, side="<")
    return [name_column("structure", 9), RANK, FUN, GRAD, INDEX, NULLITY, STATUS, hits]


def _foot(table: Landscape) -> list[str]:
    problem = table.problem
    lines = [f"not here: {reason}" for reason in dict.fromkeys(table.left_out.values())]
    lines += [f"{row.name} is also {', '.join(row.aliases)}" for row in table if row.aliases]
    lines += [f"not classified: {row.name}: {row.why}" for row in table if row.why and row.status == "unknown"]
    if not problem.linear and not problem.activation.smooth:
        what = "of the last hidden pre-activations W_{L-1} s(...). |grad|: the smallest over slopes at kinks"
        lines.append(f"rank: {what}; `stationary` means it vanishes.")
    if table.runs is not None:
        done = sum(run.success for run in table.runs)
        lines.append(f"search: {len(table.runs)} random starts, {done} converged; rng={table.rng}")
    lines += table.note.splitlines()
    lines += [f"not proved: {c.statement}: {c.why}" for c in table.certificates if not c.holds]
    lines += [f"interrupted {table.interrupted}: lower points may be missing"] if table.interrupted else []
    return [*lines, verdict(table)]


def verdict(table: Landscape) -> str:
    """One sentence: who wins, by how much, and what stands behind it."""
    best, margin, problem = table.best, table.margin, table.problem
    lead = f"{best.name} ({_rank(best)}) has the lowest value found, {best.fun:.12f}"
    if margin is not None:
        lead += f", {margin:.3g} below the next"
    if table.certified:
        lead += f" (proved: {best.name} < {_few(sides(c.statement)[1] for c in table.certificates)})"
    if table.is_global and not problem.linear:
        meets = "it meets the lower bound that holds for two classes (float64)"
        return f"{lead}; {meets}, so it is a global minimum up to rounding (sml23)."
    if table.is_global:
        meets = "it meets the lower bound in float64, so it is a global minimum up to rounding"
        return f"{lead}; {meets} (`ufm certify` proves it)."
    if table.lower_bound is not None:
        return f"{lead}; no point lies below {table.lower_bound:.12f} (float64 bound), so global optimality is open."
    return f"{lead}; global optimality is open."


def _shape(table: Landscape) -> dict:
    proofs = {"proved": [c.statement for c in table.certificates if c.holds]}
    proofs |= {"not_proved": [{"statement": c.statement, "why": c.why} for c in table.certificates if not c.holds]}
    bound = {"lower_bound": table.lower_bound}
    bound |= {"lower_bound_arithmetic": None if table.lower_bound is None else "float"}
    ran = {"missing": table.left_out, "starts": len(table.runs) if table.runs is not None else 0}
    won = {"winner": table.best.name, **picked(table, "margin certified")}
    return {**won, **proofs, **bound, "verdict": verdict(table), **ran}


def _few(names, most: int = 4) -> str:
    names = sorted(names, key=lambda name: name != "dnc")
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _rank(row: Row) -> str:
    return "rank unknown" if row.rank is None else f"rank {row.rank}"


DUEL = View("compare", "structures", _columns, _foot, _shape)
