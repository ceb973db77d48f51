"""Certificates that a list of critical points is complete inside a symmetry class."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from ufm.certificates.certificate import Certificate, certify_data, refused
from ufm.certificates.check import Rejected, boxes, systems
from ufm.certificates.check import groups as check_groups
from ufm.certificates.check import symmetric as proof
from ufm.certificates.models import model, uncovered
from ufm.numerics import arguments, arithmetic, balls, schemes
from ufm.numerics.bars import progress_bar
from ufm.numerics.hints import Exact
from ufm.points import LogitPoint
from ufm.problem import Problem

_BUILDERS = {
    r"S_(\d+)": schemes.symmetric,
    r"S_(\d+)wrS_(\d+)": schemes.wreath,
    r"D_(\d+)": schemes.dihedral,
    r"S_(\d+)xS_(\d+)": schemes.grid,
    r"V_4": schemes.klein,
    r"H\((\d+),2\)": schemes.hamming,
    r"J\((\d+),2\)": schemes.johnson,
    r"icosahedron": schemes.icosahedron,
}


def complete(problem: Problem, group: Any, lam: Exact = None, progress: bool | None = None) -> Certificate:
    """All nonzero critical points fixed by a group of class permutations, Z = Pi Z Pi': so many, and none is missing.

        Z = sum_j mu_j E_j  (one orbit),  Z = blockdiag(sum_j mu_j E_j, sum_j nu_j E'_j) + u (x v_1 - y v_2)'
            (two orbits)

    with E_j the idempotents of an association scheme. Every system of active modes is searched by interval branch and
    prune over a proved box (D >= 3), or decided by convexity (D = 2). The certificate holds if no box is left
    undecided; `points` gives what it lists. Counted are logits Z, whole families of factors each once, and points that
    differ by a class permutation separately.

    group: a name as `groups` lists them (`V_4`, `S_2wrS_3`, `D_5+S_2`); also `S_axS_b` for two orbits, a + b = K, and
    `A+1` for `A+S_1`. Or permutations of 0, ..., K - 1 that generate it. At K = 4, `S_2xS_2` is the group of two
    orbits; the grid is `V_4`.
    lam: exact text(s) where the float cannot say what is meant. progress: a bar on the terminal after two seconds, by
    default.

    What the proof does not cover gives a certificate that does not hold, with the reason: other losses than
    cross-entropy, layers that are not linear, unequal counts, a bias, groups with three orbits or with other than
    symmetric orbitals. Raises ValueError for unknown groups and groups on another number of classes, ImportError
    without [certify].

    >>> proved = complete(Problem(K=3, L=2, lam=0.02), "S_2+S_1")
    >>> proved.holds, len(points(proved, Problem(K=3, L=2, lam=0.02)))
    (True, 8)

    Source: gk25 (the model), bannai84 (schemes), krawczyk69 (the interval operator).
    """
    arguments.instance("problem", problem, Problem)
    balls.flint()
    group = known_group(group, problem.K)
    reason = uncovered(problem)
    if reason:
        return refused(
            proof.KIND,
            f"all critical points with symmetry {group if isinstance(group, str) else 'given'}",
            reason,
            proof.METHOD,
        )
    exact = model(problem, lam)
    data = {"problem": exact.to_dict(), "group": group, "order": None, "points": []}
    hope = proof.statement(exact, group if isinstance(group, str) else "given", "those found")
    with balls.precision(proof.BITS):
        try:
            _, family = proof.read(data)
        except Rejected as reason:
            return refused(proof.KIND, hope, str(reason), proof.METHOD)
        data["order"] = [_order(orbit, part) for orbit, part in zip(family.orbits, _parts(group, family), strict=True)]
        exact, family = proof.read(data)
        every = systems.systems(exact, family)
        bar = progress_bar(total=len(every) + 1, desc=f"symmetry {family.label}", progress=progress)
        with bar:
            roots = {}
            for key, system in every.items():
                roots[key] = _roots(system)
                bar.update()
            try:
                data["points"] = proof.points(exact, family, every, roots)
            except Rejected as reason:
                return refused(proof.KIND, hope, str(reason), proof.METHOD)
            made = certify_data(proof.METHOD, data, proof.KIND, hope)
            bar.update()
    return made


def groups(K: int, most: int = 4) -> list[str]:
    """Names of the symmetry classes on K classes with at most `most` unknown modes: one orbit, then two.

    >>> groups(4)
    ['S_4', 'S_2wrS_2', 'V_4', 'S_3+S_1', 'S_2+S_2']
    """
    K, most = arguments.integer("K", K, 2), arguments.integer("most", most, 1)
    names = [scheme.name for scheme in schemes.schemes(K, most)]
    for k in range(1, K // 2 + 1):
        big, small = schemes.schemes(K - k, most), schemes.schemes(k, most)
        for (i, a), (j, b) in itertools.product(enumerate(big), enumerate(small)):
            if len(a.idempotents) + len(b.idempotents) < most and (2 * k < K or i <= j):
                names.append(f"{a.name}+{b.name}")
    return names


def points(certificate: Certificate, problem: Problem) -> list[LogitPoint]:
    """The critical points a completeness certificate lists, lowest loss first, named as the symmetric source does.

    Scales are the active mu of orbit 1, of orbit 2, then x, y. Correct to rounding; the certificate's texts hold the
    proved digits. Raises ValueError for other certificates and for a problem that is not the certificate's.
    """
    data = certificate.data
    if certificate.method != proof.METHOD or "points" not in data:
        raise ValueError(f"certificate must list the points of a symmetry class; got {certificate!r}.")
    lams = [arithmetic.number(text) for text in data["problem"]["lam"]]
    mine = {
        "K": problem.K,
        "n": list(map(int, problem.counts)),
        "d": list(problem.widths),
        "L": problem.L,
        "loss": problem.to_dict()["loss"],
    }
    if any(data["problem"][name] != value for name, value in mine.items()) or not np.allclose(
        lams, problem.lams, rtol=1e-12, atol=0
    ):
        raise ValueError(f"problem must be the certificate's, {certificate.statement}; got {problem!r}.")
    with balls.precision(proof.BITS):
        _, family = proof.read(data)
    frames = [_frames(orbit, problem.K) for orbit in family.orbits]
    listed = sorted(data["points"], key=lambda entry: float(entry["loss"][0]))
    return [_point(problem, family, frames, entry) for entry in listed]


def _point(problem: Problem, family, frames, entry) -> LogitPoint:
    values = [float(centre) for centre, _ in entry["values"]]
    left = [frame[j - 1] for frame, modes in zip(frames, entry["modes"], strict=True) for j in modes]
    s = [np.full(F.shape[1], mu) for F, mu in zip(left, values, strict=False)]
    right = list(left)
    if entry["coupled"]:
        x, y = values[-2:]
        v = [np.isin(np.arange(problem.K), orbit.points) / np.sqrt(orbit.size) for orbit in family.orbits]
        a, b = (orbit.size for orbit in family.orbits)
        tau = float(np.hypot(x, y))
        left.append(((np.sqrt(b) * v[0] - np.sqrt(a) * v[1]) / np.sqrt(a + b))[:, None])
        right.append(((x * v[0] - y * v[1]) / tau)[:, None])
        s.append(np.array([tau]))
    s = np.sqrt(problem.n) * np.concatenate(s)
    order = np.argsort(-s, kind="stable")
    words = [",".join(map(str, modes)) for modes in entry["modes"]]
    name = f"code({family.label}:{'|'.join([*words, 'xy'] if entry['coupled'] else words)})"
    return LogitPoint(
        problem, np.hstack(left)[:, order], s[order], np.hstack(right)[:, order], None, name, tuple(values)
    )


def _frames(orbit, K: int) -> list[np.ndarray]:
    """Orthonormal columns (K, m_j) of every idempotent of an orbit."""
    frames = []
    for entries, m in zip(orbit.entries, orbit.multiplicities, strict=True):
        E = np.array([balls.to_float(v) for v in entries])[orbit.relations]
        frame = np.zeros((K, m))
        frame[list(orbit.points)] = np.linalg.eigh(E)[1][:, orbit.size - m :]
        frames.append(frame)
    return frames


def _roots(system, rounds: int = 4) -> list:
    """Enclosed roots that branch and prune meets, until it meets no new one. The checker decides."""
    if system.p == 1:
        return _convex_root(system)
    roots: list = []
    for _ in range(rounds):
        left = boxes.settle(system, roots)
        before = len(roots)
        for low, high in [*left.missing, *left.undecided]:
            try:
                root = systems.enclose(system, [0.5 * (a + b) for a, b in zip(low, high, strict=True)])
            except Rejected:
                continue
            if systems.distinct([*roots, root]):
                roots.append(root)
        if len(roots) == before or not left.undecided:
            break
    return sorted(roots, key=lambda t: [balls.to_float(v) for v in t])


def _convex_root(system) -> list:
    """The root of a system with D = 2, where damped Newton steps in mu meet one."""
    for level in (1.0, 8.0, 0.1):
        mu = np.full(system.size, level)
        for _ in range(60):
            R, J = system.residual([balls.ball(float(v)) for v in np.log(mu)])
            R, J = np.array([balls.to_float(v) for v in R]), np.array([[balls.to_float(v) for v in row] for row in J])
            if not (np.all(np.isfinite(R)) and np.all(np.isfinite(J))):
                break
            step = mu * np.linalg.lstsq(J, R, rcond=None)[0]
            if np.max(np.abs(step) / mu) < 1e-9:
                break
            mu = np.clip(mu - step, mu / 4, mu + 2)
        try:
            return [systems.enclose(system, np.log(mu).tolist())]
        except Rejected:
            continue
    return []


def known_group(group, K: int):
    """The checker's name of a group, or its permutations as lists; ValueError unless it acts on K classes."""
    if isinstance(group, str):
        return _named(group, K)
    if not isinstance(group, Iterable):
        raise ValueError(f"group must be a name or permutations of 0, ..., {K - 1}; got group={group!r}.")
    perms = [[int(v) for v in perm] for perm in group]
    if not perms or any(sorted(perm) != list(range(K)) for perm in perms):
        raise ValueError(f"group must be a name or permutations of 0, ..., {K - 1}; got group={perms}.")
    return perms


def _named(group: str, K: int) -> str:
    name = "+".join("S_1" if part.strip() == "1" else part.strip() for part in group.split("+"))
    if (young := re.fullmatch(r"S_(\d+)xS_(\d+)", name)) and sum(map(int, young.groups())) == K:
        big, small = sorted(map(int, young.groups()), reverse=True)
        name = f"S_{big}+S_{small}"
    try:
        size = len(check_groups.generators(name)[0])
    except Rejected:
        size = None
    if size != K:
        where = "no such group is known" if size is None else f"it acts on {size}"
        raise ValueError(
            f"group must be a symmetry of K={K} classes, one of {', '.join(groups(K))}, or permutations; got"
            f" group={group!r}: {where}."
        )
    return name


def _parts(group, family) -> list:
    """The scheme each orbit is named after; None where the group has no name or the scheme is numbered otherwise."""
    if not isinstance(group, str) or len(group.split("+")) != len(family.orbits):
        return [None] * len(family.orbits)
    return [_scheme(part) for part in group.split("+")]


def _scheme(name: str):
    for pattern, build in _BUILDERS.items():
        if match := re.fullmatch(pattern, name):
            try:
                return build(*map(int, match.groups()))
            except ValueError:
                return None
    return None


def _order(orbit, scheme) -> list[int]:
    """How the checker's idempotents are to be numbered so that they are the scheme's E_1, E_2, ..."""
    numbers = list(range(1, len(orbit.multiplicities) + 1))
    if not numbers or scheme is None or scheme.K != orbit.size or len(scheme.idempotents) != len(numbers):
        return numbers
    rows = np.array([[balls.to_float(v) for v in entries] for entries in orbit.entries]).reshape(len(numbers), -1)[
        :, orbit.relations[0]
    ]
    order = [int(np.argmin([np.max(np.abs(E[0] - row)) for row in rows])) + 1 for E in scheme.idempotents]
    return order if sorted(order) == numbers else numbers
