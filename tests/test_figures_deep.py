"""Figures of deep linear MSE: numbers from the formulas and from descents agree, every drawn number is in the table,
nothing overlaps."""

import functools

import numpy as np
import pytest

from theory.figures import ufm_bifurcation, ufm_death, ufm_morse
from theory.figures.figure import PAGE
from theory.references import references
from ufm.structures.modes import binodal, mse_families, spinodal

MODULES = {"ufm-bifurcation": ufm_bifurcation, "ufm-death": ufm_death, "ufm-morse": ufm_morse}


@functools.cache
def fast(name):
    """The small version's numbers, once."""
    return MODULES[name].FIGURE.compute(fast=True, jobs=1)


def boxes_that_overlap(picture, slack=0.75):
    """Pairs of texts (titles, labels, legends, annotations) whose boxes overlap by more than `slack` points, and those
    off the page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    texts = [t for ax in picture.axes for t in (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts)]
    texts += [t for ax in picture.axes if ax.get_legend() for t in ax.get_legend().findobj(Text)]
    boxes = [
        (t.get_text(), t.get_window_extent(canvas.get_renderer()))
        for t in texts
        if t.get_text().strip() and t.get_visible()
    ]
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


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_figure_is_a_page_wide_without_overlaps_and_its_source_is_known(name):
    figure = MODULES[name].FIGURE
    assert figure.id == name and figure.key in references()
    picture = figure.picture(fast(name))
    assert picture.get_size_inches()[0] == PAGE
    assert boxes_that_overlap(picture) == []


def test_an_overlap_would_be_seen():
    picture = ufm_morse.FIGURE.picture(fast("ufm-morse"))
    picture.axes[0].annotate("LL0LL0", (0.5, 0.5), xycoords="axes fraction")
    picture.axes[0].annotate("LL0LL0", (0.51, 0.5), xycoords="axes fraction")
    assert boxes_that_overlap(picture)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_number_of_a_curve_is_in_the_table(name):
    figure, data = MODULES[name].FIGURE, fast(name)
    table = {round(v, 9) for row in figure.rows(data) for v in row.values() if isinstance(v, (int, float))}
    # marks without a label on the vertical axis: lines of thresholds and zero lines
    drawn = {
        round(float(y), 9)
        for ax in figure.picture(data).axes
        for line in ax.lines
        if len(line.get_ydata()) > 2
        for y in line.get_ydata()
    }
    assert drawn <= table


def test_branches_fulfil_the_scalar_law_and_turn_at_the_spinodal():
    for b in fast("ufm-bifurcation")["branches"]:
        D, t, level = b["L"] + 1, np.array(b["t"]), np.array(b["level"])
        assert t + level * t ** (2 / D - 1) == pytest.approx(np.ones_like(t))
        assert level.max() <= b["spinodal"][0] * (1 + 1e-12) and level.max() == pytest.approx(
            b["spinodal"][0], rel=1e-3
        )
        assert np.interp(b["binodal"][1], t, b["gain"]) == pytest.approx(0.0, abs=1e-2 if D > 2 else 1.01)
        assert (b["spinodal"][0], b["binodal"][0]) == (spinodal(1.0, D), binodal(1.0, D))


def test_descents_end_on_listed_values_and_at_zero_beyond_the_spinodal():
    for cell in fast("ufm-bifurcation")["ends"]:
        assert all(run["off"] < 1e-9 for run in cell["runs"])
        if cell["share"] > 1:
            assert all(run["t"] < 1e-6 for run in cell["runs"])
        if cell["L"] == 1 and cell["share"] < 1:
            assert all(run["t"] == pytest.approx(1 - cell["share"], abs=1e-7) for run in cell["runs"])


def test_the_critical_set_is_complete_and_its_indices_are_measured():
    for panel in fast("ufm-morse")["panels"]:
        from ufm.problem import Problem

        problem = Problem(K=panel["K"], n=tuple(panel["n"]), d=panel["d"], L=panel["L"], lam=panel["lam"], loss="mse")
        assert sorted(round(p["fun"], 10) for p in panel["points"]) == sorted(
            round(f.fun, 10) for f in mse_families(problem)
        )
        assert all(p["index"] == p["dense_index"] for p in panel["points"])
        minima = {p["states"] for p in panel["points"] if p["index"] == 0}
        K, top = panel["K"], min(panel["K"], panel["d"])
        assert minima == {"L" * k + "0" * (K - k) for k in range(top + 1)}
        assert len(panel["points"]) == (27 if panel["K"] == 3 else 33)


def test_neighbours_change_one_root_by_one_step():
    assert ufm_morse.neighbours("L0s", "Lss") and ufm_morse.neighbours("LL", "sL")
    assert not ufm_morse.neighbours("L0", "00") and not ufm_morse.neighbours("Ls", "sL")


def test_classes_die_at_their_binodal_and_descents_go_where_the_curves_are():
    data = fast("ufm-death")
    for curve, deaths in zip(data["curves"], data["deaths"], strict=True):
        levels, values = np.array(curve["level"]), np.array(curve["fits"])
        for c, death in enumerate(deaths["level"]):
            assert np.all((values[:, c] > 0) == (levels < death))
    for cell in data["descents"]:
        assert cell["fits"] == pytest.approx(ufm_death.fits(cell["L"], cell["level"]), abs=1e-6)
