"""What is shown: every collection prints its tables and shows them in a notebook; loops keep what is finished."""

import numpy as np
import pytest

import ufm
from ufm import networks
from ufm.numerics import interruption, products
from ufm.numerics.bars import each
from ufm.numerics.tables import Column, Listed, Shown
from ufm.paths.network import connect
from ufm.paths.trajectory import read_trajectory
from ufm.solvers import starts
from ufm.sweeps.census import census
from ufm.sweeps.phases import phase_diagram

FOUR = ufm.Problem(K=4, L=2, lam=0.02)


def collections():
    """(what is shown, a word in one of its cells)."""
    data = networks.Data.mixture(K=3, n=4, d=5, sigma=0.1, rng=0)
    run = ufm.minimize(FOUR, starts.near(ufm.structures.blocks(FOUR, (3, 1)), 1e-4), "gd", rng=0, steps=50, trace=5)
    yield census(FOUR, over={"lam": [0.01, 0.02]}, starts=5, rng=0), "pairs"
    yield phase_diagram([4], [2], [0.01], ("dnc", "pairs")), "dnc"
    yield connect([ufm.classify(ufm.structures.pairs(FOUR))]), "pairs"
    yield read_trajectory(run), "blocks(3,1)"
    yield networks.layers([data.X], data.y), "z^0"
    yield ufm.collapse(features=[data.X.T], labels=data.y), "H_1"
    yield ufm.sweep({"grid": {"K": [4]}, "fixed": {"L": 2, "lam": 0.02, "starts": 0}}, jobs=1), "1 rows"
    yield ufm.multistart(FOUR, 2, rng=0), "2 of 2 starts"


def test_collections_print_and_are_shown_by_notebooks_with_the_same_words():
    for found, word in collections():
        assert isinstance(found, Shown)
        text, html = repr(found), found._repr_html_()
        assert word in text and word in html and "<" not in text.split("\n")[0]
        assert html.count("<table>") == html.count("</table>") and html.count("<p>") == html.count("</p>")


def test_a_table_in_between_texts_keeps_its_place_with_or_without_a_rule():
    class Two(Shown):
        def shown(self):
            columns = [Column("x", lambda row: row, width=3)]
            return ["first & last", ([1, 2], columns), "", ([3], columns, False)]

    assert repr(Two()).split("\n") == ["first & last", "  x", "---", "  1", "  2", "", "  x", "  3"]
    html = Two()._repr_html_()
    assert html.startswith("<p>first &amp; last</p>\n<table>") and html.count("<tr>") == 5


def test_rows_are_counted_listed_and_found_by_place_and_by_name():
    class Named(Listed):
        rows = (ufm.structures.dnc(FOUR), ufm.structures.pairs(FOUR))

        def shown(self):
            return ["two"]

    named = Named()
    assert len(named) == 2 and list(named) == list(named.rows) and named[-1].name == "pairs" == named["pairs"].name
    with pytest.raises(ValueError, match="name must be one of dnc, pairs; got name='pair'"):
        named["pair"]


def test_a_loop_keeps_what_is_finished_before_ctrl_c_and_passes_it_on_where_the_whole_is_wanted():
    def one(i):
        if i == 2:
            raise KeyboardInterrupt
        return 10 * i

    assert each(range(4), one, desc="", progress=False) == ([0, 10], True)
    assert each(range(2), one, desc="", progress=False) == ([0, 10], False)
    assert each(range(4), lambda i: i, desc="", progress=False, part=lambda i: i == 1) == ([0, 1], True)
    with pytest.raises(KeyboardInterrupt), interruption.whole():
        each(range(4), one, desc="", progress=False)


def test_turning_hidden_coordinates_moves_no_logits():
    draw = np.random.default_rng(0)
    factors = [draw.standard_normal(shape) for shape in ((3, 5), (4, 3), (2, 4))]
    Z = products.product(factors)
    for l, i, j in ((0, 0, 2), (1, 1, 3)):
        step = products.turned(factors, l, i, j)
        ends = np.cumsum([A.size for A in factors])[:-1]
        parts = [d.reshape(A.shape) for d, A in zip(np.split(step, ends), factors, strict=True)]
        assert np.linalg.norm(step) > 1
        moved = products.product([A + 1e-6 * d for A, d in zip(factors, parts, strict=True)])
        assert np.max(np.abs(moved - Z)) < 1e-10


@pytest.mark.parametrize(
    "index, nullity, symmetry, status, known",
    [
        ((0, 0), 4, 4, "local minimum", 0),
        ((0, 0), 5, 4, "degenerate", 0),
        ((0, 2), 6, 4, "degenerate", None),
        ((1, 3), 6, 4, "strict saddle", None),
        ((2, 2), 3, 4, "strict saddle", 2),
    ],
)
def test_the_status_of_a_point_follows_from_its_signature(index, nullity, symmetry, status, known):
    point = ufm.structures.pairs(FOUR)
    found = type(ufm.classify(point)).signed(point, 0.1, 0.0, 2, index, nullity, symmetry, name="pairs", tolerances={})
    assert (found.status, found.index, found.index_range) == (status, known, index)
    assert found.nullity_symmetry == min(nullity, symmetry)
