"""Chains of factors: Z = A_D ... A_2 A_1, its derivatives, with any leading batch axes, in any array namespace.

Z has few rows and the factors are wide, so everything is done from the left with thin matrices:

    P_l = A_D ... A_{l+1}   (K x d_l),      R_l = G (A_{l-1} ... A_1)'   (K x d_{l-1}),
    d<G, Z>/dA_l = P_l' R_l.

No product of two inner factors is ever formed; the cost is O(K d^2) per factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def _t(a):
    return a.mT


def padded(factors, shapes) -> list[np.ndarray]:
    """The factors among the first coordinates of wider layers, zeros elsewhere: the same product."""
    wide = [np.zeros(shape) for shape in shapes]
    for W, A in zip(wide, factors, strict=True):
        W[: A.shape[0], : A.shape[1]] = A
    return wide


def turned(factors, l: int, i: int, j: int) -> np.ndarray:
    """The tangent, flat, along which coordinates i and j of hidden layer l turn against each other: Z stays."""
    moved = [np.zeros_like(A) for A in factors]
    before, after = factors[l], factors[l + 1]
    moved[l][i], moved[l][j] = before[j], -before[i]
    moved[l + 1][:, i], moved[l + 1][:, j] = after[:, j], -after[:, i]
    return np.concatenate([A.ravel() for A in moved])


def suffixes(factors) -> list[np.ndarray | None]:
    """[P_1, ..., P_D] with P_l = A_D ... A_{l+1}; P_D is None and stands for the identity."""
    result: list[np.ndarray | None] = [None] * len(factors)
    for l in range(len(factors) - 1, 0, -1):
        result[l - 1] = factors[l] if result[l] is None else result[l] @ factors[l]
    return result


def product(factors) -> np.ndarray:
    """Z = A_D ... A_1 for factors given in the order A_1, ..., A_D."""
    P = suffixes(factors)[0]
    return factors[0] if P is None else P @ factors[0]


def gradient(factors, P, G, out=None) -> list[np.ndarray]:
    """d<G, A_D ... A_1>/dA_l = P_l' R_l for every l, P being suffixes(factors), G of Z's shape; written to `out`."""
    R, result = G, []
    for l, A in enumerate(factors):
        if P[l] is None:
            result.append(stored(R, None if out is None else out[l]))
        else:
            result.append(_t(P[l]) @ R if out is None else np.matmul(_t(P[l]), R, out=out[l]))
            R = R @ _t(A)
    return result


def stored(found, place):
    """What was found, in its place if there is one."""
    if place is None:
        return found
    place[...] = found
    return place


def directional(factors, P, tangents) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """(dZ, dP): derivatives of the product and of the suffixes along factor directions `tangents`."""
    D = len(factors)
    dP: list[Any] = [None] * D
    for l in range(D - 1, 0, -1):
        dP[l - 1] = tangents[l] if P[l] is None else dP[l] @ factors[l] + P[l] @ tangents[l]
    if P[0] is None:
        return tangents[0], dP
    return dP[0] @ factors[0] + P[0] @ tangents[0], dP


def gradient_directional(factors, P, G, tangents, dP, dG) -> list[np.ndarray]:
    """Derivative of `gradient(factors, P, G)` along `tangents`, where G itself moves by dG."""
    R, dR, result = G, dG, []
    for l, (A, dA) in enumerate(zip(factors, tangents, strict=True)):
        result.append(dR if P[l] is None else _t(P[l]) @ dR + _t(dP[l]) @ R)
        if l + 1 < len(factors):
            dR = dR @ _t(A) + R @ _t(dA)
            R = R @ _t(A)
    return result
