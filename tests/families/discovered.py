"""Whom the suites of this folder ask: every member of a family, and the skeleton that `ufm new` writes of its kind.

A suite is a file `test_suite_KIND.py`: what every member has promised, asked of each by name. A contribution of one
file is held to it by being discovered, and a new suite needs nothing but the family.
"""

from __future__ import annotations

from pathlib import Path

from ufm.numerics import families
from ufm.templates import TEMPLATES, new

NEW = "specimen"
"""The name of the skeletons."""


def members(kind: str) -> dict[str, object]:
    """Name -> member of a kind of contribution, skeletons included while they are in use."""
    return TEMPLATES.members()[kind].members()


def names(kind: str) -> list[str]:
    """The names of all members and of the skeleton, before any is in use."""
    template = TEMPLATES.members()[kind]
    return [*template.members(), template.called.format(name=NEW)]


def use_skeletons(folder: Path) -> None:
    """Write a skeleton of every kind and take it up."""
    for kind in TEMPLATES.members():
        families.use(new(kind, NEW, folder / kind))
