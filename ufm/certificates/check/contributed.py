"""Losses and structures from outside, for proofs: whatever a file in use or an installed package says in balls.

A loss is a class with a `keyword` and a method `enclosure(z, y)`, a structure a value with a `name` and an
`enclosure(model)` (`ufm.losses.loss`, `ufm.structures.structure`). They are found through the families' own rules, by
what they have; a proof that uses one rests on its file, and says so.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ufm.certificates.check.rejected import Rejected
from ufm.numerics.families import Family, modules_in

LOSSES = Family(
    "losses",
    lambda: modules_in("ufm.losses"),
    lambda value: isinstance(value, type) and isinstance(vars(value).get("keyword"), str),
    attrgetter("keyword"),
)
STRUCTURES = Family(
    "structures",
    lambda: modules_in("ufm.structures"),
    lambda value: not isinstance(value, type) and {"name", "enclosure", "make"} <= set(dir(value)),
    attrgetter("name"),
)
_LOSS = re.compile(r"(\w+)(?:\(([^()]*)\))?")


def loss(name: str) -> Any:
    """The contributed loss that a name says, with the numbers in its brackets. Raises Rejected where there is none."""
    match = _LOSS.fullmatch(name)
    made: Any = LOSSES.members().get(match[1]) if match else None
    if match is None or made is None:
        raise Rejected(f"no loss is called {name!r}; one from a file of your own needs that file (--from FILE).")
    make: Any = made
    kinds = [field.type for field in dataclasses.fields(made)] if dataclasses.is_dataclass(made) else []
    words = [word for word in (match[2] or "").split(",") if word.strip()]
    try:
        return make(*(int(w) if kind in (int, "int") else float(w) for kind, w in zip(kinds, words, strict=False)))
    except (TypeError, ValueError) as error:
        raise Rejected(f"the loss {name!r} cannot be made: {error}") from None


def structure(name: str) -> Callable | None:
    """The `enclosure` of the structure of this name, or None."""
    return getattr(STRUCTURES.members().get(name), "enclosure", None)
