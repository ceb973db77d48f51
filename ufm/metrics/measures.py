"""The formulas: every number of a `Collapse` from the moments of the features and the classifier.

Class means are known to rounding of the samples they average. What is not above that is zero here, and what is 0/0 is
NaN with a sentence.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.distance import pdist

from ufm.metrics.moments import QUIET, ROUNDING, Moments, exponent, moments
from ufm.metrics.records import Collapse
from ufm.numerics import arguments, ranks

EPS = float(np.finfo(float).eps)
PARTS = ("equinorm", "equiangularity", "maxangle")


@QUIET
def measure(known: Moments, W, nc4, nc4_ties, gap, rank) -> Collapse:
    """All numbers; W (K, d) or None, nc4 and nc4_ties as counted or None."""
    if not (gap := arguments.real("gap", gap)) > 1:
        raise ValueError(f"gap is a ratio of singular values and must exceed 1; got gap={gap!r}.")
    known, e = known.scaled()
    counts, means, (K, d), N, notes = known.counts, known.means, known.means.shape, int(known.counts.sum()), []
    sizes, floor = known.sizes, _floor(known)
    M = centred(known)
    if not np.any(sizes):
        notes.append("all features are zero: NC1, NC2, NC3, NC4 and CDNV are 0/0")
        nc4 = None if nc4 is None else math.nan
    elif not np.any(M):
        notes.append("all class means agree: NC1, NC2, NC3 and CDNV are 0/0")
    U, s, Vt = np.linalg.svd(M, full_matrices=False)
    s = np.where(s > floor, s, 0.0)
    nc1 = _nc1(s, Vt, known.rows, N, K, d, gap, rank, notes)
    parts = _parts(M, ROUNDING * np.max(sizes), "class mean at the mean of all", notes if np.any(M) else [])
    if np.any(sizes) and np.linalg.norm(means) <= floor:
        notes.append("all class means are zero: the distance from an orthogonal frame is 0/0")
        means = np.zeros_like(means)
    cdnv = _cdnv(M, sizes, known.squares / counts, notes)
    _note_singles(counts, nc1[0], cdnv, notes)
    within = np.concatenate([known.rows, np.sqrt(counts)[:, None] * known.means])
    means = {"nc2": _gap(M @ M.T, _simplex(K)), "nc2_orthogonal": _gap(means @ means.T, np.eye(K) / np.sqrt(K))}
    numbers = {**means, **parts, **_of_classifier(W, M, floor, notes), "nc4": nc4, "nc4_ties": nc4_ties, "cdnv": cdnv}
    spectrum = tuple((np.ldexp(s[: min(K - 1, d)], e) / np.sqrt(K)).tolist())
    ranked = _ranks(s[: min(K, d)], M.shape, within, N, W)
    about = {"ranks": ranked, "spectrum": spectrum, "counts": tuple(counts.tolist()), "d": d, "warnings": tuple(notes)}
    return Collapse(*nc1, nc1_quotient=_quotient(known, M), **numbers, **about)


@QUIET
def summary(X: np.ndarray, labels: np.ndarray, W: np.ndarray | None = None) -> dict[str, float]:
    """nc1 = tr S_W / tr S_B (nc1_quotient of `Collapse`); nc2 = |MM'/|MM'| - S/sqrt(K-1)|_F; nc3 the same with W M'.

    X (N, d) rows are samples; M (K, d) centred class means, S = I - 11'/K, S_W and S_B the within- and
    between-class covariances. Entries that are 0/0 are NaN. Source: papyan20.
    """
    known, _ = moments(X, labels, int(labels.max()) + 1).scaled()
    M = centred(known)
    result = {"nc1": _quotient(known, M), "nc2": _gap(M @ M.T, _simplex(len(M)))}
    return result if W is None else {**result, "nc3": _nc3(_unit(W), M, _floor(known))}


@QUIET
def stretch_gap(W, known: Moments) -> float:
    """|W'W/|W'W| - M'M/|M'M||_F, M the centred means."""
    known, _ = known.scaled()
    W, M = _unit(W), centred(known)
    return _gap(W.T @ W, M.T @ M / np.linalg.norm(M.T @ M)) if np.any(M) else math.nan


def centred(known: Moments) -> np.ndarray:
    """M = (mu_c - m)_c (K, d), zeros where all class means agree up to rounding."""
    M = known.means - known.means.mean(axis=0)
    return M if np.linalg.norm(M) > _floor(known) else np.zeros_like(M)


def _floor(known: Moments) -> float:
    """The norm (K, d) of class means, or least singular value, that rounding can make."""
    return ROUNDING * float(np.max(known.sizes)) * math.sqrt(len(known.counts))


def _nc1(s, Vt, R, N, K, d, gap, rank, notes) -> tuple[float, int, float]:
    """(by pseudo-inverse, rank, rank-aware) NC1 = sum |R v_i|^2 / (N s_i^2) over the singular values of M."""
    kept = int(np.sum(s[: K - 1] ** 2 > d * EPS * s[0] ** 2))
    if rank is not None and arguments.integer("rank", rank, 1) > kept:
        raise ValueError(f"rank must not exceed the rank of the centred class means, {kept}; got rank={rank}.")
    if kept == 0:
        return math.nan, 0, math.nan
    terms = np.sum((R @ Vt[:kept].T) ** 2, axis=0) / (N * s[:kept] ** 2)
    ratios = s[: kept - 1] / s[1:kept]
    r = kept
    if len(ratios) and ratios.max() >= gap:
        r = int(np.argmax(ratios)) + 1
        cut = f"NC1 by pseudo-inverse ({terms.sum():.3e}) is decided by its cutoff, which keeps {kept} directions"
        head = f"the between-class spectrum has a gap: s_{r}/s_{r + 1} = {ratios.max():.1e}. {cut}"
        notes.append(f"{head}; on the {r} before the gap it is {terms[:r].sum():.3e}")
    elif s[0] / s[kept - 1] >= gap**2:
        fall = f"the between-class spectrum falls by {s[0] / s[kept - 1]:.1e} without a gap"
        notes.append(f"{fall}: NC1 depends on the rank, {kept} here")
    r = r if rank is None else int(rank)
    return float(terms.sum()), r, float(terms[:r].sum())


def _quotient(known: Moments, M) -> float:
    return _ratio(np.sum(known.squares) / np.sum(known.counts), np.sum(M**2) / len(M))


def _of_classifier(W, M, floor: float, notes) -> dict:
    """Every number about W (K, d), or None for each without one."""
    if W is None:
        return dict.fromkeys([*(f"{name}_W" for name in PARTS), "nc3", "self_duality"])
    W = _unit(W)
    nc3 = _nc3(W, M, floor)
    if not np.any(W):
        also = "without a bias all classes tie in every prediction"
        notes.append(f"W is zero: NC3, self-duality and the angles of its rows are 0/0, and {also}")
    elif np.any(M) and math.isnan(nc3):
        notes.append("W does not see the class means (W M' = 0): NC3 is 0/0")
    parts = _parts(W, 0.0, "row of W that is zero", notes if np.any(W) else [])
    duality = _gap(W, M / np.linalg.norm(M)) ** 2 if np.any(M) else math.nan
    return {**{f"{name}_W": value for name, value in parts.items()}, "nc3": nc3, "self_duality": duality}


def _nc3(W, M, floor: float) -> float:
    """|WM'/|WM'| - S/sqrt(K-1)|_F; NaN where W M' is zero up to rounding of the means."""
    A = W @ M.T
    return _gap(A, _simplex(len(M))) if np.linalg.norm(A) > floor * np.linalg.norm(W) else math.nan


