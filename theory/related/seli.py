"""Simplex-encoded labels: the solution of the margin problem for any class counts, of its deep analogue a KKT point,
and the limit of ridge paths."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.qk import product
from theory.related.shallow import minimum
from ufm.certificates.convex import margin_minimum
from ufm.numerics.seeds import generator, seed_sequence
from ufm.problem import Problem
from ufm.structures.sel import sel_multipliers, step_cosines, step_spectrum

ROUNDING = 1e-12
"""Of the largest entry: what an SVD of a few classes leaves."""


def random_counts(K: int, R: float, rng: int) -> tuple[int, ...]:
    """K class sizes between 1 and R, log-uniform, with 1 and R among them; R = 1 gives equal ones."""
    draw = generator(seed_sequence(rng))
    inner = np.exp(draw.uniform(0.0, math.log(max(R, 1.0)), max(K - 2, 0)))
    return tuple(max(1, round(float(x))) for x in (R, *inner, 1.0))


def resolvent_row(counts, t: Fraction, shift: int = 1) -> tuple[Fraction, Fraction, Fraction]:
    """(largest error of (M + t) Q = S, largest column sum of Q, largest entry of Q off the diagonal), M = S diag(n) S,
    in fractions.

    Q = diag(x) - x x'/(1'x), x = 1/(n + t); `shift` other than 1 falsifies it.
    """
    K, one = len(counts), Fraction(1)
    x = [one / (n + t) for n in counts]
    Q = [[(x[i] if i == j else 0) - shift * x[i] * x[j] / sum(x) for j in range(K)] for i in range(K)]
    S = [[(one if i == j else 0) - Fraction(1, K) for j in range(K)] for i in range(K)]
    M = product([[S[i][j] * counts[j] for j in range(K)] for i in range(K)], S)  # S and Q are symmetric
    left = product([[M[i][j] + (t if i == j else 0) for j in range(K)] for i in range(K)], Q)
    error = max(abs(left[i][j] - S[i][j]) for i in range(K) for j in range(K))
    sums = max(abs(sum(Q[i][j] for i in range(K))) for j in range(K))
    return error, sums, max(Q[i][j] for i in range(K) for j in range(K) if i != j)


def check_signs(case):
    """In fractions, the resolvent whose integral the multipliers are; in floats, the multipliers themselves."""
    counts = random_counts(case.K, case.R, case.rng)
    for t in (Fraction(0), Fraction(1, 100), Fraction(7, 3), Fraction(1000)):
        error, sums, largest = resolvent_row(counts, t, case.get("shift", 1))
        yield Evidence(error, "==", 0, 0, "exact", f"(M + t) Q = S at t = {t}, n = {counts}")
        yield Evidence(sums, "==", 0, 0, "exact", f"columns of Q sum to zero at t = {t}")
        yield Evidence(largest, "<", 0, 0, "exact", f"Q off the diagonal at t = {t}")
    A = sel_multipliers(counts, case.L + 1)
    if case.get("inner"):
        A = A * (2 * np.eye(case.K) - 1)
    off, size = A[~np.eye(case.K, dtype=bool)], np.max(np.abs(A))
    yield Evidence(np.max(off) / size, "<", 0.0, ROUNDING, note="largest multiplier off the labels")
    yield Evidence(np.max(np.abs(A.sum(axis=0))) / size, "==", 0.0, ROUNDING, note="column sums")


def check_margin(case):
    """The convex solver's solution and value; the polar factor U V' as its certificate."""
    counts = random_counts(case.K, case.R, case.rng)
    Z, K = np.eye(case.K) - case.get("mean", 1.0) / case.K, case.K
    found, solution = margin_minimum(counts)
    value = float(np.sum(np.linalg.svd(Z * np.sqrt(counts), compute_uv=False)))
    yield Evidence(found, "==", value, 1e-6 * value, note=f"|SEL|_*, n = {counts}")
    yield Evidence(np.max(np.abs(solution - Z)), "==", 0.0, 1e-4, note="the solution is SEL")
    A = sel_multipliers(counts)
    yield Evidence(
        np.max(A[~np.eye(K, dtype=bool)]), "<", 0.0, ROUNDING, note="multipliers of all margins are positive"
    )
    pairing = -float(np.sum((A * np.sqrt(counts))[~np.eye(K, dtype=bool)]))
    yield Evidence(pairing, "==", value, ROUNDING * value * K, note="dual value: the sum of the multipliers")


def offsets(counts, multipliers=None) -> np.ndarray:
    """E (K, K): margins z_cc - z_jc of the ridge minimum tend to log(1/lam) + E_jc, E_jc = -log(N |A_jc|/sqrt(n_c)), A
    = U V'; 0 on the diagonal."""
    K, counts = len(counts), np.asarray(counts, dtype=float)
    A = sel_multipliers(counts.astype(int).tolist()) if multipliers is None else multipliers
    with np.errstate(divide="ignore"):
        E = -np.log(np.abs(A) * np.sum(counts) / np.sqrt(counts))
    return np.where(np.eye(K, dtype=bool), 0.0, E)


