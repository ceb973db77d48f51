"""Ways down from a saddle: gradient flow on both sides of an unstable mode.

Balanced factors stay balanced and keep their rank along gradient flow dx/dt = -grad F(x), so a descent is followed in
factors of width min(d, K), one weighted column per class. For D >= 3 a point that is a minimum on its rank stratum is
one in factor space; at D = 2 a descent may also leave the rank, along the singular vectors of G_perp with sigma > Lam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import integrate, linalg

from ufm.critical.classify import classify, critical_of, with_name
from ufm.critical.point import CriticalPoint
from ufm.critical.spectrum import coupling
from ufm.numerics import arguments
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.paths.gauge import align_gauge, class_logits_along
from ufm.points import LogitPoint, logit_point_of
from ufm.solvers.finish import finish
from ufm.solvers.methods.lbfgs import LBFGS
from ufm.solvers.runner import run_on

KEPT = 200
"""At most so many points of a descent are kept."""
MOST_STEPS = 20_000
"""Steps of a flow, after which L-BFGS takes over."""


@dataclass(frozen=True, eq=False)
class Descent(ByContent):
    """One way down from a saddle: `end` is where it arrives, `via` the strict saddles it ran into on the way.

    length (P,): distance travelled in factor space. fun (P,): F there, falling. logits (P, K, K): class logits there.
    eigenvalue: of the Hessian along the direction taken at the saddle.
    """

    end: CriticalPoint
    length: np.ndarray
    fun: np.ndarray
    logits: np.ndarray
    eigenvalue: float
    via: tuple[CriticalPoint, ...] = ()

    def __repr__(self) -> str:
        through = "".join(f" through {p.name} at {p.fun:.12g}" for p in self.via)
        return f"Descent from F = {self.fun[0]:.12g}{through} to {self.end!r}"


def descend_both(
    saddle: CriticalPoint | LogitPoint, mode: int = 0, *, step: float = 1e-3, tol: float = 1e-12
) -> tuple[Descent, Descent]:
    """(minus, plus): gradient flow dx/dt = -grad F from x -+ step |x| v, v the unit mode number `mode` that descends.

    saddle: a strict saddle of a linear model. mode: 0 is the most negative eigenvalue. Each side ends, by Newton to
    `tol`, in a point without negative curvature, classified and named. Where the flow runs into another strict saddle
    (symmetry may lead it there), it is noted in `via` and left along its own lowest mode. At D = 2 the modes that raise
    the rank are among them; their two signs differ by gauge only.

    >>> from ufm import Problem, structures
    >>> saddle = structures.blocks(Problem(K=4, L=2, lam=0.02), (3, 1))
    >>> [side.end.name for side in descend_both(saddle)]
    ['pairs', 'pairs']

    Raises ValueError for nonlinear models, points that are not critical or have no negative curvature, and modes they
    do not have.
    """
    critical = critical_of("saddle", saddle)
    mode, step = arguments.integer("mode", mode, 0), arguments.positive("step", step)
    tol = arguments.positive("tol", tol)
    if not critical.descends:
        raise ValueError(f"saddle must be a critical point with negative curvature; got {critical!r}.")
    point = logit_point_of("saddle", critical.point)
    objective = reduced_objective(point)
    modes = escape_modes(objective, Stratum(point), critical.tolerances["zero_below"])
    if mode >= len(modes):
        count = f"{len(modes)}, the number of modes of negative curvature"
        raise ValueError(f"mode must be below {count}; got mode={mode}.")
    eigenvalue, move = modes[mode]
    back, forth = (_descend(objective, critical, eigenvalue, move, sign, step, tol) for sign in (-1.0, 1.0))
    return back, forth


def reduced_objective(point: LogitPoint) -> FactorObjective:
    problem = point.problem
    return FactorObjective(problem, point.collapsed, tuple(min(d, problem.K) for d in problem.widths))


def escape_modes(objective: FactorObjective, stratum: Stratum, zero: float):
    """[(eigenvalue, move)], most negative first; move(t) is x at distance about t along the mode."""
    values, vectors = linalg.eigh(stratum.scaled_hessian()) if stratum.size else (np.zeros(0), np.zeros((0, 0)))

    def along(k):
        return lambda t: objective.lift(stratum.retract(t * stratum.scale * vectors[:, k]))

    modes = [(float(v), along(k)) for k, v in enumerate(values) if v < -zero]
    modes += _leaving_modes(objective, stratum, zero)
    return sorted(modes, key=lambda mode: mode[0])


def _leaving_modes(objective: FactorObjective, stratum: Stratum, zero: float):
    """The modes at D = 2 that raise the rank: H_1 += t a q v', W_1 -= t b u q' with q a free hidden direction."""
    problem, r = objective.problem, stratum.point.rank
    if problem.D != 2 or not stratum.G_perp.size or objective.shapes[0][0] <= r:
        return []
    left, sigmas, right = np.linalg.svd(stratum.G_perp)
    U, V = stratum.frames

    def along(k, a, b):
        def move(t):
            H, W = (A.copy() for A in objective.unpack(base)[0])
            H[r] += t * a * (V[:, r:] @ right[k])
            W[:, r] -= t * b * (U[:, r:] @ left[:, k])
            return objective.pack([H, W], objective.unpack(base)[1])

        base = objective.lift(stratum.point)
        return move

    modes = []
    for k, sigma in enumerate(sigmas):
        values, vectors = np.linalg.eigh(coupling(problem, sigma))
        if values[0] < -zero:
            a, b = vectors[:, 0]
            modes.append((float(values[0]), along(k, a, b)))
    return modes


class _Recorder:
    """Keeps x, F and the distance travelled at every step of a flow."""

    def __init__(self, objective: FactorObjective, x):
        self.objective, self.x, self.before, self.length = objective, np.array(x), np.array(x), 0.0
        self.rows = [(0.0, float(objective.value(x)), self.x)]

    def __call__(self, nit, fun, grad, x):
        self.length += float(np.linalg.norm(x - self.x))
        self.before, self.x = self.x, np.array(x)
        self.rows.append((self.length, float(fun), self.x))

    def arrays(self):
        """(length, fun, class logits) of at most KEPT points, evenly spaced in length, first and last included."""
        length, fun, xs = map(np.array, zip(*self.rows, strict=True))
        keep = np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], KEPT)))
        keep = np.unique(np.append(keep[keep < len(length)], len(length) - 1))
        return length[keep], fun[keep], class_logits_along(self.objective, xs[keep])


def _descend(objective: FactorObjective, saddle: CriticalPoint, eigenvalue, move, sign, step, tol) -> Descent:
    record, via, here = _Recorder(objective, move(0.0)), [], saddle
    while True:
        reach = step * (float(np.linalg.norm(record.x)) or 1.0)
        x = _step_off(objective, here.fun, move, sign * reach)
        if x is None and here is saddle:
            why = f"its curvature is too small at F={saddle.fun:.12g}"
            raise ValueError(f"F does not fall along the mode in floating point: {why}.")
        end, modes = here if x is None else _flow_down(objective, x, here.fun, tol, record), []
        if end.descends and x is not None:
            modes = escape_modes(objective, Stratum(logit_point_of("end", end.point)), end.tolerances["zero_below"])
        if not modes or len(via) == 20:
            return Descent(end, *record.arrays(), eigenvalue, tuple(via[:-1] if x is None else via))
        via.append(end)
        here, move = end, _in_frames_of(objective, record.x, modes[0][1])
        before = objective.logits(record.before)
        ahead = [np.linalg.norm(objective.logits(move(s * reach)) - before) for s in (-1.0, 1.0)]
        sign = -1.0 if ahead[0] < ahead[1] else 1.0


def _in_frames_of(objective: FactorObjective, x, move):
    """The same motion in the hidden frames nearest to those of x, so that the distance travelled has no jump."""
    return lambda t: align_gauge(objective, move(t), x, 5, fresh=True)


def _step_off(objective: FactorObjective, fun: float, move, t: float):
    """x at distance t along the mode, t halved until F has fallen; None where it does not fall in floating point."""
    for _ in range(20):
        x = move(t)
        if objective.value(x) < fun:
            return x
        t *= 0.5
    return None


def _flow_down(objective: FactorObjective, x, start: float, tol: float, record: _Recorder) -> CriticalPoint:
    """The critical point that the flow from x arrives at; Newton finishes once it is certain which.

    Tried whenever the gradient has fallen tenfold from its peak; a saddle is believed only from very near.
    """
    end = None
    for level, here in _falling(objective, x, record):
        fun = float(objective.value(here))
        found = finish(objective, here, fun, tol, accept_saddle=True)
        if found is None or not fun - found.fun <= 1e-2 * (start - fun):
            continue
        if level <= 1e-4 or not classify(found.point, extremes=False).descends:
            end = found
            break
    else:
        point = run_on(objective, record.x, LBFGS(), tol).logit_point()
    if end is not None:
        point = end.point
    critical = classify(point)
    last = align_gauge(objective, objective.lift(point), record.x, 5, fresh=True)
    record(0, critical.fun, None, last)
    return with_name(critical)


def _falling(objective: FactorObjective, x, record: _Recorder):
    """(level, x) along gradient flow whenever the gradient norm is down to level = 1e-2, ..., 1e-6 of its largest."""
    peak, level, now = 0.0, 1e-2, np.array(x, dtype=float)
    flow = integrate.RK45(lambda t, y: -objective.grad(y), 0.0, now, np.inf, rtol=1e-8, atol=1e-11)
    for _ in progress_bar(range(MOST_STEPS), desc="descent", progress=None):
        fun, grad = objective.value_grad(flow.y)
        record(0, fun, grad, flow.y)
        norm = float(np.linalg.norm(grad))
        peak = max(peak, norm)
        while norm <= level * peak:
            yield level, np.array(flow.y)
            level *= 0.1
        if level < 1e-6 or flow.status != "running":
            return
        flow.step()
    yield level, np.array(flow.y)
