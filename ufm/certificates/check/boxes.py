"""All roots of one system with p < 1 (`systems`), by branch and prune over boxes of t = log mu in float intervals.

A first box: pull_j <= (K_o/K) max_i c_ij bounds t_j below; C p sum_i s_i^p = -<grad g, Z> <= g(0) = log K (g convex)
and pull_j <= (K_o/K) sum_i k_i c_ij e^(-c_ij mu_j) bound it above. Boxes are dropped where some R_j has one sign,
narrowed by t_j = (log(m_j C p) - log pull_j)/(1 - p) and by Krawczyk's operator, and settled when R is injective on the
hull of the box and a known root: two boxes around one root are one root. What remains undecided is said.

Source: krawczyk69 (the operator).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ufm.certificates.check import krawczyk
from ufm.certificates.check.krawczyk import FLOOR, U
from ufm.certificates.check.systems import System
from ufm.numerics import balls
from ufm.numerics.intervals import Interval

MOST_BOXES = 4_000_000
"""Boxes looked at in one system before it is given up."""
MOST_OPEN = 64
"""Boxes left undecided in one system before it is given up."""
SMALLEST = 1e-7
"""Boxes narrower than this in log mu are not cut any more."""
CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Settled:
    """What branch and prune left: nothing, boxes (low, high) with another root, boxes undecided."""

    missing: list = field(default_factory=list)
    undecided: list = field(default_factory=list)
    boxes: int = 0

    @property
    def complete(self) -> bool:
        return not self.missing and not self.undecided


def settle(system: System, roots, most: int = MOST_BOXES) -> Settled:
    """Whether the enclosed roots (lists of balls t) are all roots of a system with p < 1."""
    return Search(system, [_floats(root) for root in roots]).run(most)


def _floats(values) -> Interval:
    """Float intervals that contain balls."""
    low = np.array([float(v.lower().mid()) for v in values])
    high = np.array([float(v.upper().mid()) for v in values])
    return Interval(np.nextafter(low, -np.inf), np.nextafter(high, np.inf))


def _down(x, terms: int):
    """Below a sum of nonnegative products computed in floats with fewer than so many roundings."""
    return np.maximum(x * (1 - terms * U) - FLOOR, 0.0)


def _up(x, terms: int):
    return x * (1 + terms * U) + FLOOR


class Search:
    """The interval side of a system: gaps from below and above, known roots, boxes (B, k) of t = log mu."""

    def __init__(self, system: System, roots):
        self.system, self.k = system, system.size
        rows = [
            (o, count, row)
            for o, column in enumerate(system.columns)
            for count, row in zip(column.counts, column.gaps, strict=True)
        ]
        gaps = [_floats(row) for _, _, row in rows]
        self.c_lo = np.maximum(np.array([g.lo for g in gaps]), 0.0)
        self.c_hi = np.array([g.hi for g in gaps])
        own = np.array([[system.owner[j] == o for j in range(self.k)] for o, _, _ in rows])
        self.c_lo, self.c_hi = np.where(own, self.c_lo, 0.0), np.where(own, self.c_hi, 0.0)
        self.counts = np.array([float(count) for _, count, _ in rows])
        self.column = np.array([o for o, _, _ in rows])
        self.owner = np.array(system.owner)
        share = [balls.ball(system.columns[o].share) for o in system.owner]
        const = [(s / (m * system.Cp)).log() for s, m in zip(share, system.multiplicities, strict=True)]
        self.const = _floats(const)
        self.q = Interval.of(1 - system.p)  # 1 - p
        self.q2 = Interval.of(2 - system.p)
        self.roots_lo = np.array([r.lo for r in roots]).reshape(-1, self.k)
        self.roots_hi = np.array([r.hi for r in roots]).reshape(-1, self.k)
        self.cap = Interval.of(np.max(self.c_hi, axis=0)).log().hi  # log of pull over share is at most log max_i c_ij

    # enclosures

    def _weights(self, lo, hi):
        """count_i e^(-gap_i) from below and above, (B, q)."""
        mu, k = Interval(lo, hi).exp(), self.k
        gap_lo, gap_hi = _down(mu.lo @ self.c_lo.T, k + 4), _up(mu.hi @ self.c_hi.T, k + 4)
        e = Interval(-gap_hi, -gap_lo).exp()
        return mu, _down(e.lo * self.counts, 4), _up(e.hi * self.counts, 4)

    def values(self, lo, hi) -> tuple[Interval, Interval]:
        """(log of pull over share, R) over boxes, entries (B, k)."""
        _, e_lo, e_hi = self._weights(lo, hi)
        return self._values(lo, hi, e_lo, e_hi)

    def _values(self, lo, hi, e_lo, e_hi):
        q = len(self.counts) + 4
        N_lo, N_hi = _down(e_lo @ self.c_lo, q), _up(e_hi @ self.c_hi, q)
        inside = (self.column[:, None] == self.owner[None, :]).astype(float)
        D_lo, D_hi = _down(1 + e_lo @ inside, q), _up(1 + e_hi @ inside, q)
        pull = Interval(N_lo, N_hi).log() - Interval(D_lo, D_hi).log()
        pull = Interval(pull.lo, np.maximum(np.minimum(pull.hi, self.cap), pull.lo))
        L = pull + self.const
        t = Interval(lo, hi)
        R = L + self.q * t
        if self.system.coupled:
            R = self._coupled(L, R, lo, hi)
        return L, R

    def _coupled(self, L, R, lo, hi):
        """R_x = L_x + (1 - p) t_x + (2 - p) log(tau/x) = L_x + (2 - p) log tau - t_x over boxes."""
        angle, tau = self._polar(lo, hi)
        first = R[:, -2:] + self.q2 * angle
        second = L[:, -2:] + self.q2 * tau - Interval(lo[:, -2:], hi[:, -2:])
        low, high = np.maximum(first.lo, second.lo), np.minimum(first.hi, second.hi)
        return Interval(np.hstack([R.lo[:, :-2], low]), np.hstack([R.hi[:, :-2], np.maximum(low, high)]))

    def _polar(self, lo, hi):
        """((log(tau/x), log(tau/y)), log tau) over boxes, (B, 2) and (B, 1); log(tau/x) = log(1 + e^(2(t_y - t_x)))/2,
        and tau increases in both."""
        x, y = Interval(lo[:, -2], hi[:, -2]), Interval(lo[:, -1], hi[:, -1])
        turn = y - x
        ends = Interval.of(np.vstack([lo[:, -2:], hi[:, -2:]]))
        gap = ends[:, 1] - ends[:, 0]
        both = Interval(np.concatenate([turn.lo, -turn.hi, gap.lo]), np.concatenate([turn.hi, -turn.lo, gap.hi]))
        angle = 0.5 * (2.0 * both).softplus()
        size = len(lo)
        tau = ends[:, 0] + angle[2 * size :]
        tops = np.nextafter(np.max(hi[:, -2:], axis=1) + 0.34658, np.inf)  # log(2)/2 more than the larger
        low, high = np.maximum(tau.lo[:size], np.max(lo[:, -2:], axis=1)), np.minimum(tau.hi[size:], tops)
        pair = Interval(angle.lo[: 2 * size].reshape(2, size).T, angle.hi[: 2 * size].reshape(2, size).T)
        return pair, Interval(low[:, None], np.maximum(low, high)[:, None])

    def jacobian(self, lo, hi) -> tuple[np.ndarray, np.ndarray]:
        """R' over boxes, from below and above, (B, k, k)."""
        mu, e_lo, e_hi = self._weights(lo, hi)
        return self._jacobian(lo, hi, mu, e_lo, e_hi)

    def _jacobian(self, lo, hi, mu, e_lo, e_hi):
        B, k = lo.shape
        J_lo, J_hi = np.zeros((B, k, k)), np.zeros((B, k, k))
        for o in range(len(self.system.columns)):
            own, rows = np.flatnonzero(self.owner == o), np.flatnonzero(self.column == o)
            c_lo, c_hi = self.c_lo[np.ix_(rows, own)], self.c_hi[np.ix_(rows, own)]
            pad = [np.hstack([e[:, rows], np.ones((B, 1))])[:, None, :] for e in (e_lo, e_hi)]  # the label, with gap 0
            mean = _average(*pad, *(np.vstack([c, np.zeros((1, len(own)))]) for c in (c_lo, c_hi)))
            tilted = _average(
                _down(e_lo[:, None, rows] * c_lo.T[None], 2), _up(e_hi[:, None, rows] * c_hi.T[None], 2), c_lo, c_hi
            )
            slope = Interval(*mean) - Interval(*tilted)
            part = slope * Interval(mu.lo[:, None, own], mu.hi[:, None, own])
            block = np.ix_(np.arange(B), own, own)
            J_lo[block], J_hi[block] = part.lo, part.hi
        J = Interval(J_lo, J_hi) + self.q * np.eye(k)
        if not self.system.coupled:
            return J.lo, J.hi
        lo_, hi_ = J.lo.copy(), J.hi.copy()
        cosines = (-2.0 * self._polar(lo, hi)[0]).exp() * self.q2  # (2 - p) (x/tau)^2 and (y/tau)^2
        entry = J[:, -2:, -2:] + cosines[:, None, :] - self.q2 * np.eye(2)
        lo_[:, -2:, -2:], hi_[:, -2:, -2:] = entry.lo, entry.hi
        return lo_, hi_

    # the first box

    def first_box(self):
        """(low, high), one row, that contains every root, and whether it is empty; see the module."""
        s, p = self.system, Interval.of(self.system.p)
        size = Interval.of(np.array(s.multiplicities, dtype=float)) * _floats([s.Cp])[0]  # m_j C p
        high = ((Interval.of(float(s.K)).log() / size).log() / p).hi
        high = np.array([self._reach(j, high[j]) for j in range(self.k)])
        low = (-(self.const + self.cap) / self.q).lo
        if s.coupled:
            high[-2:] = np.max(high[-2:])
            largest = (
                np.max((self.const + self.cap).hi[-2:]) + 0.35
            )  # log of |(pull_x, pull_y)| over C p is at most this
            tau = (-Interval.of(largest) / self.q).lo
            for j in (-2, -1):
                rows = np.flatnonzero(self.column == self.owner[j])
                gap = (Interval.of(high).exp() * Interval.of(np.sum(self.c_hi[rows], axis=0) * (1 + 1e-12))).sum()
                force = Interval.of(self.c_lo[rows[-1], j] * (1 - 1e-12)).log() - gap - Interval.of(float(s.K)).log()
                low[j] = (force + self.const[j] + self.q2 * float(tau)).lo
        return np.minimum(low, high)[None], high[None], bool(np.any(low > high))

    def _reach(self, j: int, high: float) -> float:
        """A bound of t_j: pull_j <= share sum_i k_i c_ij e^(-c_ij mu_j), so no root lies where, c being the least
        positive c_ij,

            log(share sum_i k_i c_ij) - log(m_j C p) - c e^t + (1 - p) t < 0,

        and that goes on once it falls, from c e^t = 1 - p. The larger of x, y has tau <= sqrt(2) x, so C p tau^(p-2) x
        >= 2^(p/2-1) C p x^(p-1), which 0.7 > log 2 allows for. Gaps that are zero up to their ball count as constants.
        """
        c_lo, c_hi, q = self.c_lo[:, j], self.c_hi[:, j], self.q
        rest = (
            Interval.of(2.0 * np.sum(np.where(c_lo > 0, 0.0, c_hi * self.counts)) + FLOOR).log() * 1.0
            + self.const[j]
            + 1.0
        )
        if (rest + q * max(high, 0.0)).hi >= 0:
            return high
        c = np.min(c_lo[c_lo > 0])
        start = math.log(q.hi / c) + 1e-9
        if start >= high:
            return high
        t = Interval.of(np.linspace(start, high, 600))
        force = Interval.of(float(2.0 * np.sum(c_hi * self.counts) * (1 + 1e-12))).log() + self.const[j] + 0.7
        falls = c * t.exp()
        below = ((force - falls + q * t).hi < 0) & (falls.lo > q.hi)
        return float(t.hi[np.argmax(below)]) if np.any(below) else high

    def shave(self, lo, hi):
        """The box without end slices where an equation has no root, or None. Slices halve towards both ends."""
        ends = 2.0 ** -np.arange(14.0, 0.0, -1.0)
        cuts = np.concatenate([ends, 1 - ends[-2::-1]])
        for _ in range(8):
            before = np.sum(hi - lo)
            for j in range(self.k):
                inner = np.clip(lo[0, j] + cuts * (hi[0, j] - lo[0, j]), lo[0, j], hi[0, j])
                edges = np.concatenate([lo[:, j], inner, hi[:, j]])
                low, high = np.repeat(lo, len(edges) - 1, 0), np.repeat(hi, len(edges) - 1, 0)
                low[:, j], high[:, j] = edges[:-1], edges[1:]
                low, high, _ = self._contract(low, high)
                if not len(low):
                    return None
                lo, hi = np.min(low, 0, keepdims=True), np.max(high, 0, keepdims=True)
            if np.sum(hi - lo) > 0.98 * before:
                break
        return lo, hi

    def _contract(self, lo, hi):
        """Boxes without those where an equation has no root, each narrowed by every equation solved for its own
        unknown; and their indices."""
        at = np.arange(len(lo))
        L, R = self.values(lo, hi)
        keep = np.all((R.lo <= 0) & (R.hi >= 0), axis=1)
        lo, hi, at, L = lo[keep], hi[keep], at[keep], L[keep]
        if not len(lo):
            return lo, hi, at
        t = -L / self.q
        new_lo, new_hi = np.maximum(lo, t.lo), np.minimum(hi, t.hi)
        if self.system.coupled:
            angle, tau = self._polar(lo, hi)
            first, second = -(L[:, -2:] + self.q2 * angle) / self.q, L[:, -2:] + self.q2 * tau
            new_lo[:, -2:] = np.maximum(np.maximum(lo[:, -2:], first.lo), second.lo)
            new_hi[:, -2:] = np.minimum(np.minimum(hi[:, -2:], first.hi), second.hi)
        keep = np.all(new_lo <= new_hi, axis=1)
        return new_lo[keep], new_hi[keep], at[keep]

    # branch and prune

    def run(self, most: int) -> Settled:
        lo, hi, empty = self.first_box()
        box = None if empty else self.shave(lo, hi)
        if box is None:
            return Settled(boxes=1)
        self.known = self._neighbourhoods()
        stack, missing, undecided, count = [box], [], [], 0
        while stack:
            lo, hi = stack.pop()
            if len(lo) > CHUNK:
                stack.append((lo[:-CHUNK], hi[:-CHUNK]))
                lo, hi = lo[-CHUNK:], hi[-CHUNK:]
            while stack and len(lo) + len(stack[-1][0]) <= CHUNK:
                more = stack.pop()
                lo, hi = np.vstack([more[0], lo]), np.vstack([more[1], hi])
            count += len(lo)
            lo, hi, smear, found = self._prune(lo, hi)
            missing += found
            small = np.max(hi - lo, axis=1, initial=0.0) < SMALLEST
            undecided += [(a.tolist(), b.tolist()) for a, b in zip(lo[small], hi[small], strict=True)]
            lo, hi, smear = lo[~small], hi[~small], smear[~small]
            if count > most or len(undecided) > MOST_OPEN or len(missing) > MOST_OPEN:
                rest = [(lo, hi), *stack]
                undecided += [
                    (a.tolist(), b.tolist())
                    for a, b in zip(np.vstack([r[0] for r in rest]), np.vstack([r[1] for r in rest]), strict=True)
                ]
                break
            if len(lo):
                j = np.argmax(smear, axis=1)
                at = np.arange(len(lo))
                middle = 0.515 * lo[at, j] + 0.485 * hi[at, j]
                left, right = hi.copy(), lo.copy()
                left[at, j], right[at, j] = middle, middle
                stack.append((np.vstack([lo, right]), np.vstack([left, hi])))
        return Settled(missing, undecided, count)

    def _prune(self, lo, hi):
        """(boxes left, which side to cut, boxes found to hold a root that is not known)."""
        lo, hi, _ = self._contract(lo, hi)
        lo, hi = self._unknown(lo, hi)
        if not len(lo):
            return lo, hi, lo, []
        lo, hi, smear, holds = self._krawczyk(lo, hi)
        new_lo, new_hi, at = self._unsettled(lo, hi)
        lo, hi, smear, holds = new_lo, new_hi, smear[at], holds[at]
        clear = holds & ~self._touches(lo, hi)
        found = [(a.tolist(), b.tolist()) for a, b in zip(lo[clear], hi[clear], strict=True)]
        return lo[~clear], hi[~clear], smear[~clear], found

    def _krawczyk(self, lo, hi):
        """(boxes met by K(X), narrowed; smears; whether K(X) lies inside X, which proves a root)."""
        J_lo, J_hi = self.jacobian(lo, hi)
        mid = 0.5 * lo + 0.5 * hi
        k_lo, k_hi = krawczyk.images(lo, hi, self.values(mid, mid)[1], J_lo, J_hi)
        holds = np.all((k_lo > lo) & (k_hi < hi), axis=1)
        smear = np.max(np.maximum(np.abs(J_lo), np.abs(J_hi)), axis=1) * (hi - lo)
        smear = np.where(np.isfinite(smear), smear, hi - lo)
        new_lo, new_hi = np.maximum(lo, k_lo), np.minimum(hi, k_hi)
        keep = np.all(new_lo <= new_hi, axis=1)
        return new_lo[keep], new_hi[keep], smear[keep], holds[keep]

    def injective(self, lo, hi) -> np.ndarray:
        """Whether R takes no value twice on each box."""
        return krawczyk.injective(*self.jacobian(lo, hi))

    def _neighbourhoods(self):
        """A box around every known root where it is the only one."""
        lo, hi = self.roots_lo.copy(), self.roots_hi.copy()
        for width in np.geomspace(1e-3, 4.0, 24):
            a, b = self.roots_lo - width, self.roots_hi + width
            fine = self.injective(a, b) if len(a) else np.zeros(0, dtype=bool)
            lo[fine], hi[fine] = a[fine], b[fine]
            if not np.any(fine):
                break
        return lo, hi

    def _unknown(self, lo, hi):
        """Boxes that lie in no neighbourhood of a known root."""
        for a, b in zip(*self.known, strict=True):
            out = ~np.all((lo >= a) & (hi <= b), axis=1)
            lo, hi = lo[out], hi[out]
        return lo, hi

    def _unsettled(self, lo, hi):
        """Boxes, by index, whose hull with the nearest known root may hold a second root."""
        at = np.arange(len(lo))
        if not len(self.roots_lo) or not len(lo):
            return lo, hi, at
        gap = np.maximum(np.maximum(self.roots_lo[None] - hi[:, None], lo[:, None] - self.roots_hi[None]), 0.0)
        distance = np.max(gap, axis=2)
        near = np.argmin(distance, axis=1)
        width = np.max(hi - lo, axis=1)
        ask = np.flatnonzero((distance[at, near] <= np.maximum(width, 0.02)) & (width < 1.5))
        if not len(ask):
            return lo, hi, at
        hull_lo = np.minimum(lo[ask], self.roots_lo[near[ask]])
        hull_hi = np.maximum(hi[ask], self.roots_hi[near[ask]])
        out = np.setdiff1d(at, ask[self.injective(hull_lo, hull_hi)])
        return lo[out], hi[out], out

    def _touches(self, lo, hi):
        if not len(self.roots_lo):
            return np.zeros(len(lo), dtype=bool)
        apart = np.any((self.roots_lo[None] > hi[:, None]) | (self.roots_hi[None] < lo[:, None]), axis=2)
        return ~np.all(apart, axis=1)


