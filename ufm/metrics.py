"""Collapse metrics of features, labels and a classifier."""

from __future__ import annotations

import numpy as np


def class_means(X: np.ndarray, labels: np.ndarray, K: int) -> np.ndarray:
    """Mean row of X (N, d) in every class, (K, d)."""
    member = np.zeros((K, len(X)))
    member[labels, np.arange(len(X))] = 1.0
    return (member @ X) / member.sum(axis=1, keepdims=True)


def summary(X: np.ndarray, labels: np.ndarray, W: np.ndarray | None = None) -> dict[str, float]:
    """nc1 = tr S_W / tr S_B; nc2 = |MM'/|MM'| - S/sqrt(K-1)|_F; nc3 the same with W M'.

    X (N, d) rows are samples; M (K, d) centred class means, S = I - 11'/K, S_W and S_B the within- and
    between-class covariances. Entries that are 0/0 are NaN. Source: papyan20.
    """
    K = int(labels.max()) + 1
    means = class_means(X, labels, K)
    M = means - means.mean(axis=0)
    within, between = np.sum((X - means[labels]) ** 2) / len(X), np.sum(M**2) / K
    simplex = (np.eye(K) - 1 / K) / np.sqrt(K - 1)
    result = {"nc1": within / between if between > 0 else float("nan"), "nc2": _gap(M @ M.T, simplex)}
    if W is not None:
        result["nc3"] = _gap(W @ M.T, simplex)
    return {name: float(value) for name, value in result.items()}


def _gap(A: np.ndarray, B: np.ndarray) -> float:
    size = np.linalg.norm(A)
    return float(np.linalg.norm(A / size - B)) if size > 0 else float("nan")
