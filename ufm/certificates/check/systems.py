"""The equations of the critical points that a group of class permutations fixes, one system for every choice of active
modes.

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
point is critical on the matrices of its rank, hence for the factors (Lemma 1 of gk25).

Source: gk25 (the model), bannai84 (schemes), palais79 (symmetric criticality).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ufm.certificates.check.groups import Class
from ufm.certificates.check.krawczyk import zero_near
from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls

if TYPE_CHECKING:
    from ufm.numerics.balls import Ball


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
    Cp: Ball
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
        tops = []
        pull = [balls.ball(0)] * self.size
        J = [[balls.ball(0)] * self.size for _ in range(self.size)]
        for o, column in enumerate(self.columns):
            own = [j for j in range(self.size) if self.owner[j] == o]
            e = [
                count * (-balls.total(c * m for c, m in zip(row, mu, strict=True))).exp()
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


def labels(modes, coupled: bool) -> list:
    """The unknowns of a system as (orbit, mode), x and y as (orbit, 0)."""
    used = [o for o, s in enumerate(modes) if s is not None]
    return [(o, j) for o in used for j in modes[o]] + ([(o, 0) for o in used] if coupled else [])


def enclosed(system: System, values) -> list:
    """The root near coefficients given as texts or numbers; see `enclose`."""
    mu = [balls.ball(value) for value in values]
    if len(mu) != system.size or not all(v > 0 for v in mu):
        raise Rejected("a point must have one positive coefficient for each of its modes.")
    return enclose(system, [v.log() for v in mu])


def enclose(system: System, start) -> list:
    """Balls t = log mu that contain exactly one root, near the start (numbers). Rejected where none is proved."""
    image = zero_near(system.residual, start)
    if image is None:
        near = [round(float(balls.ball(v).mid()), 6) for v in start]
        raise Rejected(f"no root is proved near t = {near}.")
    return image


def distinct(roots) -> bool:
    """Whether no two enclosures meet."""
    return not any(all(a.overlaps(b) for a, b in zip(s, t, strict=True)) for s, t in itertools.combinations(roots, 2))
