"""All critical points that share a symmetry: none is missing, by interval branch and prune.

A group G of permutations of the K classes acts by Z -> Pi Z Pi'. With one orbit whose orbitals A_0 = I, A_1, ..., A_d
are symmetric matrices, the logits fixed by G are sum_j mu_j E_j + mu_0 11'/K, E_j the idempotents of an association
scheme. With two orbits and one orbital between them they are two such blocks and constant blocks beside them. A
critical point has 1'Z = 0, for G' 1 = 0 and Z = U s V' with U in the range of the gradient: so

    Z = sum_j mu_j E_j     or     Z = blockdiag(sum_j mu_j E_j, sum_j nu_j E'_j) + u (x v_1 - y v_2)'

(u, v_1, v_2 as in `Class`). In a column of orbit o the gaps z_label - z_i = sum_j c_ij mu_j have c >= 0. With pi the
softmax and pull_j = (K_o/K) sum_i pi_i c_ij > 0 the equations of the active modes are, in t = log mu, p = 2/D,

    R_j = log pull_j - log(m_j C p) + (1 - p) t_j = 0,
    R_x = log pull_x - log(C p) + (2 - p) log tau - t_x = 0,   tau^2 = x^2 + y^2   (y alike),

pulls being positive, so are all active coefficients, and x, y vanish together. An inactive mode asks for nothing: the
point is critical on the matrices of its rank, hence for the factors (Lemma 1 of gk25). One system for every choice of
active modes.

*D >= 3.* A first box: pull_j <= (K_o/K) max_i c_ij bounds t_j below; C p sum_i s_i^p = -<grad g, Z> <= g(0) = log K (g
convex) and pull_j <= (K_o/K) sum_i k_i c_ij e^(-c_ij mu_j) bound it above. Boxes are dropped where some R_j has one
sign, narrowed by t_j = (log(m_j C p) - log pull_j)/(1 - p) and by Krawczyk's operator, and settled when R is injective
on the hull of the box and a known root (|1 - Y R'| < 1 there): two boxes around one root are one root. What remains
undecided is said.

*D = 2.* The objective is strictly convex on the span of any set of modes, with one minimum; it has full support, or is
the root of a smaller set where every missing mode pulls less than its weight.

Roots are balls of 192 bits; boxes are intervals in float64.

Source: gk25 (the model), bannai84 (schemes), palais79 (symmetric criticality), krawczyk69 (the operator).
"""

from __future__ import annotations

import decimal
import itertools
import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.groups import Class, symmetry_class
from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls
from ufm.numerics.intervals import Interval

METHOD = "symmetric"
KIND, ARITHMETIC = "completeness", "interval"
BITS, DIGITS = 192, 20
MOST_BOXES = 4_000_000
"""Boxes looked at in one system before it is given up."""
MOST_OPEN = 64
"""Boxes left undecided in one system before it is given up."""
SMALLEST = 1e-7
"""Boxes narrower than this in log mu are not cut any more."""
CHUNK = 1024

_U = 2.0**-52
_FLOOR = 1e-300


# The systems


@dataclass(frozen=True, eq=False)
class Column:
    """One column of an orbit: its share K_o/K, how many classes have each gap, and gaps[i][j] >= 0."""

    share: Fraction
    counts: tuple[int, ...]
    gaps: tuple


