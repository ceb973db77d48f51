"""Theorem 2: in deep models a code of lower rank beats any given shape of higher rank."""

from __future__ import annotations

import functools

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from theory.gk25.lowest import code, ray_minimum, spread_counts, superiority
from ufm.numerics.seeds import child, generator, seed_sequence

TOL = 1e-9
"""Of the size of F, for the difference of two values that are minima over one scale; at least ROUNDING."""
ROUNDING = 1e-14
"""Of a fit computed as a difference of logarithms."""
DEEPEST = 100_000
"""So far in L the inequality of the proof is looked at; beyond, its two sides keep the order of the ranks."""


def problem_of(case):
    """K classes, n samples in the smallest one and n R in the largest; R = 1 is balanced."""
    return case.problem(n=spread_counts(case.K, case.n, case.get("R", 1)))


def shapes(case) -> tuple[np.ndarray, np.ndarray]:
    """(X of rank p, M of rank q), both K x N, from the seed of the case.

    shape `code`: X is a diagonally superior code with samples of their own lengths; `random`: a product of Gaussian
    factors; `simplex`: S. M = V'(samples), V unit vectors in R^q; for q = 1 (K = 2) opposite ones. `mixed`: two rows of
    M are exchanged, which spoils its superiority.
    """
    problem, seed = problem_of(case), seed_sequence(case.rng)
    draws = [generator(child(seed, i)) for i in range(2)]
    K, labels = case.K, problem.labels
    if case.shape == "random":
        X = draws[0].standard_normal((K, case.p)) @ draws[0].standard_normal((case.p, problem.N))
    elif case.shape == "simplex":
        X = (np.eye(K) - 1 / K)[:, labels]
    else:
        X = superior(K, case.p, labels, draws[0])
    M = superior(K, case.q, labels, draws[1])
    return X, M[np.roll(np.arange(K), 1)] if case.get("mixed") else M


