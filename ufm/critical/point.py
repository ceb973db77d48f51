"""The noun: a critical point with its signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ufm.numerics.content import ByContent
from ufm.points import FactorPoint, LogitPoint


@dataclass(frozen=True, eq=False)
class CriticalPoint(ByContent):
    """A critical point with its signature in the problem's own factor space (width d, n samples).

    index: number of negative eigenvalues; None where it is open, and then index_range = (low, high). nullity: number of
    eigenvalues that are zero or not told from zero; nullity_symmetry: the zeros that symmetry explains. lowest,
    highest: extreme eigenvalues. None where not computed; `why` says the reason.
    status: `local minimum` (index 0, all zeros explained), `strict saddle` (index > 0 for certain), `degenerate`
    (unexplained zeros: undecided to second order), `not critical`, or `unknown`. With relu or leaky_relu
    (`critical.nonlinear`):
    grad_norm is the Clarke residual, a point on kinks is at best `stationary`, or `not a local minimum` where a restart
    from nearby ended lower; rank is that of the last hidden pre-activation, ranks those of H_1, all pre-activations and
    the output.
    tolerances: a point is critical when its gradient norm is at most `gradient` times that of the ridge alone (the two
    parts that cancel there), kept as `critical_below`, and Newton's method finds a critical point next to it; an
    eigenvalue has a sign beyond `zero_below`, and the zeros of symmetry are looked for up to `eigenvalue` Lam.
    """

    point: LogitPoint | FactorPoint
    fun: float
    grad_norm: float
    rank: int | None
    index: int | None
    nullity: int | None
    nullity_symmetry: int | None
    lowest: float | None
    highest: float | None
    status: str
    name: str | None
    tolerances: dict
    why: str = ""
    ranks: tuple[int, ...] = ()
    index_range: tuple[int, int] | None = None

    def __post_init__(self):
        if self.index_range is None and self.index is not None:
            object.__setattr__(self, "index_range", (self.index, self.index))

    @staticmethod
    def signed(
        point: FactorPoint | LogitPoint,
        fun: float,
        grad_norm: float,
        rank: int,
        index: tuple[int, int],
        nullity: int,
        symmetry: int,
        **more: Any,
    ) -> CriticalPoint:
        """A point with the two ends of its index, its zeros, and how many of these symmetry explains; its status."""
        low, high = index
        status = "strict saddle" if low else "degenerate" if high or nullity > symmetry else "local minimum"
        more = {"lowest": None, "highest": None} | more
        zeros = {"nullity": nullity, "nullity_symmetry": min(symmetry, nullity), "index_range": index}
        known = low if low == high else None
        return CriticalPoint(point, fun, grad_norm, rank, known, **zeros, status=status, **more)

    @staticmethod
    def unsigned(
        point: FactorPoint | LogitPoint,
        fun: Any,
        grad_norm: Any,
        rank: int | None,
        *,
        status: str,
        why: str,
        **more: Any,
    ) -> CriticalPoint:
        """A point whose index and nullity are not known; `why` says the reason."""
        blank = dict.fromkeys(("index", "nullity", "nullity_symmetry", "lowest", "highest"))
        more = {"name": getattr(point, "name", None), "tolerances": {}} | more
        return CriticalPoint(point, fun, grad_norm, rank, **blank, status=status, why=why, **more)

    @property
    def descends(self) -> bool:
        """Whether there is negative curvature for certain."""
        return self.index_range is not None and self.index_range[0] > 0

    @property
    def signature(self) -> Signature:
        return Signature(self.index_range, self.nullity, self.nullity_symmetry)

    def __repr__(self) -> str:
        s = self.signature
        counts = f"index {s.index}, nullity {s.nullity} ({self.nullity_symmetry} by symmetry)"
        head = f"{self.name or 'unnamed'}: F = {self.fun:.12f}, rank {self.rank}, {self.status}"
        return f"{head}; {self.why if self.index_range is None else counts}; |grad| = {self.grad_norm:.1e}"


@dataclass(frozen=True)
class Signature:
    """Index and nullity as they are printed and written: `2`, `2 to 4` where open, `-` where not computed."""

    index_range: tuple[int, int] | None
    zeros: int | None
    by_symmetry: int | None

    @property
    def index(self) -> str:
        return "-" if self.index_range is None else _range(*self.index_range)

    @property
    def nullity(self) -> str:
        if self.zeros is None:
            return "-"
        low, high = self.index_range or (0, 0)
        return _range(self.zeros - (high - low), self.zeros)

    def to_dict(self) -> dict:
        """The fields of a point's JSON: an open index is null, and `index_range` its two ends."""
        ends = None if self.index_range is None else list(self.index_range)
        index = ends[0] if ends is not None and ends[0] == ends[1] else None
        return {"index": index, "index_range": ends, "nullity": self.zeros, "nullity_symmetry": self.by_symmetry}


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"
