"""What can be asked of `certify`: kinds of certificate, one file each in `certificates/kinds`, or beside the package.

A file with a `Kind` at its top, in `certificates/kinds`, named with `--from FILE` (`ufm.use`), or behind an entry point
of the group `ufm.certificates`, adds a word to `certify` and to the command line. A kind whose proofs no checker of the
package reads brings its own, a `check.checker.Checker` in the same file. Needs no numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, cast

from ufm.numerics.families import Family, modules_in

if TYPE_CHECKING:
    from ufm.problem import Problem


def uncovered(problem: Problem) -> str:
    """Why no checker of the package can state this problem; empty where one can (`certificates.models`)."""
    from ufm.certificates.models import uncovered

    return uncovered(problem)


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of statement, and who makes its certificates.

    word: what is asked for, and the `kind` of its certificates. says: one line for lists of words. hope: the statement
    of a certificate that proves nothing. make(problem, lam=None, **options): a certificate or several; lam are exact
    texts or None. applies(problem): why nothing of this kind can be proved, a sentence, or "". default(problem):
    whether `certify` makes it unasked; place: its turn, low numbers first. needs: {option that must be given: an
    example}; takes: options that may be given; require(problem, **options) raises ValueError, before any work, where
    one cannot be meant. point(point, lam=None): a certificate of a point, where there is one.
    """

    word: str
    says: str
    hope: str
    make: Callable
    applies: Callable[[Problem], str] = uncovered
    default: Callable[[Problem], bool] = lambda problem: False
    place: float = 100.0
    needs: dict[str, str] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    require: Callable[..., None] = lambda problem, **options: None
    point: Callable | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """Names of all options `make` knows."""
        return (*self.needs, *self.takes)


CERTIFICATES = Family(
    "certificates",
    lambda: modules_in("ufm.certificates.kinds"),
    lambda value: isinstance(value, Kind),
    attrgetter("word"),
)


def kinds() -> dict[str, Kind]:
    """Word -> kind, in the order in which `certify` makes them.

    >>> list(kinds())[:6]
    ['order', 'critical', 'global', 'bound', 'completeness', 'theorem']
    """
    members = cast(dict[str, Kind], CERTIFICATES.members())
    return {word: members[word] for word in sorted(members, key=lambda word: (members[word].place, word))}
