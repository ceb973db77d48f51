"""Logits that start in a Bose-Mesner algebra stay there: under softmax, under gradient descent on balanced factors, at
every depth.

The span of the projections E_0 = 11'/K, E_1, ..., E_d of a commutative association scheme is closed under products and
under entrywise products, so under entrywise exp. Its matrices have constant row sums; hence softmax maps Z in it into
it, and with factors A_l in it the gradient of F in A_l, a product of A's and softmax(Z) - I, is in it again. The D x (d
+ 1) eigenvalues of the factors obey a closed system:

    d theta_lj / dt = -(gamma_j prod_{i != l} theta_ij + lam_l theta_lj),
        gamma_j = eigenvalue of (softmax(Z) - I)/K on E_j.

Examples: S_K (collapse), K-gons, wreath products (pairs), and the characters of Z_2^m (the Sylvester-Hadamard matrix:
every h_j h_j'/K by itself). An orthonormal basis that is no scheme will not do, nor a Hadamard matrix whose columns are
not closed under entrywise products (order 12).
"""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from ufm.numerics.schemes import schemes
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.problem import Problem

INSIDE = 1e-11
"""Relative distance from the algebra that rounding makes."""


def families(K: int, kind: str, rng=0) -> list[tuple[str, list[np.ndarray]]]:
    """[(name, projections E_0, E_1, ...)] of a kind: schemes, characters (K = 2^m), paley (K = 12), orthogonal (a
    random basis with 1)."""
    mean = np.full((K, K), 1.0 / K)
    if kind == "schemes":
        return [(scheme.name, [mean, *scheme.idempotents]) for scheme in schemes(K, 5)]
    if kind == "characters":
        points = np.arange(K)
        H = np.array([[(-1.0) ** int(a & b).bit_count() for a in points] for b in points])
    elif kind == "paley":
        H = paley()
    else:
        H = (
            math.sqrt(K)
            * np.linalg.qr(np.column_stack([np.ones(K), generator(seed_sequence(rng)).standard_normal((K, K - 1))]))[0]
        )
    return [(kind, [np.outer(h, h) / K for h in H.T])]


def paley() -> np.ndarray:
    """A Hadamard matrix of order 12, first column 1: from the squares modulo 11."""
    squares = {x * x % 11 for x in range(1, 11)}
    Q = np.array([[0 if i == j else 1 if (j - i) % 11 in squares else -1 for j in range(11)] for i in range(11)])
    S = np.block([[np.zeros((1, 1)), np.ones((1, 11))], [-np.ones((11, 1)), Q]])
    H = S + np.eye(12)
    return H * H[:, :1]


def coefficients(Z: np.ndarray, E: list[np.ndarray]) -> np.ndarray:
    """<Z, E_j>/m_j."""
    return np.array([np.sum(Z * P) / np.trace(P) for P in E])


def projected(Z: np.ndarray, E: list[np.ndarray]) -> np.ndarray:
    """sum_j <Z, E_j>/m_j E_j, the nearest matrix of the algebra."""
    return sum(c * P for c, P in zip(coefficients(Z, E), E, strict=True))


def distance(Z: np.ndarray, E: list[np.ndarray]) -> float:
    """|Z - projected Z| / |Z|."""
    return float(np.linalg.norm(Z - projected(Z, E)) / np.linalg.norm(Z))


def check_softmax(case):
    """Distance from the algebra of entrywise exp, softmax and products of random members."""
    for i, (name, E) in enumerate(families(case.K, case.kind, case.rng)):
        draw = generator(child(seed_sequence(case.rng), i))
        A, B = (sum(c * P for c, P in zip(draw.uniform(-2, 2, len(E)), E, strict=True)) for _ in range(2))
        A = A + case.get("off", 0.0) * draw.standard_normal(A.shape)
        P = np.exp(A - A.max())
        yield Evidence(distance(P, E), "<=", INSIDE, 0.0, note=f"{name}: entrywise exp")
        yield Evidence(distance(P / P.sum(axis=0), E), "<=", INSIDE, 0.0, note=f"{name}: softmax of the columns")
        yield Evidence(distance(A @ B, E), "<=", INSIDE, 0.0, note=f"{name}: product")


