"""The ridge weight above which collapse is a saddle, against the number of classes, and how its index climbs beyond."""

from __future__ import annotations

import math

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.gk25.dnc_spectrum import dnc_at, fold_scale, index_of_blocks, lam_at
from theory.gk25.thm4_sharp import threshold
from ufm.critical.classify import classify
from ufm.problem import Problem
from ufm.structures import dnc

TINTS = {2: "#0072B2", 3: "#D55E00", 4: "#009E73", 6: "#CC79A7", 10: "#E69F00"}
"""One of Okabe and Ito's colours for every depth."""
SIDES = (1.01, 0.99)
"""Scales, relative to the threshold's, at which signatures are computed."""


def data(work) -> dict:
    """Threshold and fold for n = 1 in closed form; signatures on both sides; the index along the branch at K = 10."""
    Ls, Ks = (2, 3, 4, 6, 10), list(range(4, 41))
    curves = [
        {
            "L": L,
            "K": Ks,
            "threshold": [lam_star(K, L) for K in Ks],
            "fold": [lam_at(K, 1, L, fold_scale(K, L)) for K in Ks],
        }
        for L in Ls
    ]
    checks = [
        {"K": K, "L": L, "side": side}
        for L in Ls
        for K in ((4, 8, 16) if work.fast else (4, 6, 8, 12, 16, 24, 32))
        for side in SIDES
    ]
    stairs = [
        {"K": 10, "L": L, "share": float(u)} for L in (2, 3, 6) for u in np.linspace(0.03, 0.97, 5 if work.fast else 12)
    ]
    lines = [steps(10, L) for L in (2, 3, 6)]
    return {
        "curves": curves,
        "checks": work.map(signature, checks, "signatures"),
        "stairs": work.map(on_branch, stairs, "indices"),
        "lines": lines,
    }


def lam_star(K: int, L: int) -> float:
    """lam n^(1/(L+1)) at which DNC has the scale a = K(L-1)/(L+1): above it the Hessian has K(K-3)/2 negative
    eigenvalues."""
    return lam_at(K, 1, L, float(threshold(K, L)))


def signature(cell: dict) -> dict:
    """Index and status of DNC at `side` times the threshold's scale."""
    K, L = cell["K"], cell["L"]
    a = cell["side"] * float(threshold(K, L))
    found = classify(dnc_at(K, 1, L, a), extremes=False)
    return {
        **cell,
        "a": a,
        "lam": lam_at(K, 1, L, a),
        "index": found.index,
        "expected": 0 if cell["side"] > 1 else K * (K - 3) // 2,
        "status": found.status,
    }


def on_branch(cell: dict) -> dict:
    """The index at a share of the way, in log lam, from half the threshold to the fold."""
    K, L = cell["K"], cell["L"]
    low, high = math.log(0.5 * lam_star(K, L)), math.log(lam_at(K, 1, L, fold_scale(K, L)))
    lam = math.exp(low + cell["share"] * (high - low))
    point = dnc(Problem(K=K, L=L, lam=lam))
    return {**cell, "lam": lam, "index": classify(point, extremes=False).index}


def steps(K: int, L: int) -> dict:
    """The closed form's index on the large branch, as a staircase in lam / lam*."""
    scales = np.linspace(1.8 * float(threshold(K, L)), fold_scale(K, L) * (1 + 1e-9), 1500)
    lams = [lam_at(K, 1, L, a) for a in scales]
    return {"K": K, "L": L, "lam": lams, "index": [index_of_blocks(K, L, a, math.exp(a)) for a in scales]}


def rows(data: dict) -> list[dict]:
    found = [
        {"kind": "curve", "L": c["L"], "K": K, "threshold": t, "fold": f}
        for c in data["curves"]
        for K, t, f in zip(c["K"], c["threshold"], c["fold"], strict=True)
    ]
    found += [{"kind": "signature", **check} for check in data["checks"]]
    found += [{"kind": "index", **{k: v for k, v in point.items() if k != "share"}} for point in data["stairs"]]
    for line in data["lines"]:
        cuts = [
            i
            for i in range(len(line["lam"]))
            if i in (0, len(line["lam"]) - 1) or line["index"][i] != line["index"][i - 1]
        ]
        found += [
            {"kind": "closed form", "K": line["K"], "L": line["L"], "lam": line["lam"][i], "index": line["index"][i]}
            for i in cuts
        ]
    return found


def draw(data: dict):
    figure = sheet(PAGE, 2.7)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    for curve in data["curves"]:
        tint = TINTS[curve["L"]]
        left.plot(curve["K"], curve["threshold"], color=tint)
        left.plot(curve["K"], curve["fold"], color=tint, lw=0.6, ls="--")
        left.annotate(
            f"$L = {curve['L']}$",
            (curve["K"][-1], curve["threshold"][-1]),
            (3, 0),
            textcoords="offset points",
            color=tint,
            va="center",
            fontsize=7,
        )
        spots = {c["K"] for c in data["checks"] if c["L"] == curve["L"]}
        right_ones = [
            K
            for K in spots
            if all(c["index"] == c["expected"] for c in data["checks"] if (c["K"], c["L"]) == (K, curve["L"]))
        ]
        left.plot(
            right_ones,
            [curve["threshold"][curve["K"].index(K)] for K in right_ones],
            "o",
            mfc="white",
            mec=tint,
            mew=0.9,
            ls="none",
        )
    left.set(
        yscale="log",
        xlabel="classes $K$",
        ylabel="$\\lambda\\, n^{1/(L+1)}$",
        xlim=(4, 44),
        title="(a) DNC: minimum below, saddle above",
    )
    left.plot([], [], color="0.3", label="threshold $a = K\\,\\frac{L-1}{L+1}$")
    left.plot([], [], color="0.3", lw=0.6, ls="--", label="end of DNC (fold)")
    left.plot([], [], "o", mfc="white", mec="0.3", ls="none", label="signatures on both sides agree")
    left.legend(loc="lower left")
    for width, line in zip((2.6, 1.7, 0.8), data["lines"], strict=True):
        star = lam_star(line["K"], line["L"])
        right.plot(
            [lam / star for lam in line["lam"]],
            line["index"],
            color=TINTS[line["L"]],
            lw=width,
            label=f"$L = {line['L']}$",
        )
        seen = [point for point in data["stairs"] if point["L"] == line["L"]]
        spots = [p["lam"] / star for p in seen], [p["index"] for p in seen]
        right.plot(*spots, "o", mfc="white", mec=TINTS[line["L"]], mew=0.9, ls="none", clip_on=False, zorder=4)
    K = data["lines"][0]["K"]
    right.set(xscale="log", xlim=(0.5, None), ylim=(-1, None), title=f"(b) index along the branch, $K = {K}$")
    right.set(xlabel="$\\lambda\\,/\\,\\lambda_{\\mathrm{threshold}}$", ylabel="negative eigenvalues at DNC")
    right.set_yticks(
        [0, K * (K - 3) // 2, K * (K - 1) // 2 - 1], ["0", f"{K * (K - 3) // 2}", f"{K * (K - 1) // 2 - 1}"]
    )
    right.set_xticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    right.minorticks_off()
    right.legend(loc="center right")
    return figure


FIGURE = PaperFigure(
    id="ufm-stability",
    title="Stability threshold of DNC in the ridge weight against K, and its index beyond",
    source="gk25, Theorem 4 (a sharper form)",
    data=data,
    draw=draw,
    rows=rows,
    takes="10 s",
    takes_fast="4 s",
)
