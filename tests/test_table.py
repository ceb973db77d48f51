"""The one table: every verb returns it, every verb takes what is in it, a point has one name in all of them."""

import itertools
import json
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
from zoo import ZOO

import ufm
from ufm.critical.measures import flatness
from ufm.critical.point import CriticalPoint
from ufm.critical.same import same_kind, short_name
from ufm.landscapes.gather import STRUCTURE, Gathering
from ufm.landscapes.table import Landscape
from ufm.numerics.tables import Column, escaped, html_table, latex_table, text_lines
from ufm.points import point_of
from ufm.problem import Problem

FOUR = Problem(K=4, L=2, lam=0.02)
VERBS = {
    "compare": lambda p: ufm.compare(p, 3, 0),
    "landscape": lambda p: ufm.landscape(p, starts=2, rng=0),
    "profile": lambda p: ufm.profile(p, 1, 0),
    "basins": lambda p: ufm.basins(p, 10, 0),
}
REFUSALS = {
    ("landscape", "nonlinear"): "landscape needs a linear model",
    ("profile", "smooth"): "profile needs a linear model, or relu without bias",
}


def tables(problem):
    """{verb: its table, or the sentence with which it refuses}."""
    found = {}
    for verb, run in VERBS.items():
        try:
            found[verb] = run(problem)
        except ValueError as refusal:
            found[verb] = str(refusal)
    return found


@pytest.fixture(scope="module")
def four():
    return tables(FOUR)


# names ---------------------------------------------------------------------------------------------------


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", [name for name in ZOO if name != "relu, mse, ten classes"])
def test_a_point_has_one_name_in_every_verb(name):
    problem, known = ZOO[name], []
    for verb, table in tables(problem).items():
        if isinstance(table, str):
            kind = "nonlinear" if verb == "landscape" else "smooth"
            assert not problem.linear and REFUSALS[verb, kind] in table
            continue
        assert isinstance(table, Landscape) and {entry["name"] for entry in table.to_dict()[table.view.listed]} == set(
            table.names
        )
        assert not any(same_kind(a.critical, b.critical) for a, b in itertools.combinations(table.rows, 2))
        for row in table:
            assert row.name in repr(table)
            base = row.name.split("#")[0]
            if problem.linear and row.rank and row.status in ("local minimum", "strict saddle"):
                bare = replace(row.point, name=None)
                assert row.how == {"modes": row.hits} or ufm.follow(bare, 1.001 * problem.Lam, steps=1).name in (
                    base,
                    *row.aliases,
                )
            if row.status != "not critical":
                assert base in (ufm.identify(row).name, *row.aliases) or STRUCTURE in row.how
            twins = [other for other in known if same_kind(row.critical, other.critical)]
            assert all(other.name.split("#")[0] == base for other in twins), (verb, row, twins)
            known += [] if twins else [row]


def test_structures_that_are_one_point_share_a_row_and_each_name_finds_it():
    table = ufm.compare(Problem(K=4, L=2, lam=0.02, loss="mse"), 0)
    assert table["blocks(3,1)"] is table["pairs"] and table["pairs"].aliases == ("blocks(3,1)",)
    assert "pairs is also blocks(3,1)" in repr(table) and "blocks(3,1)" not in table.names


def test_short_names_are_for_pictures():
    assert (
        short_name("code(antiprism(4)+pair)") == "antiprism(4)+pair" and short_name("unnamed(rank=4)#2") == "rank 4#2"
    )
    assert short_name("blocks(6,2,2)") == "blocks(6,2,2)"


# every verb takes every point ------------------------------------------------------------------------------


def holders():
    """Everything that is a point or holds one, all of them pairs at four classes."""
    pairs = ufm.structures.pairs(FOUR)
    run = ufm.minimize(
        FOUR, lambda objective, draw: objective.lift(pairs) + 1e-3 * draw.standard_normal(objective.size), rng=0
    )
    branch = ufm.follow(pairs, 0.021)
    return {
        "LogitPoint": pairs,
        "FactorPoint": pairs.lift(),
        "Result": run,
        "CriticalPoint": ufm.classify(pairs),
        "row of compare": ufm.compare(FOUR, 0)["pairs"],
        "row of landscape": ufm.landscape(FOUR, starts=0)["pairs"],
        "row of profile": ufm.profile(FOUR, 0)[2],
        "row of basins": ufm.basins(FOUR, 10, 0)["pairs"],
        "point of a branch": branch.points[0],
        "branch at its start": branch.at(0.02),
        "minimum of a network": ufm.connect([pairs]).minima[0],
        "top of a path": ufm.path(ufm.structures.dnc(FOUR), pairs, "straight").point(-1),
    }


TAKERS = {
    "classify": lambda x: ufm.classify(x).name in (None, "pairs") and ufm.classify(x).status == "local minimum",
    "identify": lambda x: ufm.identify(x).name == "pairs",
    "follow": lambda x: len(ufm.follow(x, 0.0201)) > 1,
    "path": lambda x: ufm.path(ufm.structures.dnc(FOUR), x, "straight").barrier > 0,
    "connect": lambda x: ufm.connect([x]).names == ["pairs"],
    "read_trajectory": lambda x: ufm.read_trajectory(
        np.array([point_of("x", ufm.structures.pairs(FOUR)).class_logits()] * 5), [x]
    ).end.startswith("pairs"),
    "certify": lambda x: all(c.holds for c in ufm.certify(x, ["critical"])),
    "flatness": lambda x: flatness(x).trace > 0,
}


