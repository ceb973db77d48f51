"""How often gradient descent ends in collapse, against the width and against the ridge weight."""

from __future__ import annotations

from theory.figures.ends import CUTS, MEMORY, cuts, model, power_of_two, shares
from theory.figures.figure import PAGE, PaperFigure, sheet
from ufm.numerics.statistics import wilson
from ufm.plot.style import colour

LEVEL = 0.95
WIDE = "#6a51a3"
"""Colour of the second width."""


def data(work) -> dict:
    """Ends along the cuts by the paper's method, 20 runs a point (10 in the paper and in the fast version), each to
    gradient norm 1e-7 and named."""
    return {**cuts(work), "level": LEVEL}


def rows(data: dict) -> list[dict]:
    found = []
    for cut in CUTS:
        for point in data[cut]:
            hits, runs = shares(point)["dnc"], len(point["ends"])
            low, high = wilson(hits, runs, data["level"])
            found.append(
                {
                    "cut": cut,
                    "d": point["d"],
                    "lam": point["lam"],
                    "runs": runs,
                    "dnc": hits,
                    "fraction": hits / runs,
                    "low": low,
                    "high": high,
                }
            )
    return found


def draw(data: dict):
    figure = sheet(PAGE, 2.3)
    left, right = figure.subplots(1, 2, sharey=True)
    table = rows(data)
    looks = {
        "width": (left, "d", "o-", 1.0),
        "lam": (right, "lam", "o-", 0.97),
        "lam_wide": (right, "lam", "s--", 1.03),
    }
    for cut, (ax, key, style, shift) in looks.items():
        here = [row for row in table if row["cut"] == cut]
        x, y = [row[key] * shift for row in here], [row["fraction"] for row in here]
        reach = [[row["fraction"] - row["low"] for row in here], [row["high"] - row["fraction"] for row in here]]
        tint = WIDE if cut == "lam_wide" else colour("dnc")
        label = f"$d = {here[0]['d']}$" if key == "lam" else None
        ax.errorbar(
            x, y, reach, fmt=style, color=tint, elinewidth=0.7, capsize=1.8, lw=1, clip_on=False, zorder=3, label=label
        )
    for ax in (left, right):
        ax.set_ylim(-0.03, 1.03)
        ax.grid(axis="y", color="0.92", lw=0.5)
        ax.set_axisbelow(True)
    first = data["width"][0]
    left.set(
        xlabel="width $d$", ylabel="fraction of runs that end in DNC", title="(a) " + model(first, "K", "n", "L", "lam")
    )
    right.set(xlabel="ridge weight $\\lambda$", title="(b) " + model(first, "K", "n", "L"))
    right.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    lam_axis(right, [point["lam"] for point in data["lam"]])
    return figure


def lam_axis(ax, lams) -> None:
    """A logarithmic axis of ridge weights with a tick at each of them."""
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log", base=2)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(lams, [power_of_two(lam) for lam in lams])


FIGURE = PaperFigure(
    id="gk25-2",
    title="Fraction of gradient descents that end in DNC, against width and ridge weight",
    source="gk25, Figure 2",
    data=data,
    draw=draw,
    rows=rows,
    takes="5 to 8 minutes on two cores",
    takes_fast="8 s",
    memory=MEMORY,
)