@dataclass(frozen=True, eq=False)
class System:
    """The equations of one choice of active modes. owner[j]: the column of unknown j; coupled: x, y are last."""

    p: Fraction
    Cp: object
    K: int
    columns: tuple[Column, ...]
    owner: tuple[int, ...]
    multiplicities: tuple[int, ...]
    coupled: bool

    @property
    def size(self) -> int:
        return len(self.owner)

    def pulls(self, mu):
        """(D of every column, pull_j, d log pull_j/d mu_l) at balls mu >= 0."""
        tops, pull = [], [None] * self.size
        J = [[balls.ball(0)] * self.size for _ in range(self.size)]
        for o, column in enumerate(self.columns):
            own = [j for j in range(self.size) if self.owner[j] == o]
            e = [
                count * (-sum((c * m for c, m in zip(row, mu, strict=True)), balls.ball(0))).exp()
                for count, row in zip(column.counts, column.gaps, strict=True)
            ]
            top = 1 + sum(e, balls.ball(0))
            N = {j: sum((row[j] * v for row, v in zip(column.gaps, e, strict=True)), balls.ball(0)) for j in own}
            tops.append(top)
            for j in own:
                pull[j] = balls.ball(column.share) * N[j] / top
                for l in own:
                    J[j][l] = (
                        N[l] / top
                        - sum((row[j] * row[l] * v for row, v in zip(column.gaps, e, strict=True)), balls.ball(0))
                        / N[j]
                    )
        return tops, pull, J

    def residual(self, t):
        """(R, R') at balls t = log mu."""
        mu, p = [v.exp() for v in t], balls.ball(self.p)
        _, pull, J = self.pulls(mu)
        R = [pull[j].log() - (self.multiplicities[j] * self.Cp).log() + (1 - p) * t[j] for j in range(self.size)]
        J = [[J[j][l] * mu[l] + ((1 - p) if j == l else 0) for l in range(self.size)] for j in range(self.size)]
        if self.coupled:
            x, y = self.size - 2, self.size - 1
            square = mu[x] ** 2 + mu[y] ** 2
            for j in (x, y):
                R[j] += (2 - p) * (square.log() / 2 - t[j])
                J[j][j] -= 2 - p
                for l in (x, y):
                    J[j][l] += (2 - p) * mu[l] ** 2 / square
        return R, J

    def loss(self, t):
        """The part of F due to these columns and modes."""
        mu, p = [v.exp() for v in t], balls.ball(self.p)
        plain = mu[:-2] if self.coupled else mu
        penalty = sum((m * v**p for m, v in zip(self.multiplicities[: len(plain)], plain, strict=True)), balls.ball(0))
        if self.coupled:
            penalty += (mu[-2] ** 2 + mu[-1] ** 2) ** (p / 2)
        tops, _, _ = self.pulls(mu)
        fit = sum(
            (balls.ball(column.share) * top.log() for column, top in zip(self.columns, tops, strict=True)),
            balls.ball(0),
        )
        return fit + self.Cp / p * penalty


def systems(model: Model, family: Class):
    """{(active modes of every orbit, coupled): System}: everything but products of roots of the two orbits. None marks
    an orbit left out."""
    found = {}
    sets = [
        [
            s
            for r in range(len(o.multiplicities) + 1)
            for s in itertools.combinations(range(1, len(o.multiplicities) + 1), r)
        ]
        for o in family.orbits
    ]
    ranks = [
        {s: sum(o.multiplicities[j - 1] for j in s) for s in every}
        for o, every in zip(family.orbits, sets, strict=True)
    ]
    for o, every in enumerate(sets):
        for s in every:
            if s and ranks[o][s] <= model.max_rank:
                key = tuple(s if q == o else None for q in range(len(sets))), False
                found[key] = _system(model, family, *key)
    if len(sets) == 2:
        for pair in itertools.product(*sets):
            if sum(rank[s] for rank, s in zip(ranks, pair, strict=True)) + 1 <= model.max_rank:
                found[pair, True] = _system(model, family, pair, True)
    return found


def _system(model: Model, family: Class, modes, coupled: bool) -> System:
    used = [o for o, s in enumerate(modes) if s is not None]
    labels = [(o, j - 1) for o in used for j in modes[o]] + ([(o, None) for o in used] if coupled else [])
    columns = []
    for o in used:
        orbit = family.orbits[o]
        counts, rows = (
            list(orbit.valencies[1:]),
            [[_gap(family, o, i, label) for label in labels] for i in range(1, len(orbit.valencies))],
        )
        if orbit.size < family.K:
            counts.append(family.K - orbit.size)
            rows.append([_gap(family, o, None, label) for label in labels])
        columns.append(Column(Fraction(orbit.size, family.K), tuple(counts), tuple(map(tuple, rows))))
    multiplicities = tuple(1 if j is None else family.orbits[o].multiplicities[j] for o, j in labels)
    p = Fraction(2, model.D)
    return System(
        p,
        model.C() * 2 / model.D,
        family.K,
        tuple(columns),
        tuple(used.index(o) for o, _ in labels),
        multiplicities,
        coupled,
    )


