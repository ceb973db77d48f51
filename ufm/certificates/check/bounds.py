"""Cross-entropy at equal counts, any K and L: lower bounds for every Z, from what the singular values allow the loss.

F(Z) = g(Z) + C sum_i s_i^p on class means, p = 2/D, C = (D/2) Lam n^(1/D), and 1'Z = 0 without loss (projections raise
neither term), so that rank Z <= K - 1. Let s_1 be the largest singular value and, over the others, rho = sum s_i and
tau^2 = sum s_i^2; T = s_1 + rho, Q = s_1^2 + tau^2. Margins m_cj = z_cc - z_jc (j != c) have K (K-1) values, sum K tr
Z, sum of squares K sum_c z_cc^2 + Q, and |m_cj| <= M = sqrt(2) s_1. Write l(x) = log(1 + (K-1) e^-x), the loss of K-1
equal margins, and u = T/(K-1).

(N)  g >= l(u).  lse is convex and symmetric, the mean margin is tr Z/(K-1) <= u, and l falls.
(T)  g >= (K-2)/K log(1 + exp(-sqrt(2/(K-2)) tau)).  Let Z = s_1 x y' + R, a and b where x is largest and smallest. In
column c, not one of
     them, s_1 y_c x is at least as large at a or at b as at c; that competitor leaves a margin of at most sqrt(2)|R_c|.
     Average over K-2 columns: x -> log(1 + exp(-sqrt(2x))) is convex and falls, and sum |R_c|^2 = tau^2.
(V)  g >= f(x) - beta T + gamma (T^2 + Q)/K,  f(x) = l(x) + (K-1)(beta x - gamma x^2),
    for any 0 < x < M, gamma >= 0, beta = -l'(x)/(K-1) + 2 gamma x with
     2 gamma T <= K beta, l''(x) > 2 gamma (K-1), f(x) <= f(M), f(-M).  A column's loss is log(1 + sum e_j), e = e^-m;
     add h(e) = beta m - gamma m^2 per margin. h is convex for e above a threshold and concave below, so its convex
     envelope on [e^-M, e^M] is a chord and then h, and for given sum e_j all may be taken equal; on the chord log(1 +
     (K-1) e) + chord is concave, so its least value is at an end, where the envelope is h: log(1 + sum e_j) + sum
     h(e_j) >= min over |x| <= M of f. f is convex where l'' > 2 gamma (K-1), an interval as l'' has one peak, and
     concave outside: its minimum is at x, where f' = 0, or at +-M. Average over columns: sum m^2 >= tr^2 + Q, and -beta
     t + gamma t^2/K falls up to t = T. At x = u this is (N) plus gamma (Q - T^2/(K-1))/K: what unequal singular values
     cost.
(H)  sum_{i>=2} s_i^p >= rho^(2-p) tau^(-2(1-p))  (Hoelder), at least rho^p.

With r = rho/s_1 <= K-2 and k = tau/s_1, where r/sqrt(K-2) <= k <= min(r, sqrt(r)) as no s_i exceeds s_1,

    F >= min over (s_1, r, k) of  max(N, T, V) + C s_1^p (1 + r^(2-p) k^(-2(1-p))):

covered by boxes, each shown to lie above the claimed number in outward rounded intervals. With a bias, or smoothed
labels, only (N) is used (with the lowest loss of a simplex of scale at most u; a constant bias is all that averaging
over class permutations leaves), at rank 1.

Source: gk25 (the model); (N) as for L = 1 in zhu21; (T) and (V) as given here.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

from ufm.certificates.check import scales as closed
from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.model import Model
from ufm.certificates.check.pulls import loss_kind
from ufm.certificates.check.record import at_least
from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls
from ufm.numerics.intervals import Interval

METHOD = "bound"
MOST = 4_000_000
"""Boxes after which the covering gives up."""
SHARES = (1.0, 0.95, 0.88, 0.8, 0.7)
"""x/u tried in (V)."""


def check(data: dict) -> Checked:
    """data: problem, lower (exact text), best (name of a closed-form structure whose value bounds the minimum from
    above)."""
    model = Model.of(data)
    cover(Bound.of(model), data["lower"])
    with balls.precision(128):
        gap = balls.to_float(closed.enclose(model, data["best"]).loss - balls.ball(data["lower"]))
    return Checked("bound", at_least(model, data["lower"]), gap, "interval")


def refuse(model: Model) -> None:
    """Rejected where the bounds do not apply."""
    kind, _ = loss_kind(model)
    if kind == "mse":
        raise Rejected("the bounds are for cross-entropy; got loss='mse'.")
    if not model.balanced:
        raise Rejected(f"the bounds average over class permutations and need equal counts; got n={list(model.n)}.")


class Bound:
    """The function to be minimised, on boxes: K, p, C as intervals; `ranks` says whether (T) and (V) apply."""

    def __init__(self, K: int, p: Fraction, C: Interval, smoothing: Interval, ranks: bool):
        self.K, self.p, self.C, self.smoothing, self.ranks = K, Interval.of(p), C, smoothing, ranks and K >= 3
        self.q = Interval.of(2 - p)
        self.twist = Interval.of(2 - 2 * p) if p < 1 else None

    @staticmethod
    def of(model: Model) -> Bound:
        refuse(model)
        with balls.precision(128):
            C, smoothing = model.C(), loss_kind(model)[1]
            ranks = model.bias is None and smoothing == 0
            return Bound(model.K, Fraction(2, model.D), _interval(C), _interval(smoothing), ranks)

    def lower(self, s, r, k) -> np.ndarray:
        """A number below the bound on every box s x r x k (Intervals)."""
        T = s * (1.0 + r)
        u = T / (self.K - 1)
        best = self.simplex(u).lo
        if self.ranks:
            best = np.maximum(best, self.excluded(s * k).lo)
            for share in SHARES:
                best = np.maximum(best, self.varied(s, T, s.square() * (1.0 + k.square()), share))
        return (Interval(best, best) + self.C * self.penalty(s, r, k)).lo

    def penalty(self, s, r, k) -> Interval:
        """s^p (1 + tail), the tail's lower end as in (H)."""
        low = Interval(r.lo, r.lo)
        tail = low.power(self.p).lo
        if self.twist is not None:
            k_hi = np.maximum(k.hi, 1e-30)
            ratio = low.power(self.q) / Interval(k_hi, k_hi).power(self.twist)
            tail = np.maximum(tail, np.where(r.lo > 0, ratio.lo, 0.0))
        start = Interval(s.lo, s.lo).power(self.p)
        return start * (1.0 + Interval(tail, tail))

    def simplex(self, u) -> Interval:
        """(N): the least of l(x) + smoothing (K-1)/K x for x <= u; its lower end."""
        high = Interval(u.hi, u.hi)
        plain = self.loss(high)
        if self.smoothing.hi == 0:
            return plain
        lowest = (Interval.of(Fraction(self.K)) / self.smoothing - (self.K - 1)).log()  # e^x + K-1 = K/smoothing
        x = Interval(np.minimum(high.lo, lowest.lo), np.minimum(high.hi, lowest.hi))
        return self.loss(x) + self.smoothing * x * Interval.of(Fraction(self.K - 1, self.K))

    def loss(self, x) -> Interval:
        """l(x) = log(1 + (K-1) e^-x)."""
        return (Interval.of(float(self.K - 1)).log() - x).softplus()

    def excluded(self, tau) -> Interval:
        """(T), its lower end."""
        factor = Interval.of(Fraction(2, self.K - 2)).sqrt()
        return Interval.of(Fraction(self.K - 2, self.K)) * (-(factor * Interval(tau.hi, tau.hi))).softplus()

    def varied(self, s, T, Q, share: float) -> np.ndarray:
        """(V) with x = share u and gamma guessed, every hypothesis checked in intervals; 0 where one fails."""
        K, M, top = self.K, Interval.of(2.0).sqrt() * Interval(s.hi, s.hi), Interval(T.hi, T.hi)
        at = share * T.hi / (K - 1)
        bend = self._gamma(at, M.hi)
        x, gamma = Interval(at, at), Interval(bend, bend)
        odds = (K - 1) * (-x).exp()
        sigma, rest = odds / (1.0 + odds), 1.0 / (1.0 + odds)  # -l'(x) and 1 + l'(x)
        beta = sigma / (K - 1) + 2.0 * gamma * x

        def rise(y):
            """f(y) - f(x)."""
            step = y - x
            return self.loss(y) - self.loss(x) + step * (sigma - (K - 1) * gamma * step)

        good = (2.0 * gamma * top).hi <= (K * beta).lo
        good &= (sigma * rest).lo > (2.0 * (K - 1) * gamma).hi
        good &= (at < M.lo) & (rise(M).lo >= 0) & (rise(-M).lo >= 0)
        f = self.loss(x) + sigma * x + (K - 1) * gamma * x.square()
        value = f - beta * top + gamma * (top.square() + Interval(Q.lo, Q.lo)) / K
        return np.where(good, value.lo, 0.0)

    def _gamma(self, x, M):
        """A little less than the largest curvature that (V) allows, in floats."""
        K = self.K

        def loss(y):
            return np.logaddexp(0.0, np.log(K - 1) - y)

        with np.errstate(all="ignore"):
            sigma = 1 / (1 + np.exp(np.clip(x, -600, 600)) / (K - 1))
            right = (loss(M) - loss(x) + sigma * (M - x)) / (M - x) ** 2
            left = (loss(-M) - loss(x) - sigma * (M + x)) / (M + x) ** 2
            gamma = np.minimum(np.minimum(right, left), 0.5 * sigma * (1 - sigma)) / (K - 1)
        return np.where(np.isfinite(gamma), np.maximum(gamma, 0.0), 0.0) * (1 - 1e-9)