def second_offsets(counts, T: float = 1e5) -> np.ndarray:
    """E_2 (K, K): margins are T + E + E_2/T + O(1/T^2), T = log(1/lam), since A is the polar factor of T SEL +
    (E.mean(axis=0) - E), not of SEL."""
    E = offsets(counts)
    Z = T * (np.eye(len(counts)) - 1 / len(counts)) + E.mean(axis=0) - E
    U, _, Vt = np.linalg.svd(Z * np.sqrt(counts))
    return T * (offsets(counts, U[:, :-1] @ Vt[:-1]) - E)


def predicted_rate(counts) -> float:
    """lim of log(1/lam) |Z/|Z| - SEL/|SEL|| as lam -> 0: the size of the offset E across SEL, over that of SEL; norms
    over all samples."""
    root = np.sqrt(counts)
    limit, E = (np.eye(len(counts)) - 1 / len(counts)) * root, offsets(counts)
    F = (E.mean(axis=0) - E) * root
    F -= limit * np.sum(F * limit) / np.sum(limit * limit)
    return float(np.linalg.norm(F) / np.linalg.norm(limit))


def check_path(case):
    """T = log(1/lam): margins against T + E, and the direction against its rate over T; what remains, times T, over
    seven decades of lam."""
    counts, K = random_counts(case.K, case.R, case.rng), case.K
    E, off, root = offsets(counts), ~np.eye(case.K, dtype=bool), np.sqrt(counts)
    bound, rate = 1.0 + 1.5 * float(np.max(np.abs(second_offsets(counts)[off]))), predicted_rate(counts)
    limit = (np.eye(K) - 1 / K) * root
    for share in (1e-2, 1e-4, 1e-6, 1e-9):
        lam = share * min(root) / sum(counts)
        T = math.log(1 / lam)
        Z = minimum(Problem(K=K, n=counts, L=case.L, lam=lam), case.rng).class_logits()
        rest = np.max(np.abs(np.diag(Z)[None, :] - Z - case.get("speed", 1.0) * T - E)[off])
        yield Evidence(float(rest) * T, "<=", bound, 1e-3, note=f"T |margins - T - E|, lam = {lam:.3g}, n = {counts}")
        apart = np.linalg.norm(Z * root / np.linalg.norm(Z * root) - limit / np.linalg.norm(limit))
        yield Evidence(
            abs(T * float(apart) - case.get("slower", 1.0) * rate) * T,
            "<=",
            bound,
            1e-3,
            note=f"T |T |direction - SEL| - {rate:.4g}|",
        )


def check_step(case):
    """Singular values and cosines by formula, and from an SVD of S diag(sqrt n)."""
    K, k, root = case.K, case.majority, np.sqrt([case.R] * case.majority + [1.0] * (case.K - case.majority))
    U, s, _ = np.linalg.svd((np.eye(K) - 1 / K) * root)
    yield Evidence(
        np.max(np.abs(s[: K - 1] - step_spectrum(K, case.R * case.get("more", 1.0), 1.0, k))),
        "==",
        0.0,
        ROUNDING * K * s[0],
        note="singular values",
    )
    G = (U[:, : K - 1] * s[: K - 1]) @ U[:, : K - 1].T
    cosines, size = step_cosines(K, case.R, k), np.sqrt(np.diag(G))
    G = G / np.outer(size, size)
    for name, entry, there in (
        ("majority", G[0, 1], k > 1),
        ("minority", G[-1, -2], K - k > 1),
        ("mixed", G[0, -1], True),
    ):
        if there:
            yield Evidence(entry, "==", cosines[name], 1e-10, note=f"cosine, {name}")
    if K - k > 1 and not case.planted:
        far = [1 - step_cosines(K, R, k)["minority"] for R in (1e6, 1e8)]
        yield Evidence(far[1] / far[0], "==", 0.1, 0.01 * K, note="1 - cosine of minorities falls like R^(-1/2)")


COUNTS = {"counts of any ratio up to 10^6": lambda c: 1 <= c.R <= 1e6, "K >= 2": lambda c: c.K >= 2}

