"""The registry: every module one folder down that defines `CLAIM` or `CLAIMS`, found by walking the folders."""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
import re
from collections.abc import Iterable
from pathlib import Path

import theory
from theory.claim import Claim
from theory.references import references
from ufm.numerics.words import LISTED, nearest


def claims(selection: Iterable[str] = (), package=theory) -> list[Claim]:
    """All claims, or those selected by id (`gk25:thm1`), source folder (`gk25`) or pattern (`gk25:thm*`), sorted as a
    reader would.

    Raises ValueError for a selection that matches nothing, naming the nearest, and for an id that two claims have.
    """
    found = sorted((claim for name in _modules(package) for claim in _defined(name)), key=_reading_order)
    ids = [claim.id for claim in found]
    for claim_id in ids:
        if ids.count(claim_id) > 1:
            raise ValueError(f"the id {claim_id!r} belongs to {ids.count(claim_id)} claims; ids must be unique.")
    selection = tuple(selection)
    for wanted in selection:
        if not any(matches(claim, wanted) for claim in found):
            raise ValueError(f"no claim matches {wanted!r}; {_near(wanted, ids)}.")
    return [claim for claim in found if not selection or any(matches(claim, wanted) for wanted in selection)]


def registered(claim_id: str) -> Claim | None:
    """The claim of this id, or None."""
    return next((claim for claim in claims() if claim.id == claim_id), None)


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


def audit(found: Iterable[Claim], bibliography: dict | None = None) -> None:
    """ValueError for the first claim with a source that refs.bib lacks, an unknown id in `uses` or `corrected_by`, a
    circle of uses, a case outside its hypotheses or a control inside them. Runs no check.
    """
    found = list(found)
    bibliography = references() if bibliography is None else bibliography
    by_id = {claim.id: claim for claim in found}
    for claim in found:
        if claim.key not in bibliography:
            raise ValueError(f"{claim.id}: source {claim.key!r} is not in refs.bib.")
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


def _defined(module_name: str) -> tuple[Claim, ...]:
    module = importlib.import_module(module_name)
    found = tuple(getattr(module, "CLAIMS", ())) + ((module.CLAIM,) if hasattr(module, "CLAIM") else ())
    for claim in found:
        if not isinstance(claim, Claim):
            raise ValueError(
                f"{module_name}: CLAIM must be a Claim, CLAIMS a tuple of them; got {type(claim).__name__}."
            )
    return found


def _modules(package) -> list[str]:
    root = Path(package.__file__).parent
    folders = sorted(p for p in root.iterdir() if (p / "__init__.py").exists() and p.name != "figures")
    return [
        f"{package.__name__}.{folder.name}.{module.name}"
        for folder in folders
        for module in pkgutil.iter_modules([str(folder)])
    ]