def _gap(family: Class, o: int, i, label):
    """d(z_label - z_i)/d(unknown) in a column of orbit o; i: a relation, or None for the other orbit."""
    owner, j = label
    orbit = family.orbits[o]
    if owner != o:
        return balls.ball(0)
    if j is None:
        a, b = (other.size for other in family.orbits)
        return balls.ball(0) if i is not None else (balls.ball(family.K) / (a * b * orbit.size)).sqrt()
    gap = orbit.entries[j][0] - (0 if i is None else orbit.entries[j][i])
    return balls.ball(0).union(gap.upper()) if gap.contains(0) else gap


# One root


def enclose(system: System, start) -> list:
    """Balls t = log mu with exactly one root, near the start, by Krawczyk's operator. Rejected where it fails."""
    arb, size = balls.flint().arb, system.size
    t = [balls.ball(value).mid() for value in start]
    try:
        for _ in range(60):
            R, J = system.residual(t)
            step = _times(_inverse(J), R)
            t = [(a - b).mid() for a, b in zip(t, step, strict=True)]
            if all(abs(v) < arb(2) ** (-BITS // 2) for v in step):
                break
        t = [
            (a - b).mid()
            for a, b in zip(t, _times(_inverse(system.residual(t)[1]), system.residual(t)[0]), strict=True)
        ]
        Y = [[v.mid() for v in row] for row in _inverse(system.residual(t)[1])]
        centre = [a - b for a, b in zip(t, _times(Y, system.residual(t)[0]), strict=True)]
        for bits in (-BITS * 2 // 3, -BITS // 2, -BITS // 4):
            box = [arb(v.mid(), arb(2) ** bits) for v in t]
            J = system.residual(box)[1]
            spread = [
                [int(i == j) - sum((Y[i][l] * J[l][j] for l in range(size)), arb(0)) for j in range(size)]
                for i in range(size)
            ]
            image = [
                c + s for c, s in zip(centre, _times(spread, [b - v for b, v in zip(box, t, strict=True)]), strict=True)
            ]
            if all(b.contains_interior(v) for b, v in zip(box, image, strict=True)):
                return image
    except (ZeroDivisionError, OverflowError):
        pass
    raise Rejected(f"no root is proved near t = {[round(float(balls.ball(v).mid()), 6) for v in start]}.")


def _inverse(J):
    library = balls.flint()
    inverse = library.arb_mat(J).inv()
    if not all(inverse[i, j].is_finite() for i in range(len(J)) for j in range(len(J))):
        raise ZeroDivisionError
    return [[inverse[i, j] for j in range(len(J))] for i in range(len(J))]


def _times(M, v):
    return [sum((a * b for a, b in zip(row, v, strict=True)), balls.ball(0)) for row in M]


def _text(value) -> tuple[str, str]:
    """(centre of 20 digits, radius): a decimal ball around a small ball; the same whatever the ball of one number."""
    ends = {_rounded(end) for end in (value.lower(), value.upper())}
    if len(ends) != 1:
        raise Rejected("a root is not enclosed well enough to be written down.")
    (centre,) = ends
    return str(centre), f"5e{centre.adjusted() - DIGITS}"


def _rounded(end) -> decimal.Decimal:
    mantissa, exponent = (int(part) for part in end.mid().man_exp())
    exact = Fraction(mantissa) * Fraction(2) ** exponent
    context = decimal.Context(prec=DIGITS, Emin=-(10**9), Emax=10**9)
    return context.divide(decimal.Decimal(exact.numerator), decimal.Decimal(exact.denominator))


# All roots of one system: intervals in float64


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
    return _Search(system, [_floats(root) for root in roots]).run(most)


def _floats(values) -> Interval:
    """Float intervals that contain balls."""
    low = np.array([float(v.lower().mid()) for v in values])
    high = np.array([float(v.upper().mid()) for v in values])
    return Interval(np.nextafter(low, -np.inf), np.nextafter(high, np.inf))


def _down(x, terms: int):
    """Below a sum of nonnegative products computed in floats with fewer than so many roundings."""
    return np.maximum(x * (1 - terms * _U) - _FLOOR, 0.0)


def _up(x, terms: int):
    return x * (1 + terms * _U) + _FLOOR


class _Search:
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
            J_lo[np.ix_(range(B), own, own)], J_hi[np.ix_(range(B), own, own)] = part.lo, part.hi
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
            Interval.of(2.0 * np.sum(np.where(c_lo > 0, 0.0, c_hi * self.counts)) + _FLOOR).log() * 1.0
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
        mid = 0.5 * lo + 0.5 * hi
        J_lo, J_hi = self.jacobian(lo, hi)
        Y = _inverses(0.5 * (J_lo + J_hi))
        M = _defect(Y, J_lo, J_hi)
        rad = np.nextafter(np.maximum(hi - mid, mid - lo), np.inf)
        _, R = self.values(mid, mid)
        with np.errstate(all="ignore"):
            centre = mid - np.einsum("bij,bj->bi", Y, R.middle)
            error = np.einsum("bij,bj->bi", np.abs(Y), 0.5 * R.width + 2 * _U * (np.abs(R.middle) + R.width)) * (
                1 + 40 * _U
            )
            error += 8 * self.k * _U * (np.abs(mid) + np.einsum("bij,bj->bi", np.abs(Y), np.abs(R.middle)))
            spread = np.einsum("bij,bj->bi", M, rad) * (1 + 40 * _U) + error
            k_lo, k_hi = np.nextafter(centre - spread, -np.inf), np.nextafter(centre + spread, np.inf)
        bad = ~np.all(np.isfinite(k_lo) & np.isfinite(k_hi), axis=1)
        k_lo[bad], k_hi[bad] = -np.inf, np.inf
        holds = np.all((k_lo > lo) & (k_hi < hi), axis=1)
        smear = np.max(np.maximum(np.abs(J_lo), np.abs(J_hi)), axis=1) * (hi - lo)
        smear = np.where(np.isfinite(smear), smear, hi - lo)
        new_lo, new_hi = np.maximum(lo, k_lo), np.minimum(hi, k_hi)
        keep = np.all(new_lo <= new_hi, axis=1)
        return new_lo[keep], new_hi[keep], smear[keep], holds[keep]

    def injective(self, lo, hi) -> np.ndarray:
        """Whether |1 - Y R'| < 1 on each box: R takes no value twice there."""
        J_lo, J_hi = self.jacobian(lo, hi)
        M = _defect(_inverses(0.5 * (J_lo + J_hi)), J_lo, J_hi)
        with np.errstate(invalid="ignore"):
            return np.max(np.sum(M, axis=2) * (1 + 40 * _U), axis=1) < 1

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
        error = (q + 4) * _U * np.sum(w_hi_ * np.maximum(np.abs(low), np.abs(high)), axis=2) + _FLOOR
        least, most = _down(np.sum(w_lo, axis=2), q + 4)[..., None], _up(np.sum(w_hi, axis=2), q + 4)[..., None]
        up, down = up + error, down - error
        up = up / np.where(up > 0, least, most)
        down = down / np.where(down < 0, least, most)
        a = a[:, :, 0, :]
        top, bottom = a + up + 8 * _U * (np.abs(a) + np.abs(up)), a + down - 8 * _U * (np.abs(a) + np.abs(down))
    floor, ceiling = np.min(c_lo, axis=0), np.max(c_hi, axis=0)
    top = np.minimum(np.where(np.isfinite(top), top, np.inf), ceiling)
    bottom = np.maximum(np.where(np.isfinite(bottom), bottom, -np.inf), floor)
    return bottom, np.maximum(top, bottom)


def _inverses(J):
    """Approximate inverses of a stack; zeros where there is none, which proves nothing and harms nothing."""
    try:
        Y = np.linalg.inv(J)
    except np.linalg.LinAlgError:
        det = np.linalg.det(J)
        fine = np.isfinite(det) & (np.abs(det) > 1e-300)
        Y = np.zeros_like(J)
        for i in np.flatnonzero(fine):
            try:
                Y[i] = np.linalg.inv(J[i])
            except np.linalg.LinAlgError:
                continue
    return np.where(np.isfinite(Y), Y, 0.0)


def _defect(Y, J_lo, J_hi):
    """An upper bound of |1 - Y J| in every entry, for all J between."""
    k = Y.shape[1]
    with np.errstate(all="ignore"):
        mid = 0.5 * J_lo + 0.5 * J_hi
        rad = np.nextafter(np.maximum(J_hi - mid, mid - J_lo), np.inf)
        size = np.abs(Y) @ np.abs(mid)
        M = (
            np.abs(np.eye(k) - Y @ mid)
            + np.abs(Y) @ rad * (1 + 2 * (k + 4) * _U)
            + 2 * (k + 4) * _U * (1 + size)
            + _FLOOR
        )
    return np.where(np.isnan(M), np.inf, M)


# D = 2: convex


def settle_convex(key, every, roots) -> bool:
    """Proved, for D = 2: the enclosed roots of every system are all there are of this one (one, or none)."""
    if roots[key]:
        return len(roots[key]) == 1
    names = labels(*key)
    return any(
        set(inner) < set(names) and _stays(every[key], [names.index(v) for v in inner], t)
        for inner, t in _convex_points(roots)
    )


def labels(modes, coupled: bool) -> list:
    """The unknowns of a system as (orbit, mode), x and y as (orbit, 0)."""
    used = [o for o, s in enumerate(modes) if s is not None]
    return [(o, j) for o in used for j in modes[o]] + ([(o, 0) for o in used] if coupled else [])


def _convex_points(roots):
    """(unknowns, their balls) of zero, every root, and every product of roots of two orbits."""
    single = [(labels(*key), t) for key, found in roots.items() for t in found]
    alone = [(key[0][0] is None, labels(*key), t) for key, found in roots.items() for t in found if not key[1]]
    products = [
        (a + b, [*s, *t]) for (first, a, s), (second, b, t) in itertools.product(alone, alone) if second and not first
    ]
    return [([], []), *single, *products]


def _stays(system: System, inside: list[int], t) -> bool:
    """Proved: at the root t of the unknowns `inside` every other unknown of the system pulls less than its weight, so
    that its minimum is there."""
    mu = [balls.ball(0)] * system.size
    for j, value in zip(inside, t, strict=True):
        mu[j] = value.exp()
    _, pull, _ = system.pulls(mu)
    pair = {system.size - 2, system.size - 1} if system.coupled else set()
    plain = all(
        bool(pull[j] < system.multiplicities[j] * system.Cp) for j in range(system.size) if j not in pair | set(inside)
    )
    return plain and (not pair or pair <= set(inside) or bool(pull[-2] ** 2 + pull[-1] ** 2 < system.Cp**2))


# The check


def read(data: dict) -> tuple[Model, Class]:
    """The problem and the class of a certificate; Rejected where this proof does not apply."""
    model = Model.of(data)
    if model.loss != "ce":
        raise Rejected(f"completeness in a symmetry class is proved for cross-entropy; got loss {model.loss}.")
    if not model.balanced:
        raise Rejected(f"completeness in a symmetry class is proved for equal class counts; got n={list(model.n)}.")
    if model.bias is not None:
        raise Rejected(f"completeness in a symmetry class is proved without a bias; got bias={model.bias}.")
    return model, symmetry_class(data["group"], data["order"], model.K)


def points(model: Model, family: Class, every, roots) -> list[dict]:
    """All nonzero critical points of a class from the enclosed roots of its systems, as a certificate lists them.

    Each: modes (active idempotents of every orbit, from 1), coupled, values [[centre, radius], ...] of mu, then nu,
    then x, y, and loss [below, above].
    """
    listed, K = [], balls.ball(family.K)
    alone = [
        [((), [], balls.ball(orbit.size) / family.K * K.log())]
        + [
            (key[0][o], t, every[key].loss(t))
            for key in every
            if not key[1] and key[0][o] is not None
            for t in roots[key]
        ]
        for o, orbit in enumerate(family.orbits)
    ]
    for parts in itertools.product(*alone):
        modes = [list(part[0]) for part in parts]
        rank = sum(orbit.multiplicities[j - 1] for orbit, s in zip(family.orbits, modes, strict=True) for j in s)
        if 0 < rank <= model.max_rank:
            listed.append(
                (modes, False, [v for part in parts for v in part[1]], sum((part[2] for part in parts), balls.ball(0)))
            )
    for key, system in every.items():
        if key[1]:
            listed += [([list(s) for s in key[0]], True, t, system.loss(t)) for t in roots[key]]
    return [
        {
            "modes": modes,
            "coupled": coupled,
            "values": [list(_text(v.exp())) for v in t],
            "loss": [balls.below(loss), balls.above(loss)],
        }
        for modes, coupled, t, loss in listed
    ]


def starts(data: dict, family: Class) -> dict:
    """{key of a system: its roots in mu, as texts} read from the points of a certificate."""
    found: dict = {}
    for point in data["points"]:
        modes, coupled, texts = point["modes"], point["coupled"], [value[0] for value in point["values"]]
        if len(modes) != len(family.orbits) or type(coupled) is not bool:
            raise Rejected("a point does not say which modes it has.")
        if coupled:
            parts = [(tuple(map(tuple, modes)), texts)]
        else:
            ends = np.cumsum([0, *map(len, modes)])
            parts = [
                (tuple(tuple(s) if q == o else None for q in range(len(modes))), texts[ends[o] : ends[o + 1]])
                for o, s in enumerate(modes)
                if s
            ]
        for key, values in parts:
            known = found.setdefault((key, coupled), [])
            if values not in known:
                known.append(values)
    return found


def enclosed(system: System, values) -> list:
    """The root near coefficients given as texts or numbers; see `enclose`."""
    mu = [balls.ball(value) for value in values]
    if len(mu) != system.size or not all(v > 0 for v in mu):
        raise Rejected("a point must have one positive coefficient for each of its modes.")
    return enclose(system, [v.log() for v in mu])


def distinct(roots) -> bool:
    """Whether no two enclosures meet."""
    return not any(all(a.overlaps(b) for a, b in zip(s, t, strict=True)) for s, t in itertools.combinations(roots, 2))


def check(data: dict) -> Checked:
    """The list of points is complete: every system is searched anew, and every number written again."""
    with balls.precision(BITS):
        model, family = read(data)
        every = systems(model, family)
        given = starts(data, family)
        if extra := [key for key in given if key not in every]:
            raise Rejected(f"no system has the modes {extra[0]}.")
        roots = {key: [enclosed(system, values) for values in given.get(key, [])] for key, system in every.items()}
        for key in every:
            if not distinct(roots[key]):
                raise Rejected(f"two roots of modes {name(key)} are one.")
        listed = points(model, family, every, roots)
        if listed != data["points"]:
            raise Rejected("the points are not written as their enclosures are.")
        for key in every:
            if reason := objection(key, every, roots):
                raise Rejected(reason)
    return Checked(KIND, statement(model, family.label, len(listed)), None, ARITHMETIC)


def objection(key, every, roots, most: int = MOST_BOXES) -> str:
    """Why the roots of one system are not proved to be all; empty when they are."""
    system = every[key]
    if system.p == 1:
        return "" if settle_convex(key, every, roots) else f"undecided: whether modes {name(key)} have a root (D = 2)."
    return complaint(key, settle(system, roots[key], most))


def complaint(key, found: Settled) -> str:
    """The sentence about boxes left over; empty when there are none."""
    if found.missing:
        low, high = found.missing[0]
        return f"a root of modes {name(key)} is missing near {_near(low, high)}."
    if found.undecided:
        low, high = found.undecided[0]
        return f"undecided boxes: {len(found.undecided)} of modes {name(key)}, the first near {_near(low, high)}."
    return ""


def _near(low, high) -> str:
    return "(" + ", ".join(f"{math.exp(min(0.5 * (a + b), 700.0)):.6g}" for a, b in zip(low, high, strict=True)) + ")"


def name(key) -> str:
    """`1,2` for one orbit, `1|2|xy` for two."""
    modes, coupled = key
    return "|".join([*("" if s is None else ",".join(map(str, s)) for s in modes), *(["xy"] if coupled else [])])


def statement(model: Model, label: str, count) -> str:
    """The sentence of a certificate."""
    return f"the nonzero collapsed critical points with symmetry {label} are exactly {count} ({model.words()})"


CHECKER = Checker(METHOD, check, states_problem=True)
