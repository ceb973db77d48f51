"""Newton's method: the last digits.

On the rank stratum the gauge freedom of factors is gone, so Newton converges quadratically to
critical points of any index, with gradient norms of 1e-12 in factor space. A singular value that the
step sends to zero lowers the rank. Points of one rank go together, as the leading axis of a `Strata`: each is damped,
loses modes and ends by itself; one point is the only row. Nonlinear models get Newton in factor space, with the zero
modes of the Hessian projected out.

`find_saddle` follows eigenvectors to saddles of a chosen index: up along the k lowest modes of the Hessian, down along
all others, with a bounded step; where the Hessian has index k and the gradient is small, Newton takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import asked, converged
from ufm.objectives.strata import Strata
from ufm.points import LogitPoint
from ufm.solvers.curvature import directions
from ufm.solvers.result import CONVERGED, Reason, Status

Group = tuple[Strata, np.ndarray]
"""Points of one rank, and which rows they are."""


@dataclass(frozen=True)
class Newton:
    """Newton for critical points of F_r from many points.

    tol, to_minimum (B,): of every row, the gradient norm to reach, and whether to give up where the Hessian has a
    direction of descent. ended(here, rows, steps, given_up, stopped): told of the rows of a group that have ended.
    drop: lower the rank when a singular value is pulled to zero. watch(here, rows, steps): sees every iterate, returns
    the mask of rows to stop.
    """

    tol: np.ndarray
    to_minimum: np.ndarray
    ended: Callable
    max_steps: int = 50
    drop: bool = True
    watch: Callable | None = None

    def run(self, groups: Sequence[Group]) -> None:
        work = [(here, rows, np.zeros(len(rows), dtype=int)) for here, rows in groups]
        while work:
            work = _merged([after for group in work for after in self._round(*group)])

    def _round(self, here: Strata, rows, steps) -> list:
        """One step of every row of a group: those that go on, in groups."""
        stopped = np.zeros(len(rows), dtype=bool) if self.watch is None else self.watch(here, rows, steps)
        reached = here.grad_norm <= asked(self.tol[rows], here.ridge_norm)
        open_ = self._close(here, rows, steps, stopped | reached | (steps >= self.max_steps), stopped=stopped)
        if not len(open_):
            return []
        here, rows, steps = _taken(here, rows, steps, open_)
        lower, stay = self._without_dying_modes(here, rows, steps)
        if not len(stay):
            return lower
        here, rows, steps = _taken(here, rows, steps, stay)
        step, given_up = directions(here, self.to_minimum[rows])
        after, moved = _damped(here, step, np.flatnonzero(~given_up))
        stuck = np.ones(len(rows), dtype=bool)
        stuck[moved] = False
        self._close(here, rows, steps, stuck, given_up=given_up)
        return [*lower, *((part, rows[i], steps[i] + 1) for part, i in after)]

    def _close(self, here, rows, steps, over, given_up=None, stopped=None) -> np.ndarray:
        """Tell of the rows that are over; the others."""
        index = np.flatnonzero(over)
        if len(index):
            none = np.zeros(len(rows), dtype=bool)
            given_up, stopped = none if given_up is None else given_up, none if stopped is None else stopped
            self.ended(*_taken(here, rows, steps, index), given_up[index], stopped[index])
        return np.flatnonzero(~over)

    def _without_dying_modes(self, here: Strata, rows, steps) -> tuple[list, np.ndarray]:
        """(groups of lower rank, rows that stay): modes that die are dropped where that does not raise F."""
        stay, lower = np.ones(len(rows), dtype=bool), []
        dying = np.flatnonzero(~here.living.all(axis=1)) if self.drop else ()
        if len(dying):
            for below, i in cut_to_living(here.take(dying)):
                falls = np.flatnonzero(below.fun <= here.fun[dying[i]])
                if len(falls):
                    which = dying[i[falls]]
                    lower.append((below.take(falls), rows[which], steps[which] + 1))
                    stay[which] = False
        return lower, np.flatnonzero(stay)


def _taken(here: Strata, rows, steps, index):
    return (here, rows, steps) if len(index) == len(rows) else (here.take(index), rows[index], steps[index])


def _merged(work: list) -> list:
    """Groups of equal rank joined."""
    ranks = sorted({here.rank for here, _, _ in work})
    return [_joined([group for group in work if group[0].rank == r]) for r in ranks]


def _joined(same: list):
    if len(same) == 1:
        return same[0]
    first = same[0][0]
    U, s, Vt = (np.concatenate([getattr(group[0], name) for group in same]) for name in ("U", "s", "Vt"))
    b = None if first.b is None else np.concatenate([group[0].b for group in same])
    rows, steps = (np.concatenate([group[i] for group in same]) for i in (1, 2))
    return Strata(first.problem, U, s, Vt, b, first.fit), rows, steps


def cut_to_living(here: Strata) -> list[Group]:
    """Groups of equal rank with the dying modes of every row cut off, those whose pull to zero exceeds half the
    penalty's own."""
    groups, keep = [], here.living.sum(axis=1)
    for r in np.unique(keep):
        rows = np.flatnonzero(keep == r)
        order = np.argsort(~here.living[rows], axis=1, kind="stable")[:, :r]
        U = np.take_along_axis(here.U[rows], order[:, None, :], axis=2)
        Vt = np.take_along_axis(here.Vt[rows], order[:, :, None], axis=1)
        U = np.ascontiguousarray(U.mT).mT  # one layout, and so the same bits, whatever the companions
        s, b = np.take_along_axis(here.s[rows], order, axis=1), None if here.b is None else here.b[rows]
        groups.append((Strata(here.problem, U, s, Vt, b, here.fit), rows))
    return groups