@pytest.fixture(scope="module")
def points():
    return holders()


@pytest.mark.parametrize("verb", TAKERS)
def test_every_verb_takes_every_point(points, verb):
    if verb == "certify":
        pytest.importorskip("flint")
    for kind, held in points.items():
        assert TAKERS[verb](held), (verb, kind)


@pytest.mark.parametrize("verb", ["classify", "follow", "path", "connect"])
def test_what_is_no_point_is_refused_with_what_is(verb):
    with pytest.raises(ValueError, match=r"must be a point, or hold one as \.point .* got ndarray"):
        TAKERS[verb](np.eye(4))


# forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_a_table_is_read_back_from_its_file_and_from_a_pickle(four, verb, tmp_path):
    table = four[verb]
    table.save(tmp_path / "t.json")
    again = Landscape.load(tmp_path / "t.json")
    assert again.names == table.names and again.view is table.view
    for a, b in zip(table, again, strict=True):
        assert (a.fun, a.rank, a.index, a.status, a.hits, a.how) == (b.fun, b.rank, b.index, b.status, b.hits, b.how)
        np.testing.assert_array_equal(a.point.class_logits(), b.point.class_logits())
    data = json.loads((tmp_path / "t.json").read_text())
    assert len(data[table.view.listed][0]["class_logits"]) == 4
    assert pickle.loads(pickle.dumps(table)) == table
    assert repr(ufm.load(tmp_path / "t.json").rows) == repr(again.rows)


@pytest.mark.parametrize("verb", VERBS)
def test_a_table_prints_as_text_html_and_latex(four, verb):
    table = four[verb]
    html, latex = table._repr_html_(), table.to_latex()
    assert html.count("<tr>") == len(table) + 1 and all(row.name.replace("'", "&#x27;") in html for row in table)
    assert latex.startswith("% needs \\usepackage{booktabs}") and latex.count(r" \\") == len(table) + 1
    assert r"\toprule" in latex and r"\bottomrule" in latex


def test_a_data_frame_has_a_row_a_point(four):
    pandas = pytest.importorskip("pandas")
    frame = four["landscape"].to_dataframe()
    assert (
        isinstance(frame, pandas.DataFrame)
        and list(frame["name"]) == four["landscape"].names
        and "group_order" in frame
    )


def test_without_pandas_a_command_that_works_is_named(four, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"needs the package pandas.*install"):
        four["compare"].to_dataframe()


def test_rows_are_selected(four):
    table = four["landscape"]
    assert len(table) == len(list(table)) == len(table.rows) and table[0] is table.rows[0]
    assert {row.status for row in table.minima} == {"local minimum"} and "pairs" in table.minima
    assert [row.rank for row in table.where(rank=2)] == [2] * len(table.where(rank=2)) and len(table[:3]) == 3
    lowest = table.lowest_by("rank")
    assert list(lowest) == sorted(lowest) and all(
        lowest[r].fun == min(row.fun for row in table.where(rank=r)) for r in lowest
    )
    assert table.sort("index")[0].index == 0 and table.best.name == "pairs"
    with pytest.raises(ValueError, match=r"name must be one of .* got name='paris'"):
        table["paris"]
    with pytest.raises(ValueError, match="shares need starts"):
        table.shares()
    assert not hasattr(table, "nonsense")
    shares = four["basins"].shares()
    assert (
        sum(share for share, _, _ in shares.values()) == pytest.approx(1.0)
        and next(iter(shares)) == four["basins"].winner
    )


# sources ---------------------------------------------------------------------------------------------------


def test_a_source_is_one_function_and_one_line():
    def mine(problem):
        yield "mine", ufm.structures.pairs(problem)
        yield "mine", ufm.structures.pairs(problem), 3
        yield "mine", None
        return "my own points"

    found = Gathering().collect(mine(FOUR))
    (row,) = found.rows()
    assert (row.name, row.hits, row.how, found.said) == ("pairs", 4, {"mine": 4}, ["my own points"])
    assert isinstance(row.critical, CriticalPoint) and row.point.problem == FOUR


def test_an_interrupted_source_keeps_what_it_found_and_says_how_far_it_came():
    def cut(problem):
        yield "cut", ufm.structures.dnc(problem)
        raise KeyboardInterrupt("after 1 of 9 points")

    found = Gathering().collect(cut(FOUR), iter([("never", ufm.structures.pairs(FOUR))]))
    assert found.interrupted == "after 1 of 9 points" and [row.name for row in found.rows()] == ["dnc"]


def test_points_that_are_not_critical_are_left_out_unless_the_verb_lists_them():
    off = ufm.structures.pairs(Problem(K=5, L=2, lam=1e-3))
    assert ufm.classify(off).status == "not critical"
    assert not Gathering().collect([(STRUCTURE, off)]).rows()
    assert "pairs" in ufm.compare(Problem(K=5, L=2, lam=1e-3), 0).names


def test_columns_say_how_a_row_is_shown():
    columns = [Column("name", "name", side="<"), Column("F", "fun", ".2f", 6), Column("index", lambda row: row.index)]
    row = ufm.compare(FOUR, 0)["dnc"]
    assert text_lines([row], columns) == ["name       F  index", "-------------------", "dnc     0.28      0"]
    assert "<td" in html_table([row], columns) and r"dnc & 0.28 & 0 \\" in latex_table([row], columns)
    assert escaped("a_b#2") == r"a\_b\#2"
