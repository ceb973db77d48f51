"""The atlas of a problem: critical points modulo gauge and class permutation, classified, named, counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ufm import structures
from ufm.critical.identify import identify
from ufm.critical.signature import CriticalPoint, classify
from ufm.landscapes.merge import free_name, group_order, same_point
from ufm.landscapes.modes import explain, mse_families
from ufm.landscapes.search import RUNS, search
from ufm.landscapes.symmetric import survey
from ufm.numerics import arguments, interruption
from ufm.numerics.content import ByContent
from ufm.numerics.files import write_atomically
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import ROUNDING, asked
from ufm.points import LogitPoint
from ufm.problem import Problem

FINISH = 0.8
"""Seconds after Ctrl-C for the points already found but not yet classified."""


@dataclass(frozen=True, eq=False)
class Found(ByContent):
    """One critical point of a landscape: its signature, how often it was hit, by what, and the permutations that fix it."""

    critical: CriticalPoint
    hits: int
    sources: tuple[str, ...]
    group_order: int | None

    def __getattr__(self, name):
        if name.startswith("__") or name == "critical":
            raise AttributeError(name)
        return getattr(self.critical, name)

    def __repr__(self) -> str:
        return f"{self.critical!r}; hits {self.hits} ({', '.join(self.sources)}), group order {self.group_order}"


@dataclass(frozen=True, eq=False)
class Landscape(ByContent):
    """Critical points in order of value. `scope` says in one sentence what was searched; `complete` is True only with a proof.
    interrupted: how far the search came where Ctrl-C ended it, such as "after 40 of 360 runs"; else empty.

    Index it like a list or by name; `.minima`, `.saddles`, `.best`, `.where(rank=3, index=1)` filter; `.save` writes JSON.
    """

    problem: Problem
    points: tuple[Found, ...]
    complete: bool
    scope: str
    rng: dict | None
    seconds: float
    interrupted: str = ""

    @property
    def minima(self) -> Landscape:
        return self.filter(lambda p: p.status == "local minimum")

    @property
    def saddles(self) -> Landscape:
        return self.filter(lambda p: p.status == "strict saddle")

    @property
    def best(self) -> Found:
        """The lowest point: the global minimum where `complete`, otherwise the lowest found."""
        return self.points[0]

    def filter(self, keep: Callable[[Found], bool]) -> Landscape:
        """The landscape of the points for which keep(point) holds."""
        return replace(self, points=tuple(p for p in self.points if keep(p)))

    def where(self, **wanted) -> Landscape:
        """Points with the given attributes, for example where(rank=3, index=0)."""
        return self.filter(lambda p: all(getattr(p, name) == value for name, value in wanted.items()))

    def sort(self, key: str) -> Landscape:
        """Points sorted by an attribute; None last."""
        return replace(self, points=tuple(sorted(self.points, key=lambda p: (getattr(p, key) is None, getattr(p, key)))))

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self):
        return iter(self.points)

    def __getitem__(self, which):
        if isinstance(which, str):
            by_name = {p.name: p for p in reversed(self.points)}
            return by_name[arguments.choice("name", which, by_name)]
        return self.points[which]

    def to_dict(self) -> dict:
        """The JSON shape of `ufm landscape --json`."""
        return {
            "problem": self.problem.to_dict(),
            "points": [_row(p) for p in self.points],
            "complete": self.complete,
            "scope": self.scope,
            "interrupted": bool(self.interrupted),
            "rng": self.rng,
            "seconds": self.seconds,
        }

    def save(self, path) -> None:
        """Write `to_dict()`, with the class logits of every point, as JSON; atomically."""
        import json

        data = self.to_dict()
        for row, p in zip(data["points"], self.points, strict=True):
            row["class_logits"] = p.point.class_logits().tolist()
        write_atomically(path, lambda stream: stream.write(json.dumps(data).encode()))

    def __repr__(self) -> str:
        width = max([len(p.name) for p in self.points] + [5])
        head = f"{'point':<{width}}  {'rank':>4}  {'F':>16}  {'index':>6}  {'nullity':>8}  {'status':<14}  {'group':>9}  {'hits':>5}"
        lines = [repr(self.problem), "", head, "-" * len(head)]
        for p in self.points:
            index, nullity, group = p.signature.index, p.signature.nullity, "-" if p.group_order is None else str(p.group_order)
            lines.append(f"{p.name:<{width}}  {p.rank:>4}  {p.fun:>16.12f}  {index:>6}  {nullity:>8}  {p.status:<14}  {group:>9}  {p.hits:>5}")
        minima, saddles = len(self.minima), len(self.saddles)
        lines += ["", f"{len(self)} critical points: {minima} local minima, {saddles} strict saddles, {len(self) - minima - saddles} other"]
        return "\n".join([*lines, self.scope])


@named_arguments
@own_numpy_state
def landscape(problem: Problem, rng=None, starts: int | None = None, *, max_idempotents: int | None = None, progress: bool | None = None) -> Landscape:
    """All critical points found of F(W_L, ..., W_1, H_1), modulo gauge and class permutation, each with its signature.

    MSE (linear; balanced, imbalanced without bias or with a free one): the complete list, by singular modes.
    Other losses: structures in closed form, symmetric points from class-permutation groups (balanced, no bias), and a
    search without symmetry from random starts: descents, Newton from random points of every rank, eigenvector following to
    saddles of index 1 to 3. Points are merged modulo permutation (and transposition under MSE).

    max_idempotents: size of the symmetry classes, in modes (default 4 up to K = 8, 3 up to 12, none beyond; 0 switches them off).
    starts: of the search (default 60 up to K = 6, 40 up to 12, 10 beyond; 0 switches it off). rng: its seed.
    Ctrl-C during the search keeps what was found, and `scope` says so.

    >>> atlas = landscape(Problem(K=3, n=2, L=2, lam=0.01, loss="mse"))
    >>> atlas.complete, len(atlas), atlas.best.name
    (True, 10, 'dnc')

    Raises ValueError for nonlinear models: the stratum theorem needs a linear one (`compare`, `relu_profile` do not). Source: gk25 (Lemma 1); dang23 (MSE).
    """
    arguments.instance("problem", problem, Problem)
    if not problem.linear:
        raise ValueError(
            f"landscape needs a linear model (the stratum theorem, by which points are listed rank by rank and classified, does not hold otherwise); "
            f"got activation={problem.activation.name!r}. `compare` shows structures and a search, and for relu `relu_profile` the lowest found at each rank."
        )
    began = time.perf_counter()
    if problem.loss.quadratic and (problem.balanced or not problem.bias):
        complete, scope = explain(problem)
        return _landscape(problem, [_mse_point(family) for family in mse_families(problem)], complete, scope, None, began)
    seed = seed_sequence(rng)
    modes = (4 if problem.K <= 8 else 3 if problem.K <= 12 else 0) if max_idempotents is None else arguments.integer("max_idempotents", max_idempotents, 0)
    starts = _default_starts(problem.K) if starts is None else arguments.count("starts", starts, 0)
    merged, parts, ended = _Merged(), [], ""
    try:
        _closed_forms(problem, merged, modes, progress, parts)
        _search(problem, starts, seed, progress, merged, parts)
    except KeyboardInterrupt as stop:
        interruption.pass_on()
        ended = str(stop) or "before the random search"
        parts.append(f"interrupted {ended}")
        if not merged:
            raise KeyboardInterrupt(ended) from None
    scope = f"Searched: {'; '.join(parts)}. Not claimed to be complete."
    return replace(_landscape(problem, merged.found(), False, scope, seed_record(seed), began), interrupted=ended)


def _closed_forms(problem: Problem, merged: _Merged, modes: int, progress: bool | None, parts: list[str]) -> None:
    """Adds structures and symmetric points, and what was searched, in words."""
    for name, point in structures.existing(problem)[0].items():
        merged.add("structure", replace(point, name=name))
    parts.append("structures in closed form")
    if modes and problem.balanced and problem.bias is None and problem.loss.shift_invariant:
        found = survey(problem, modes, progress)
        late = time.perf_counter() + FINISH if found.interrupted else float("inf")
        for point in found.points:
            if time.perf_counter() < late:
                merged.add("symmetry", point)
        doubt = f", {len(found.unpaired)} systems with a missing or double root" if found.unpaired else ""
        kinds = f"blocks, association schemes of up to {modes} idempotents on one and two orbits"
        parts.append(f"{len(found.classes)} classes of points fixed by class permutations ({kinds}{doubt})")
        if found.interrupted:
            raise KeyboardInterrupt(f"after {len(found.classes)} of {found.requested} symmetry classes")


def _search(problem: Problem, starts: int, seed, progress, merged: _Merged, parts: list[str]) -> None:
    """Adds what random search finds, and what was searched, in words."""
    parts.append(f"a search from {2 * starts} descents, {3 * starts} Newton runs and {starts} saddle searches" if starts else "no random search")
    done = 0
    try:
        for how, point in search(problem, starts, seed, progress) if starts else ():
            if point is not None:
                merged.add(how, point)
            done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"after {done} of {RUNS * starts} runs") from None


def _default_starts(K: int) -> int:
    return 60 if K <= 6 else 40 if K <= 12 else 10


class _Merged:
    """Points so far, one of each kind, classified and named when they are met, with hits and sources."""

    def __init__(self):
        self._kinds: list[list] = []  # [fun, point, hits, sources, name, critical, group order], unsorted

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, how: str, point: LogitPoint) -> None:
        stratum = Stratum(point)
        if stratum.grad_norm > (max(asked(1e-12, stratum.ridge_norm), stratum.rounding) if point.rank else ROUNDING):
            return  # not critical, such as the fixed shape of odd pairs
        fun = stratum.fun
        for kind in self._kinds:
            if abs(kind[0] - fun) <= 1e-9 * (1 + abs(fun)) and same_point(kind[1], point):
                kind[2] += 1
                kind[3].setdefault(how)
                return
        self._kinds.append([fun, point, 1, {how: None}, identify(point).name, classify(point, extremes=False), group_order(point)])

    def found(self) -> list[Found]:
        """In order of value, each name once."""
        result, taken = [], set()
        for _, _, hits, sources, name, critical, order in sorted(self._kinds, key=lambda kind: kind[0]):
            name = free_name(name, taken)
            taken.add(name)
            result.append(Found(replace(critical, name=name, point=replace(critical.point, name=name)), hits, tuple(sources), order))
        return result


def _mse_point(family) -> Found:
    return Found(family.critical(), family.labelled, ("modes",), group_order(family.point))


def _landscape(problem, found, complete, scope, rng, began) -> Landscape:
    ordered = tuple(sorted(found, key=lambda p: p.fun))
    return Landscape(problem, ordered, complete, scope, rng, time.perf_counter() - began)


def _row(p: Found) -> dict:
    return {
        "name": p.name,
        "fun": p.fun,
        "rank": p.rank,
        **p.signature.to_dict(),
        "status": p.status,
        "grad_norm": p.grad_norm,
        "singular_values": np.sort(p.point.s)[::-1].tolist(),
        "scales": list(p.point.scales),
        "hits": p.hits,
        "sources": list(p.sources),
        "group_order": p.group_order,
    }
