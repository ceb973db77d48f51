"""Hessian spectra at collapse with a ridge weight per layer, under CE and MSE, and the blocks of single layers.

In coordinates A_l = sqrt(Lam/lam_l) B_l the problem is the one with equal weights Lam, and the squared length of dA is
sum (Lam/lam_l) |dB_l|^2. So each irreducible sector of the equal-weight Hessian becomes a matrix over the D layers,
with w_l = sqrt(lam_l) and x = kappa/Lam, kappa the curvature that the fit gives a unit motion of B_l:

    symmetric  2 diag(lam) + (x - 1) w w'  antisymmetric  (x + 1) w w'  unused frames  0, lam_(l-1) + lam_l
        within classes  (1 + x) lam_0

At CE-DNC of scale a, with t = a/K and delta = (e^a - 1)/(e^a + K - 1), x is

    t (1 + (K-1) delta)   scale, 1 copy
    t (1 + (K-2) delta)  standard, K-1 copies, bordered by a row mean of the features: corner lam_0 (1 + t (1 + delta)),
        coupling t delta sqrt((K-2) lam_0) w
    t                     zero-diagonal, K(K-3)/2 copies; antisymmetric, (K-1)(K-2)/2 copies

At MSE-DNC on the root s of s + N Lam s^(2/D-1) = sqrt(n): x = s^(2-2/D)/(N Lam) in every sector, K(K+1)/2 symmetric and
K(K-1)/2 antisymmetric ones.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import linalg

from theory.claim import Case, Claim, Evidence, planted
from theory.gk25.dnc_spectrum import curvatures, exists
from theory.related.deep_tools import READABLE, geometric_mean
from ufm.critical.measures import spectrum
from ufm.objectives.factors import FactorObjective
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import dnc
from ufm.structures.modes import spinodal

TOL = 1e-11
"""Of the largest eigenvalue: eigenvalues of dense symmetric matrices of a few hundred rows."""


def symmetric(lams, x: float) -> np.ndarray:
    """Eigenvalues of 2 diag(lam) + (x - 1) w w'."""
    return linalg.eigvalsh(2 * np.diag(lams) + (x - 1) * np.sqrt(np.outer(lams, lams)))


def antisymmetric(lams, x: float) -> np.ndarray:
    """Eigenvalues of (x + 1) w w'."""
    return np.append(np.zeros(len(lams) - 1), (x + 1) * np.sum(lams))


def bordered(lams, x: float, coupling: float, corner: float) -> np.ndarray:
    """Eigenvalues of the symmetric sector with one more feature variable of weight lam_0."""
    D = len(lams)
    H = np.zeros((D + 1, D + 1))
    H[:D, :D] = 2 * np.diag(lams) + (x - 1) * np.sqrt(np.outer(lams, lams))
    H[:D, D] = H[D, :D] = coupling * np.sqrt(lams[0] * np.asarray(lams))
    H[D, D] = lams[0] * corner
    return linalg.eigvalsh(H)


def unused(problem: Problem, r: int) -> list[tuple[float, int]]:
    """What unused hidden directions carry at rank r, D >= 3: per layer 0 and lam_(l-1) + lam_l, and the corners."""
    lams, spare = problem.lams, [d - r for d in problem.widths]
    found = [(0.0, r * e) for e in spare] + [
        (a + b, r * e) for (a, b), e in zip(itertools.pairwise(lams), spare, strict=True)
    ]
    found += [(lam, e * f) for lam, (e, f) in zip(lams[1:-1], itertools.pairwise(spare), strict=True)]
    return [*found, (lams[0], spare[0] * (problem.N - r)), (lams[-1], spare[-1] * (problem.K - r))]


