"""The door to the checkers: a method's name and data in, what they prove out.

A checker is a `Checker` at the top of a module of this folder, of a file in use (`ufm.use`, `--from FILE`) or behind an
entry point of the group `ufm.certificates`. One from outside is trusted by whoever uses its file, and named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import cast

from ufm.certificates.check.model import Model
from ufm.certificates.check.origin import origin
from ufm.certificates.check.record import opened
from ufm.certificates.check.rejected import Rejected
from ufm.numerics.families import Family, modules_in


@dataclass(frozen=True)
class Checked:
    """What a proof shows: its kind and statement, by how much (or None), in which arithmetic, about which problem.

    problem: in words; empty where the statement names what it is about. earlier: what versions before said of the same
    data, which is true as well. trusts: what from outside this package the proof rests on, `the balls of mine.py`.
    """

    kind: str
    statement: str
    margin: float | None
    arithmetic: str
    problem: str = ""
    earlier: tuple[str, ...] = ()
    trusts: tuple[str, ...] = ()

    def resting(self, *files: str) -> Checked:
        """The same, said to rest on the balls of these files; empty ones are this package's own."""
        balls = tuple(f"the balls of {file}" for file in dict.fromkeys(files) if file)
        said = f"{self.statement}, by {' and '.join(balls)}" if balls else self.statement
        return replace(self, statement=said, trusts=(*self.trusts, *balls))


@dataclass(frozen=True)
class Checker:
    """A method by which data prove a statement.

    method: its name in a certificate. check(data) -> Checked: the proof recomputed in exact, ball or interval
    arithmetic, and the statement derived from the data; raises `Rejected` with the place where it fails.
    states_problem: whether the data hold the problem, as `Model.to_dict` writes it, under `problem`.
    """

    method: str
    check: Callable[[dict], Checked]
    states_problem: bool = False

    @property
    def origin(self) -> str:
        """The file that this checker comes from; empty for the package's own."""
        return origin(self.check)


CHECKERS = Family(
    "certificates",
    lambda: modules_in("ufm.certificates.check"),
    lambda value: isinstance(value, Checker),
    attrgetter("method"),
)
DAMAGED = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError, MemoryError)
"""What reading damaged data raises."""


def checkers() -> dict[str, Checker]:
    """Method -> checker."""
    return cast(dict[str, Checker], CHECKERS.members())


def check(method: str, data: dict) -> Checked:
    """Re-verify data by the named method. Raises Rejected where it fails, or where the method is not known."""
    checker = checkers().get(method)
    if checker is None:
        raise Rejected(f"no checker is called {method!r}; one from a file of your own needs that file (--from FILE).")
    try:
        found = checker.check(opened(data))
        if not isinstance(found, Checked):
            raise Rejected(f"the checker {method!r} must return what is Checked; got {type(found).__name__}.")
        about = checker.states_problem and ("problem" in data or "model" in data)
        others = (f"the checker {method!r} of {checker.origin}",) if checker.origin else ()
        found = replace(found, trusts=(*found.trusts, *others))
        return replace(found, problem=Model.of(data).words()) if about else found
    except DAMAGED as error:
        raise Rejected(f"the data cannot be read: {type(error).__name__}: {error}") from None