def _damped(here: Strata, step, rows, most: int = 30) -> tuple[list[Group], np.ndarray]:
    """([(Strata, rows)], rows that moved): steps halved until the gradient norm falls."""
    found, moved = [], [np.zeros(0, dtype=int)]
    dZ, db = here.ambient(step)
    for halvings in range(most):
        if not len(rows):
            break
        t = 0.5**halvings
        after, fine = here.moved(rows, dZ[rows] * t, None if db is None else db[rows] * t)
        falls = fine & (after.grad_norm < (1 - 1e-4 * t) * here.grad_norm[rows])
        if falls.any():
            found.append((after if falls.all() else after.take(np.flatnonzero(falls)), rows[falls]))
        moved.append(rows[falls])
        rows = rows[~falls]
    return found, np.concatenate(moved)


def newton_on_stratum(
    point: LogitPoint,
    tol: float = 1e-12,
    max_steps: int = 50,
    watch: Callable | None = None,
    to_minimum: bool = False,
    drop: bool = True,
) -> tuple[Stratum, int, Reason]:
    """(Stratum at the end, steps, Reason): Newton for critical points of F_r from a LogitPoint.

    Steps are halved until the gradient norm falls. `watch(steps, stratum)` sees every iterate and ends the run with
    True. to_minimum: give up where the Hessian has a direction of descent, since Newton would go to a saddle there.
    drop: lower the rank when a singular value is pulled to zero; False stays on the stratum of the start.
    """
    point.problem.needs_ridge("newton_on_stratum")
    start, ends = Stratum(point), []

    def at(here, steps):
        return Stratum(here.point(0)) if steps[0] else start

    def look(here, rows, steps):
        return np.array([watch is not None and bool(watch(int(steps[0]), at(here, steps)))])

    def ended(here, rows, steps, given_up, stopped):
        norm = float(here.grad_norm[0])
        if stopped[0]:
            why = Reason(Status.STOPPED)
        elif norm <= asked(tol, here.ridge_norm[0]):
            why = CONVERGED
        elif given_up[0]:
            why = Reason(Status.STALLED, "Newton gave up: the Hessian has a direction of descent")
        elif steps[0] >= max_steps:
            why = Reason(Status.STEPS, f"Newton used its {max_steps} steps; gradient norm {norm:.2e}")
        else:
            why = Reason(Status.STALLED, f"Newton stalled at gradient norm {norm:.2e}")
        ends.append((at(here, steps), int(steps[0]), why))

    watched = None if watch is None else look
    Newton(np.array([tol]), np.array([to_minimum]), ended, max_steps, drop, watched).run([(start.row(), np.arange(1))])
    return ends[0]


