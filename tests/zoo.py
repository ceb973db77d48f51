"""A zoo of small problems of every kind, for tests and comparisons that walk all of them.

Each runs in a second or less through every verb that takes it. Names say what is special.
"""

from __future__ import annotations

from ufm.problem import Problem

ZOO = {
    "two classes": Problem(K=2, L=2, lam=0.05),
    "three, collapse wins": Problem(K=3, L=2, lam=0.02),
    "four, near the crossing": Problem(K=4, L=2, lam=0.0133),
    "four, pairs win": Problem(K=4, n=2, d=6, L=2, lam=0.02),
    "four, zero wins": Problem(K=4, L=2, lam=0.5),
    "four, one layer": Problem(K=4, L=1, lam=0.02),
    "four, four layers": Problem(K=4, L=4, lam=0.01),
    "five": Problem(K=5, L=2, lam=0.005),
    "five, narrow": Problem(K=5, d=3, L=3, lam=0.01),
    "six": Problem(K=6, L=2, lam=0.002),
    "seven, deep": Problem(K=7, n=2, L=5, lam=1e-4),
    "one weight a factor": Problem(K=4, L=2, lam=(0.01, 0.02, 0.04)),
    "bias": Problem(K=3, L=3, lam=0.003028, bias=0.05),
    "free bias": Problem(K=4, L=2, lam=0.02, bias=0.0),
    "unequal counts": Problem(K=3, n=(1, 3, 4), L=3, lam=0.007622),
    "unequal counts, bias": Problem(K=4, n=(3, 3, 1, 1), L=2, lam=0.01, bias=0.1),
    "label smoothing": Problem(K=4, L=2, lam=0.02, loss="label_smoothing(0.1)"),
    "focal": Problem(K=4, L=2, lam=0.01, loss="focal(2)"),
    "mse": Problem(K=4, L=2, lam=0.02, loss="mse"),
    "mse, three layers": Problem(K=3, n=3, L=3, lam=0.0016, loss="mse"),
    "mse, one layer": Problem(K=4, L=1, lam=0.05, loss="mse"),
    "mse, bias": Problem(K=4, L=2, lam=0.02, loss="mse", bias=0.5),
    "mse, unequal counts": Problem(K=4, n=(4, 3, 2, 1), L=2, lam=1e-3, loss="mse"),
    "mse, narrow": Problem(K=5, d=2, L=2, lam=0.01, loss="mse"),
    "relu": Problem(K=4, L=2, lam=0.02, activation="relu"),
    "relu, three layers": Problem(K=4, L=3, lam=0.01, activation="relu"),
    "relu, mse": Problem(K=4, L=3, lam=0.01, loss="mse", activation="relu"),
    "relu, mse, ten classes": Problem(K=10, L=4, lam=0.004, loss="mse", activation="relu"),
    "leaky relu": Problem(K=4, L=2, lam=0.02, activation="leaky_relu(0.1)"),
    "tanh": Problem(K=3, L=2, lam=0.02, activation="tanh"),
}
