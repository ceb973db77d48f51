"""What theory adds to `ufm` in Python: `ufm.claims`, `ufm.verify`, `ufm.figure`, `ufm.cite`, found through the entry
points of the group `ufm.verbs`. The command line calls the same functions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory import registry
from theory.claim import Claim
from ufm.numerics import families, tables
from ufm.numerics.words import named_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from theory.runs import Run

Selection = str | Claim | Iterable[str | Claim]
_COLUMNS = (
    tables.Column("claim", "id", side="<"),
    tables.Column("source", "source", side="<"),
    tables.Column("pace", "pace", side="<"),
    tables.Column("title", "title", side="<"),
)


class Claims(tuple[Claim, ...]):
    """Claims as a reader would sort them, printed as a table."""

    def __repr__(self) -> str:
        return "\n".join([*tables.text_lines(self, _COLUMNS), "", f"{len(self)} claim{'s' * (len(self) != 1)}"])

    def _repr_html_(self) -> str:
        return tables.html_table(self, _COLUMNS)


@named_arguments
def claims(selection: Selection = ()) -> Claims:
    """The claims, or those selected by id (`gk25:thm1`), source key (`gk25`), pattern (`gk25:thm*`) or themselves.

    >>> claims("gk25:thm4i")
    claim       source               pace   title
    --------------------------------------------------...
    gk25:thm4i  gk25, Theorem 4 (i)  quick  For small lam collapsed points of scale a ~ -log lam are critical
    <BLANKLINE>
    1 claim

    Raises ValueError for a selection that matches nothing, naming the nearest.
    """
    asked = [selection] if isinstance(selection, (str, Claim)) else list(selection)
    for one in asked:
        if not isinstance(one, (str, Claim)):
            raise ValueError(f"selection must be ids, source keys, patterns or claims; got {one!r}.")
    known = registry.claims([one for one in asked if isinstance(one, str)]) if _words(asked) or not asked else []
    own = [one for one in asked if isinstance(one, Claim) and one not in known]
    return Claims([*known, *own])


def verify(
    selection: Selection = (),
    *,
    slow: bool = False,
    jobs: int | None = None,
    progress: bool | None = None,
    resume: str | Path | None = None,
    **grids: Any,
) -> Run:
    """Every case and control of the claims, as `ufm verify` runs them; the verdicts, printed as a table.

    selection: as `claims` takes it; claims of slow pace are left out unless named by their id, or with `slow`. jobs,
    progress, resume: as in `theory.runs.verify`. grids: values of parameters in place of those of the cases,
    `K=range(4, 41)` or `K="4:40"`; every claim must have the parameter.

    >>> verify("gk25:thm1", jobs=1, K="4:6", L=[3, 4])["gk25:thm1"].verdict
    'supported'

    Raises ValueError, before any check, for what cannot be selected or run.
    """
    from dataclasses import replace

    from theory import runs

    asked = [selection] if isinstance(selection, (str, Claim)) else list(selection)
    named = [one.id if isinstance(one, Claim) else one for one in asked]
    chosen, left_out = registry.paced(claims(asked), named, slow)
    if not chosen:
        raise ValueError(f"selection: all {len(left_out)} claims chosen are slow; add slow=True.")
    return replace(runs.verify(chosen, grids, jobs, resume, progress), left_out=tuple(left_out))


@named_arguments
def figure(
    id: str,
    out: str | Path | None = None,
    *,
    fast: bool = False,
    rng: int = 0,
    csv: bool = False,
    jobs: int | None = None,
    cache: str | Path | None = None,
    fresh: bool = False,
    progress: bool | None = None,
) -> Figure:
    """A figure of a paper, as `ufm figure` draws it: the matplotlib Figure, which a notebook shows.

    out: also written there (pdf, png or svg), with a JSON record of settings and numbers beside it, and with csv the
    plotted numbers. fast: a small version in seconds. cache: folder of finished parts (default: the user's cache);
    fresh: compute everything anew and keep nothing. Raises ValueError for an unknown figure, naming the nearest, and
    for a file that cannot be written, before any work.
    """
    from theory.figures import figure as figures

    known = figures.figures()
    chosen = known[families.choice("figure", id, known)]
    if out is not None:
        figures.refuse_others_files(out, csv)
    elif csv:
        raise ValueError("csv writes the plotted numbers beside the picture; say where with out.")
    data = chosen.compute(fast, rng, None if fresh else cache or figures.default_cache(), progress, jobs)
    return chosen.picture(data) if out is None else chosen.keep(out, data, fast, rng, csv)[0]


@named_arguments
def cite(thing: Any = None) -> str:
    """BibTeX of what was used: a source key, the name of a claim, figure, structure, method or loss, one of these
    itself, a verdict, what a verb returned (the package, and the sources of its loss, method and structure), or a
    collection of such things. Sources are those that claims and figures state and docstrings name.

    >>> cite("petersen").count("@"), cite(["gk25:thm1", "gk25"]).count("@")
    (2, 1)

    Raises ValueError for a word that names nothing, with the nearest.
    """
    from theory import citing

    return "\n\n".join(citing.entries([thing]).values())


def _words(asked: list) -> bool:
    return any(isinstance(one, str) for one in asked)
