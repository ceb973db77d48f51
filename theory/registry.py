"""The registry: every module one folder down that defines `CLAIM`, found by walking the folders."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import theory
from theory.claim import Claim


def claims(selection=()) -> list[Claim]:
    """All claims, or those whose id is selected or starts with a selected source key (`gk25`, `gk25:thm1`).

    Raises ValueError for a selection that matches nothing, listing what there is.
    """
    found = [importlib.import_module(name).CLAIM for name in _modules()]
    for wanted in selection:
        if not any(_matches(claim, wanted) for claim in found):
            raise ValueError(f"no claim matches {wanted!r}; there are {', '.join(claim.id for claim in found)}.")
    return [claim for claim in found if not selection or any(_matches(claim, wanted) for wanted in selection)]


def _matches(claim: Claim, wanted: str) -> bool:
    return claim.id == wanted or claim.id.split(":")[0] == wanted


def _modules() -> list[str]:
    root = Path(theory.__file__).parent
    folders = sorted(p for p in root.iterdir() if (p / "__init__.py").exists() and p.name != "figures")
    return [f"theory.{folder.name}.{module.name}" for folder in folders for module in pkgutil.iter_modules([str(folder)])]