def _interval(ball) -> Interval:
    """The ball with its ends rounded outwards; 0 stays 0."""
    low, high = (float(end) for end in (ball.lower(), ball.upper()))
    if ball == 0:
        return Interval.of(0.0)
    return Interval(np.asarray(np.nextafter(low, -np.inf)), np.asarray(np.nextafter(high, np.inf)))


def cover(bound: Bound, lower: str, most: int = MOST) -> int:
    """How many boxes it took to show that the bound is at least `lower` everywhere; Rejected where it is not shown."""
    with balls.precision(128):
        target = float(np.nextafter(float(balls.ball(lower).upper()), np.inf))
    return _search(bound, target, None, most)[1]


def least(bound: Bound, guess: float, tol: float, most: int = MOST) -> float:
    """A number that `cover` can show, within tol of the bound's minimum; guess: at least the minimum, or near it.

    Where the minimum is nearly always, with two singular values (k = r <= 1), a grid improves the guess first.
    """
    s = np.geomspace(1e-6, 1.0, 200) * (guess / float(bound.C.hi)) ** (1 / float(bound.p.middle))
    r = np.linspace(0.0, 1.0, 60) if bound.ranks else np.zeros(1)
    s, r = (x.ravel() for x in np.meshgrid(s, r))
    guess = min(guess, float(np.min(bound.lower(Interval(s, s), Interval(r, r), Interval(r, r)))))
    return _search(bound, guess * (1 - tol), tol, most)[0]


