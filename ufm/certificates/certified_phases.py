"""Phase diagrams whose coloured cells are proved: who costs less, DNC or a competitor, on whole intervals of lam."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from ufm import structures
from ufm.certificates import certificate
from ufm.certificates.certificate import Certificate, certify_data
from ufm.certificates.check import Rejected
from ufm.certificates.check import phases as proof
from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import DoesNotExist, Undecided
from ufm.certificates.models import model
from ufm.numerics import arguments, balls, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.numerics.hints import Exact, FileName
from ufm.numerics.records import picked
from ufm.problem import Problem

ABSENT = "no dnc"
"""The phase in which DNC does not exist."""


@dataclass(frozen=True, eq=False)
class PhaseCell(ByContent):
    """What is proved for all lam in [lam_low, lam_high] at one (K, L), by `certificates`; winner None where nothing is.

    winner `dnc`: DNC costs less than every structure compared, each where it exists. `no dnc`: DNC does not exist.
    Another name: that structure costs less than DNC, which is therefore not a global minimum; where it gives way to a
    third structure is no proved boundary.
    """

    K: int
    L: int
    lam_low: float
    lam_high: float
    winner: str | None
    certificates: tuple[Certificate, ...] = ()


@dataclass(frozen=True, eq=False)
class CertifiedPhases(ByContent):
    """Cells that tile the interval of lam for every finished (K, L), ascending.

    names: structures compared with DNC, by (K, L). `dnc` wins among these only; it is not said to be a global minimum.
    """

    Ks: tuple[int, ...]
    Ls: tuple[int, ...]
    lam: tuple[str, str]
    cells: tuple[PhaseCell, ...]
    names: dict[tuple[int, int], tuple[str, ...]]
    options: dict
    seconds: float
    interrupted: bool = False

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        return tuple(c for cell in self.cells for c in cell.certificates)

    @property
    def decided(self) -> float:
        """Proved share of the area in log lam; 0 without cells."""
        area = [math.log(c.lam_high / c.lam_low) for c in self.cells]
        return sum(a for a, c in zip(area, self.cells, strict=True) if c.winner) / sum(area) if area else 0.0

    def at(self, K: int, L: int, lam: float) -> PhaseCell:
        """The cell that holds lam, the lower one on an edge; ValueError where there is none."""
        for c in self.cells:
            if (c.K, c.L) == (K, L) and c.lam_low <= lam <= c.lam_high:
                return c
        raise ValueError(f"K, L, lam must lie in a finished column of the diagram; got K={K!r}, L={L!r}, lam={lam!r}.")

    def check(self) -> bool:
        """Whether every certificate passes its checker again."""
        return all(c.check() for c in self.certificates)

    def save(self, path: FileName) -> None:
        """All certificates in one JSON file, for `certificate.load`."""
        certificate.save(self.certificates, path)

    def to_dict(self) -> dict:
        cells = [{**vars(c), "certificates": [p.to_dict() for p in c.certificates]} for c in self.cells]
        names = [{"K": K, "L": L, "names": list(found)} for (K, L), found in self.names.items()]
        axes = {name: list(values) for name, values in picked(self, "Ks Ls lam").items()}
        rest = picked(self, "decided options seconds interrupted")
        return {**axes, "cells": cells, "names": names, **rest}

    def __repr__(self) -> str:
        lines = [f"proved on {100 * self.decided:.2f}% of log lam in [{self.lam[0]}, {self.lam[1]}]; - is not decided"]
        for (K, L), column in groupby(self.cells, key=lambda c: (c.K, c.L)):
            runs = [(name, list(run)) for name, run in groupby(column, key=lambda c: c.winner)]
            lines.append(
                f"  K={K} L={L}  "
                + "  ".join(f"{name or '-'} [{run[0].lam_low:.10g}, {run[-1].lam_high:.10g}]" for name, run in runs)
            )
        if self.interrupted:
            done = len({(c.K, c.L) for c in self.cells})
            lines.append(f"interrupted after {done} of {len(self.Ks) * len(self.Ls)} columns")
        return "\n".join(lines)


def order_on(
    K: int, n: int, L: int, left: str, right: str, lam_low, lam_high, *, d=None, loss: str = "ce"
) -> Certificate:
    """F(left) < F(right) at every effective ridge weight in [lam_low, lam_high], K classes of n samples, L layers.

    left, right: zero, dnc, pairs, blocks(6,2,2), ... at their large roots. lam_low, lam_high: exact texts or numbers
    (`2**-10`, 0.01).
    d: widths as in `Problem`. Values are concave in lam, so that enclosures at the ends of pieces decide
    (`check.phases`); pieces are found by bisection, and an interval with a crossing inside is never proved. Where right
    ceases to exist on the way the statement says `as long as it exists`.

    >>> order_on(4, 1, 2, "dnc", "pairs", "1e-3", "1e-2")
    proved: dnc < pairs for all lam in [1e-3, 1e-2] (K=4, n=1, L=2) (order, ball, margin ...)
    >>> order_on(4, 1, 2, "dnc", "pairs", "1e-3", "2e-2").holds
    False

    Raises ValueError for bad arguments, names without a proof and losses other than ce, mse and label smoothing.
    """
    data = _data(K, n, L, lam_low, lam_high, d, loss)
    for argument, name in (("left", left), ("right", right)):
        _known(argument, data, name)
    low, high = data["lam"]
    return _order({**data, "lam": [low, *_pieces(data, left, right, low, high)]}, left, right)


def absent_on(K: int, n: int, L: int, name: str, lam_low, lam_high, *, d=None, loss: str = "ce") -> Certificate:
    """The structure has no critical scale at any effective ridge weight in [lam_low, lam_high]; else as `order_on`.

    >>> absent_on(4, 1, 2, "dnc", 0.2, 1).holds
    True
    """
    data = _data(K, n, L, lam_low, lam_high, d, loss)
    _known("name", data, name)
    return _absence(data, name)


def certified_phase_diagram(
    K: int | Iterable[int],
    L: int | Iterable[int],
    lam: Exact = ("1e-4", "1e-1"),
    names: Iterable[str] | None = None,
    *,
    cells: int = 8,
    splits: int = 8,
    n: int = 1,
    d: int | Sequence[int] | None = None,
    loss: str = "ce",
    progress: bool | None = None,
) -> CertifiedPhases:
    """For every K and L the intervals of lam on which the order of DNC and its competitors is proved.

    lam: (low, high), exact texts or numbers, the effective ridge weight. names: competitors (default: zero, pairs - the
    paper's one-scale shape for odd K - and every blocks(...) of the catalogue, K <= 10); one that a K does not know is
    left out there.
    cells: equal parts in log lam to begin with; one that is not decided is halved up to `splits` times, so that
    what stays blank around a boundary has the share 2^-splits of a part. Ctrl-C keeps the finished columns.

    >>> certified_phase_diagram(4, 2, ("1e-3", "1e-1"), cells=2, splits=3)
    proved on ...% of log lam in [1e-3, 1e-1]; - is not decided
      K=4 L=2  dnc [0.001, ...]  - [...]  pairs [..., 0.1]

    Raises ValueError for bad arguments and names that no K knows.
    """
    began = time.perf_counter()
    Ks, Ls = _integers("K", K, 2), _integers("L", L, 1)
    cells, splits = arguments.integer("cells", cells, 1), arguments.integer("splits", splits, 0)
    if not isinstance(lam, (tuple, list)) or len(lam) != 2:
        raise ValueError(f"lam must be a pair (low, high); got lam={lam!r}.")
    lowest, highest = lam
    columns = {(k, l): _data(k, n, l, lowest, highest, d, loss) for l in Ls for k in Ks}
    _known("loss", next(iter(columns.values())), "dnc")
    known = {key: _competitors(data) for key, data in columns.items()}
    if names is not None:
        names = list(dict.fromkeys([names] if isinstance(names, str) else names))
        for name in names:
            arguments.choice("names", name, set().union(*known.values()) - {"dnc"})
        known = {key: tuple(name for name in found if name in names) for key, found in known.items()}
    low, high = next(iter(columns.values()))["lam"]
    edges = _edges(low, high, cells)
    found, interrupted = [], False
    try:
        for key, data in progress_bar(columns.items(), desc="certified phases", progress=progress):
            found += _column(data, known[key], edges, splits)
    except KeyboardInterrupt:
        interruption.pass_on()
        interrupted = True
    options = {"cells": cells, "splits": splits, "n": n, "loss": loss}
    texts = (edges[0], edges[-1])
    return CertifiedPhases(Ks, Ls, texts, tuple(found), known, options, time.perf_counter() - began, interrupted)


def _column(data: dict, names, edges, splits: int) -> list[PhaseCell]:
    """The cells of one (K, L): neighbours with one winner become one cell, certified as a whole."""
    pieces = [piece for low, high in pairwise(edges) for piece in _settled(data, names, low, high, splits)]
    found, problem = [], data["problem"]
    for winner, run in groupby(pieces, key=lambda piece: piece[0]):
        run = list(run)
        lam = [run[0][1], *(high for _, _, high in run)]
        proofs = tuple(_proofs({**data, "lam": lam}, winner, names))
        kept = winner if all(p.holds for p in proofs) else None
        found.append(PhaseCell(problem.K, problem.L, _float(lam[0]), _float(lam[-1]), kept, proofs if kept else ()))
    return found


def _settled(data: dict, names, low: str, high: str, splits: int) -> list[tuple[str | None, str, str]]:
    """(winner, low, high) of one interval, halved where nothing is proved."""
    winner = _winner(data, names, low, high, last=not splits)
    middle = _middle(low, high) if winner is None and splits else None
    if middle is None:
        return [(winner, low, high)]
    return [piece for ends in ((low, middle), (middle, high)) for piece in _settled(data, names, *ends, splits - 1)]


def _winner(data: dict, names, low: str, high: str, last: bool) -> str | None:
    """The phase that can be proved on [low, high]; until `last`, none where the lowest competitor changes on it."""
    first, second = _values(data, "dnc", low, high)
    if first is None:
        return ABSENT
    if second is None or not (math.isfinite(first) and math.isfinite(second)):
        return None
    mine = first, second
    rivals = {name: _values(data, name, low, high) for name in names}
    whole = {name: (a, b) for name, (a, b) in rivals.items() if a is not None and b is not None}
    better = [name for name, values in whole.items() if values[0] < first and values[1] < second]
    lowest = [min(better, key=lambda name: whole[name][i]) for i in (0, 1) if better]
    if len(set(lowest)) > 1 and not last:
        return None
    for name in dict.fromkeys(lowest):
        if _shown(data, name, "dnc", low, high):
            return name
    closer = any(v is not None and not v > m for values in rivals.values() for v, m in zip(values, mine, strict=True))
    return "dnc" if rivals and not closer and all(_shown(data, "dnc", name, low, high) for name in rivals) else None


def _proofs(data: dict, winner: str | None, names) -> list[Certificate]:
    """What a cell rests on."""
    if winner is None:
        return []
    if winner == ABSENT:
        return [_absence(data, "dnc")]
    if winner != "dnc":
        return [_order(data, winner, "dnc")]
    return [
        _absence(data, name) if _value(data, name, data["lam"][0]) is None else _order(data, "dnc", name)
        for name in names
    ]


def _shown(data: dict, left: str, right: str, low: str, high: str) -> bool:
    try:
        proof.piece_margin(data["problem"], left, right, low, high)
    except Rejected:
        return False
    return True


def _pieces(data: dict, left: str, right: str, low: str, high: str, splits: int = 10) -> list[str]:
    """Ends after `low` of pieces on which the order is proved, or just `high` where bisection does not find them."""
    first, last = _values(data, left, low, high), _values(data, right, low, high)
    crossed = any(a is None or (b is not None and not a < b) for a, b in zip(first, last, strict=True))
    middle = _middle(low, high) if splits and not crossed and not _shown(data, left, right, low, high) else None
    if middle is None:
        return [high]
    return [*_pieces(data, left, right, low, middle, splits - 1), *_pieces(data, left, right, middle, high, splits - 1)]


def _values(data: dict, name: str, low: str, high: str) -> tuple[float | None, float | None]:
    return _value(data, name, low), _value(data, name, high)


def _value(data: dict, name: str, lam: str) -> float | None:
    """The structure's value: None where it is proved not to exist, NaN where that is not decided."""
    try:
        pair = proof.end(data["problem"], name, lam)
    except Undecided:
        return math.nan
    return None if pair is None else balls.to_float(pair[0])


def _order(data: dict, left: str, right: str) -> Certificate:
    stated = _stated(data, claim="order", left=left, right=right)
    return certify_data(proof.METHOD, stated, "order", f"{left} < {right} {_where(data)}")


def _absence(data: dict, name: str) -> Certificate:
    stated = _stated(data, claim="absent", left=name, right=None)
    return certify_data(proof.METHOD, stated, "critical", f"{name} does not exist {_where(data)}")


def _stated(data: dict, **claim) -> dict:
    """What the checker reads: the problem is stated at the lowest lam."""
    problem = replace(data["problem"], lam=(data["lam"][0],) * data["problem"].D)
    return {"problem": problem.to_dict(), "lam": data["lam"], **claim}


def _where(data: dict) -> str:
    problem, lam = data["problem"], data["lam"]
    return f"for all lam in [{lam[0]}, {lam[-1]}] (K={problem.K}, n={problem.n[0]}, L={problem.L})"


def _data(K, n, L, lam_low, lam_high, d, loss) -> dict:
    """{problem: the Model at the lowest lam, lam: two exact texts} of checked arguments."""
    balls.flint()
    n = arguments.integer("n", n, 1)
    ends = tuple(balls.text(lam) for lam in (lam_low, lam_high))
    for name, text in zip(("lam_low", "lam_high"), ends, strict=True):
        arguments.positive(name, _float(text))
    if not balls.ball(ends[0]) < balls.ball(ends[1]):
        raise ValueError(f"lam_low must be below lam_high; got lam_low={lam_low!r}, lam_high={lam_high!r}.")
    problem = Problem(K=K, n=n, d=d, L=L, lam=_float(ends[0]), loss=loss)
    return {"problem": model(problem, ends[0]), "lam": list(ends)}


def _known(argument: str, data: dict, name) -> None:
    """A ValueError where the checker knows no such structure or loss."""
    try:
        proof.end(data["problem"], name, data["lam"][0])
    except (DoesNotExist, Undecided):
        return
    except Rejected as reason:
        given = data["problem"].loss if argument == "loss" else name
        raise ValueError(f"{argument}={given!r} has no proof: {reason}") from None


def _competitors(data: dict) -> tuple[str, ...]:
    """zero, pairs and blocks of the catalogue that are not DNC itself."""
    exact: Model = data["problem"]
    lam = _float(data["lam"][0])
    problem = Problem(K=exact.K, n=exact.n[0], d=exact.d, L=exact.L, lam=lam, loss=exact.loss)
    simple = [name for name in structures.catalogue(problem) if name in ("zero", "pairs") or name.startswith("blocks(")]
    return tuple(name for name in simple if "small" not in name and not (name == "pairs" and problem.K == 2))


def _edges(low: str, high: str, cells: int) -> list[str]:
    """Exact texts of cells + 1 ends, equal steps in log lam up to twelve digits."""
    a, b = math.log(_float(low)), math.log(_float(high))
    inner = [f"{math.exp(a + (b - a) * i / cells):.12g}" for i in range(1, cells)]
    return [low, *inner, high]


def _middle(low: str, high: str) -> str | None:
    """A decimal near the geometric mean, strictly between; None where twelve digits cannot tell."""
    middle = f"{math.sqrt(_float(low)) * math.sqrt(_float(high)):.12g}"
    return middle if balls.ball(low) < balls.ball(middle) < balls.ball(high) else None


def _float(text: str) -> float:
    return balls.arithmetic.number(text)


def _integers(name: str, values, least: int) -> tuple[int, ...]:
    values = [values] if isinstance(values, (int, float)) else list(values)
    if not values:
        raise ValueError(f"{name} must hold at least one value.")
    return tuple(dict.fromkeys(arguments.integer(name, v, least) for v in values))
