"""Angles between classifiers under step imbalance: the limit of vanishing ridge in closed form, finite ridge beside it,
and how slowly it is reached."""

from __future__ import annotations

import math

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.figures.ufm_minority import classifier_cosines
from theory.related.seli import predicted_rate
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.structures.sel import step_cosines

K, MAJORITY = 6, 3
LAMS = (1e-3, 1e-6, 1e-12)
KINDS = {"minority": "#D55E00", "mixed": "#009E73", "majority": "#0072B2"}
WORDS = {"minority": "two minorities", "mixed": "one of each", "majority": "two majorities"}
RATIOS = (3, 10, 100)
TINTS = ("#56B4E9", "#E69F00", "#882255")


def data(work) -> dict:
    """(a) cosines against R: SEL, and the minima at three lam; (b) log(1/lam) |Z/|Z| - SEL/|SEL|| against lam, with its
    limit."""
    Rs = [int(x) for x in np.unique(np.round(np.geomspace(1, 1000, 8 if work.fast else 31)))]
    curves = [{"R": float(R), **step_cosines(K, float(R), MAJORITY)} for R in np.geomspace(1, 1000, 121)]
    cells = [{"R": R, "lam": lam, "rng": work.rng} for lam in LAMS for R in Rs]
    exponents = np.linspace(3, 13, 6 if work.fast else 21)
    slow = [{"R": R, "lam": 10.0 ** -float(u), "rng": work.rng} for R in RATIOS for u in exponents]
    limits = [{"R": R, "rate": predicted_rate(counts(R))} for R in RATIOS]
    return {
        "curves": curves,
        "points": work.map(angles, cells, "angles"),
        "paths": work.map(distance, slow, "paths"),
        "limits": limits,
    }


def counts(R: int) -> tuple[int, ...]:
    return (R,) * MAJORITY + (1,) * (K - MAJORITY)


def ridge_minimum(cell: dict):
    """The minimum of the plain model at lam, to a gradient far below lam."""
    lam = cell["lam"]
    return minimize(
        Problem(K=K, n=counts(cell["R"]), L=1, lam=lam), rng=cell["rng"], tol=min(1e-12, 1e-4 * lam), progress=False
    ).logit_point()


def angles(cell: dict) -> dict:
    return {**cell, **classifier_cosines(ridge_minimum(cell), MAJORITY)}


def distance(cell: dict) -> dict:
    """T |Z/|Z| - SEL/|SEL||, T = log(1/lam), norms over all samples."""
    root = np.sqrt(counts(cell["R"]))
    Z, S = ridge_minimum(cell).class_logits() * root, (np.eye(K) - 1 / K) * root
    return {
        **cell,
        "scaled": float(math.log(1 / cell["lam"]) * np.linalg.norm(Z / np.linalg.norm(Z) - S / np.linalg.norm(S))),
    }


def rows(data: dict) -> list[dict]:
    kinds = {"SEL": data["curves"], "minimum": data["points"], "path": data["paths"], "limit": data["limits"]}
    return [{"kind": kind, **line} for kind, lines in kinds.items() for line in lines]


def draw(data: dict):
    figure = sheet(PAGE, 2.6)
    left, right = figure.subplots(1, 2)
    marks = ("^", "s", "o")
    for kind, tint in KINDS.items():
        left.plot([c["R"] for c in data["curves"]], [c[kind] for c in data["curves"]], color=tint, label=WORDS[kind])
        for lam, mark in zip(LAMS, marks, strict=True):
            seen = [p for p in data["points"] if p["lam"] == lam and p[kind] is not None]
            left.plot([p["R"] for p in seen], [p[kind] for p in seen], mark, mfc="white", mec=tint, mew=0.7, ms=3)
    for lam, mark in zip(LAMS, marks, strict=True):
        left.plot(
            [],
            [],
            mark,
            mfc="white",
            mec="0.4",
            mew=0.7,
            ms=3,
            ls="none",
            label=f"$\\lambda = 10^{{{round(math.log10(lam))}}}$",
        )
    left.set(xscale="log", xlabel="imbalance ratio $R$", ylabel="cosine of two classifiers", ylim=(-0.6, 1.25))
    left.set_title(f"(a) $K = {K}$, half of the classes $R$ times as large; lines: $\\lambda \\to 0$")
    left.legend(loc="upper left", ncols=2)
    for R, tint, limit in zip(RATIOS, TINTS, data["limits"], strict=True):
        seen = [p for p in data["paths"] if p["R"] == R]
        right.plot(
            [p["lam"] for p in seen],
            [p["scaled"] for p in seen],
            "-o",
            color=tint,
            mfc="white",
            ms=3,
            lw=0.8,
            label=f"$R = {R}$",
        )
        right.axhline(limit["rate"], color=tint, lw=0.7, ls="--")
    right.set(
        xscale="log",
        xlabel="$\\lambda$",
        ylabel="$\\log(1/\\lambda)\\,\\Vert Z/\\Vert Z\\Vert - \\mathrm{SEL}/\\Vert\\mathrm{SEL}\\Vert\\Vert$",
        title="(b) the way to SEL; dashed: the limit predicted",
        ylim=(0, None),
    )
    right.invert_xaxis()
    right.legend(loc="lower right")
    return figure


FIGURE = PaperFigure(
    id="ufm-angles",
    title="Angles of majority and minority classifiers: the SEL limit, finite ridge, and the rate between them",
    source="thrampoulidis22, step imbalance",
    data=data,
    draw=draw,
    rows=rows,
    takes="20 s",
    takes_fast="5 s",
)
