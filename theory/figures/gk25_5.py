"""The rank at which gradient descent rests, against the width and against the ridge weight, each rank as the structures
behind it."""

from __future__ import annotations

from theory.figures.ends import CUTS, MEMORY, cuts, model, power_of_two, ranks, shares, short
from theory.figures.figure import PAGE, PaperFigure, sheet
from ufm.plot.style import colour


def data(work) -> dict:
    """The runs of gk25-2, read by name and rank."""
    return cuts(work)


def rows(data: dict) -> list[dict]:
    found = []
    for cut in CUTS:
        for point in data[cut]:
            known = ranks([point])
            for name, hits in sorted(shares(point).items(), key=lambda item: known[item[0]]):
                found.append(
                    {
                        "cut": cut,
                        "d": point["d"],
                        "lam": point["lam"],
                        "rank": known[name],
                        "name": name,
                        "runs": len(point["ends"]),
                        "hits": hits,
                    }
                )
    return found


def draw(data: dict):
    """One line of bubbles for every structure in which runs rest, sorted by rank; the number in a bubble counts
    runs."""
    names = ranks([point for cut in CUTS for point in data[cut]])
    height = {name: i for i, name in enumerate(names)}
    figure = sheet(PAGE, 0.8 + 0.2 * max(len(names), 5))
    panels = figure.subplots(1, 3, sharey=True, width_ratios=[len(data[cut]) for cut in CUTS])
    for letter, ax, cut, key in zip("abc", panels, CUTS, ("d", "lam", "lam"), strict=True):
        points = data[cut]
        for x, point in enumerate(points):
            runs = len(point["ends"])
            for name, hits in shares(point).items():
                ax.scatter(x, height[name], s=14 + 90 * hits / runs, color=colour(name), linewidths=0, zorder=3)
                ax.text(
                    x, height[name], hits, ha="center", va="center_baseline", color=_ink(name), fontsize=5.5, zorder=4
                )
        ax.set_xticks(range(len(points)), [power_of_two(p["lam"]) if key == "lam" else p["d"] for p in points])
        ax.set(xlim=(-0.6, len(points) - 0.4), ylim=(-0.7, len(names) - 0.3))
        ax.set_xlabel("width $d$" if key == "d" else "ridge weight $\\lambda$")
        ax.set_title(f"({letter}) " + (model(points[0], "K", "n", "L", "lam") if key == "d" else model(points[0], "d")))
        for y in _edges(list(names.values())):
            ax.axhline(y, color="0.8", lw=0.6)
        ax.tick_params(length=0, labelsize=6.5)
        ax.spines[["left", "bottom"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), [f"{short(name)}  " for name in names], fontsize=7)
    for rank in sorted(set(names.values())):
        places = [height[name] for name in names if names[name] == rank]
        panels[-1].annotate(
            f"rank {rank}",
            (1.01, sum(places) / len(places)),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
        )
    return figure


def _ink(name: str) -> str:
    """White on dark bubbles, black on light ones."""
    from matplotlib.colors import to_rgb

    return "white" if sum(to_rgb(colour(name))) < 1.6 else "black"


def _edges(ranks: list[int]) -> list[float]:
    """Heights between lines of different rank."""
    return [i + 0.5 for i in range(len(ranks) - 1) if ranks[i] != ranks[i + 1]]


FIGURE = PaperFigure(
    id="gk25-5",
    title="Rank at rest against width and ridge weight, with the structures behind each rank",
    source="gk25, Figure 5",
    data=data,
    draw=draw,
    rows=rows,
    takes="as gk25-2, with which it shares its runs",
    takes_fast="8 s",
    memory=MEMORY,
)
