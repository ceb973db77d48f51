"""Deep neural collapse through ReLU layers, in closed form: orthogonal nonnegative features, one neuron per class.

MSE without bias, classes of n_c samples, kappa_c = (N/n_c) n_c^(1/D) Lam and D = L + 1: classes decouple, and class c
at output z costs n_c/N times

    f(z; kappa) = (1 - z)^2/2 + (D/2) kappa z^(2/D),      stationary where  1 - z = kappa z^(2/D - 1).

    fold(L) = (D/(2L)) ((L-1)/(2L))^((L-1)/D)      the largest kappa with a root z > 0;
    tau(L)  = (1/L) ((L-1)/L)^((L-1)/D)            where the large root costs 1/2, as much as z = 0; there z = (L-1)/L.

Every class may sit at 0, at the large root (a minimum along its ray) or at the small one (a barrier). Equal counts:
kappa = K (n prod lam)^(1/D).

Losses that depend on differences of logits (cross-entropy), equal counts: the same orthogonal features with W_L a
multiple of S = I - 11'/K, so that Z = b S (x) 1_n'. The signal that comes back to a feature is -W_L'S, of the class's
own sign on the diagonal and of the other sign off it, where ReLU is at its kink: mask 0 there makes the point
stationary, and no small motion of one pre-activation helps. b is stationary on its ray:

    F = l(b S) + (D/2) Lam (n (K-1) K^L b^2)^(1/D).

Source: sml24, sml23 (MSE, two classes and more; orthogonal frames). Scales, thresholds, partial fits and cross-entropy:
derived here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.products import padded
from ufm.numerics.state import own_numpy_state
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.structure import Structure

SECOND = ("identity", "pairs", "etf")


@own_numpy_state
def relu_dnc(
    problem: Problem,
    root: str = "large",
    fitted: int | Sequence[int] | None = None,
    second: str | np.ndarray = "identity",
) -> FactorPoint:
    """DNC with explicit weights: W_l = diag(sqrt(t_c/lam_l)), H_1 = diag(sqrt(t_c/(n_c lam_0))) (x) 1', t_c = Lam (n_c
    z_c^2)^(1/D), zero padded.

    root: `large` or `small`. fitted: MSE only; how many classes are fitted, or which (a sequence); the others are at 0.
    None: all that have a root.
    second: the correlations C of W_1 H_1 over the fitted classes, which the loss does not see: any PSD matrix with unit
    diagonal and no positive entry off it, `identity`, `pairs` (blocks [[1, -1], [-1, 1]]: half the rank), `etf`
    (entries -1/(m-1): rank m - 1) or an array. Needs L >= 2. The class means M of W_1 H_1 are M diag(sqrt(n_c)) = E C E
    with E diagonal, of nuclear norm its trace; the ReLU leaves its diagonal.

    Widths: as many as fitted classes; d_1 only the rank of C. Returns FactorPoint; Clarke-stationary wherever it
    exists. Raises ValueError with the reason where it does not exist: above the fold, tanh, a bias under MSE, unequal
    counts under cross-entropy, narrow widths.
    """
    arguments.choice("root", root, ("large", "small"))
    _refuse(problem)
    if not problem.loss.quadratic:
        return _shift_invariant(problem, root, fitted, second)
    roots = _class_roots(problem, root)
    chosen = _chosen(problem, fitted, roots)
    z = np.array([roots[int(n)] for n in problem.counts[chosen]], dtype=float)
    counts = problem.counts[chosen].astype(float)
    share = problem.Lam * (counts * z * z) ** (1 / problem.D)
    W, features = _first_layers(problem, np.sqrt(share), second)
    hidden = [np.diag(np.sqrt(share / lam)) for lam in problem.lams[2:-1]] if problem.L >= 2 else []
    last = np.zeros((problem.K, len(chosen)))
    last[chosen, np.arange(len(chosen))] = np.sqrt(share / problem.lams[-1])
    H = np.zeros((len(features), problem.N))
    for c, column, n in zip(chosen, features.T, counts, strict=True):
        H[:, problem.labels == c] = column[:, None] / np.sqrt(n)
    return embedded(problem, [H, W, *hidden, last] if problem.L >= 2 else [H, last])


@own_numpy_state
def relu_zero(problem: Problem) -> FactorPoint:
    """All factors 0: Clarke-stationary, a strict minimum for L >= 2; loss 1/2 under MSE, log K under cross-entropy.

    A bias is where it minimises the loss: n_c/N/(1 + bias) under MSE, 0 for losses of differences of logits with equal
    counts; else ValueError.
    """
    b = None
    if problem.bias is not None:
        if problem.loss.quadratic:
            b = problem.counts / problem.N / (1.0 + problem.bias)
        elif not (problem.balanced and problem.loss.shift_invariant):
            raise ValueError(
                f"zero with a bias has a closed form under mse, or with equal counts; got loss={problem.loss.name!r},"
                f" n={problem.n}."
            )
    return FactorPoint(problem, tuple(np.zeros(shape) for shape in problem.shapes()), b)


def loss(problem: Problem, root: str = "large", fitted=None) -> float:
    """F at `relu_dnc(problem, root, fitted)`, from the scales alone."""
    _refuse(problem)
    if not problem.loss.quadratic:
        b = _simplex_scale(problem, root, fitted)
        fit = problem.loss.value(_simplex_columns(problem) * b, np.eye(problem.K)[:, :1])[0]
        return float(fit + 0.5 * problem.D * problem.Lam * (_norms(problem) * b * b) ** (1 / problem.D))
    roots = _class_roots(problem, root)
    chosen, N, D = _chosen(problem, fitted, roots), problem.N, problem.D
    rest = np.delete(problem.counts, chosen)
    z, n = np.array([roots[int(n)] for n in problem.counts[chosen]], dtype=float), problem.counts[chosen].astype(float)
    return float(
        np.sum(0.5 * n / N * (1 - z) ** 2 + 0.5 * D * problem.Lam * (n * z * z) ** (1 / D)) + 0.5 * np.sum(rest) / N
    )


def kappa(problem: Problem) -> np.ndarray:
    """kappa_c = (N/n_c) (n_c prod lam)^(1/D), shape (K,): how n, K and lam enter the MSE loss of DNC."""
    n = problem.counts.astype(float)
    return problem.N / n * n ** (1 / problem.D) * problem.Lam


def f(kappa: float, L: int) -> float:
    """min over z >= 0 of (1 - z)^2/2 + (D/2) kappa z^(2/D): the MSE loss of DNC or of zero, whichever is less.

    >>> f(tau(4), 4) == 0.5 or abs(f(tau(4), 4) - 0.5) < 1e-14
    True
    """
    kappa, L = arguments.positive("kappa", kappa), arguments.integer("L", L, 1)
    z = np.array(mse_roots(kappa, L))
    D = L + 1
    return float(min(0.5, np.min(0.5 * (1 - z) ** 2 + 0.5 * D * kappa * z ** (2 / D), initial=0.5)))


def mse_roots(kappa: float, L: int) -> list[float]:
    """Roots z in (0, 1) of 1 - z = kappa z^(2/D - 1), ascending: none, or two (one for L = 1)."""
    return scales.scale_roots(lambda z: 1.0 - z, 1.0, Problem(K=2, L=L, lam=kappa))[0]


def tau(L: int) -> float:
    """kappa at which DNC costs as much as zero under MSE."""
    L = arguments.integer("L", L, 1)
    return ((L - 1) / L) ** ((L - 1) / (L + 1)) / L


def fold(L: int) -> float:
    """kappa up to which DNC exists under MSE."""
    L = arguments.integer("L", L, 1)
    return (L + 1) / (2 * L) * ((L - 1) / (2 * L)) ** ((L - 1) / (L + 1))


def on_small_root(problem: Problem, M: np.ndarray) -> bool:
    """Whether the class logits M (K, K) of collapse on all classes lie on the small root's side of the scale of least
    slope; of losses of differences of logits, nearer to the small root than to the large one."""
    if problem.L == 1:
        return False
    if problem.loss.quadratic:
        turn = (kappa(problem) * (problem.L - 1) / problem.D) ** (problem.D / (2 * problem.L))
        return bool(np.all(np.diag(M) < turn))
    try:
        small, large = (_simplex_scale(problem, root, None) for root in ("small", "large"))
    except ValueError:
        return False
    b = (np.trace(M) - np.sum(M) / problem.K) / (problem.K - 1)
    return bool(b < np.sqrt(small * large))


def _class_roots(problem: Problem, root: str) -> dict[int, float | None]:
    """z by number of samples; None where the class has no root."""
    found, folds = {}, []
    for n in sorted(set(problem.counts.tolist())):
        roots, edge = scales.scale_roots(lambda z: 1.0 - z, 1.0, problem, problem.N * n ** (1 / problem.D - 1.0))
        found[n] = scales.pick(roots, edge, root, "dnc", problem) if roots else None
        folds.append(edge)
    if all(z is None for z in found.values()):
        scales.pick([], max(folds), root, "dnc", problem)
    return found


def _chosen(problem: Problem, fitted, roots) -> np.ndarray:
    """Fitted classes, ascending; the largest first where only their number is given."""
    alive = [c for c in np.argsort(-problem.counts, kind="stable") if roots[int(problem.counts[c])] is not None]
    room = min(problem.widths[1:], default=problem.K) if problem.L > 1 else problem.widths[0]
    if fitted is None:
        chosen = alive
    elif np.ndim(fitted) == 0:
        count = arguments.integer("fitted", fitted, 1)
        if count > len(alive):
            raise ValueError(
                f"fitted must be at most {len(alive)}, the classes whose scale equation has a root here; got"
                f" fitted={fitted!r}."
            )
        chosen = alive[:count]
    else:
        chosen = [arguments.integer("fitted", c, 0) for c in fitted]
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(map(int, alive)):
            raise ValueError(
                f"fitted must list distinct classes among {sorted(map(int, alive))}, which have a root here; got"
                f" {fitted!r}."
            )
    if len(chosen) > room:
        raise ValueError(
            f"dnc needs widths of at least the {len(chosen)} fitted classes after the first layer; got d={problem.d}."
            f" Pass fitted={room}."
        )
    return np.sort(np.array(chosen, dtype=int))


def _first_layers(problem: Problem, scale: np.ndarray, second) -> tuple[np.ndarray, np.ndarray]:
    """(W_1 (m, k), features (k, m) times sqrt(n_c)) with product diag(scale) C diag(scale)/sqrt(lam_0 lam_1) of nuclear
    norm its trace."""
    m, (lam_H, lam_W) = len(scale), problem.lams[:2]
    C = _correlations(second, m)
    if problem.L == 1 or np.array_equal(C, np.eye(m)):
        values, U = scale**2, np.eye(m)
    else:
        values, U = np.linalg.eigh(scale[:, None] * C * scale)
        keep = values > 1e-12 * values[-1]
        values, U = values[keep], U[:, keep]
    if len(values) > problem.widths[0]:
        raise ValueError(
            f"dnc needs a first width of at least the rank {len(values)} of W_1 H_1; got d={problem.d},"
            f" second={second!r}."
        )
    root = np.sqrt(values)
    return U * root / np.sqrt(lam_W), (U * root).T / np.sqrt(lam_H)


def _correlations(second, m: int) -> np.ndarray:
    if isinstance(second, str):
        arguments.choice("second", second, SECOND)
        if second == "etf" and m > 1:
            return np.where(np.eye(m), 1.0, -1.0 / (m - 1))
        C = np.eye(m)
        if second == "pairs":
            pair = np.arange(m - m % 2)
            C[pair, pair ^ 1] = -1.0
        return C
    C = arguments.array("second", second, shape=(m, m))
    off = C - np.diag(np.diag(C))
    if (
        not np.allclose(C, C.T, rtol=0, atol=1e-12)
        or np.max(np.abs(np.diag(C) - 1)) > 1e-12
        or np.max(off) > 1e-12
        or np.linalg.eigvalsh(C)[0] < -1e-12 * m
    ):
        raise ValueError(
            "second must be symmetric, positive semidefinite, with unit diagonal and no positive entry off it; got"
            f" {second!r}."
        )
    return 0.5 * (C + C.T)


def _shift_invariant(problem: Problem, root: str, fitted, second) -> FactorPoint:
    b = _simplex_scale(problem, root, fitted)
    K, D = problem.K, problem.D
    share = problem.Lam * (_norms(problem) * b * b) ** (1 / D)  # lam_l |A_l|^2, the same for all
    W, features = _first_layers(problem, np.full(K, np.sqrt(share / K)), second)
    H = np.repeat(features, problem.n, axis=1) / np.sqrt(problem.n)
    hidden = [np.eye(K) * np.sqrt(share / (lam * K)) for lam in problem.lams[2:-1]]
    last = (np.eye(K) - 1.0 / K) * np.sqrt(share / (problem.lams[-1] * (K - 1)))
    return embedded(problem, [H, W, *hidden, last])


def _norms(problem: Problem) -> float:
    """Product of the squared norms of all factors at b = 1, the least of it on the frame: n (K-1) K^L."""
    return float(problem.per_class) * (problem.K - 1) * float(problem.K) ** problem.L


def _simplex_columns(problem: Problem) -> np.ndarray:
    shape = np.full((problem.K, 1), -1.0 / problem.K)
    shape[0] += 1.0
    return shape


def _simplex_scale(problem: Problem, root: str, fitted) -> float:
    K, name = problem.K, problem.loss.name
    if problem.L == 1:
        raise ValueError(
            f"dnc under {name} at L=1 meets no ReLU and has the simplex as its frame; use activation='linear'."
        )
    if not problem.loss.shift_invariant:
        raise ValueError(
            f"dnc through ReLU is derived for mse and for losses of differences of logits; got loss={name!r}."
        )
    if not problem.balanced:
        raise ValueError(f"dnc has no closed form for unequal class counts under {name}; got n={problem.n}.")
    if fitted is not None and not (np.ndim(fitted) == 0 and fitted == K):
        raise ValueError(
            f"fitted must be None under {name}: fitting some classes is stationary under mse only; got {fitted!r}."
        )
    if min(problem.widths[1:]) < K:
        raise ValueError(f"dnc needs widths of at least K={K} after the first layer; got d={problem.d}.")
    shape, Y = _simplex_columns(problem), np.eye(K)[:, :1]

    def pull(b):
        return -np.sum(shape * problem.loss.grad(shape * b, np.broadcast_to(Y, (K, len(b)))), axis=0)

    return scales.pick(
        *scales.scale_roots(pull, 1.0, problem, _norms(problem) ** (1 / problem.D)), root, "dnc", problem
    )


def embedded(problem: Problem, factors) -> FactorPoint:
    """FactorPoint of factors zero padded to the problem's widths."""
    return FactorPoint(problem, tuple(padded(factors, problem.shapes())))


