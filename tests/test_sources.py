"""Sources of points: what a verb asks comes from the family, and a file of the user's own joins."""

import json
import pickle

import pytest

import ufm
from ufm.cli import main
from ufm.landscapes.sources.source import SOURCES, VERBS, Settings, Source, asked
from ufm.numerics.seeds import seed_sequence
from ufm.structures import blocks

FOUR = ufm.Problem(K=4, L=2, lam=0.02)
MSE = ufm.Problem(K=4, L=2, lam=0.02, loss="mse")
MINE = '''
from ufm import LogitPoint
from ufm.landscapes.sources.source import Source
from ufm.structures import blocks, dnc

def points(problem, settings):
    """Two points, one of them three times; a number drawn from the source's own seed."""
    yield blocks(problem, (2, 1, 1))
    yield "by hand", dnc(problem), 3
    return f"my places, for {settings.verb}"

MINE = Source("my places", "two points known to me", points, counts=True)
'''
IDLE = MINE.replace("counts=True", 'applies=lambda problem: "not today."').replace("my places", "idle places")
QUIET = MINE.replace("counts=True", 'verbs=("landscape",)').replace("my places", "quiet places")


@pytest.fixture
def mine(tmp_path, clean):
    for name, text in {"mine": MINE, "idle": IDLE, "quiet": QUIET}.items():
        (tmp_path / f"{name}.py").write_text(text)
    ufm.use(tmp_path)
    return tmp_path


def names(verb, problem):
    return [stream.name for stream in asked(Settings(verb, problem, seed_sequence(0)))]


def test_every_verb_asks_the_sources_that_apply_in_their_order():
    assert names("compare", FOUR) == ["structures", "starts"]
    assert names("compare", ufm.Problem(K=12, L=2, lam=1e-3)) == ["structures", "starts", "narrow"]
    relu = ufm.Problem(K=4, L=3, lam=0.01, activation="relu")
    assert names("compare", relu) == ["structures", "refined structures", "starts", "low rank"]
    assert names("landscape", FOUR) == ["structures", "symmetry", "search"]
    assert names("landscape", ufm.Problem(K=4, L=2, lam=0.02, bias=0.1)) == ["structures", "search"]
    assert names("landscape", MSE) == ["modes", "structures"]
    assert names("profile", FOUR) == names("profile", relu) == ["structures", "ranks"]


def test_every_source_says_what_it_is_and_where_it_does_not_apply():
    for name, source in SOURCES.members().items():
        assert source.name == name and source.doc and set(source.verbs) <= set(VERBS) and source.verbs
        reasons = [
            source.applies(problem) for problem in (FOUR, MSE, ufm.Problem(K=4, lam=0.02, activation="tanh", L=2))
        ]
        assert "" in reasons or name in ("narrow", "low rank", "refined structures")
        assert all(reason == "" or reason.rstrip().endswith(".") for reason in reasons), reasons


def test_a_source_of_the_users_own_joins_compare_landscape_and_profile(mine):
    table = ufm.compare(FOUR, starts=0, prove=False)
    assert table["blocks(2,1,1)"].how == {"structure": 1, "my places": 1} and table["blocks(2,1,1)"].hits == 1
    assert table["dnc"].hits == 3 and table["pairs"].hits == 0 and table.note == "my places, for compare"
    again = json.loads(json.dumps(table.to_dict()))
    assert {"my places"} <= {word for row in again["structures"] for word in row["sources"]}
    atlas = ufm.landscape(FOUR, starts=0, rng=0)
    assert {"my places", "quiet places"} <= set(
        atlas["blocks(2,1,1)"].how
    ) and "my places, for landscape" in atlas.scope
    assert "idle places" not in {how for row in atlas for how in row.how}
    alone = ufm.profile(FOUR, starts=0)
    assert "my places" in alone[1].how and "my places" in alone[1].said
    complete = ufm.landscape(MSE)  # the list is complete: what joins is one of its points
    assert complete.complete and len(complete) == 15 and complete["dnc"].how["by hand"] == 6


def test_the_command_line_and_a_second_run_know_it(mine, capsys):
    words = [
        "compare",
        "-K",
        "4",
        "-L",
        "2",
        "--lam",
        "0.02",
        "--starts",
        "0",
        "--json",
        "--from",
        str(mine / "mine.py"),
    ]
    assert main(words) == 0
    rows = json.loads(capsys.readouterr().out)["structures"]
    assert {row["name"]: row["hits"] for row in rows}["dnc"] == 3


def test_hits_of_a_quiet_source_do_not_count(mine):
    row = ufm.landscape(FOUR, starts=0, max_idempotents=0)["blocks(2,1,1)"]
    assert row.how["quiet places"] == 1 and row.hits == row.how["structure"] + row.how["my places"]


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"verbs": ("compare", "basins")}, "verbs of mine must be one of"),
        ({"name": "a; b"}, "without a semicolon"),
        ({"doc": 3}, "doc must be"),
        ({"points": 3}, "points of mine must be a function"),
    ],
)
def test_what_is_no_source_is_refused(wrong, said):
    right = {"name": "mine", "doc": "a place", "points": lambda problem, settings: iter([blocks(problem, (2, 2))])}
    with pytest.raises(ValueError, match=said):
        Source(**{**right, **wrong})


def test_each_source_draws_its_own_numbers():
    settings = Settings("compare", FOUR, seed_sequence(3))
    first, again, other = (settings.draw(name).random() for name in ("mine", "mine", "yours"))
    assert first == again != other
    assert pickle.loads(pickle.dumps(settings.seed)).entropy == 3