def _search(bound: Bound, target: float, tol: float | None, most: int) -> tuple[float, int]:
    """(target, boxes used). With tol, the target sinks to (1 - tol) times the least value met at a feasible point."""
    if target <= 0:
        return 0.0, 0
    boxes, done = start(bound, target), 0
    while len(boxes):
        done += len(boxes)
        boxes = contract(bound, boxes)
        values = bound.lower(*_sides(boxes))
        open_ = ~(values >= target)
        lowest = np.argsort(values)[:500]
        met = float(np.min(bound.lower(*_points(boxes[lowest])), initial=np.inf))
        if tol is not None:
            target = min(target, (1 - tol) * met)
        elif met < target * (1 - 1e-12):
            raise Rejected(f"{target!r} is not a lower bound that this argument shows: it gives {met!r} at one point.")
        open_ &= ~(values >= target)
        if done > most or np.any(open_ & np.all(_tiny(boxes), axis=0)):
            raise Rejected(f"{target!r} is not shown to be a lower bound within {done} boxes.")
        boxes = split(boxes[open_])
    return target, done


def start(bound: Bound, target: float) -> np.ndarray:
    """Boxes (count, 6) = (s_lo, s_hi, r_lo, r_hi, k_lo, k_hi) with every point where the bound may be below target.

    C s_1^p >= target beyond s_max; (N) >= target at r = K-2 below s_min, shown by the first box itself.
    """
    p = float(bound.p.middle)
    most = (target / float(bound.C.lo)) ** (1 / p) * (1 + 1e-9)
    while not (bound.C * Interval.of(float(most)).power(bound.p)).lo >= target:
        most *= 1.01
    edges = np.concatenate([[0.0], np.geomspace(most * 1e-12, most, 40)])
    span = (
        (0.0, float(bound.K - 2), 0.0, float(np.nextafter(np.sqrt(bound.K - 2), np.inf)))
        if bound.ranks
        else (0.0, 0.0, 0.0, 0.0)
    )
    return np.array([(a, b, *span) for a, b in itertools.pairwise(edges)])


