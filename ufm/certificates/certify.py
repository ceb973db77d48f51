"""The verb `certify`: everything that can be proved about a problem, a point or a landscape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ufm.certificates import certificate
from ufm.certificates.certificate import Certificate, labelled
from ufm.certificates.kind import Kind, kinds
from ufm.numerics import balls, families
from ufm.numerics.hints import FileName
from ufm.numerics.renamed import places
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import WrongWord, named_arguments, suggestion
from ufm.points import FactorPoint, LogitPoint, point_of
from ufm.problem import Problem


class Certificates(tuple):
    """Certificates in the order they were made; prints one line each."""

    @property
    def hold(self) -> bool:
        """Whether every one of them is a proof."""
        return all(c.holds for c in self)

    def check(self) -> bool:
        """Whether every proof among them passes its checker again, from the data alone."""
        return all(c.check() for c in self if c.holds)

    def save(self, path: FileName) -> None:
        """Write them to one JSON file; `ufm certify --check FILE` reads it."""
        certificate.save(self, path)

    def to_dict(self) -> dict:
        """The JSON shape of `ufm certify --json`."""
        return {"certificates": [c.to_dict() for c in self]}

    def __repr__(self) -> str:
        proved = [c for c in self if c.holds]
        said = f"{len(proved)} of {len(self)} proved; trusted: {certificate.trusted(proved)}."
        return "\n".join([*map(repr, self), said])


@places("subject", "what", "lam", "group")
@named_arguments
@own_numpy_state
def certify(
    subject: Any,
    what: str | Sequence[str] | None = None,
    *,
    lam: str | float | Sequence[str | float] | None = None,
    group: str | Iterable | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Certificates:
    """Proofs in ball or interval arithmetic about a Problem, a point, or what has `.points` (a landscape).

    Of a problem, the words in `what` (default order, critical, global, and bound where no global proof applies):
      order         the strict order of all closed-form structures,  F(pairs) < F(dnc)
      critical      existence, radius and index of each of them
      global        a global minimum: L = 1, K = 2, K = 3 (cross-entropy), MSE
      bound         F >= a number, for every Z
      completeness  all critical points with the symmetry `group` (`V_4`, `S_2wrS_2`, ...)
      theorem       what gk25's Theorem 1 says at this K and L
    and those of files in use (`certificates.kind`). Of a point: critical. lam: exact text(s) such as `1/3`, where the
    float cannot say what is meant. progress: bars on the terminal, by default after two seconds. options: what a kind
    asks for by name.

    A certificate that does not hold says what could not be proved and why; it never says that the statement is false.
    Nonlinear models and a loss without balls get one such certificate for each word.
    Raises ValueError for words that are not there and options that no chosen kind has, ImportError without the extra
    [certify].

    >>> proofs = certify(Problem(K=4, L=2, lam=0.02), ["order"])
    >>> [c.statement for c in proofs if c.holds][:1], proofs.check()
    (['pairs < dnc'], True)
    """
    balls.flint()
    words = [what] if isinstance(what, str) else list(what or ())
    if isinstance(subject, Problem):
        subject.needs_ridge("certify")
        given = {"group": group, "progress": progress, **options}
        return Certificates(_of_problem(subject, words, lam, {k: v for k, v in given.items() if v is not None}))
    points = _points(subject)
    for point in points:
        point_of("subject", point).problem.needs_ridge("certify")
    return Certificates(_of_points(points, words, lam))


def _points(subject):
    """The points of a subject that is no problem."""
    if isinstance(subject, (LogitPoint, FactorPoint)) or hasattr(subject, "point"):
        return [subject]
    points = getattr(subject, "points", None)
    if points is None:
        raise ValueError(
            f"subject must be a Problem, a point, a critical point or a landscape; got {type(subject).__name__}."
        )
    return points


def _of_points(points, words: list[str], lam) -> Iterator[Certificate]:
    known = {word: kind.point for word, kind in kinds().items() if kind.point is not None}
    chosen = [known[families.choice("what", word, known)] for word in words] or [known["critical"]]
    for make in chosen:
        for point in points:
            yield labelled(make(point, lam), getattr(point, "name", None) or "")


def _of_problem(problem: Problem, words: list[str], lam, given: dict) -> Iterator[Certificate]:
    known = kinds()
    chosen = [known[families.choice("what", word, known)] for word in words]
    chosen = chosen or [kind for kind in known.values() if kind.default(problem)]
    chosen += [kind for kind in known.values() if kind not in chosen and any(name in given for name in kind.needs)]
    _require(chosen, problem, given)
    return (made for kind in chosen for made in _made(kind, problem, lam, given))


def _require(chosen: list[Kind], problem: Problem, given: dict) -> None:
    """A ValueError where an option is missing, belongs to none of the kinds, or cannot be meant."""
    for kind in chosen:
        for name, example in kind.needs.items():
            if name not in given:
                raise ValueError(f"{name} must be named for {kind.word}, for example {example}; got {name}=None.")
    taken = ["progress", *dict.fromkeys(name for kind in chosen for name in kind.options)]
    for name in given:
        if name not in taken:
            hint = suggestion(name, ["what", "lam", *taken])
            words = ", ".join(kind.word for kind in chosen)
            raise WrongWord(f"certify has no argument {name!r} for {words}{hint and '; ' + hint}")
    for kind in chosen:
        kind.require(problem, **_own(kind, given))


def _own(kind: Kind, given: dict) -> dict:
    return {name: value for name, value in given.items() if name in kind.options}


def _made(kind: Kind, problem: Problem, lam, given: dict) -> list[Certificate]:
    reason = kind.applies(problem)
    if reason:
        return [certificate.refused(kind.word, kind.hope, reason)]
    made = kind.make(problem, lam, **_own(kind, given))
    return [made] if isinstance(made, Certificate) else list(made)