def _parts(A, floor: float, zero: str, notes) -> dict[str, float]:
    """Equinorm, equiangularity and the distance from the simplex's angle, of the rows of A (K, d) above the floor."""
    K, size = len(A), np.linalg.norm(A, axis=1)
    if not np.all(size > floor):
        notes.append(f"a {zero} has no direction: angles are undefined")
        return dict(zip(PARTS, (_ratio(np.std(size), np.mean(size)), math.nan, math.nan), strict=True))
    unit = A / size[:, None]
    cosines = (unit @ unit.T)[~np.eye(K, dtype=bool)]
    values = np.std(size) / np.mean(size), np.std(cosines), np.mean(np.abs(cosines + 1 / (K - 1)))
    return dict(zip(PARTS, map(float, values), strict=True))


def _cdnv(M, sizes, variance, notes) -> float:
    """Mean over pairs of (v_c + v_c') / (2 |mu_c - mu_c'|^2)."""
    i, j = np.triu_indices(len(M), 1)
    distance = pdist(M)
    if np.any(distance <= ROUNDING * (sizes[i] + sizes[j])):
        if np.any(M):
            notes.append("two class means agree: CDNV is undefined")
        return math.nan
    return float(np.mean((variance[i] + variance[j]) / (2 * distance**2)))


def _note_singles(counts, nc1: float, cdnv: float, notes) -> None:
    single = int(np.sum(counts == 1))
    named = [name for name, value in (("NC1", nc1), ("CDNV", cdnv)) if not math.isnan(value)]
    if single == len(counts) and named:
        verb = "are" if len(named) > 1 else "is"
        notes.append(f"every class has one sample: {' and '.join(named)} {verb} zero by construction")
    elif 0 < single < len(counts):
        why = "their variation is zero by construction, not by collapse"
        notes.append(f"{single} of {len(counts)} classes have one sample: {why}")


def _ranks(s, shape, rows, N: int, W) -> dict:
    """Ranks of M by its singular values, of X by rows with the same X'X, and of W; `machine` as numpy counts."""
    d = shape[1]
    rows = _singular_values(triangle(rows), (N, d))
    result = {"class_means_centred": _ranks_of(s, shape), "features": _ranks_of(rows, (N, d))}
    return result if W is None else {**result, "W": _ranks_of(_singular_values(_unit(W), W.shape), W.shape)}


def _singular_values(A, shape) -> np.ndarray:
    return np.linalg.svd(A, compute_uv=False)[: min(shape)]


def _ranks_of(s, shape) -> dict:
    return {**ranks.all_ranks(s), "machine": int(np.sum(s > max(shape) * EPS * s[0]))}


def triangle(A) -> np.ndarray:
    """At most d rows with the same A'A as A (m, d)."""
    return np.asarray(np.linalg.qr(A, mode="r")) if len(A) > A.shape[1] else A


def _unit(A) -> np.ndarray:
    return np.ldexp(A, -exponent(A))


def _simplex(K: int) -> np.ndarray:
    return (np.eye(K) - 1 / K) / np.sqrt(K - 1)


def _gap(A: np.ndarray, B: np.ndarray) -> float:
    size = np.linalg.norm(A)
    return float(np.linalg.norm(A / size - B)) if size > 0 else math.nan


def _ratio(a, b) -> float:
    return float(a / b) if b > 0 else math.nan