CLAIMS = (
    Claim(
        id="related:seli-margin",
        title="The margin problem of the plain model is solved by SEL, whatever the class counts",
        statement=(
            "min |Z|_* subject to margins z_y - z_j >= 1 in every column has the one solution SEL = (I - 11'/K) Y, for"
            " all counts n; its polar factor U V' is the dual certificate: column sums zero, entries off the labels"
            " negative."
        ),
        source="thrampoulidis22, the margin problem",
        hypotheses=COUNTS,
        check=check_margin,
        cases=[
            *grid(K=[2, 3, 4, 6], R=[1.0, 10.0, 1000.0], rng=[0])[::2],
            Case(K=5, R=100.0, rng=1),
            Case(K=8, R=30.0, rng=2),
        ],
        controls=[
            planted("labels that are not centred", K=4, R=10.0, rng=0, mean=0.0),
            planted("centred twice", K=4, R=10.0, rng=0, mean=2.0),
        ],
        uses=("related:seli-signs",),
    ),
    Claim(
        id="related:seli-signs",
        title="SEL is a KKT point of the margin problem at every depth, for all class counts",
        statement=(
            "For all K, n and D = L + 1 >= 2: with SEL = U s V' over one column per class, U s^(2/D-1) V' has zero"
            " column sums and negative entries off the diagonal, so that SEL is a KKT point of min sum s_i^(2/D) with"
            " margins >= 1. It is M^(1/D-1) S diag(sqrt n), M = S diag(n) S, an integral over t > 0 of (M + t)^+ ="
            " diag(x) - x x'/(1'x) on sum-zero vectors, x = 1/(n + t), which is negative off the diagonal."
        ),
        source="thrampoulidis22, the margin problem (L = 1; the other depths are added here)",
        hypotheses=COUNTS | {"L >= 1": lambda c: c.L >= 1},
        check=check_signs,
        cases=grid(K=[2, 3, 5, 9], R=[1.0, 10.0, 1000.0], L=[1, 2, 8, 40], rng=[0, 1])[::3],
        controls=[
            planted("the sign of the other entries is flipped", K=4, R=10.0, L=2, rng=0, inner=True),
            planted("the rank-one part counts twice", K=4, R=10.0, L=1, rng=0, shift=2),
        ],
        scope="the identity at four rational t, exactly; its integral by hand; the multipliers themselves in floats",
    ),
    Claim(
        id="related:seli-path",
        title="Ridge minima turn into SEL like 1/log(1/lam), with a constant in closed form",
        statement=(
            "L = 1, cross-entropy, any counts, T = log(1/lam): the margins of the minimum are T + E_jc + O(1/T), E_jc ="
            " -log(N |(U V')_jc|/sqrt(n_c)), and T |Z/|Z| - SEL/|SEL|| tends to the size of E across SEL over |SEL|."
        ),
        source="thrampoulidis22, vanishing ridge (the limit; ji22 for flows without ridge; the rate is added here)",
        hypotheses=COUNTS | {"L = 1": lambda c: c.L == 1},
        check=check_path,
        cases=[
            *grid(K=[2, 3, 5], R=[1.0, 10.0, 100.0], L=1, rng=0),
            Case(K=4, R=1000.0, L=1, rng=1),
            Case(K=8, R=200.0, L=1, rng=5),
        ],
        controls=[
            *grid(K=[4, 6], R=10.0, L=2, rng=0),
            planted("margins grow like 0.9 log(1/lam)", K=3, R=10.0, L=1, rng=0, speed=0.9),
            planted("a constant twice as large", K=4, R=10.0, L=1, rng=0, slower=2.0),
        ],
        uses=("related:seli-margin",),
        scope=(
            "lam from 10^-2 to 10^-9 of the lam at which the smallest classes merge; what remains is at most (1 + 1.5"
            " max |E_2|)/T there, E_2 being the next term of the margins"
        ),
    ),
    Claim(
        id="related:seli-step",
        title="STEP imbalance: singular values and angles of SEL",
        statement=(
            "k classes of R n samples, K - k of n: singular values sqrt(R n) (k - 1 times), sqrt(((K-k) R + k) n/K),"
            " sqrt(n) (K - k - 1 times); with W W' = (Z Z')^(1/2) the cosine of two minority classifiers is (a k/K -"
            " 1)/(a k/K + K - k - 1), a = sqrt(((K-k) R + k)/K), which tends to 1 like R^(-1/2)."
        ),
        source="thrampoulidis22, step imbalance (k = K/2)",
        hypotheses={"R > 0": lambda c: c.R > 0, "majority is 1..K-1": lambda c: 1 <= c.majority < c.K},
        check=check_step,
        cases=[
            case
            for case in grid(K=[2, 3, 4, 7, 10], majority=[1, 2, 5], R=[1.0, 3.0, 100.0, 1e4])
            if case.majority < case.K
        ],
        controls=[planted("R is one percent larger", K=6, majority=3, R=10.0, more=1.01)],
    ),
)