def check_descent(case):
    """Along the closed system's descent: the gradient in every factor of the full problem lies in the algebra and is
    that of the closed system."""
    problem = Problem(K=case.K, L=case.L, lam=case.lam)
    objective = FactorObjective(problem)
    for i, (name, E) in enumerate(families(case.K, case.kind, case.rng)):
        draw = generator(child(seed_sequence(case.rng), i))
        theta, far, apart = draw.uniform(0.3, 1.2, (problem.D, len(E))), 0.0, 0.0
        for step in range(case.steps):
            slope = reduced_gradient(theta, E, problem.lams, case.get("share", 1.0))
            if step % 10 == 0:
                x = objective.pack([sum(c * P for c, P in zip(row, E, strict=True)) for row in theta])
                full = objective.unpack(objective.grad(x + case.get("off", 0.0) * draw.standard_normal(x.shape)))[0]
                size = max(float(np.linalg.norm(A)) for A in objective.unpack(x)[0])
                far = max(far, *(float(np.linalg.norm(A - projected(A, E))) / size for A in full))
                apart = max(
                    apart,
                    *(
                        float(np.max(np.abs(coefficients(A, E) - row))) / size
                        for A, row in zip(full, slope, strict=True)
                    ),
                )
            theta = theta - case.rate * slope
        yield Evidence(
            far, "<=", INSIDE, 0.0, note=f"{name}: distance of the gradients from the algebra, over {case.steps} steps"
        )
        yield Evidence(
            apart,
            "<=",
            INSIDE,
            0.0,
            note=f"{name}: full gradient against the closed system, {problem.D} x {len(E)} numbers",
        )


def reduced_gradient(theta: np.ndarray, E: list[np.ndarray], lams, share: float = 1.0) -> np.ndarray:
    """dF/d theta_lj per multiplicity: gamma_j prod_{i != l} theta_ij + lam_l theta_lj. `share` other than 1 falsifies
    the fit's part."""
    first = sum(c * P[:, 0] for c, P in zip(np.prod(theta, axis=0), E, strict=True))
    p = np.exp(first - first.max())
    G = (p / p.sum() - np.eye(len(p))[0]) / len(p)  # the first column, which the scheme's projections read off
    gamma = share * np.array([np.dot(G, P[:, 0]) / P[0, 0] for P in E])
    return np.array(
        [gamma * np.prod(np.delete(theta, l, axis=0), axis=0) + lam * theta[l] for l, lam in enumerate(lams)]
    )


KINDS = {
    "the projections are those of a scheme": lambda c: (
        c.kind == "schemes" or (c.kind == "characters" and c.K & (c.K - 1) == 0)
    ),
    "the start lies in the algebra": lambda c: not c.get("off"),
}
LISTED = [*((K, "schemes") for K in (4, 6, 8, 10, 12)), *((K, "characters") for K in (2, 4, 8, 16))]

CLAIMS = (
    Claim(
        id="related:deep-scheme-softmax",
        title="The Bose-Mesner algebra of an association scheme is closed under exp, softmax and products",
        statement=(
            "For Z in the span of the projections of a commutative association scheme, entrywise exp(Z), the column"
            " softmax and products lie in it; for H = H_K of Sylvester, Z = H diag(theta) H'/K, softmax(Z) is of that"
            " form."
        ),
        source="bannai84",
        hypotheses=KINDS,
        check=check_softmax,
        cases=[Case(K=K, kind=kind, rng=rng) for rng in (0, 1) for K, kind in LISTED],
        controls=[
            *(Case(K=K, kind="orthogonal", rng=0) for K in (3, 4, 8)),
            Case(K=12, kind="paley", rng=0),
            planted("a millionth of noise is added to a member", K=6, kind="schemes", rng=0, off=1e-6),
        ],
        scope="the schemes that ufm.numerics.schemes lists with at most five projections, and the characters of Z_2^m",
    ),
    Claim(
        id="related:deep-scheme-flow",
        title=(
            "Gradient descent from factors in a Bose-Mesner algebra stays there and is a closed system of D (d + 1)"
            " numbers"
        ),
        statement=(
            "Linear model, CE, balanced classes, d = K, factors A_l = sum_j theta_lj E_j: gradient descent and flow"
            " keep this form, with d theta_lj/dt = -(gamma_j prod_{i != l} theta_ij + lam_l theta_lj). So a Hadamard"
            " start keeps Z diagonal in that basis."
        ),
        source="bannai84",
        hypotheses=KINDS | {"CE": lambda c: c.get("loss", "ce") == "ce"},
        check=check_descent,
        cases=[
            Case(K=K, L=L, lam=lam, kind=kind, steps=200, rate=0.2, rng=2)
            for K, kind in LISTED
            if K <= 10
            for L, lam in ((1, 1e-2), (2, 1e-3), (4, 2e-3))
        ],
        controls=[
            Case(K=6, L=2, lam=1e-3, kind="orthogonal", steps=200, rate=0.2, rng=0),
            Case(K=12, L=2, lam=1e-3, kind="paley", steps=100, rate=0.2, rng=0),
            Case(K=6, L=2, lam=1e-3, kind="schemes", steps=50, rate=0.2, rng=0, off=1e-6),
            planted(
                "the fit's part of the closed system is 1% too large",
                K=4,
                L=2,
                lam=1e-3,
                kind="characters",
                steps=50,
                rate=0.2,
                rng=0,
                share=1.01,
            ),
        ],
        uses=("related:deep-scheme-softmax",),
        scope=(
            "gradients along 200 steps of the closed system; the full descent follows it up to rounding, which grows"
            " near saddles"
        ),
    ),
)
