"""A figure: F of the lowest known structure against lam, K = 4 and L = 2.

`data` computes the numbers once and keeps them, `draw` draws them anywhere. Replace both; `theory.figures.figure` says
what each field means.
"""

from __future__ import annotations

from theory.figures.figure import COLUMN, PaperFigure, Work, sheet


def cell(case: dict) -> dict:
    """One point of the curve: a pure function of plain numbers."""
    from ufm import Problem, compare

    best = compare(Problem(K=4, L=2, lam=case["lam"]), 0, progress=False, prove=False).best
    return {"lam": case["lam"], "F": best.fun, "name": best.name}


def data(work: Work) -> dict:
    count = 3 if work.fast else 13
    return {"points": work.map(cell, [{"lam": 10 ** (-3 + 2 * i / (count - 1))} for i in range(count)])}


def draw(data: dict):
    figure = sheet(COLUMN, 2.2)
    ax = figure.add_subplot()
    ax.plot([point["lam"] for point in data["points"]], [point["F"] for point in data["points"]], marker="o")
    ax.set(xscale="log", xlabel="$\\lambda$", ylabel="lowest F")
    return figure


EXAMPLE = PaperFigure(
    id="example",
    title="The lowest value against the ridge",
    source="mine, Figure 1",
    bib="@unpublished{mine, author = {A. Student}, title = {To appear}, year = {2026}, note = {In preparation}}",
    data=data,
    draw=draw,
    rows=lambda data: data["points"],
    takes="1 s",
    takes_fast="1 s",
)
