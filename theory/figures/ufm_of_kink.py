"""From a simplex to an orthogonal frame: the angle of the class means under MSE against the weight of the bias, with
its kink."""

from __future__ import annotations

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.related.zhou22a import bias_threshold, closed_form, cosine, kappa
from ufm.problem import Problem
from ufm.solvers.minimize import minimize

K, N_EACH = 4, 5
KAPPAS = (0.05, 0.2, 0.5)
CLASSES = (2, 3, 5, 10)
TINTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Okabe and Ito's, one for each curve."""


def data(work) -> dict:
    """(a) K = 4, n = 5 against lam_b; (b) several K against lam_b/lam_b*. Curves in closed form, points from
    descents."""
    grid = np.geomspace(1e-3, 1e2, 200)
    ratios = np.geomspace(0.1, 100, 200)
    left = [
        {"kappa": k, "threshold": bias_threshold(k), "bias": grid.tolist(), "cosine": [curve(K, k, b) for b in grid]}
        for k in KAPPAS
    ]
    right = [{"K": m, "ratio": ratios.tolist(), "cosine": [universal(m, x) for x in ratios]} for m in CLASSES]
    spots = np.geomspace(2e-3, 50, 6 if work.fast else 16)
    cells = [{"K": K, "kappa": k, "bias": float(b), "rng": work.rng} for k in KAPPAS for b in spots]
    shares = np.geomspace(0.2, 60, 5 if work.fast else 14)
    cells += [
        {"K": m, "kappa": k, "bias": float(x) * bias_threshold(k), "rng": work.rng}
        for m, k in zip(CLASSES, (0.05, 0.5, 0.2, 0.1), strict=True)
        for x in shares
    ]
    return {"left": left, "right": right, "points": work.map(descended, cells, "descents")}


def weight(classes: int, k: float) -> float:
    """lam_H = lam_W with K sqrt(n) lam = kappa."""
    return k / kappa(classes, N_EACH, 1.0)


def curve(classes: int, k: float, bias: float) -> float:
    """The closed form's cosine."""
    return cosine(classes, N_EACH, weight(classes, k), bias)


def universal(classes: int, ratio: float) -> float:
    """-x/(K - x), x = min(1, lam_b*/lam_b): nothing else matters."""
    x = min(1.0, 1.0 / ratio)
    return -x / (classes - x)


def descended(cell: dict) -> dict:
    """Mean cosine between class means, not centred, where a descent over all samples ends, and its largest
    deviation."""
    m, lam = cell["K"], weight(cell["K"], cell["kappa"])
    problem = Problem(K=m, n=N_EACH, d=m + 2, L=1, lam=lam, loss="mse", bias=cell["bias"])
    end = minimize(problem, rng=cell["rng"], space="factors", progress=False)
    M = end.point.factors[0] @ (problem.samples.Y.T / problem.counts)
    V = M / np.linalg.norm(M, axis=0)
    cosines = (V.T @ V)[~np.eye(m, dtype=bool)]
    gap = end.fun - closed_form(m, N_EACH, lam, cell["bias"])[2]
    return {
        **cell,
        "ratio": cell["bias"] / bias_threshold(cell["kappa"]),
        "cosine": float(cosines.mean()),
        "deviation": float(np.ptp(cosines)),
        "gap": gap,
    }


def rows(data: dict) -> list[dict]:
    found = [
        {"kind": "curve", "K": K, "kappa": c["kappa"], "bias": b, "cosine": y}
        for c in data["left"]
        for b, y in zip(c["bias"], c["cosine"], strict=True)
    ]
    found += [
        {"kind": "universal", "K": c["K"], "ratio": x, "cosine": y}
        for c in data["right"]
        for x, y in zip(c["ratio"], c["cosine"], strict=True)
    ]
    return found + [{"kind": "descent", **point} for point in data["points"]]


def draw(data: dict):
    figure = sheet(PAGE, 2.5)
    left, right = figure.subplots(1, 2)
    open_ = {"mfc": "white", "mew": 0.9, "ls": "none", "marker": "o", "zorder": 4}
    for line, tint in zip(data["left"], TINTS, strict=False):
        left.plot(line["bias"], line["cosine"], color=tint, label=f"$\\kappa = {line['kappa']:g}$")
        left.axvline(line["threshold"], color=tint, lw=0.6, ls=":")
        seen = [p for p in data["points"] if p["K"] == K and p["kappa"] == line["kappa"]]
        left.plot([p["bias"] for p in seen], [p["cosine"] for p in seen], mec=tint, **open_)
    for line, tint in zip(data["right"], TINTS, strict=True):
        right.plot(line["ratio"], line["cosine"], color=tint, label=f"$K = {line['K']}$")
        seen = [p for p in data["points"] if p["K"] == line["K"]]
        right.plot([p["ratio"] for p in seen], [p["cosine"] for p in seen], mec=tint, **open_)
    right.axvline(1.0, color="0.5", lw=0.6, ls=":")
    for ax in (left, right):
        ax.set(xscale="log")
        ax.axhline(0.0, color="0.7", lw=0.5, zorder=0)
    left.set(
        xlabel="weight of the bias $\\lambda_b$",
        ylabel="cosine of two class means",
        title=f"(a) $K = {K}$, thresholds $\\lambda_b^* = \\kappa/(1-\\kappa)$",
    )
    right.set(
        xlabel="$\\lambda_b\\,/\\,\\lambda_b^*$", title="(b) $-x/(K - x)$, $x = \\min(1, \\lambda_b^*/\\lambda_b)$"
    )
    left.legend(loc="upper left")
    right.legend(loc="lower right")
    return figure


FIGURE = PaperFigure(
    id="ufm-of-kink",
    title="From simplex to orthogonal frame: the angle of class means under MSE against the weight of the bias",
    source="zhou22a, global minimum",
    data=data,
    draw=draw,
    rows=rows,
    takes="10 s",
    takes_fast="2 s",
)
