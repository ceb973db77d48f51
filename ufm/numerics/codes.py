"""Known spherical codes: K unit vectors x_c in R^r that lie far apart, as rows of an array (K, r).

    rings(K)            caps and rings of m points in R^3, turned or not (prisms, antiprisms, bipyramids, 1+3+3, ...)
    icosahedron()       K = 12, R^3
    half_cube(m)        K = 2^(m-1), R^m: vertices of the m-cube with an even number of minus signs (m = 5: Clebsch)
    cell_24()           K = 24, R^4: the roots of D_4
    least_energy(K, r)  a low state of sum 1/|x_c - x_d|^power (power 1: Thomson's problem; large powers: Tammes')

They are where good low-rank logits Z = t X X' begin. The last is computed, from a fixed seed; the others are
coordinates.
Sources: thomson04, tammes30; conway99 (the other codes).
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
from scipy import optimize

from ufm.numerics import arguments

ENERGY_STARTS = 4
LARGEST_RANK = 5
"""Ranks from 3 up to this one get codes of least energy in the library."""
LARGEST_RING = 8
"""Points on a ring of a stack."""
LARGEST_K = 40
"""Points up to which codes of least energy are computed for the library."""


@functools.lru_cache(maxsize=64)
def library(K: int) -> tuple[tuple[str, np.ndarray], ...]:
    """(name, X (K, r)) of every code of this module on K points, of rank at most K - 2.

    >>> [name for name, X in library(12) if X.shape[1] == 3][:3]
    ['icosahedron', 'rings(3,3,3,3)', 'rings(3,3,3,3), aligned']
    """
    K = arguments.integer("K", K, 2)
    found = [("icosahedron", icosahedron())] if K == 12 else []
    found += [("24-cell", cell_24())] if K == 24 else []
    m = K.bit_length()
    found += [(f"half_cube({m})", half_cube(m))] if K == 2 ** (m - 1) and m >= 4 else []
    found += list(rings(K))
    if 6 <= K <= LARGEST_K:
        for r, power in itertools.product(range(3, min(LARGEST_RANK, K - 3) + 1), (1, 12)):
            found.append((f"least_energy(r={r}, power={power})", least_energy(K, r, power)))
    for _, X in found:
        X.setflags(write=False)
    return tuple((name, X) for name, X in found if X.shape[1] <= K - 2)


def icosahedron() -> np.ndarray:
    """The twelve vertices (0, +-1, +-golden) and their cyclic shifts, (12, 3)."""
    golden, signs = (1 + np.sqrt(5)) / 2, list(itertools.product((1, -1), repeat=2))
    return _unit(np.array([np.roll([0.0, a, b * golden], shift) for shift in range(3) for a, b in signs]))


def half_cube(m: int) -> np.ndarray:
    """(2^(m-1), m): the vertices of the m-cube with an even number of minus signs."""
    m = arguments.integer("m", m, 2)
    return _unit(np.array([s for s in itertools.product((1.0, -1.0), repeat=m) if np.prod(s) > 0]))


def cell_24() -> np.ndarray:
    """(24, 4): +-e_i +- e_j."""
    pairs = itertools.product(itertools.combinations(range(4), 2), (1, -1), (1, -1))
    return _unit(np.array([a * np.eye(4)[i] + b * np.eye(4)[j] for (i, j), a, b in pairs]))


def rings(K: int):
    """(name, X (K, 3)) of every stack of equal rings of 3 to 8 points with 0, 1 or 2 caps, turned by half steps or not.

    The z of rings and caps are those of equal steps in latitude.
    """
    for caps in (0, 1, 2):
        for m in range(3, min(LARGEST_RING, K - caps) + 1):
            count, left = divmod(K - caps, m)
            if left or (count == 1 and caps == 0):
                continue
            sizes = [1] * (caps > 0) + [m] * count + [1] * (caps > 1)
            for turned in (True, False) if count > 1 else (True,):
                yield f"rings({','.join(map(str, sizes))})" + ("" if turned else ", aligned"), _stack(sizes, turned)


def _stack(sizes: list[int], turned: bool) -> np.ndarray:
    steps = np.arange(len(sizes)) if sizes[0] == 1 else np.arange(len(sizes)) + 0.5
    total = len(sizes) - 0.5 * (sizes[0] == 1) - 0.5 * (sizes[-1] == 1)
    points = []
    for level, (size, step) in enumerate(zip(sizes, steps, strict=True)):
        latitude = np.pi * step / total
        around = 2 * np.pi * (np.arange(size) + 0.5 * (turned and level % 2)) / size
        height, radius = np.cos(latitude), np.sin(latitude) if size > 1 else 0.0
        points += [(radius * np.cos(t), radius * np.sin(t), height if size > 1 else np.sign(height)) for t in around]
    return _unit(np.array(points))


@functools.lru_cache(maxsize=256)
def least_energy(K: int, r: int, power: int = 1) -> np.ndarray:
    """The lowest of a few local minima of sum |x_c - x_d|^-power over unit vectors of R^r, (K, r); always the same."""
    K, r, power = arguments.integer("K", K, 2), arguments.integer("r", r, 2), arguments.integer("power", power, 1)
    draw, off = np.random.default_rng(0), ~np.eye(K, dtype=bool)

    def energy(y):  # log of the sum, which large powers do not flatten
        Y = y.reshape(K, r)
        norm = np.linalg.norm(Y, axis=1, keepdims=True)
        X = Y / norm
        gap = np.where(off, np.maximum(2 - 2 * X @ X.T, 1e-12), 1.0)
        terms = np.where(off, gap ** (-power / 2), 0.0)
        total = np.sum(terms)
        pull = 2 * power * (terms / gap) @ X / total
        return np.log(total), ((pull - X * np.sum(pull * X, axis=1, keepdims=True)) / norm).ravel()

    options = {"jac": True, "method": "L-BFGS-B", "options": {"maxiter": 300}}
    runs = [optimize.minimize(energy, draw.standard_normal(K * r), **options) for _ in range(ENERGY_STARTS)]
    return _unit(min(runs, key=lambda run: run.fun).x.reshape(K, r))


def _unit(X: np.ndarray) -> np.ndarray:
    return X / np.linalg.norm(X, axis=1, keepdims=True)
