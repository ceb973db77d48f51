"""The lowest value found at each rank: how much a problem gains by every further dimension.

The rank meant is that of the logits for a linear model. With ReLU it is that of M_L = W_{L-1} s(...), the class means
of the last hidden pre-activations (for L = 2 of s(M_2), M_2 being undetermined at DNC): the output has rank K at DNC
and at many low-rank points alike and says nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from ufm.critical.same import SAME, free_name
from ufm.landscapes.gather import STRUCTURE, Gathering, is_critical
from ufm.landscapes.row import FUN, RANK, STATUS, Row, name_column, named
from ufm.landscapes.sources.ranks import AT_RANK, KNOWN_CODE
from ufm.landscapes.sources.relu_search import Searched, ratio_column, reference
from ufm.landscapes.sources.source import Settings, asked
from ufm.landscapes.table import Landscape, View
from ufm.numerics import arguments
from ufm.numerics.hints import Rng
from ufm.numerics.renamed import renamed_to
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.tables import Column
from ufm.numerics.words import named_arguments
from ufm.problem import Problem


@named_arguments
@own_numpy_state
def profile(
    problem: Problem,
    starts: int | None = None,
    rng: Rng = None,
    *,
    ranks: Iterable[int] | None = None,
    progress: bool | None = None,
) -> Landscape:
    """The lowest critical point found at each rank, ascending in rank; table[r] is that of rank r.

    Linear models, r = 0, ..., max_rank. Candidates: the named structures, the ends of descents from known codes, and
    for each r >= 1 end points of exact rank r of `starts` descents (default 10) of the problem with all widths r, r + 1
    and r + 2 in turn (at width r alone descents often end too low in rank), polished by Newton on the stratum. End
    points of another rank count there. Every point is classified in the full problem (width d).

    ReLU without bias, L >= 2, r in `ranks` (default 2, ..., K - 1): stationary structures, and the ends of `starts`
    descents (default 12) of the problem with d_1, ..., d_{L-1} at most r (`low_rank_search`), which count at the rank
    they have.

    starts: descents per rank, 0 for structures alone; rng: their seed. Sources of the user's own
    (`landscapes.sources.source`) join. Ctrl-C keeps what was found.

    >>> print(*(f"{row.rank}: {row.name}" for row in profile(Problem(K=4, L=2, lam=0.02), starts=0)), sep=", ")
    0: zero, 1: blocks(2,1,1), 2: pairs, 3: dnc

    Raises ValueError for other nonlinear models and bad arguments.
    """
    arguments.instance("problem", problem, Problem)
    problem.needs_ridge("profile")
    rectifies = problem.activation.rectifies and problem.bias is None and problem.L >= 2
    if not problem.linear and not rectifies:
        said = f"activation={problem.activation.name!r}, bias={problem.bias}, L={problem.L}"
        raise ValueError(f"profile needs a linear model, or relu without bias and L >= 2; got {said}.")
    starts = (10 if problem.linear else 12) if starts is None else arguments.count("starts", starts, 0)
    first = range(1, problem.max_rank + 1) if problem.linear else range(2, problem.K)
    ranks = list(first) if ranks is None else [arguments.integer("rank", r, 1) for r in ranks]
    began, seed = time.perf_counter(), seed_sequence(rng)
    settings = Settings("profile", problem, seed, starts, progress, {"ranks": ranks})
    found = Gathering(is_critical).collect(*asked(settings))
    rows = tuple(_in_words(row, starts) for row in _lowest(found.rows()))
    missing = set(range(problem.max_rank + 1)) - {row.rank for row in rows} if problem.linear else ()
    runs = Searched(starts, None if problem.linear else reference(problem), tuple(sorted(missing)))
    seconds = time.perf_counter() - began
    return Landscape(
        problem, rows, PROFILE, rng=seed_record(seed), seconds=seconds, interrupted=found.interrupted, runs=runs
    )


@renamed_to("profile")
@named_arguments
def relu_profile(
    problem: Problem,
    starts: int = 12,
    rng: Rng = None,
    ranks: Iterable[int] | None = None,
    *,
    progress: bool | None = None,
) -> Landscape:
    """`profile`, under the name it had for relu; goes with the next release."""
    return profile(problem, starts, rng, ranks=ranks, progress=progress)


def _lowest(rows: list[Row]) -> list[Row]:
    """The lowest of each rank, ascending in rank, a structure first among equals."""
    found: dict[int, Row] = {}
    for row in sorted(rows, key=lambda row: (STRUCTURE not in row.how, row.fun)):
        if row.status in ("not critical", "unknown"):
            continue
        if row.rank not in found or row.fun < found[row.rank].fun - SAME * (1 + abs(row.fun)):
            found[row.rank] = row
    names: list[str] = []
    for rank in sorted(found):  # of points that share a name only those listed are numbered
        names.append(free_name(found[rank].name.split("#")[0], set(names)))
    ranked = zip(sorted(found), names, strict=True)
    return [replace(found[rank], critical=named(found[rank].critical, name)) for rank, name in ranked]


def _in_words(row: Row, starts: int) -> Row:
    """How it was met, with the share of the starts that were made for its rank."""
    if not row.problem.linear:
        return row
    hits = row.how.get(f"{AT_RANK}{row.rank}", 0)
    how = {STRUCTURE: 1} if STRUCTURE in row.how else {}
    if hits or (how and starts and row.rank):
        how[f"search, {hits} of {starts} starts"] = hits
    how |= {word: times for word, times in row.how.items() if not word.startswith((STRUCTURE, KNOWN_CODE, AT_RANK))}
    if not how:
        how = {KNOWN_CODE: 1} if set(row.how) == {KNOWN_CODE} else {"search at another width": 1}
    return replace(row, hits=hits, how=how)


# how it is shown


def _columns(table: Landscape) -> list[Column]:
    ratio = [] if table.reference is None else [ratio_column(table.reference)]
    best = table.best
    how = Column("how", lambda row: row.said + ("  <- lowest found" if row is best else ""), side="<")
    return [RANK, replace(FUN, head="lowest F found"), *ratio, name_column("structure", 9), STATUS, how]


def _foot(table: Landscape) -> list[str]:
    lines = [f"no critical point found at rank {', '.join(map(str, table.missing))}"] if table.missing else []
    if not table.problem.linear:
        lines.append("rank: of the last hidden pre-activations; other ranks: no stationary point found")
    return lines + ([f"interrupted {table.interrupted}"] if table.interrupted else [])


def _shape(table: Landscape) -> dict:
    best = {"missing": list(table.missing), "best": table.best.rank}
    return best | {"reference": table.reference, "starts": table.starts}


PROFILE = View("profile", "entries", _columns, _foot, _shape, by="rank")