def _average(w_lo, w_hi, c_lo, c_hi):
    """(below, above) of sum_i w_i c_il / sum_i w_i over weights in [w_lo, w_hi] (B, M, q), c (q, U): centred at a float
    a, and within min c, max c."""
    q = w_lo.shape[2]
    with np.errstate(all="ignore"):
        w = 0.5 * w_lo + 0.5 * w_hi
        a = np.nan_to_num((w @ (0.5 * (c_lo + c_hi))) / np.sum(w, axis=2, keepdims=True))[:, :, None, :]
        low, high = np.nextafter(c_lo - a, -np.inf), np.nextafter(c_hi - a, np.inf)
        w_lo_, w_hi_ = w_lo[..., None], w_hi[..., None]
        up = np.sum(np.where(high > 0, w_hi_, w_lo_) * high, axis=2)
        down = np.sum(np.where(low > 0, w_lo_, w_hi_) * low, axis=2)
        error = (q + 4) * U * np.sum(w_hi_ * np.maximum(np.abs(low), np.abs(high)), axis=2) + FLOOR
        least, most = _down(np.sum(w_lo, axis=2), q + 4)[..., None], _up(np.sum(w_hi, axis=2), q + 4)[..., None]
        up, down = up + error, down - error
        up = up / np.where(up > 0, least, most)
        down = down / np.where(down < 0, least, most)
        a = a[:, :, 0, :]
        top, bottom = a + up + 8 * U * (np.abs(a) + np.abs(up)), a + down - 8 * U * (np.abs(a) + np.abs(down))
    floor, ceiling = np.min(c_lo, axis=0), np.max(c_hi, axis=0)
    top = np.minimum(np.where(np.isfinite(top), top, np.inf), ceiling)
    bottom = np.maximum(np.where(np.isfinite(bottom), bottom, -np.inf), floor)
    return bottom, np.maximum(top, bottom)
