"""A structure in a file of the user's own is known everywhere: to the verbs, names, colours, branches and proofs."""

import json
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

import ufm
from ufm import structures
from ufm.certificates.certify import certify
from ufm.cli import main
from ufm.numerics.balls import available
from ufm.objectives.logits import value
from ufm.plot import colour, colours
from ufm.structures.structure import STRUCTURES, Structure, colour_from, structure_of

TWELVE = ufm.Problem(K=12, n=2, d=3, L=3, lam=1e-4)
ICOSA = """
from ufm.numerics.codes import icosahedron
from ufm.structures import Structure
from ufm.structures.idempotent import one_mode

def icosa(problem, root="large"):
    if problem.K != 12:
        raise ValueError(f"icosa needs K = 12; got K={problem.K}.")
    return one_mode(problem, icosahedron() / 2, "icosa", root)

ICOSA = Structure("icosa", "Z = a V V'/4 (x) 1', V the corners of an icosahedron, rank 3, K = 12", icosa)
"""


@pytest.fixture
def file(tmp_path, clean):
    path = tmp_path / "icosa.py"
    path.write_text(ICOSA)
    ufm.use(path)
    return path


def shuffled(point, seed=0):
    order = np.random.default_rng(seed).permutation(point.problem.K)
    return replace(point, U=point.U[order], right=point.right[order], name=None, scales=())


def test_without_the_file_nothing_knows_it(clean):
    assert "icosa" not in structures.catalogue(TWELVE) and structure_of("icosa") is None
    with pytest.raises(AttributeError, match="icosa"):
        _ = structures.icosa
    with pytest.raises(ValueError, match="icosa"):
        structures.get("icosa")


def test_it_is_made_named_and_coloured(file):
    record, point = structures.get("icosa"), structures.icosa(TWELVE)
    assert record.make(TWELVE).name == point.name == "icosa" and record.missing(TWELVE) == ""
    assert ufm.classify(point).status == "local minimum" and point.rank == 3
    assert ufm.identify(shuffled(point)).name == ufm.identify(shuffled(point).lift(rng=1)).name == "icosa"
    assert ufm.identify(shuffled(record.make(TWELVE, "small"))).name != "icosa"
    assert colour("icosa") == colour("icosa(small)#2") == colours()["icosa"] == colour_from("icosa")
    assert pickle.loads(pickle.dumps(record)) is record and json.loads(json.dumps(record.to_dict()))["name"] == "icosa"
    assert "K = 12" in structures.get("icosa").missing(ufm.Problem(K=5, L=2, lam=1e-3))


def test_verbs_list_it_and_name_ends_by_it(file):
    table = ufm.compare(TWELVE, starts=0, prove=False)
    assert table.best.name == "icosa" and table["icosa"].fun == value(structures.icosa(TWELVE))
    assert table["icosa"].how == {"structure": 1}
    assert "icosa" in {row.name for row in ufm.landscape(TWELVE, starts=0, max_idempotents=0)}
    found = ufm.basins(TWELVE, 12, rng=0)
    assert found.share("icosa")[0] > 0.2 and found["icosa"].fun == pytest.approx(table["icosa"].fun, rel=1e-9)


def test_it_is_followed_and_compared_over_lam(file):
    branch = ufm.follow("icosa", 2e-4, problem=TWELVE)
    assert branch.name == "icosa" and branch.rank == 3
    diagram = ufm.phase_diagram([12], [3], [1e-4], d=3)
    assert {cell.winner for cell in diagram.cells} == {"icosa"}


@pytest.mark.skipif(not available(), reason="needs the extra [certify]")
def test_it_is_proved_by_its_points(file):
    order, critical = (certify(TWELVE, [what]) for what in ("order", "critical"))
    assert any(c.holds and c.statement.startswith("point(icosa) < ") for c in order)
    assert [c.holds for c in critical if c.label == "icosa"] == [True] and critical.check()


def test_the_command_line_knows_it(file, capsys, clean):
    words = [
        "-K",
        "12",
        "-n",
        "2",
        "-d",
        "3",
        "-L",
        "3",
        "--lam",
        "1e-4",
        "--starts",
        "0",
        "--json",
        "--from",
        str(file),
    ]
    assert main(["compare", *words]) == 0
    assert json.loads(capsys.readouterr().out)["winner"] == "icosa"