def ce_list(problem: Problem, a: float, power: float = 1.0) -> list[tuple[float, int]]:
    """[(eigenvalue, multiplicity)] at CE-DNC of scale a, D >= 3, K >= 3. `power` other than 1 falsifies the
    coupling."""
    K, n, lams = problem.K, problem.n, np.array(problem.lams)
    t, delta, q = curvatures(K, a)
    found = [(v, 1) for v in symmetric(lams, t * (1 + (K - 1) * delta))]
    found += [
        (v, K - 1)
        for v in bordered(lams, t * (1 + (K - 2) * delta), (t * delta * math.sqrt(K - 2)) ** power, 1 + t * (1 + delta))
    ]
    found += [(v, K * (K - 3) // 2) for v in symmetric(lams, t)] + [
        (v, (K - 1) * (K - 2) // 2) for v in antisymmetric(lams, t)
    ]
    found += [((1 + t) * lams[0], K * (n - 1) * (K - 2)), ((1 + K * q * t) * lams[0], K * (n - 1)), (lams[-1], K - 1)]
    return found + unused(problem, K - 1)


def mse_list(problem: Problem, s: float, power: float = 1.0) -> list[tuple[float, int]]:
    """[(eigenvalue, multiplicity)] at MSE-DNC of singular value s, d >= K, D >= 3."""
    K, D, lams = problem.K, problem.D, np.array(problem.lams)
    x = (s ** (2 - 2 / D) / (problem.N * problem.Lam)) ** power
    found = [(v, K * (K + 1) // 2) for v in symmetric(lams, x)] + [
        (v, K * (K - 1) // 2) for v in antisymmetric(lams, x)
    ]
    return [*found, ((1 + x) * lams[0], K * (problem.N - K)), *unused(problem, K)]


def check_spectrum(case):
    """Sorted eigenvalues in all parameters against the list, and the multiplicities against the number of
    parameters."""
    problem = case.problem()
    point = dnc(problem)
    power = case.get("power", 1.0)
    listed = (
        ce_list(problem, point.scales[0], power)
        if problem.loss.cross_entropy
        else mse_list(problem, float(point.s[0]), power)
    )
    values, copies = map(np.array, zip(*[(float(v), m) for v, m in listed], strict=True))
    yield Evidence(
        int(copies.sum()),
        "==",
        sum(x * y for x, y in problem.shapes()),
        strength="exact",
        note="multiplicities sum to the number of parameters",
    )
    measured = np.repeat(*map(np.array, zip(*spectrum(point, merge=0.0), strict=True)))
    apart = np.max(np.abs(np.sort(np.repeat(values, copies)) - measured))
    yield Evidence(
        float(apart) / measured[-1],
        "==",
        0.0,
        TOL,
        note=f"s = {point.s[0]:.6g}, largest difference of sorted eigenvalues",
    )


def layer_eigenvalues(point: LogitPoint, l: int, rng: int = 0) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """(eigenvalues, eigenvectors, factors): the Hessian of the fit alone in W_l, l >= 1, at a balanced lift in random
    frames."""
    problem, factors = point.problem, point.lift(rng=rng).factors
    objective = FactorObjective(problem)
    rows, columns = problem.shapes()[l]
    x, H = objective.pack(factors, point.b), np.zeros((rows * columns,) * 2)
    for k in range(rows * columns):
        tangents = [np.zeros_like(A) for A in factors]
        tangents[l].flat[k] = 1.0
        H[k] = objective.unpack(objective.hvp(x, objective.pack(tangents)))[0][l].ravel()
    return *linalg.eigh(0.5 * (H + H.T) - problem.lams[l] * np.eye(len(H))), factors


def check_layers(case):
    """Nonzero eigenvalues of every weight layer's block against the list; the share of the gradient in its
    eigenvectors."""
    problem = case.problem()
    point, ce = dnc(problem), problem.loss.cross_entropy
    K, outliers = problem.K, case.get("outliers", "CE")
    for l in range(1, problem.D):
        values, vectors, factors = layer_eigenvalues(point, l, case.rng)
        if ce:
            t, delta, _ = curvatures(K, point.scales[0])
            parts = (
                [(1 + (K - 1) * delta, 1), (1 + (K - 2) * delta, K - 1), (1, K * K - 3 * K + 1)]
                if outliers == "CE"
                else [(1, (K - 1) ** 2)]
            )
            listed = [problem.lams[l] * t * x for x, m in parts for _ in range(m)]
        else:
            mu = problem.lams[l] / problem.Lam * float(point.s[0]) ** (2 - 2 / problem.D) / problem.N
            listed = [mu] * (K * K if case.get("rank", 2) == 2 else K)
        expected = np.sort(np.concatenate([np.zeros(len(values) - len(listed)), listed]))
        apart = float(np.max(np.abs(values - expected))) / values[-1]
        yield Evidence(
            apart, "==", 0.0, TOL, note=f"W_{l}: {len(listed)} nonzero eigenvalues, the largest {values[-1]:.6g}"
        )
        bulk = vectors[:, values > 0.5 * min(listed)]
        W = factors[l].ravel()
        yield Evidence(
            float(np.linalg.norm(bulk.T @ W) / np.linalg.norm(W)),
            "==",
            1.0,
            TOL,
            note=f"-lam W_{l}, the fit's gradient, lies in their span",
        )


def critical_mse(case) -> bool:
    """Whether the balanced MSE problem has collapsed points: below the spinodal."""
    Lam, n = geometric_mean(case.lam), case.n
    return case.K * n * Lam < spinodal(math.sqrt(n), case.L + 1) * (1 - 1e-9)


def collapsed(case) -> bool:
    return exists(case.K, case.n, case.L, geometric_mean(case.lam)) if case.loss == "ce" else critical_mse(case)


SPREADS = {2: (0.02, 0.005, 0.01), 3: (0.01, 0.002, 0.004, 0.03), 4: (0.004, 0.002, 0.01, 0.003, 0.008)}
"""Ridge weights that differ from layer to layer."""
SHAPES = ((3, 1, 3, 2), (4, 3, 6, 2), (5, 2, 5, 3), (3, 2, 4, 4))
"""(K, n, d, L)."""
COMMON = READABLE | {
    "K >= 3": lambda c: c.K >= 3,
    "L >= 2": lambda c: c.L >= 2,
    "balanced": lambda c: isinstance(c.n, int),
    "DNC exists": collapsed,
}


def wide(case) -> bool:
    """d >= K - 1 for CE, whose modes are centred; d >= K for MSE."""
    return min(case.d if isinstance(case.d, tuple) else (case.d,)) >= case.K - (case.loss == "ce")


CLAIMS = (
    Claim(
        id="related:deep-dnc-spectrum",
        title=(
            "Every Hessian eigenvalue at collapse with a ridge weight per layer: small secular matrices per sector,"
            " under CE and MSE"
        ),
        statement=(
            "For D >= 3 the Hessian in all parameters at DNC has in each sector the eigenvalues of 2 diag(lam) + (x-1)"
            " w w' or (x+1) w w', w_l = sqrt(lam_l), with the x and multiplicities listed in"
            " theory.related.deep_spectra, for CE and for MSE, any n and widths."
        ),
        source="garrod24",
        hypotheses=COMMON | {"no narrower than DNC's rank": wide},
        check=check_spectrum,
        cases=[
            *(Case(K=K, n=n, d=d, L=L, lam=SPREADS[L], loss=loss) for loss in ("ce", "mse") for K, n, d, L in SHAPES),
            Case(K=4, n=2, d=(5, 7), L=2, lam=SPREADS[2], loss="ce"),
            Case(K=4, n=2, d=(6, 4, 5), L=3, lam=SPREADS[3], loss="mse"),
            Case(K=6, n=1, d=8, L=2, lam=0.01, loss="mse"),
        ],
        controls=[
            planted(
                "the coupling of the standard sector is squared",
                K=4,
                n=2,
                d=5,
                L=2,
                lam=SPREADS[2],
                loss="ce",
                power=2.0,
            ),
            planted("the curvature of the fit is squared", K=4, n=2, d=5, L=2, lam=SPREADS[2], loss="mse", power=2.0),
        ],
        uses=("gk25:dnc-spectrum", "related:deep-mse-spinodal"),
        scope="measured by dense eigenvalues on the stated grid; the derivation covers all K, n, d, L",
    ),
    Claim(
        id="related:deep-dnc-layers",
        title=(
            "A weight layer's Hessian at collapse: under MSE K^2 equal nonzero eigenvalues, under CE (K-1)^2, K"
            " outliers above a flat bulk"
        ),
        statement=(
            "The Hessian of the fit in W_l, l >= 1, has the nonzero eigenvalues mu_l x K^2 under MSE, mu_l ="
            " (lam_l/Lam) s^(2-2/D)/N; and under CE v (1 + (K-1) delta) x 1, v (1 + (K-2) delta) x (K-1), v x"
            " (K^2-3K+1), v = lam_l a/K. The fit's gradient -lam_l W_l lies in their span."
        ),
        source="garrod24",
        hypotheses=COMMON | {"no narrower than DNC's rank": wide},
        check=check_layers,
        cases=[
            Case(K=K, n=n, d=d, L=L, lam=lam, loss=loss, rng=0)
            for loss in ("ce", "mse")
            for K, n, d, L, lam in (
                (3, 1, 4, 2, 0.02),
                (4, 2, 5, 2, SPREADS[2]),
                (5, 1, 6, 3, 5e-3),
                (6, 2, 6, 2, 3e-3),
            )
        ],
        controls=[
            planted(
                "under CE all (K-1)^2 are taken to be equal, as under MSE",
                K=4,
                n=1,
                d=5,
                L=2,
                lam=0.01,
                loss="ce",
                rng=0,
                outliers="none",
            ),
            planted(
                "under MSE only K are taken to be nonzero", K=4, n=1, d=5, L=2, lam=0.01, loss="mse", rng=0, rank=1
            ),
        ],
        uses=("gk25:dnc-spectrum",),
        scope=(
            "every weight layer at the declared parameters; garrod24 has the MSE part for equal weights, the features"
            " H_1 have K - 1 directions per sample"
        ),
    ),
)
