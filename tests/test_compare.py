"""The main job, in Python and on the command line."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import ufm
from ufm.certificates.convex import convex_minimum
from ufm.certificates.global_bound import lower_bound
from ufm.cli import main
from ufm.objectives.logits import value
from ufm.problem import Problem

F1 = ["-K", "10", "-n", "5", "-d", "70", "-L", "2", "--lam", "2**-10"]


def test_figure_1_is_won_by_pairs_and_only_the_order_is_called_proved():
    duel = ufm.compare(Problem(K=10, n=5, d=70, L=2, lam=2**-10), rng=0)
    assert duel.winner.name == "pairs" and duel.certified and not duel.is_global
    assert {c.kind for c in duel.certificates} == {"order"} and "global optimality is open" in duel.verdict()
    assert duel["dnc"].fun == pytest.approx(0.090662183213, abs=1e-12)
    assert duel.lower_bound < duel["pairs"].fun and duel.hits["pairs"] > 0
    assert "global optimality is open" in repr(duel)


@pytest.mark.parametrize("K, n, lam, bias", [(4, 3, 1e-3, None), (7, 1, 1e-2, 0.1), (5, 2, 1.0, None)])
def test_plain_model_is_settled_by_the_bound_and_by_an_independent_convex_solver(K, n, lam, bias):
    duel = ufm.compare(Problem(K=K, n=n, L=1, lam=lam, bias=bias), starts=3, rng=0)
    assert duel.is_global and duel.winner.name == ("zero" if lam == 1.0 else "dnc")
    assert convex_minimum(duel.problem)[0] == pytest.approx(duel.winner.fun, abs=1e-7)


@pytest.mark.parametrize(
    "problem",
    [
        Problem(K=4, n=(5, 3, 2, 1), L=1, lam=1e-2),
        Problem(K=4, n=(5, 3, 2, 1), L=1, lam=(1e-2, 1e-3), bias=0.02),
        Problem(K=4, n=(5, 3, 2, 1), L=1, lam=1e-2, bias=0.0, loss="mse"),
        Problem(K=3, n=2, L=1, lam=1e-2, loss="label_smoothing(0.2)"),
    ],
    ids=lambda p: f"{p.loss.name}-{p.bias}",
)
def test_descent_in_the_plain_model_ends_at_the_convex_minimum(problem):
    for run in ufm.multistart(problem, 3, rng=0):
        assert run.success and run.fun == pytest.approx(convex_minimum(problem)[0], abs=1e-7)


@pytest.mark.parametrize("K, L, lam", [(2, 2, 0.01), (3, 3, 0.15), (4, 2, 0.02), (6, 5, 1e-3), (5, 2, 1e-6)])
def test_no_random_end_point_lies_below_the_lower_bound(K, L, lam):
    problem = Problem(K=K, n=2, L=L, lam=lam)
    bound = lower_bound(problem)
    assert 0 < bound <= min(r.fun for r in ufm.multistart(problem, 10, rng=0)) + 1e-13  # K = 2: attained


@pytest.mark.parametrize("K, L, lam, d", [(2, 2, 0.01, 2), (4, 3, 0.005, 6), (3, 2, 0.5, 3)])
def test_deep_linear_mse_is_settled_by_its_modes(K, L, lam, d):
    duel = ufm.compare(Problem(K=K, n=2, d=d, L=L, lam=lam, loss="mse"), starts=10, rng=0)
    assert duel.is_global and duel.winner.name in ("dnc", "zero")


def test_imbalanced_mse_bound_counts_a_bottleneck():
    problem = Problem(K=4, n=(6, 4, 2, 1), d=2, L=2, lam=0.01, loss="mse")
    duel = ufm.compare(problem, starts=20, rng=0)
    assert duel.is_global and duel.winner.rank == 2


def test_something_better_than_every_structure_is_reported_when_found():
    duel = ufm.compare(Problem(K=10, L=3, lam=0.002), starts=60, rng=0)
    assert duel.winner.fun <= 0.0788 and duel.winner.name not in ("pairs", "dnc")
    assert "found" in duel.verdict()


def test_crossing_of_dnc_and_pairs_at_four_classes_is_on_the_known_side():
    crossing = 0.01176049807928839
    for factor, winner in ((1 - 1e-6, "dnc"), (1 + 1e-6, "pairs")):
        assert ufm.compare(Problem(K=4, L=2, lam=crossing * factor), starts=0).winner.name == winner


def test_a_nonlinear_model_is_searched_and_its_structures_refused_with_the_reason():
    duel = ufm.compare(Problem(K=3, L=2, lam=0.01, activation="tanh"), starts=2, rng=0)
    assert "linear model" in repr(duel) and duel.winner.fun > 0


def test_a_large_problem_says_that_it_was_not_searched():
    duel = ufm.compare(Problem(K=120, n=7, d=300, L=2, lam=1e-8))
    assert "off by default at K=120" in repr(duel) and duel["dnc"].index is not None and duel["pairs"].index is not None


def run(capsys, *argv):
    code = main([str(a) for a in argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_compare_prints_one_json_object_of_the_stable_shape(capsys):
    code, out, err = run(capsys, "compare", *F1, "--starts", 3, "--json")
    data = json.loads(out)
    assert code == 0 and err == ""
    assert {"problem", "structures", "winner", "margin", "certified", "lower_bound", "seconds"} <= set(data)
    row = next(s for s in data["structures"] if s["name"] == "pairs")
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
    assert data["winner"] == "pairs" and row["rank"] == 5 and len(row["singular_values"]) == 5
    assert data["problem"] == {
        "K": 10,
        "n": 5,
        "d": 70,
        "L": 2,
        "lam": 2**-10,
        "loss": "ce",
        "activation": "linear",
        "bias": None,
    }


def test_solve_prints_one_json_object_of_the_stable_shape(capsys):
    code, out, _ = run(capsys, "solve", "-K", 4, "-L", 2, "--lam", "1e-2", "--starts", 3, "--json")
    data = json.loads(out)
    fields = {"fun", "grad_norm", "rank", "name", "status", "nit", "nfev", "success", "message", "seconds"}
    assert code == 0 and len(data["results"]) == 3 and fields <= set(data["best"])
    assert data["best"]["fun"] == min(r["fun"] for r in data["results"])


@pytest.mark.parametrize("method", ["gd", "flow", "newton", "lbfgs"])
def test_solve_runs_every_method_and_names_the_ends(capsys, method):
    extra = (
        ["--lr", "0.5", "--momentum", "0.9", "--steps", "400"]
        if method == "gd"
        else ["--time", "50"]
        if method == "flow"
        else []
    )
    code, out, _ = run(capsys, "solve", "-K", "3", "-L", 2, "--lam", "1e-2", "--method", method, "--starts", 2, *extra)
    assert code == 0 and "lowest found" in out


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "verb", [["compare", "--starts", "2"], ["solve", "--starts", "2", "--method", "gd", "--steps", "300"]]
)
@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_plots_are_written_whole_and_reproduced_to_the_byte(capsys, tmp_path, verb, suffix):
    files = [tmp_path / f"{i}.{suffix}" for i in (1, 2)]
    for file in files:
        assert run(capsys, verb[0], "-K", 4, "-n", 2, "-L", 2, "--lam", "1e-2", *verb[1:], "--plot", file)[0] == 0
    first, second = (file.read_bytes() for file in files)
    assert first == second and len(first) > 5000
    assert sorted(os.listdir(tmp_path)) == [f"1.{suffix}", f"2.{suffix}"]


def test_identify_reads_anybodys_arrays_and_our_own_points(capsys, tmp_path):
    point = ufm.structures.pairs(Problem(K=6, n=2, d=7, L=2, lam=1e-3))
    point.save(tmp_path / "point.npz")
    factors = point.lift(rng=0)
    np.savez(tmp_path / "z.npz", Z=factors.logits())
    np.savez(
        tmp_path / "xw.npz", features=factors.layers()[-1].T, weights=factors.factors[-1], labels=factors.problem.labels
    )
    for name in ("point", "z", "xw"):
        code, out, _ = run(capsys, "identify", tmp_path / f"{name}.npz", "--json")
        data = json.loads(out)
        assert code == 0 and data["name"] == "pairs" and data["rank"] == 3
        assert {"name", "rank", "distance", "scales", "within_class", "collapse"} <= set(data)


@pytest.mark.parametrize(
    "argv, words",
    [
        (["compare", "-K", "1", "--lam", "1"], "K must be an integer of at least 2; got K=1"),
        (["compare", "-K", "4", "-L", "0", "--lam", "1"], "L must be"),
        (["compare", "-K", "4", "--lam", "-1"], "lam must not be negative"),
        (["compare", "-K", "4", "--lam", "nan"], "'nan' is not a number"),
        (["compare", "-K", "4", "--lam", "__import__('os')"], "is not a number"),
        (["compare", "-K", "4", "-d", "0", "--lam", "1"], "d must be"),
        (["compare", "-K", "4", "-n", "1,2", "--lam", "1"], "length 4"),
        (["compare", "-K", "4"], "--lam"),
        (["compare", "-K", "4", "--lam", "1", "--loss", "mce"], "Did you mean"),
        (["compare", "-K", "4", "--lam", "1", "--starts", "-2"], "--starts must be"),
        (["compare", "-K", "4", "--lam", "1", "--plot", "a.gif"], "--plot"),
        (["solve", "-K", "4", "--lam", "1", "--method", "adan"], "method must be one of"),
        (["solve", "-K", "4", "--lam", "1", "--lr", "1"], "lr is not a setting"),
        (["solve", "-K", "4", "--lam", "1", "--save", "/no/such/folder/x.npz"], "existing folder"),
        (["identify", "missing.npz"], "cannot be read"),
        (["identify", __file__], "cannot be read"),
        (["nonsense"], "is not one of"),
        (["verify", "nobody99"], "no claim matches"),
        (["cite", "nobody99"], "key must be one of"),
    ],
    ids=lambda x: "-".join(x)[:40] if isinstance(x, list) else None,
)
def test_a_mistake_is_one_line_on_standard_error_and_exit_code_2(capsys, argv, words):
    code, out, err = run(capsys, *argv)
    assert code == 2 and out == "" and err.count("\n") == 1 and words in err


def test_saved_end_point_is_loaded_again(capsys, tmp_path):
    file = tmp_path / "end.npz"
    assert run(capsys, "solve", "-K", 4, "-L", 2, "--lam", "1e-2", "--save", file)[0] == 0
    point = ufm.load(file)
    assert ufm.classify(point).grad_norm < 1e-12 and value(point) > 0


@pytest.mark.parametrize("verb", ["compare", "solve", "identify", "verify", "cite"])
def test_every_help_page_has_an_example(capsys, verb):
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0 and f"ufm {verb}" in out.split("example")[-1]


def test_import_loads_neither_matplotlib_nor_cvxpy_nor_scipy():
    code = "import sys, ufm; print([m for m in ('matplotlib', 'cvxpy', 'scipy', 'autograd') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