def contract(bound: Bound, boxes) -> np.ndarray:
    """The boxes cut to r/sqrt(K-2) <= k <= min(r, sqrt(r)), rounded outwards; the empty ones left out."""
    if not bound.ranks:
        return boxes
    boxes, wide, root = boxes.copy(), 1 + 1e-14, np.sqrt(bound.K - 2)
    for _ in range(2):
        _, _, r_lo, r_hi, k_lo, k_hi = boxes.T
        boxes[:, 4] = np.maximum(k_lo, r_lo / root / wide)
        boxes[:, 5] = np.minimum(k_hi, np.minimum(r_hi, np.sqrt(r_hi)) * wide)
        boxes[:, 2] = np.maximum(r_lo, np.maximum(k_lo, k_lo**2) / wide)
        boxes[:, 3] = np.minimum(r_hi, k_hi * root * wide)
    return boxes[np.all(boxes[:, 0::2] <= boxes[:, 1::2], axis=1)]


def _points(boxes):
    """A feasible point of every box, nearly: middles, with k at its largest."""
    s, r = 0.5 * (boxes[:, 0] + boxes[:, 1]), 0.5 * (boxes[:, 2] + boxes[:, 3])
    return tuple(Interval(x, x) for x in (s, r, np.minimum(r, np.sqrt(r))))


def split(boxes) -> np.ndarray:
    """Each box halved along its longest side; s_1 on a logarithmic scale."""
    s_lo, s_hi, r_lo, r_hi, k_lo, k_hi = boxes.T
    with np.errstate(divide="ignore", invalid="ignore"):
        long = np.array(
            [np.where(s_lo > 0, np.log(s_hi / s_lo), 2.0), (r_hi - r_lo) / (1 + r_lo), 2 * (k_hi - k_lo) / (1 + k_lo)]
        )
    axis = np.argmax(long, axis=0)
    low, high, at = boxes.copy(), boxes.copy(), np.arange(len(boxes))
    a, b = boxes[at, 2 * axis], boxes[at, 2 * axis + 1]
    middle = np.where((axis == 0) & (a > 0), np.sqrt(a) * np.sqrt(b), 0.5 * (a + b))
    middle = np.clip(middle, a, b)
    low[at, 2 * axis + 1], high[at, 2 * axis] = middle, middle
    return np.concatenate([low, high])


def _sides(boxes):
    return tuple(Interval(boxes[:, 2 * i], boxes[:, 2 * i + 1]) for i in range(3))


def _tiny(boxes) -> np.ndarray:
    return np.array([boxes[:, 2 * i + 1] - boxes[:, 2 * i] <= 1e-13 * boxes[:, 2 * i + 1] for i in range(3)])


CHECKER = Checker(METHOD, check, states_problem=True)