def test_names_of_points_may_not_meet(tmp_path, clean):
    (tmp_path / "twice.py").write_text(ICOSA.replace('"icosa",', '"dnc",').replace("'icosa'", "'dnc'"))
    ufm.use(tmp_path)
    with pytest.raises(ValueError, match="'dnc' is taken twice"):
        structures.catalogue(TWELVE)


def test_factors_are_taken_for_the_logits_they_make(tmp_path, clean):
    (tmp_path / "lifted.py").write_text(
        ICOSA.replace("'icosa', root)", "").replace('"icosa", root)', '"icosa", root).lift(rng=0)')
    )
    ufm.use(tmp_path)
    point = structures.existing(TWELVE)[0]["icosa"]
    assert isinstance(point, ufm.LogitPoint) and point.rank == 3
    assert ufm.compare(TWELVE, starts=0, prove=False).best.name == "icosa" == ufm.identify(point).name


def test_a_structure_through_relu_layers_says_its_models(tmp_path, clean):
    problem = ufm.Problem(K=6, L=2, lam=0.01, loss="mse", activation="relu")
    assert "two" not in structures.catalogue(problem)
    (tmp_path / "two.py").write_text(
        "from ufm.structures import Structure, relu_dnc\n"
        "from ufm.structures.relu_collapse import rectified\n"
        "TWO = Structure('two', 'two classes fitted', lambda p: relu_dnc(p, fitted=2), models=rectified)\n"
    )
    ufm.use(tmp_path)
    row = ufm.compare(problem, starts=0)["two"]
    assert row.how == {"structure": 1} and row.rank == 2 and row.status == "stationary"
    assert "two" not in structures.catalogue(ufm.Problem(K=6, L=2, lam=0.01, loss="mse"))


def test_a_maker_that_returns_no_point_is_a_reason(tmp_path, clean):
    (tmp_path / "odd.py").write_text(
        "from ufm.structures import Structure\nODD = Structure('odd', 'nothing', lambda problem: None)\n"
    )
    ufm.use(tmp_path)
    table = ufm.compare(ufm.Problem(K=3, lam=0.1), starts=0, prove=False)
    assert "odd: its maker must return a point" in table.left_out["odd"]


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"name": "a b"}, "name must be a word"),
        ({"doc": " "}, "doc must say"),
        ({"make": 3}, "make of mine must be a function"),
        ({"matches": 3}, "matches of mine must be a function or None"),
        ({"colour": "red"}, "written '#rrggbb'"),
    ],
)
def test_what_is_no_structure_is_refused(wrong, said):
    right = {"name": "mine", "doc": "Z = 0", "make": structures.zero}
    with pytest.raises(ValueError, match=said):
        Structure(**{**right, **wrong})


def test_colours_are_stated_by_structures_and_stay_as_they_are():
    assert all(re.fullmatch(r"#[0-9a-fA-F]{6}", s.colour) for s in STRUCTURES.members().values())
    listed = {"zero": "#7f7f7f", "dnc": "#0072B2", "pairs": "#D55E00", "pairs+apex": "#E69F00", "circle": "#CC79A7"}
    listed |= {"petersen": "#009E73", "blocks": "#56B4E9", "code": "#882255", "srg": "#117733", "partial": "#999933"}
    listed |= {"relu_pairs": "#D55E00", "sel": "#44AA99", "unnamed": "#000000"}
    assert listed.items() <= colours().items() and colour(None) == colour("modes(large=2)") == "#000000"
    assert colour("blocks(6,2,2)") == colour("blocks(3,2)(large,small)#2") == listed["blocks"]
    assert list(STRUCTURES.members())[:3] == ["zero", "dnc", "pairs"]


def test_zoo_structures_are_listed_with_their_values_and_named_again():
    from zoo import ZOO

    for title in ("five", "seven, deep", "unequal counts", "mse", "free bias", "relu", "label smoothing"):
        problem = ZOO[title]
        table, points = ufm.compare(problem, starts=0, prove=False), structures.existing(problem)[0]
        known = {name: row for row in table for name in (row.name, *row.aliases)}
        for name, point in points.items():
            assert known[name].fun == pytest.approx(ufm.classify(point).fun, rel=1e-12, abs=1e-12), (title, name)
            assert known[ufm.identify(point).name] is known[name], (title, name)
