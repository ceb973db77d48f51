"""The main job for ReLU models, in Python and on the command line."""

import json

import pytest

import ufm
from ufm.cli import main
from ufm.critical.relu_names import hidden_values
from ufm.problem import Problem


def relu(K, L, lam, loss="mse", **rest):
    return Problem(K=K, L=L, lam=lam, loss=loss, activation="relu", **rest)


def test_ten_classes_are_won_by_the_strongly_regular_graph():
    duel = ufm.compare(relu(10, 4, 0.004, n=5, d=30), starts=0)
    assert duel.winner.name == "srg(r=5)" and duel.winner.rank == 5 and duel["dnc"].rank == 10
    assert duel["srg(r=5)"].status == duel["dnc"].status == "stationary" and duel["zero"].status in (
        "stationary",
        "local minimum",
    )
    assert "open" in duel.verdict() and not duel.certified and not duel.is_global
    assert duel.lower_bound is None or duel.lower_bound <= duel.winner.fun


def test_a_code_that_is_not_stationary_is_called_so_and_followed_by_what_descent_finds():
    duel = ufm.compare(relu(6, 4, 0.004), starts=0, rng=0)
    assert duel["srg(r=4)"].status == "not critical" and duel["srg(r=4)"].grad_norm > 1e-3
    end = duel["srg(r=4) refined"]
    assert end.status == "stationary" and end.fun < duel["srg(r=4)"].fun < duel["dnc"].fun
    assert "lowest value found" in duel.verdict()


@pytest.mark.slow
@pytest.mark.parametrize("L", [3, 4])
def test_the_code_of_eight_vertices_is_followed_by_what_descent_finds(L):
    found = ufm.compare(Problem(K=28, L=L, lam=0.001, loss="mse", activation="relu"), starts=0)
    assert found["srg(r=8)"].status == "not critical"
    assert found["srg(r=8) refined"].status == "stationary" and found["srg(r=8) refined"].fun < found["srg(r=8)"].fun


def test_the_default_search_finds_low_rank_below_every_structure():
    duel = ufm.compare(relu(5, 4, 0.004), rng=0)
    assert duel.winner.fun < 0.97 * duel["dnc"].fun and duel.winner.rank < 5 and duel.hits[duel.winner.name] > 0
    assert "starts of low rank" in repr(duel)


def test_large_lam_leaves_zero():
    duel = ufm.compare(relu(4, 3, 0.5), starts=2, rng=0)
    assert (
        duel.winner.name == "zero"
        and duel.winner.fun == pytest.approx(0.5)
        and "fold" in repr(duel)
        and duel.hits["zero"] == 2
    )


@pytest.mark.parametrize("L, lam", [(2, 0.02), (3, 0.01), (3, 0.2), (5, (0.001, 0.02, 0.003, 0.004, 0.005, 0.01))])
def test_two_classes_are_settled_by_the_bound(L, lam):
    problem = relu(2, L, lam, n=3, d=4)
    duel = ufm.compare(problem, starts=6, rng=0)
    assert duel.is_global and duel.winner.name in ("dnc", "zero") and "sml23" in duel.verdict()
    assert min(p.fun for p in duel.points) >= duel.lower_bound * (1 - 1e-12)
    assert ufm.compare(relu(3, L, lam), starts=0).lower_bound is None


def test_many_classes_are_compared_without_a_residual():
    duel = ufm.compare(relu(66, 4, 0.0002), starts=0)
    assert duel.winner.name == "srg(r=12)" and duel.winner.status == "unknown" and "too many kinks" in repr(duel)


def test_zero_with_a_bias_is_stationary():
    for problem in (relu(4, 3, 0.01, bias=0.3, n=(1, 2, 3, 4)), relu(4, 3, 0.01, "ce", bias=0.3)):
        assert ufm.compare(problem, starts=1, rng=0)["zero"].status in ("stationary", "local minimum")


def test_random_starts_are_named():
    duel = ufm.compare(relu(3, 2, 0.01, n=2), starts=4, rng=0)
    assert duel.winner.name == "dnc" and sum(duel.hits.values()) > 0
    assert set(duel.hits) <= {"dnc", "zero", "partial(1)", "partial(2)"}


@pytest.mark.parametrize(
    "problem",
    [
        relu(2, 2, 0.02),
        relu(4, 3, 0.003, n=(1, 2, 3, 4)),
        relu(6, 3, 0.001, d=4),
        relu(4, 1, 0.01),
        relu(5, 3, 0.002, "ce"),
        relu(4, 3, 0.003, bias=0.1),
    ],
    ids=lambda p: f"K{p.K}L{p.L}{p.loss.name}",
)
def test_every_kind_of_relu_problem_is_compared(problem):
    duel = ufm.compare(problem, starts=1, rng=0)
    assert duel.winner.fun <= min(p.fun for p in duel.points) + 1e-9 and json.dumps(duel.to_dict())
    assert duel.lower_bound is None or duel.lower_bound <= duel.winner.fun * (1 + 1e-9)


def test_cross_entropy_offers_pairs():
    duel = ufm.compare(relu(16, 4, 0.0005, "ce"), starts=0)
    assert duel["relu_pairs(hadamard)"].fun < duel["dnc"].fun


def test_the_command_prints_the_stable_shape(capsys):
    code = main(
        [
            "compare",
            "-K",
            "10",
            "-L",
            "4",
            "--lam",
            "0.004",
            "--loss",
            "mse",
            "--activation",
            "relu",
            "--starts",
            "0",
            "--json",
        ]
    )
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert code == 0 and not err and data["winner"] == "srg(r=5)" and data["certified"] is False
    row = next(s for s in data["structures"] if s["name"] == "srg(r=5)")
    assert {
        "name",
        "rank",
        "fun",
        "scales",
        "singular_values",
        "grad_norm",
        "index",
        "nullity",
        "nullity_symmetry",
        "status",
    } <= set(row)
    assert len(row["singular_values"]) == row["rank"] == 5


def test_hidden_values_are_those_of_the_last_pre_activations():
    point = ufm.structures.srg(relu(10, 4, 0.004))
    assert len(hidden_values(point)) == 5 and hidden_values(ufm.structures.relu_zero(point.problem)) == []


def test_landscape_refuses_with_the_reason_and_says_what_to_use():
    with pytest.raises(ValueError, match=r"linear model.*compare"):
        ufm.landscape(relu(4, 3, 0.01))
