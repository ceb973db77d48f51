"""A linear model of two classes that costs no more than a given ReLU model and has the same logits.

With X_1 = H_1 and X_l = s(W_{l-1} X_{l-1}), one column per class scaled by sqrt(n_c):

* samples: of each class keep the one that costs least; the mean over the class was no less.
* first two factors: with product A = W_1 H_1 they cost at least sqrt(lam_0 lam_1) |A|_* >= sqrt(lam_0 lam_1) |s(A)|_*
  (sml23:lemma), which is what balanced factors of X_2 = s(A) cost.
* hidden weights: X_l >= 0 has G = X_l' X_l >= 0 entrywise, so G^-1 has no positive entry off its diagonal (two
  columns!) and a row w of W_l with w X_l = a costs at least a G^+ a' >= s(a) G^+ s(a)': W_l' = X_{l+1} X_l^+ costs no
  more than W_l and maps X_l to X_{l+1} without a ReLU.
* W_L stays. So F_linear(H_1', W_1', ..., W_L) <= F_relu(H_1, W_1, ..., W_L).
"""

from __future__ import annotations

import itertools

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.sml23.lemma import THREE
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import value
from ufm.points import FactorPoint
from ufm.problem import Problem

ROUNDING = 1e-12


def problem_of(case) -> Problem:
    """The ReLU problem of a case under MSE; its lam may be spread by exp(spread N(0, 1)) factor by factor."""
    draw = generator(child(seed_sequence(case.rng), 1))
    lam = tuple(case.lam * np.exp(case.get("spread", 0.0) * draw.standard_normal(case.L + 1)))
    return Problem(K=case.K, n=case.n, d=case.d, L=case.L, lam=lam, loss="mse", activation="relu")


def random_point(problem: Problem, draw) -> FactorPoint:
    """Gaussian factors with logits of order one."""
    return FactorPoint(
        problem, tuple(draw.standard_normal(shape) * np.sqrt(1.5 / shape[1]) for shape in problem.shapes())
    )


def bad_point(problem: Problem, draw) -> FactorPoint:
    """Balanced first factors with product THREE (padded), on which the lemma fails, and nonnegative random weights
    after them."""
    A = np.zeros((problem.widths[1], problem.K))
    A[:3, :3] = THREE
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    H, W = np.sqrt(s)[:, None] * Vt, U * np.sqrt(s)
    rest = [np.abs(draw.standard_normal(shape)) for shape in problem.shapes()[2:]]
    return FactorPoint(
        problem, (_padded(H, problem.widths[0])[:, problem.labels], _columns(W, problem.widths[0]), *rest)
    )


def _padded(A, rows: int):
    return np.vstack([A, np.zeros((max(0, rows - len(A)), A.shape[1]))])[:rows]


def _columns(A, columns: int):
    return _padded(A.T, columns).T


def representatives(point: FactorPoint) -> np.ndarray:
    """Of each class, the sample that costs least: psi(h) = |f_W(h) - e_c|^2/(2N) + (lam_0/2)|h|^2."""
    problem = point.problem
    costs = 0.5 * np.sum((point.logits() - problem.samples.Y) ** 2, axis=0) / problem.N + 0.5 * problem.lams[
        0
    ] * np.sum(point.factors[0] ** 2, axis=0)
    order = np.lexsort((costs, problem.labels))
    return order[np.searchsorted(problem.labels[order], np.arange(problem.K))]


def twin(point: FactorPoint, relu: bool = True) -> FactorPoint:
    """The linear point of the docstring; `relu` False leaves the ReLU out of X_2, ..., X_L as if it did nothing."""
    problem = point.problem
    scale, lams = np.sqrt(problem.counts), problem.lams
    act = (lambda M: np.maximum(M, 0.0)) if relu else (lambda M: M)
    X = [point.factors[0][:, representatives(point)] * scale]
    for W in point.factors[1:-1]:
        X.append(act(W @ X[-1]))
    U, s, Vt = np.linalg.svd(X[1], full_matrices=False)
    ratio = (lams[1] / lams[0]) ** 0.25
    H, W1 = ratio * np.sqrt(s)[:, None] * Vt, U * np.sqrt(s) / ratio
    hidden = [after @ np.linalg.pinv(before) for before, after in itertools.pairwise(X[1:])]
    linear = Problem(K=problem.K, n=problem.n, d=problem.d, L=problem.L, lam=problem.lam, loss="mse")
    H = (H / scale)[:, problem.labels]
    return FactorPoint(
        linear, (_padded(H, problem.widths[0]), _columns(W1, problem.widths[0]), *hidden, point.factors[-1])
    )


def check(case):
    """F of the twin against F of the ReLU point, and their logits on the classes kept."""
    problem = problem_of(case)
    draw = generator(child(seed_sequence(case.rng), 0))
    for _ in range(case.points):
        point = random_point(problem, draw) if problem.K == 2 else bad_point(problem, draw)
        other = twin(point, case.get("relu", True))
        kept = representatives(point)
        ours, theirs = other.logits()[:, kept], point.logits()[:, kept]
        size = max(1.0, float(np.max(np.abs(theirs))))
        yield Evidence(float(np.max(np.abs(ours - theirs))) / size, "==", 0.0, 1e-9, note="logits of the kept samples")
        low, high = value(other), value(point)
        yield Evidence(low, "<=", high, ROUNDING * high, note="F of the linear twin, F of the ReLU point")


CLAIM = Claim(
    id="sml23:twin",
    title="Two classes: below every point of the ReLU model lies one of the linear model",
    statement=(
        "K = 2, L >= 2, widths >= 2, MSE, no bias: for every point of the ReLU model there is one of the linear model"
        " with collapsed features, the logits of one sample per class and no larger F. So the global minimum of the"
        " linear model is a lower bound. For K >= 3 this construction fails."
    ),
    source="sml23",
    hypotheses={"K = 2": lambda c: c.K == 2, "L >= 2": lambda c: c.L >= 2, "d >= 2": lambda c: np.min(c.d) >= 2},
    check=check,
    cases=[
        *grid(K=2, n=[1, 3], d=[2, 5], L=[2, 3, 6], lam=[0.3, 1e-3], spread=[0.0, 1.0], points=5, rng=[0]),
        *grid(K=2, n=(1, 4), d=4, L=[2, 4], lam=0.02, spread=0.7, points=10, rng=[1, 2]),
    ],
    controls=[
        *grid(K=[3, 5], n=1, d=6, L=2, lam=[1.0, 0.3], spread=0.0, points=1, rng=0),
        planted(
            "the ReLU is left out of the features", K=2, n=1, d=5, L=3, lam=0.1, spread=0.0, points=5, rng=0, relu=False
        ),
    ],
    uses=("sml23:lemma",),
    scope="the construction is a proof for every point (module docstring); the cases run it on random ones",
)
