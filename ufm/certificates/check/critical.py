"""Checker of one critical point: existence, isolation and index, by Krawczyk's test in ball arithmetic.

At rank r every critical point of a linear model is, up to rotations of hidden layers, a zero of the gradient of

    Phi(A, E, B, b) = g(A E^(L-1) B', b) + (Lam/2) (|A|^2 + |B|^2 + (L-1) |E|^2) + (bias/2) |b|^2,

A (K, r), B (K, r), E (r, r) symmetric positive definite (no E at L = 1): W_L = A, W_1, ..., W_{L-1} = E, H_1 = B' on
class columns, B_c being sqrt(n_c) times the feature of class c. Singular values may coincide, which they do at every
structure of interest: no singular vectors are unknowns. Conversely a zero with E > 0 is critical for the deep model:
the gradient's three blocks give E^(2L-2) A'A = A'A E^(2L-2), so that A'A commutes with E, then A'A = B'B = E^2.

*Columns.* For given weights, the feature h of a sample minimises a strictly convex function that depends on its class
only, if the loss is convex; so all critical points are within-class collapsed and class columns lose nothing. Of other
losses (contributed ones) only collapsed points are certified; moving the samples of class c apart is the second
variation Lam + W' l'' W/N, W = A E^(L-1), once for each of n_c - 1 directions, which the index counts.

*Gauge.* Rotations (A, E, B) -> (A Q, Q'E Q, B Q) are fixed by zeros: in r - 1 rows of A, its pivots, A is lower
triangular with positive diagonal. This slice meets every orbit transversally, so a critical point of Phi on the slice
is critical. A free constant in an unpenalised bias is fixed by b_K = 0.

*Existence.* x the stored point, f the gradient on the slice, J its derivative, Y a floating inverse of J. If
|Y f(x)| + q rho < rho with q = max |I - Y J| over the box of radius rho (sup norm), the box holds exactly one zero.

*Index.* Phi minus F_r (the objective on logits of rank r) is least, 0, along balanced factors; so the negative
eigenvalues of J are those of F_r's Hessian, and J being nonsingular, F_r's has no zero eigenvalue. For L >= 2 that is
the index of the full Hessian at every width and every n (signature theorem), whose zeros are then those of the
rotations alone. For L = 1 the directions that raise the rank add (d-r) #{sigma_i(G_perp) > Lam}, counted by the inertia
of I - GG'/Lam^2 + A A'/c.

Numbers are texts with DECIMALS decimals, all of them correct: one that provably is not the zero's rounding is rejected.

Sources: gk25 (Lemma 1); krawczyk69; rump10 (the test); arb (the arithmetic).
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np

from ufm.certificates.check import krawczyk
from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.losses import column_loss
from ufm.certificates.check.matrices import eye, inertia, largest, magnitudes, matrix, row_sums
from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls

METHOD = "critical"
BITS = 192
DECIMALS = 30
UNIT = f"1e-{DECIMALS}"
_TEXT = re.compile(rf"-?\d+\.\d{{{DECIMALS}}}")


def check(data: dict) -> Checked:
    """Re-verify {problem, A, B, E, b, rho, index}: see the module. Raises Rejected where a step fails.

    The statement's `no other within rho` is about critical points of the same rank, entry by entry, in the same gauge.
    """
    model = Model.of(data)
    with balls.precision(BITS):
        system = System.of(model, data)
        place = Place(system, system.read(data))
        place.require_zero()
        place.require_rounded()
        if (system.r == 0) != (data["rho"] is None):
            raise Rejected(f"rho must be null at rank 0 and a radius beyond; got {data['rho']!r}.")
        if system.r and not place.alone_within(balls.ball(data["rho"])):
            raise Rejected(f"Krawczyk's test fails within rho={data['rho']}: no isolation is proved.")
        index = place.index()
        if type(data["index"]) is not int or index != data["index"]:
            raise Rejected(f"the index is {index}, not {data['index']!r}.")
        margin = float(balls.ball(data["rho"]).mid()) if system.r else None
        said, before = statement(system, index, place.fun(), data["rho"]), ()
        if not system.r:
            before = (said.replace(f" of {system.model.words()}", ""),)
        return Checked("critical", said, margin, "ball", earlier=before).resting(system.fit.loss.origin)


def statement(system: System, index: int, fun, rho: str | None) -> str:
    """What is proved, in words. Of Z = 0, which is the same for all problems, they name the problem."""
    kind = "local minimum" if index == 0 else "strict saddle"
    point = f"a critical point of rank {system.r} and index {index} ({kind}), F = {fun.str(15, radius=False)}"
    if not system.r:
        rest = f"; its b lies within {UNIT} of the stored one" if system.size else ""
        return f"{point}, is Z = 0 of {system.model.words()}{rest}"
    return f"{point}, lies within {UNIT} of the stored one; no other of its rank within {rho} in its gauge"


def decimal(value: int) -> str:
    """The text of value / 10^DECIMALS.

    >>> decimal(-(10**29)), decimal(0)
    ('-0.100000000000000000000000000000', '0.000000000000000000000000000000')
    """
    digits = str(abs(value)).rjust(DECIMALS + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-DECIMALS]}.{digits[-DECIMALS:]}"


def read_decimal(text: str) -> int:
    """The whole number that `decimal` writes as this text. Raises Rejected for any other text."""
    if not isinstance(text, str) or not _TEXT.fullmatch(text) or decimal(int(text.replace(".", ""))) != text:
        raise Rejected(f"a number must have exactly {DECIMALS} decimals; got {text!r}.")
    return int(text.replace(".", ""))


def pivots(A) -> list[int]:
    """The r - 1 rows in which A (K, r), whole numbers of UNIT, is lower triangular: for column a the row with the
    largest a-th entry among those that are exactly 0 beyond it. Raises Rejected where none exceeds UNIT, so that at the
    zero these entries are positive and the slice is transversal."""
    rows, r = [], len(A[0])
    for a in range(r - 1):
        fit = [q for q, row in enumerate(A) if row[a] > 1 and not any(row[a + 1 :])]
        if not fit:
            raise Rejected(f"A is not in its gauge: no row has a positive entry {a} and zeros beyond.")
        rows.append(max(fit, key=lambda q: A[q][a]))
    return rows


@dataclass(frozen=True, eq=False)
class System:
    """The gradient of Phi on the slice. `free` lists the unknowns, each a tuple of the places it fills in the long
    vector (A, B, E, b) of length 2 K r + r^2 + K, row-major; places filled by none are 0."""

    model: Model
    r: int
    free: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(model: Model, data: dict) -> System:
        """The system of stored factors: rank from their shape, gauge from their zeros. Raises Rejected."""
        K, r = model.K, len(data["A"][0])
        square = r if model.L > 1 else 0
        shapes = [(data["A"], K, r), (data["B"], K, r), (data["E"], square, square)]
        if any(len(rows) != k or any(len(row) != m for row in rows) for rows, k, m in shapes) or r > model.max_rank:
            raise Rejected(f"A, B and E must have shapes ({K}, r), ({K}, r) and (r, r) with r <= {model.max_rank}.")
        if (data["b"] is None) != (model.bias is None) or len(data["b"] or ()) not in (0, K):
            raise Rejected(f"b must have {K} entries where the problem has a bias, and be null where it has none.")
        return System.at(model, r, pivots([[read_decimal(t) for t in row] for row in data["A"]]) if r else [])

    @staticmethod
    def at(model: Model, r: int, rows: list[int]) -> System:
        """The system at rank r with the given pivot rows."""
        K = model.K
        fixed = {q * r + j for a, q in enumerate(rows) for j in range(a + 1, r)}
        free = [(t,) for t in range(2 * K * r) if t not in fixed]
        first = 2 * K * r
        if model.L > 1:
            free += [
                (first + p * r + p,) if p == q else (first + p * r + q, first + q * r + p)
                for p in range(r)
                for q in range(p, r)
            ]
        if model.bias is not None:
            constant = column_loss(model.loss).shift_invariant and balls.ball(model.bias) == 0
            free += [(first + r * r + c,) for c in range(K - constant)]
        return System(model, r, tuple(free))

    @property
    def size(self) -> int:
        return len(self.free)

    @functools.cached_property
    def fit(self) -> Fit:
        return Fit(self.model)

    def read(self, data: dict) -> list:
        """The stored unknowns. Raises Rejected where places that share one differ, or one that is fixed is not 0."""
        E = data["E"] if self.model.L > 1 else [[decimal(0)] * self.r] * self.r
        long = [t for rows in (data["A"], data["B"], E) for row in rows for t in row]
        long = [read_decimal(t) for t in [*long, *(data["b"] or [decimal(0)] * self.model.K)]]
        values = [long[places[0]] for places in self.free]
        rebuilt = [0] * len(long)
        for places, value in zip(self.free, values, strict=True):
            for place in places:
                rebuilt[place] = value
        if rebuilt != long:
            raise Rejected("the stored point is not in its gauge: E must be symmetric, fixed entries zero.")
        return [balls.ball(value) / balls.ball(10) ** DECIMALS for value in values]

    def parts(self, x):
        """(A, B, E, b) as matrices of balls and a list."""
        K, r = self.model.K, self.r
        long = [balls.ball(0)] * (2 * K * r + r * r + K)
        for places, value in zip(self.free, x, strict=True):
            for place in places:
                long[place] = value
        cut = [long[i * r : (i + 1) * r] for i in range(2 * K + r)]
        return matrix(cut[:K]), matrix(cut[K : 2 * K]), matrix(cut[2 * K :]), long[2 * K * r + r * r :]

    def gradient(self, x) -> list:
        """f(x): the derivative of Phi in every unknown."""
        here = _Here(self, x)
        A, B, X, P, L = here.A, here.B, here.X, here.powers, self.model.L
        blocks = [here.G * here.BE + A * here.Lam, here.G.transpose() * here.AE + B * here.Lam]
        inner = matrix([[0] * self.r for _ in range(self.r)])
        for k in range(L - 1):
            inner += P[k] * X * P[L - 2 - k]
        blocks.append(inner + here.E * (here.Lam * (L - 1)))
        long = [entry for block in blocks for entry in block.entries()]
        long += [g + here.bias * b for g, b in zip(here.Gb, here.b, strict=True)]
        return [sum((long[place] for place in places[1:]), long[places[0]]) for places in self.free]

    def hessian(self, x):
        """J(x): the second derivative of Phi in the unknowns, balls that contain it on the box x."""
        here = _Here(self, x)
        return self.fit_part(here) + self.bent_part(here)

    def fit_part(self, here: _Here):
        """sum_c (dz_c)' H_c (dz_c) over the columns, dz_c the derivative of class c's logits."""
        K, r, L = self.model.K, self.r, self.model.L
        P, BE, AE = here.powers, here.BE.tolist(), here.AE.tolist()
        AP, BP = [(here.A * p).tolist() for p in P], [(here.B * p).tolist() for p in P]
        total = matrix([[0] * self.size for _ in range(self.size)])
        zero, one = balls.ball(0), balls.ball(1)
        for c, (scale, H) in enumerate(zip(self.fit.scales, here.hessians, strict=True)):
            rows = []
            for i in range(K):
                long = [zero] * (2 * K * r + r * r + K)
                long[i * r : (i + 1) * r] = [scale * v for v in BE[c]]
                long[(K + c) * r : (K + c + 1) * r] = [scale * v for v in AE[i]]
                for k in range(L - 1):
                    left, right = AP[k][i], [scale * v for v in BP[L - 2 - k][c]]
                    for p in range(r):
                        for q in range(r):
                            long[2 * K * r + p * r + q] += left[p] * right[q]
                long[2 * K * r + r * r + i] = one
                rows.append([sum((long[place] for place in places[1:]), long[places[0]]) for places in self.free])
            dz = matrix(rows)
            total += dz.transpose() * (H * dz)
        return total

    def bent_part(self, here: _Here):
        """<G, d^2 (A E^(L-1) B')> and the ridges, on all places, then on the unknowns."""
        K, r, L = self.model.K, self.r, self.model.L
        first, last = 2 * K * r, 2 * K * r + r * r
        long = [[balls.ball(0)] * (last + K) for _ in range(last + K)]
        for t in range(last + K):
            long[t][t] = here.Lam if t < first else here.Lam * (L - 1) if t < last else here.bias
        G, E, P = here.G.tolist(), here.powers[L - 1].tolist(), [p.tolist() for p in here.powers]
        left = [(here.G * here.B * p).tolist() for p in here.powers]
        right = [(here.G.transpose() * here.A * p).tolist() for p in here.powers]
        for i, j, a, b in np.ndindex(K, K, r, r):
            long[i * r + a][(K + j) * r + b] = long[(K + j) * r + b][i * r + a] = G[i][j] * E[a][b]
        for i, a, p, q in np.ndindex(K, r, r, r) if L > 1 else ():
            place = first + p * r + q
            for k in range(L - 1):
                long[i * r + a][place] += P[k][a][p] * left[L - 2 - k][i][q]
                long[(K + i) * r + a][place] += right[k][i][p] * P[L - 2 - k][q][a]
            long[place][i * r + a] = long[i * r + a][place]
            long[place][(K + i) * r + a] = long[(K + i) * r + a][place]
        for j in range(L - 2):
            middle, outer = P[j], self._words(here, L - 3 - j)
            for p, q, s, v in np.ndindex(r, r, r, r):
                term = middle[q][s] * outer[v][p]
                long[first + p * r + q][first + s * r + v] += term
                long[first + s * r + v][first + p * r + q] += term
        return matrix([[_total(long, s, t) for t in self.free] for s in self.free])

    def _words(self, here: _Here, length: int) -> list[list]:
        """sum_{i+k=length} E^k X' E^i."""
        total = matrix([[0] * self.r for _ in range(self.r)])
        for k in range(length + 1):
            total += here.powers[k] * here.X.transpose() * here.powers[length - k]
        return total.tolist()

    def value(self, x):
        """Phi on the box x."""
        here = _Here(self, x)
        square = [sum((v * v for v in block.entries()), balls.ball(0)) for block in (here.A, here.B, here.E)]
        ridge = here.Lam / 2 * (square[0] + square[1] + (self.model.L - 1) * square[2])
        return here.fit_value + ridge + here.bias / 2 * sum((v * v for v in here.b), balls.ball(0))


def _total(long, s, t):
    if len(s) == len(t) == 1:
        return long[s[0]][t[0]]
    return sum((long[i][j] for i in s for j in t), balls.ball(0))


class _Here:
    """The factors of a point or box, their products, and the fit's derivatives there."""

    def __init__(self, system: System, x):
        model, fit = system.model, system.fit
        self.A, self.B, self.E, self.b = system.parts(x)
        self.Lam, self.bias = model.Lam(), balls.ball(model.bias or 0)
        self.powers = [eye(system.r)]
        for _ in range(model.L - 1):
            self.powers.append(self.powers[-1] * self.E)
        self.AE, self.BE = self.A * self.powers[-1], self.B * self.powers[-1]
        Z = (self.AE * self.B.transpose()).tolist()
        K = model.K
        columns = [fit.loss.column([fit.scales[c] * Z[i][c] + self.b[i] for i in range(K)], c) for c in range(K)]
        self.fit_value = sum((w * value for w, (value, _, _) in zip(fit.weights, columns, strict=True)), balls.ball(0))
        slopes = [[w * s for s in slope] for w, (_, slope, _) in zip(fit.weights, columns, strict=True)]
        self.G = matrix([[fit.scales[c] * slopes[c][i] for c in range(K)] for i in range(K)])
        self.Gb = [sum((slope[i] for slope in slopes), balls.ball(0)) for i in range(K)]
        self.hessians = [h * w for w, (_, _, h) in zip(fit.weights, columns, strict=True)]
        self.X = self.A.transpose() * self.G * self.B


class Fit:
    """g = sum_c (n_c/N) l(z_c, c) over class columns z_c = scale_c (A E^(L-1) B')_c + b, in balls."""

    def __init__(self, model: Model):
        self.loss = column_loss(model.loss)
        self.weights = [balls.ball(n) / model.N for n in model.n]
        self.scales = [1 / balls.ball(n).sqrt() for n in model.n]


@dataclass(frozen=True, eq=False)
class Place:
    """A system at a stored point, with what Krawczyk's test needs there."""

    system: System
    x: list

    @functools.cached_property
    def box(self) -> list:
        """The stored point within UNIT, entry by entry."""
        return self.around(balls.ball(UNIT))

    def around(self, rho) -> list:
        return [balls.between(v - rho, v + rho) for v in self.x]

    @functools.cached_property
    def J(self):
        """The Hessian on `box`."""
        return self.system.hessian(self.box)

    @functools.cached_property
    def inverse(self):
        """Y, an approximate inverse of J. Raises Rejected."""
        return krawczyk.inverse(self.J)

    @functools.cached_property
    def step(self) -> list:
        """Y f(x), Newton's step back from the stored point."""
        return krawczyk.times(self.inverse, self.system.gradient(self.x)) if self.x else []

    @functools.cached_property
    def rows(self) -> list:
        """sum_j |I - Y J|_ij on `box`."""
        return row_sums(eye(len(self.x)) - self.inverse * self.J) if self.x else []

    def require_zero(self) -> None:
        """|Y f(x)| + q UNIT < UNIT, and E > 0, so that the zero is a critical point of the model at rank r."""
        unit = balls.ball(UNIT)
        if not krawczyk.holds(self.step, largest(self.rows), unit):
            raise Rejected(
                f"Krawczyk's test fails: no critical point is proved to lie within {UNIT} of the stored one."
            )
        if self.system.model.L > 1 and inertia(self.system.parts(self.box)[2]) != 0:
            raise Rejected("E is not proved to be positive definite.")
        if self.system.model.L == 1 and self.system.r and inertia(self._gram()) != 0:
            raise Rejected("A is not proved to have full rank.")

    def _gram(self):
        A = self.system.parts(self.box)[0]
        return A.transpose() * A

    def require_rounded(self) -> None:
        """No stored number is provably further than half a unit from the zero's."""
        unit = balls.ball(UNIT)
        for step, q in zip(self.step, self.rows, strict=True):
            if (abs(step) - q * unit) > unit / 2:
                raise Rejected(f"a stored number is not the zero's to {DECIMALS} decimals.")

    def contraction(self, rho):
        """An upper bound of max |I - Y J| over the box of radius rho: at `box`, plus |Y| |J - J(box)|."""
        spread = row_sums(self.system.hessian(self.around(rho)) - self.J)
        more = krawczyk.times(matrix(magnitudes(self.inverse)), spread)
        return largest(a + b for a, b in zip(self.rows, more, strict=True))

    def alone_within(self, rho) -> bool:
        """Whether the box of radius rho is proved to hold one zero only."""
        return rho >= balls.ball(UNIT) and krawczyk.holds(self.step, self.contraction(rho), rho)

    def index(self) -> int:
        """Index of the full Hessian. Raises Rejected where an eigenvalue's sign is not proved."""
        on_stratum, leaving = inertia(self.J), self.leaving()
        if on_stratum is None:
            raise Rejected("the index is not proved: an eigenvalue of the stratum Hessian is too close to 0.")
        if leaving is None:
            raise Rejected("the index is not proved: at L = 1 a singular value of G_perp is too close to Lam.")
        within = self.within()
        if within is None:
            raise Rejected("the index is not proved: a curvature inside a class is too close to 0.")
        return on_stratum + leaving + within

    def within(self) -> int | None:
        """Negative directions that move the samples of one class apart, none where the loss is convex: n_c - 1 times
        the negative eigenvalues of Lam + W' l'' W/N, W = A E^(L-1), l'' at class c; None if unproved."""
        model, loss = self.system.model, self.system.fit.loss
        if loss.convex or not self.system.r or max(model.n) == 1:
            return 0
        here, count = _Here(self.system, self.box), 0
        ridge = eye(self.system.r) * here.Lam
        for n, curved in zip(model.n, here.hessians, strict=True):
            negative = inertia(ridge + here.AE.transpose() * curved * here.AE * (1 / balls.ball(n))) if n > 1 else 0
            if negative is None:
                return None
            count += (n - 1) * negative
        return count

    def leaving(self) -> int | None:
        """Negative directions that raise the rank: (d-r) #{sigma_i(G_perp) > Lam} at L = 1, else 0; None unproved."""
        model, r = self.system.model, self.system.r
        if model.L > 1 or model.d[0] == r:
            return 0
        here = _Here(self.system, self.box)
        T = eye(model.K) - here.G * here.G.transpose() * (1 / here.Lam**2)
        if r:
            T += here.A * here.A.transpose() * (1 / largest(row_sums(here.A.transpose() * here.A)))
        count = inertia(T)
        return None if count is None else (model.d[0] - r) * count

    def fun(self):
        """F at the critical point."""
        return self.system.value(self.box)


CHECKER = Checker(METHOD, check, states_problem=True)
