"""Figures of sml24: descents read off rightly, what the titles say is so, every drawn number in the table, nothing
overlaps."""

import functools

import numpy as np
import pytest

from theory.figures import sml24_1, sml24_2, sml24_3, sml24_5, sml24_6, sml24_runs
from theory.figures.figure import PAGE
from theory.references import references
from ufm import minimize
from ufm.numerics.seeds import child, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.problem import Problem
from ufm.structures import graph_codes, relu_collapse

MODULES = {"sml24-1": sml24_1, "sml24-2": sml24_2, "sml24-3": sml24_3, "sml24-5": sml24_5, "sml24-6": sml24_6}
SMALL = {"K": 3, "n": 2, "L": 4, "d": 6, "lam": 0.02, "rng": 0, "starts": [0, 1, 2, 3], "steps": 1500}


@functools.cache
def fast(name):
    """The small version's numbers, once."""
    return MODULES[name].FIGURE.compute(fast=True, jobs=1)


def made_up_widths():
    """The shape of sml24-3 at full size, with invented counts."""

    def point(d, lam, hits, runs):
        ends = [
            {
                "fun": 0.1,
                "name": "dnc" if i < hits else "rank 7",
                "ranks": [10 - (i >= hits) * 3] * 3,
                "lost": 0,
                "full": i < hits,
            }
            for i in range(runs)
        ]
        return {"K": 10, "n": 1, "L": 4, "d": d, "lam": lam, "steps": round(240 / lam), "runs": ends}

    curves = {str(L): {str(r): sml24_3.number(*sml24_3.power(r, L), L) for r in range(4, 21)} for L in (3, 4, 5)}
    widths = [point(d, 0.004, min(20, d // 3), 20) for d in (12, 16, 20, 25, 30, 40, 50, 60, 80)]
    return {
        "curves": curves,
        "by_lam": [point(30, 2.0**-e, e // 2, 10) for e in range(10, 5, -1)],
        "by_width": widths,
        "level": 0.95,
    }


def data_of(name):
    """Numbers of a figure that cost little."""
    return made_up_widths() if name == "sml24-3" else fast(name)


QUICK = ["sml24-1", "sml24-2", "sml24-3", "sml24-5"]


def boxes_that_overlap(picture, slack=0.75):
    """Pairs of texts whose boxes overlap by more than `slack` points, and those off the page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    texts = [
        t
        for ax in picture.axes
        for t in (ax.title, ax.xaxis.label, ax.yaxis.label, *(ax.get_legend().findobj(Text) if ax.get_legend() else []))
    ]
    texts += picture.texts  # its title over all axes among them
    boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in texts if t.get_text().strip()]
    cut, page, found = slack * picture.dpi / 72, picture.bbox, []
    for i, (a, p) in enumerate(boxes):
        found += [
            (a, b)
            for b, q in boxes[:i]
            if min(p.x1, q.x1) - max(p.x0, q.x0) > cut and min(p.y1, q.y1) - max(p.y0, q.y0) > cut
        ]
        found += (
            [(a, "page")]
            if p.x0 < page.x0 - 1 or p.x1 > page.x1 + 1 or p.y0 < page.y0 - 1 or p.y1 > page.y1 + 1
            else []
        )
    return found


def check_picture(name, data):
    figure = MODULES[name].FIGURE
    assert figure.id == name and figure.key in references()
    picture = figure.picture(data)
    assert picture.get_size_inches()[0] == PAGE and boxes_that_overlap(picture) == []
    table = {round(v, 9) for row in figure.rows(data) for v in row.values() if isinstance(v, (int, float))}
    drawn = {
        round(float(y), 9)
        for ax in picture.axes
        for line in ax.lines
        if len(line.get_ydata()) > 2
        for y in line.get_ydata()
    }
    drawn |= {round(float(v), 9) for ax in picture.axes for image in ax.images for v in np.ravel(image.get_array())}
    assert drawn <= table


@pytest.mark.quick(2)
@pytest.mark.parametrize("name", QUICK)
def test_a_figure_has_no_overlaps_and_every_number_in_its_table(name):
    check_picture(name, data_of(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sml24-3", "sml24-6"])
def test_the_longer_fast_figures_too(name):
    check_picture(name, fast(name))


def test_an_overlap_would_be_seen():
    picture = sml24_3.FIGURE.picture(made_up_widths())
    picture.axes[1].set_ylabel("fraction at collapse, fraction at collapse, fraction at collapse, fraction at collapse")
    picture.axes[1].set_title("a title that is much longer than the panel on which it stands, and then some")
    assert boxes_that_overlap(picture)


def test_equal_arguments_give_equal_bytes(tmp_path):
    files = [sml24_1.FIGURE.write(tmp_path / f"{run}.pdf", True, csv=True) for run in "ab"]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))


# ---------------------------------------------------------------------------------------------------------- the numbers


def test_descents_are_those_of_minimize():
    runs = sml24_runs.descents(SMALL | {"steps": 200})
    problem = sml24_runs.problem_of(SMALL)
    for run in runs[:2]:
        end = minimize(problem, None, "gd", child(seed_sequence(0), run["start"]), lr=0.5, steps=200, progress=False)
        assert run["funs"][-1] == pytest.approx(end.fun, rel=1e-12)
        assert (
            run["steps"][0] == 0
            and run["steps"][-1] == 200
            and len(run["steps"]) == len(run["funs"]) == len(run["spreads"])
        )
        assert run["fun"] == pytest.approx(run["funs"][-1], rel=1e-13) and run["fun"] > run["fits"][-1] > 0


def test_starts_do_not_depend_on_each_other():
    alone, together = (
        sml24_runs.descents(SMALL | {"starts": [2], "steps": 100}),
        sml24_runs.descents(SMALL | {"steps": 100}),
    )
    assert alone[0]["fun"] == together[2]["fun"]


@pytest.mark.parametrize("K, L", [(6, 4), (10, 4), (10, 5)])
def test_ends_are_named_by_their_ranks(K, L):
    problem = Problem(K=K, n=2, d=K + 2, L=L, lam=1e-3, loss="mse", activation="relu")
    found = sml24_runs.end_of(relu_collapse.relu_dnc(problem))
    assert found["full"] and found["lost"] == 0 and found["name"] == "dnc" and found["ranks"][1:] == [K] * (L - 2)
    assert found["fun"] == pytest.approx(relu_collapse.loss(problem), rel=1e-12)
    partial = sml24_runs.end_of(relu_collapse.relu_dnc(problem, fitted=K - 2))
    assert not partial["full"] and partial["lost"] == 2 and partial["name"] == f"partial({K - 2})"
    r = graph_codes.srg_order(K)
    code = sml24_runs.end_of(graph_codes.srg(problem))
    assert not code["full"] and code["name"] == f"srg(r={r})" and max(code["ranks"][:-1]) == r
    second = sml24_runs.end_of(relu_collapse.relu_dnc(problem, second="pairs"))
    assert second["full"] and second["ranks"][0] == K // 2


def test_spread_is_that_of_the_samples():
    problem = sml24_runs.problem_of(SMALL)
    objective = FactorObjective(problem)
    x = objective.pack(relu_collapse.relu_dnc(problem).factors)
    assert sml24_runs.spread(objective, x) < 1e-30
    H = relu_collapse.relu_dnc(problem).factors[0].copy()
    H[:, 0] += 1.0
    H[:, 1] -= 1.0
    y = objective.pack([H, *relu_collapse.relu_dnc(problem).factors[1:]])
    assert sml24_runs.spread(objective, y) == pytest.approx(
        2 * problem.widths[0] / np.sum(relu_collapse.relu_dnc(problem).factors[0] ** 2)
    )


def test_the_first_figure_shows_the_graph():
    data = fast("sml24-1")
    M3, M4, G4, S4, dnc = (np.array(data["matrices"][name]) for name in ("M3", "M4", "G4", "S4", "dnc"))
    assert data["ranks"] == {"M3": 5, "M4": 5, "G4": 5, "S4": 10, "dnc": 10}
    level = np.max(M3)
    assert np.allclose(np.sort(M3, axis=1)[:, -4:], level) and np.sum(M3 > 1e-9) == 20
    assert np.allclose(np.diag(M4), -np.max(M4)) and np.sum(M4 > 1e-9) == 30 and np.allclose(G4, M4.T @ M4)
    positive = np.maximum(M4, 0)
    assert np.allclose(S4, positive.T @ positive) and np.count_nonzero(np.abs(dnc) > 1e-9 * np.max(dnc)) == 10
    assert data["losses"]["srg"] == pytest.approx(0.0809113, abs=1e-6) and data["losses"]["srg"] < data["losses"]["dnc"]


def test_the_second_figure_ends_below_collapse_with_samples_together():
    data = fast("sml24-2")
    refs, best = data["references"], sml24_2.best(data)
    assert refs["srg"] < best["fun"] < 0.99 * refs["dnc"] and not best["full"] and max(best["ranks"]) < 10
    assert len(data["runs"]) == 10 and all(run["spreads"][-1] < 1e-4 < run["spreads"][0] for run in data["runs"])


def test_the_fifth_figure_has_fewer_dimensions_than_classes_at_a_lower_loss():
    for model in fast("sml24-5")["models"]:
        assert (
            model["best"]["fun"] < 0.995 * model["references"]["dnc"]
            and max(model["best"]["ranks"]) < model["K"]
            and model["below"] >= 1
        )
        assert model["best"]["lost"] == 0


@pytest.mark.slow
def test_collapse_gets_frequent_with_width_and_rank_falls_with_the_ridge_weight():
    rows = sml24_3.rows(fast("sml24-3"))
    share = {row["x"]: row["y"] for row in rows if row["panel"] == "width"}
    assert share[20] <= 0.15 and share[60] >= 0.7 and share[20] <= share[30] <= share[60]
    rank = [row["y"] for row in rows if row["panel"] == "rank"]
    assert rank[0] > rank[-1] + 0.5


@pytest.mark.slow
def test_the_sixth_figure_is_of_low_rank_until_the_last_layer():
    data = fast("sml24-6")
    assert (
        data["best"]["fun"] < 0.8 * data["references"]["dnc"]
        and max(data["best"]["ranks"][1:-1]) <= 7 < data["best"]["ranks"][-1]
    )


def test_shares_in_the_table_are_counts():
    row = next(row for row in sml24_3.rows(made_up_widths()) if row["panel"] == "width" and row["x"] == 30)
    assert row["y"] == 0.5 and row["ends"] == "dnc 10, rank 7 10" and 0.25 < row["low"] < row["y"] < row["high"] < 0.75


def test_rho_in_the_third_figure_is_below_one_but_for_r_4_l_3():
    above = [(row["L"], row["x"]) for row in sml24_3.rows(made_up_widths()) if row["panel"] == "rho" and row["y"] >= 1]
    assert above == [(3, 4)]