def keeps_positive(problem: Problem) -> bool:
    """Whether the activation leaves nonnegative numbers as they are, as relu and leaky relu do."""
    return problem.L == 1 or bool(np.array_equal(problem.activation.value(np.array([0.0, 1.0, 2.5])), [0.0, 1.0, 2.5]))


def rectified(problem: Problem) -> bool:
    """Whether there are hidden activations, which keep nonnegative numbers: models of structures through ReLU."""
    return not problem.linear and keeps_positive(problem)


def _refuse(problem: Problem) -> None:
    arguments.instance("problem", problem, Problem)
    problem.needs_ridge("dnc")
    if not keeps_positive(problem):
        raise ValueError(
            "dnc through hidden layers needs an activation that keeps nonnegative numbers, as relu does; got"
            f" {problem.activation.name!r}."
        )
    if problem.bias is not None and problem.loss.quadratic:
        raise ValueError(
            "dnc through ReLU under mse has no bias: with one, W_L and the frame lean against it; got"
            f" bias={problem.bias}."
        )


def variants(problem: Problem):
    yield "zero", lambda: relu_zero(problem)
    yield "dnc", lambda: relu_dnc(problem)
    if problem.L >= 2:
        yield "dnc(small)", lambda: relu_dnc(problem, "small")
    if problem.loss.quadratic and problem.bias is None:
        for m in sorted({1, problem.K // 2, problem.K - 1} - {0, problem.K}):
            yield f"partial({m})", lambda m=m: relu_dnc(problem, fitted=m)


PARTIAL = Structure(
    "partial",
    "collapse through ReLU layers, one neuron per class: zero, dnc on all classes, partial(m) on m of them",
    relu_dnc,
    variants=variants,
    models=rectified,
    colour="#999933",
)
