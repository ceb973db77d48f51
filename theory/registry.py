"""The registry: every claim at the top of a module one folder down, of a file in use (`--from`, `ufm.use`), and of an
installed package (entry points of the group `ufm.claims`)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import theory
from theory.claim import Claim
from theory.references import carried, references
from ufm.numerics.families import Family, modules_in
from ufm.numerics.words import LISTED, nearest

APART = ("figures", "templates")
"""Folders that hold other things than claims."""


def family(package: ModuleType = theory) -> Family[Claim]:
    """The claims of a package, and those that files in use and installed packages add."""
    return Family("claims", lambda: _modules(package), lambda value: isinstance(value, Claim), lambda claim: claim.id)


CLAIMS = family()


def claims(selection: Iterable[str] = (), known: Family[Claim] = CLAIMS) -> list[Claim]:
    """All claims, or those selected by id (`gk25:thm1`), source folder (`gk25`) or pattern (`gk25:thm*`), sorted as a
    reader would.

    Raises ValueError for a selection that matches nothing, naming the nearest, and for an id that two claims have.
    """
    found = sorted(known.members().values(), key=_reading_order)
    ids = [claim.id for claim in found]
    selection = (selection,) if isinstance(selection, str) else tuple(selection)
    for wanted in selection:
        if not any(matches(claim, wanted) for claim in found):
            raise ValueError(f"no claim matches {wanted!r}; {_near(wanted, ids)}.")
    return [claim for claim in found if not selection or any(matches(claim, wanted) for wanted in selection)]


def registered(claim_id: str) -> Claim | None:
    """The claim of this id, or None."""
    return CLAIMS.members().get(claim_id)


def _near(wanted: str, ids: list[str]) -> str:
    """All ids where they are few; else the nearest three, of a source that exists among its own, and where all are
    shown."""
    if len(ids) <= LISTED:
        return f"there are {', '.join(ids)}"
    source, colon, _ = wanted.partition(":")
    known = (
        [i for i in ids if i.startswith(f"{source}:")]
        if colon
        else [*dict.fromkeys(i.partition(":")[0] for i in ids), *ids]
    )
    return (
        f"the nearest are {', '.join(nearest(wanted, known or ids, cutoff=0.0))}; `ufm verify --list` shows all"
        f" {len(ids)}"
    )


def matches(claim: Claim, wanted: str) -> bool:
    """Whether a selection means the claim."""
    return wanted in (claim.id, claim.id.split(":")[0]) or fnmatch.fnmatchcase(claim.id, wanted)


def paced(
    chosen: Iterable[Claim], selection: Iterable[str] = (), slow: bool = False
) -> tuple[list[Claim], list[Claim]]:
    """(to run, left out): claims of slow pace are run where all are asked for, and where named by their id."""
    chosen, named = list(chosen), set(selection)
    run = [claim for claim in chosen if claim.pace == "quick" or slow or claim.id in named]
    return run, [claim for claim in chosen if claim not in run]


def audit(found: Iterable[Claim], bibliography: dict | None = None) -> None:
    """ValueError for the first claim with a source that neither refs.bib nor its own `bib` has, an unknown id in `uses`
    or `corrected_by`, a circle of uses, a case outside its hypotheses or a control inside them. Runs no check.
    """
    found = list(found)
    bibliography = (references() if bibliography is None else bibliography) | carried(found)
    by_id = {claim.id: claim for claim in found}
    for claim in found:
        if claim.key not in bibliography:
            raise ValueError(f"{claim.id}: source {claim.key!r} is not in refs.bib, nor in the bib of the claim.")
        for name in (*claim.uses, *filter(None, [claim.corrected_by])):
            if name not in by_id:
                raise ValueError(f"{claim.id} refers to {name!r}, which is no claim.")
        claim.validate()
    layers({claim.id: claim.uses for claim in found})


def layers(uses: dict[str, Iterable[str]]) -> dict[str, int]:
    """id -> the length of the longest chain of uses below it; ids that are not keys are left out. ValueError naming a
    circle."""
    depth: dict[str, int] = {}

    def visit(name: str, path: tuple[str, ...]) -> int:
        if name in path:
            raise ValueError(f"claims use each other in a circle: {' -> '.join((*path[path.index(name) :], name))}.")
        if name not in depth:
            depth[name] = 1 + max((visit(used, (*path, name)) for used in uses[name] if used in uses), default=-1)
        return depth[name]

    for name in uses:
        visit(name, ())
    return depth


def _reading_order(claim: Claim):
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", claim.id)]


def _modules(package: ModuleType) -> list[str]:
    root = Path(str(package.__file__)).parent
    folders = sorted(p.name for p in root.iterdir() if (p / "__init__.py").exists() and p.name not in APART)
    return [name for folder in folders for name in modules_in(f"{package.__name__}.{folder}")]
