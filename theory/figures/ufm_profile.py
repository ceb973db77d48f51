"""How much every further dimension of the logits costs or saves: the lowest value found at each rank."""

from __future__ import annotations

from theory.figures.ends import short
from theory.figures.figure import PAGE, PaperFigure, sheet
from ufm.landscapes.profile import profile
from ufm.plot.style import colour
from ufm.problem import Problem

ROOF = 1.45
"""Top of the panels; what lies above is written there."""


def data(work) -> dict:
    """Profiles of `ufm.landscapes.profile` for three (K, L) at three ridge weights, n = 1; searches, hence upper bounds
    at each rank."""
    panels = [(6, 2), (6, 4), (7, 3)] if work.fast else [(10, 2), (10, 3), (10, 6)]
    lams, starts = ((1e-3, 1e-2, 3e-2), 2) if work.fast else ((1e-4, 1e-3, 1e-2), 30)
    cells = [{"K": K, "L": L, "lam": lam, "starts": starts, "rng": work.rng} for K, L in panels for lam in lams]
    return {"panels": [list(p) for p in panels], "lams": list(lams), "profiles": work.map(lowest, cells, "profiles")}


def lowest(cell: dict) -> dict:
    """The entries of one profile, and the value of collapse (None where it does not exist)."""
    problem = Problem(K=cell["K"], L=cell["L"], lam=cell["lam"])
    seed = {"entropy": cell["rng"], "spawn_key": [cell["K"], cell["L"], round(1 / cell["lam"])]}
    found = profile(problem, cell["starts"], seed, progress=False)
    return {
        **cell,
        "entries": [
            {key: e.flat()[key] for key in ("rank", "fun", "name", "status", "how", "index")} for e in found if e.rank
        ],
    }


def rows(data: dict) -> list[dict]:
    return [{"K": p["K"], "L": p["L"], "lam": p["lam"], **entry} for p in data["profiles"] for entry in p["entries"]]


def draw(data: dict):
    """F against rank, over its least value; filled: local minimum of the full problem, ring: saddle, colour: the
    structure."""
    from matplotlib.lines import Line2D

    figure = sheet(PAGE, 2.7)
    panels = figure.subplots(1, len(data["panels"]), sharey=True)
    styles, families = ("-", "--", ":"), {}
    for letter, ax, (K, L) in zip("abc", panels, data["panels"], strict=True):
        for style, lam in zip(styles, data["lams"], strict=True):
            (found,) = [p for p in data["profiles"] if (p["K"], p["L"], p["lam"]) == (K, L, lam)]
            entries, least = found["entries"], min(e["fun"] for e in found["entries"])
            ax.plot(
                [e["rank"] for e in entries],
                [e["fun"] / least for e in entries],
                color="0.6",
                lw=0.7,
                ls=style,
                zorder=1,
            )
            for e in entries:
                tint = colour(e["name"])
                if e["fun"] <= ROOF * least:
                    families[_family(e["name"])] = tint
                stable = e["status"] == "local minimum"
                ax.plot(
                    e["rank"], e["fun"] / least, "o", ms=4, mec=tint, mfc=tint if stable else "white", mew=0.9, zorder=3
                )
        ax.set(xlabel="rank", ylim=(0.97, ROOF), title=f"({letter}) $K = {K}$, $L = {L}$")
        ax.set_xticks(range(1, K))
        _note_above(ax, [p for p in data["profiles"] if (p["K"], p["L"]) == (K, L)])
    panels[0].set_ylabel("lowest $F$ at this rank / lowest of all")
    handles = [
        Line2D([], [], color="0.6", ls=style, label=f"$\\lambda = {lam:g}$")
        for style, lam in zip(styles, data["lams"], strict=True)
    ]
    handles += [
        Line2D([], [], marker="o", ls="none", color=tint, label=name) for name, tint in sorted(families.items())
    ]
    kinds = (("local minimum", "0.3"), ("not a minimum", "white"))
    handles += [Line2D([], [], marker="o", ls="none", mec="0.3", mfc=face, label=text) for text, face in kinds]
    figure.legend(handles=handles, loc="outside right center")
    return figure


def _family(name: str) -> str:
    base = (name or "unnamed").split("#")[0].split("(")[0]
    return {
        "blocks": "other blocks",
        "code": "named code",
        "unnamed": "without a name",
        "pairs+apex": "pairs and an apex",
    }.get(base, short(base))


def _note_above(ax, profiles) -> None:
    """What lies above the window, in numbers at its top."""
    ratios: dict[int, list] = {}
    for p in profiles:
        least = min(e["fun"] for e in p["entries"])
        for e in p["entries"]:
            if e["fun"] / least > ROOF:
                ratios.setdefault(e["rank"], []).append(e["fun"] / least)
    for rank, found in ratios.items():
        low, high = f"{min(found):.3g}", f"{max(found):.3g}"
        text = low if low == high else f"{low} to {high}"
        ax.annotate(
            f"$\\uparrow$ {text}",
            (rank, ROOF),
            (0, -2),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=6.5,
            rotation=90,
        )


FIGURE = PaperFigure(
    id="ufm-profile",
    title="Loss against rank: the lowest value found at each rank",
    source="gk25, Theorem 2 (its landscape)",
    data=data,
    draw=draw,
    rows=rows,
    takes="8 minutes on two cores",
    takes_fast="8 s",
)