def newton_on_factors(
    objective: FactorObjective,
    x: np.ndarray,
    tol: float = 1e-12,
    max_steps: int = 50,
    limit: int = 2000,
    watch: Callable | None = None,
) -> tuple[np.ndarray, int, Reason]:
    """(x, steps, Reason): Newton in factor space with a dense Hessian, zero modes projected out.

    Declines, saying so, when the problem has more than `limit` coordinates.
    """
    if objective.size > limit:
        said = f"Newton in factor space was not tried: {objective.size} coordinates, limit {limit}"
        return x, 0, Reason(Status.DECLINED, said)
    g = objective.grad(x)
    for steps in range(max_steps):
        norm = np.linalg.norm(g)
        if watch is not None and watch(steps, objective.value(x), g, x):
            return x, steps, Reason(Status.STOPPED)
        if norm <= tol and converged(objective, x, g, tol):
            return x, steps, CONVERGED
        values, vectors = linalg.eigh(objective.hessian(x), check_finite=False)
        keep = np.abs(values) > 1e-9 * np.max(np.abs(values))
        step = vectors[:, keep] @ ((vectors[:, keep].T @ g) / values[keep])
        for halvings in range(20):
            trial = x - 0.5**halvings * step
            g_trial = objective.grad(trial)
            if np.linalg.norm(g_trial) < (1 - 1e-4 * 0.5**halvings) * norm:
                break
        else:
            return x, steps, Reason(Status.STALLED, f"Newton stalled at gradient norm {norm:.2e}")
        x, g = trial, g_trial
    said = f"Newton used its {max_steps} steps; gradient norm {np.linalg.norm(g):.2e}"
    return x, max_steps, Reason(Status.STEPS, said)


# saddles of a chosen index


def find_saddle(
    point: LogitPoint,
    index: int,
    tol: float = 1e-12,
    max_steps: int = 150,
    radius: float = 0.3,
    ceiling: float = np.inf,
) -> tuple[Stratum, int, Reason]:
    """(Stratum at the end, steps, Reason) of a search for a critical point of F_r of the given index from a
    LogitPoint.

    index 0 goes down to a minimum of the stratum. radius: longest step, relative to the length of the balanced factors.
    ceiling: give up above this value of F.
    The end may have another index than asked for; the caller classifies.
    """
    point.problem.needs_ridge("find_saddle")
    here = Stratum(point)
    for steps in range(max_steps):
        if not here.point.rank:
            return here, steps, Reason(Status.STALLED, "ended at zero")
        if here.fun > ceiling:
            return here, steps, Reason(Status.STALLED, f"left the region below {ceiling:.6g}")
        if here.size < index:
            return here, steps, Reason(Status.DECLINED, f"the stratum has fewer than {index} dimensions")
        values, vectors = linalg.eigh(here.scaled_hessian(), check_finite=False)
        g = vectors.T @ (here.scale * here.gradient())
        size = np.max(np.abs(values))
        if here.grad_norm <= 1e-3 * here.ridge_norm and np.sum(values < -1e-8 * size) == index:
            end, more, said = newton_on_stratum(here.point, tol)
            if end.grad_norm <= asked(tol, end.ridge_norm):
                return end, steps + more, said
        curve = np.maximum(np.abs(values), 1e-3 * size)
        step = -g / curve
        step[:index] *= -1.0
        length = np.linalg.norm(step)
        longest = radius * np.sqrt(np.sum(here.point.s ** (2.0 / here.point.problem.D)))
        step *= min(1.0, longest / length) if length else 1.0
        after = _move(here, here.scale * (vectors @ step))
        if after is None:
            return here, steps, Reason(Status.STALLED, "the step left the stratum")
        here = after
    said = f"used its {max_steps} steps; gradient norm {here.grad_norm:.2e}"
    return here, max_steps, Reason(Status.STEPS, said)


def _move(here: Stratum, step) -> Stratum | None:
    """The point after a step; singular values that fall below 1e-3 of the largest, in factor scale, are dropped."""
    for halvings in range(5):
        try:
            p = here.retract(step * 0.5**halvings)
        except ValueError:
            continue
        root = p.s ** (1.0 / p.problem.D)
        alive = root > 1e-3 * root[0]
        return Stratum(LogitPoint(p.problem, p.U[:, alive], p.s[alive], p.right[:, alive], p.b))
    return None