def superior(K: int, r: int, labels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A diagonally superior K x N matrix of rank r: samples vary about the vectors of a code, in direction and in
    length."""
    V = code(K, r, draw) if r > 1 else np.linspace(1, -1, K)[None, :]
    gap = np.sqrt((1 - np.max((V.T @ V)[~np.eye(K, dtype=bool)])) / 2) if r > 1 else 0.5
    noise = draw.standard_normal((r, len(labels)))
    samples = V[:, labels] + 0.3 * gap * noise / np.linalg.norm(noise, axis=0)
    return V.T @ (samples * draw.uniform(0.5, 2.0, len(labels)))


def stretch(X: np.ndarray, M: np.ndarray, labels: np.ndarray) -> float:
    """c = max over columns j and rows k of (X_yj - X_kj) / (M_yj - M_kj): every margin of c M is at least that of X, so
    g(c a M) <= g(a X) for all a >= 0."""
    columns = np.arange(len(labels))
    own = np.zeros(X.shape, bool)
    own[labels, columns] = True
    ratio = ((X[labels, columns] - X) / np.where(own, 1.0, M[labels, columns] - M))[~own]
    return max(float(ratio.max()), 1e-300)


@functools.lru_cache(4096)
def last_depth(case) -> int:
    """L_0 of the proof: for every L > L_0, sum_i (c s_i(M))^(2/(L+1)) < sum_i s_i(X)^(2/(L+1)), so that M costs less at
    every lam.

    0 where it holds at every L. Raises ValueError where M is not superior or its rank is not below that of X: there is
    no such depth.
    """
    X, M = shapes(case)
    labels = problem_of(case).labels
    if case.q >= case.p or superiority(M, labels) <= 0:
        raise ValueError(f"there is an L_0 only for a diagonally superior M of rank q < p; got p={case.p}, q={case.q}.")
    t = 2.0 / np.arange(2, DEEPEST + 2)
    x, m = (np.log(np.linalg.svd(A, compute_uv=False)[:r])[:, None] for A, r in ((X, case.p), (M, case.q)))
    wins = np.exp(t * (m + np.log(stretch(X, M, labels)))).sum(axis=0) < np.exp(t * x).sum(axis=0)
    return int(np.max(np.flatnonzero(~wins) + 1, initial=0))


def check(case) -> Evidence:
    """min over a of F(a X) against min over b of F(b M); where both are at 0, they are equal."""
    problem = problem_of(case)
    X, M = shapes(case)
    (high, a), (low, b) = ray_minimum(problem, X, case.p), ray_minimum(problem, M, case.q)
    tol = max(TOL * high, ROUNDING)
    note = f"L_0 = {last_depth(case)}" if case.q < case.p and not case.get("mixed") else ""
    if a == b == 0:
        return Evidence(low, "==", high, tol, "sampled", f"both at 0; {note}")
    return Evidence(low, "<", high, tol, "sampled", note)


def beyond(case) -> bool:
    """Whether L > L_0; also where no L_0 exists, which is the matter of other hypotheses."""
    try:
        return case.L > last_depth(case)
    except ValueError:
        return True


HYPOTHESES = {
    "1 <= q < p <= K": lambda c: 1 <= c.q < c.p <= c.K,
    "p is the rank of X": lambda c: c.shape != "simplex" or c.p == c.K - 1,
    "M is diagonally superior (q >= 2, or K = 2)": lambda c: not c.get("mixed") and (c.q >= 2 or c.K == 2),
    "L > L_0 of the proof": beyond,
}
STATEMENT = (
    "X of rank p, M diagonally superior of rank q < p: for L > L_0 the least F(b M) over b >= 0 is below the least F(a"
    " X) over a >= 0, unless both are at 0. L_0 is the last L at which sum (c s_i(M))^(2/(L+1)) >= sum"
    " s_i(X)^(2/(L+1)), with c the largest ratio of margins; it serves every lam."
)


def sampled_cases(R: float, seeds) -> list[Case]:
    """Three shapes of X, ranks from 2 to 8, at two depths and three lam each."""
    kinds = [
        ("random", 2, 2, 1),
        ("code", 4, 3, 2),
        ("code", 6, 4, 3),
        ("code", 8, 7, 3),
        ("simplex", 5, 4, 2),
        ("simplex", 10, 9, 2),
        ("random", 4, 3, 2),
        ("random", 6, 6, 4),
    ]
    more = {} if R == 1 else {"R": R}
    cases = [
        Case(K=K, n=2, L=L, lam=lam, p=p, q=q, shape=shape, rng=rng, **more)
        for shape, K, p, q in kinds
        for rng in seeds
        for L in (40, 150)
        for lam in (1e-2, 1e-4, 1e-7)
    ]
    return [case for case in cases if all(holds(case) for holds in HYPOTHESES.values())]


CONTROLS = [
    *[Case(K=K, n=1, L=1, lam=1e-3, p=K - 1, q=2, shape="simplex", rng=0) for K in (5, 8)],
    Case(K=6, n=2, L=200, lam=1e-5, p=2, q=4, shape="code", rng=0),
    Case(K=5, n=2, L=200, lam=1e-5, p=3, q=2, shape="code", rng=0, mixed=True),
]

CLAIM = Claim(
    id="gk25:thm2",
    title="Beyond a depth, lower rank costs less, shape by shape",
    statement=STATEMENT,
    source="gk25, Theorem 2",
    hypotheses=HYPOTHESES,
    check=check,
    cases=sampled_cases(1, (0, 1)),
    controls=[
        *CONTROLS,
        planted(
            "the rows of M are permuted after its rank was counted",
            K=4,
            n=1,
            L=150,
            lam=1e-6,
            p=3,
            q=2,
            shape="code",
            rng=1,
            mixed=True,
        ),
    ],
    uses=("gk25:lemma1",),
    scope="seeded X and M; the note of each case has its L_0, from the proof and thus not the smallest",
)
