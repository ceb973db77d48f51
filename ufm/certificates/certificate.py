"""Certificates: statements with the numbers that prove them, checked again by anyone."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ufm.certificates.check import Checked, Rejected
from ufm.certificates.check import check as _check
from ufm.certificates.check.record import sealed
from ufm.certificates.kind import kinds
from ufm.numerics import balls, families
from ufm.numerics.content import ByContent
from ufm.numerics.documents import Fields, read_json
from ufm.numerics.files import write_atomically
from ufm.numerics.hints import FileName
from ufm.numerics.records import fingerprint


@dataclass(frozen=True, eq=False)
class Certificate(ByContent):
    """A statement, whether it holds, and the data that prove it.

    kind: order, critical, global, bound, completeness, theorem, or a contributed word. holds: True only if the checker
    accepted the data when the certificate was made; False means *not proved* (never: false), with the reason in `why`.
    margin: by how much, where that is a number. arithmetic: exact, ball, interval or float.
    method: the checker's name; data: JSON-able, numbers that matter as exact texts. versions: package, Python, Arb.
    label: what the maker calls the thing (`dnc`), a help for readers and no part of the proof. trusts: what the proof
    rests on from outside the package (`the balls of mine.py`); empty for most.
    """

    kind: str
    statement: str
    holds: bool
    margin: float | None
    arithmetic: str
    method: str
    data: dict
    seconds: float = 0.0
    why: str = ""
    versions: dict = field(default_factory=dict)
    label: str = ""
    fingerprint: str = ""
    trusts: tuple[str, ...] = ()

    def check(self) -> bool:
        """Whether the data prove the statement, recomputed from nothing but themselves.

        False where they do not, where the statement is not the one they prove, and where the text was changed since.
        """
        return not self.objection()

    def objection(self) -> str:
        """What `check` found wrong, a sentence; empty when the proof stands."""
        return self.examine()[0]

    def examine(self) -> tuple[str, str]:
        """(what is wrong, empty when the proof stands; the problem the proof is about, as the checker read it)."""
        if not self.holds:
            return f"not proved: {self.why}", ""
        if self.fingerprint != self._fingerprint():
            return "the certificate was changed after it was made.", ""
        try:
            found = _check(self.method, self.data)
        except Rejected as reason:
            return str(reason), ""
        says = self.statement in (found.statement, *found.earlier) and tuple(self.trusts) == found.trusts
        if says and (found.kind, found.arithmetic, found.margin) == (self.kind, self.arithmetic, self.margin):
            return "", found.problem
        here = f"{found.statement!r} (margin {found.margin})"
        return f"the data prove {here}, not {self.statement!r} (margin {self.margin}).", found.problem

    def signed(self) -> Certificate:
        """The same with the fingerprint of what it says now."""
        return replace(self, fingerprint=self._fingerprint())

    def to_dict(self) -> dict:
        """The JSON shape of one certificate in `ufm certify --json`, with everything `check` needs."""
        return {**self._content(), "seconds": self.seconds, "fingerprint": self.fingerprint}

    def _content(self) -> dict:
        names = ("kind", "statement", "holds", "margin", "arithmetic", "method", "data", "why", "versions", "label")
        trusts = {"trusts": list(self.trusts)} if self.trusts else {}
        return {name: getattr(self, name) for name in names} | trusts

    def _fingerprint(self) -> str:
        return fingerprint(self._content())

    def __repr__(self) -> str:
        word = ("proved" if self.holds else "not proved") + (f" of {self.label}" if self.label else "")
        margin = "" if self.margin is None else f", margin {self.margin:.6g}"
        return f"{word}: {self.statement} ({self.kind}, {self.arithmetic}{margin})" + (
            f"; {self.why}" if self.why else ""
        )


def labelled(certificate: Certificate, label: str) -> Certificate:
    """The same certificate with a name for its readers."""
    return replace(certificate, label=label).signed()


def sides(statement: str) -> tuple[str, str]:
    """The names of the two sides of a statement: `point(circle) < dnc` -> circle, dnc."""
    left, _, right = statement.split(", by the balls of ")[0].partition(" < ")
    return _plain(left), _plain(right)


def _plain(side: str) -> str:
    return side.removeprefix("point(").removesuffix(")") if side.startswith("point(") else side


def certify_data(method: str, data: dict, kind: str, hope: str) -> Certificate:
    """The certificate of data: checked once by its checker, or refused with the reason.

    kind, hope: what would be said if it held; used when the checker rejects. Raises ImportError without [certify].
    """
    balls.flint()
    began, data = time.perf_counter(), sealed(data)
    try:
        found, why = _check(method, data), ""
    except Rejected as reason:
        found, why = Checked(kind, hope, None, "ball"), str(reason)
    return conclude(found, not why, method, data, time.perf_counter() - began, why)


def refused(kind: str, hope: str, why: str, method: str = "none") -> Certificate:
    """A certificate that says that nothing was proved, and why."""
    return conclude(Checked(kind, hope, None, "float"), False, method, {}, 0.0, why)


def conclude(found: Checked, holds: bool, method: str, data: dict, seconds: float, why: str) -> Certificate:
    """The certificate of what a checker has just found (or not): its data sealed, with versions and fingerprint."""
    plain = json.loads(json.dumps(sealed(data) if data else data))
    made = Certificate(
        found.kind, found.statement, holds, found.margin, found.arithmetic, method, plain, seconds, why, _versions()
    )
    return replace(made, trusts=found.trusts).signed()


def _versions() -> dict:
    import platform

    from ufm import __version__

    try:
        arb = balls.flint().__version__
    except ImportError:
        arb = "none"
    return {"ufm": __version__, "python": platform.python_version(), "python-flint": arb}


def trusted(certificates: Iterable[Certificate]) -> str:
    """What a reader of these proofs has to trust."""
    others = dict.fromkeys(text for c in certificates for text in c.trusts)
    return ", ".join(["Arb's balls", "IEEE rounding", "this package's checkers", *others])


def save(certificates: Iterable[Certificate], path: FileName) -> None:
    """Write certificates to one JSON file, atomically."""
    content = {"certificates": [c.to_dict() for c in certificates]}
    write_atomically(path, lambda file: file.write(json.dumps(content, indent=1).encode()))


def load(path: FileName) -> list[Certificate]:
    """The certificates of a JSON file, unchecked; ValueError naming file and field where it cannot be read."""
    return [_read(entry) for entry in read_json(path, "certificates").rows("certificates")]


def _read(entry: Fields) -> Certificate:
    known = {f.name for f in dataclasses.fields(Certificate)}
    for name in entry.values:
        if name not in known:
            entry.refuse(name, "is no field of a certificate")
    entry.take("kind", lambda kind: families.choice("kind", kind, kinds()))
    texts = ("kind", "statement", "arithmetic", "method", "why", "label", "fingerprint")
    words: dict[str, Any] = {name: entry.text(name) for name in texts}
    trusts = entry.listed("trusts") if "trusts" in entry.values else []
    if not all(isinstance(text, str) for text in trusts):
        entry.refuse("trusts", "must be texts")
    tables: dict[str, Any] = {name: entry.table(name) for name in ("data", "versions")}
    return Certificate(
        **words,
        **tables,
        holds=entry.truth("holds"),
        margin=entry.real("margin", none=True),
        seconds=entry.real("seconds"),
        trusts=tuple(trusts),
    )
