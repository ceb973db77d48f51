"""Unknown names are answered by the right ones, on the command line and in Python."""

import pickle

import pytest

import ufm
from theory.registry import claims
from ufm.cli import main
from ufm.networks.data import Data
from ufm.networks.network import Network
from ufm.networks.train import train
from ufm.numerics.words import LISTED, known_names, named_arguments, nearest

PROBLEM = ufm.Problem(K=3, lam=0.1)
DATA = Data.mixture(K=3, n=2, d=4, rng=0)
VERBS = [name for name in ufm.__all__ if callable(getattr(ufm, name)) and name != "Loss"]


@pytest.mark.parametrize("name", VERBS)
def test_no_public_verb_answers_a_wrong_keyword_in_pythons_words(name):
    given = {"phase_diagram": ([3], [1])}.get(name, (PROBLEM,))
    named = {"census": {"over": {"lam": [0.1]}}}.get(name, {})
    with pytest.raises(ValueError, match=r"no argument 'random_state'|random_state is not a setting"):
        getattr(ufm, name)(*given, **named, random_state=0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ufm.compare(PROBLEM, seed=1), "compare has no argument 'seed'; did you mean 'rng'?"),
        (lambda: ufm.landscape(PROBLEM, random_state=1), "did you mean 'rng'?"),
        (lambda: ufm.sweep({}, n_jobs=2), "did you mean 'jobs'?"),
        (lambda: ufm.minimize(PROBLEM, seed=1), "seed is not a setting of method 'lbfgs'; did you mean 'rng'?"),
        (lambda: ufm.multistart(PROBLEM, 3, seed=1), "did you mean 'rng'?"),
        (lambda: ufm.basins(PROBLEM, 3, n_starts=1), "did you mean 'starts'?"),
        (lambda: ufm.basins(PROBLEM, 3, method="adam", learning_rate=1), "did you mean 'lr'?"),
        (lambda: ufm.minimize(PROBLEM, max_iter=9), "did you mean 'max_steps'?"),
        (lambda: ufm.minimize(PROBLEM, method="sgd"), "Did you mean 'gd'?"),
        (lambda: train(Network([4, 3]), DATA, seed=0), "did you mean 'rng'?"),
        (lambda: train(Network([4, 3]), DATA, learning_rate=1), "did you mean 'lr'?"),
        (lambda: Network([4, 3], nonlinearity="relu"), "did you mean 'activation'?"),
        (lambda: ufm.Problem(K=3, weight_decay=0.1), "Problem has no argument 'weight_decay'; did you mean 'lam'?"),
        (lambda: ufm.Problem(lam=0.1), "Problem: missing a required argument: 'K'"),
        (lambda: ufm.Problem(K=3, lam=0.1, loss="cross_entropy"), "Did you mean 'ce'?"),
        (lambda: ufm.Problem(K=3, lam=0.1, loss="CE"), "Did you mean 'ce'?"),
        (lambda: ufm.Problem(K=3, lam=0.1, loss="MSELoss"), "Did you mean 'mse'?"),
        (lambda: ufm.Problem(K=3, lam=0.1, activation="ReLU"), "Did you mean 'relu'?"),
        (lambda: ufm.Problem(K=3, lam=0.1, activation="identity"), "Did you mean 'linear'?"),
    ],
)
def test_words_of_other_tools_get_ours(call, said):
    with pytest.raises(ValueError) as mistake:
        call()
    assert said in str(mistake.value)


def test_a_wrong_keyword_is_a_type_error_too_and_verbs_pickle():
    with pytest.raises(TypeError):
        ufm.compare(PROBLEM, seed=1)
    assert all(pickle.loads(pickle.dumps(getattr(ufm, name))) is getattr(ufm, name) for name in VERBS)


def test_an_error_inside_a_verb_keeps_its_own_words():
    def search(seed):
        return len(seed)

    with pytest.raises(TypeError, match="no len") as mistake:
        named_arguments(search)(3)
    assert type(mistake.value) is TypeError


@pytest.mark.parametrize(
    "words", [["verify", "gk25:thm11"], ["verify", "gk52"], ["figure", "gk25-11"], ["cite", "gk52"], ["figure"]]
)
def test_of_many_names_only_the_nearest_are_told(capsys, words):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert len(said) < 200 and "gk25" in said


def test_the_claims_of_a_source_are_nearest_to_a_claim_of_it():
    with pytest.raises(ValueError, match=r"the nearest are gk25:thm1, "):
        claims(["gk25:thm11"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "-K", "3", "--lam", "0.1", "--seed", "1"], "did you mean '--rng'?"),
        (["compare", "-K", "3", "--lam", "0.1", "--random-state=1"], "did you mean '--rng'?"),
        (["compare", "-K", "3", "--lambda", "0.1"], "did you mean '--lam'?"),
        (["solve", "-K", "3", "-lam", "0.1"], "did you mean '--lam'?"),
        (["compare", "-K", "3", "-N", "5", "--lam", "0.1"], "did you mean '-n'?"),
        (["compare", "-K", "3", "--lam", "0.1", "--bias=--"], "argument --bias: expected one argument"),
        (["basins", "-K", "3", "--lam", "0.1", "--optimizer", "gd"], "did you mean '--method'?"),
    ],
)
def test_options_of_other_tools_get_ours(capsys, words, said):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_names_are_near_by_letters_case_and_custom():
    assert nearest("Compare", ["compare", "solve"]) == ["compare"] and nearest("xyzzy", ["compare", "solve"]) == []
    many = [f"name{i}" for i in range(LISTED + 1)]
    assert known_names("name77", many).count("name") == 4 and known_names("zzz", many).startswith(
        "one of 13 names, such as "
    )
    with pytest.raises(AttributeError, match="did you mean 'minimize'"):
        ufm.minimise  # noqa: B018
