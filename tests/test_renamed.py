"""Old spellings work for one release, with a warning at the caller's line that names the new one."""

import inspect
import pickle

import pytest

import ufm
from ufm.numerics.renamed import places, renamed, renamed_to
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import WrongWord, named_arguments


@renamed(memory="pairs", tol="match")
@named_arguments
@own_numpy_state
def search(problem, starts=None, *, pairs=10, match=0.1):
    """A search."""
    return problem, starts, pairs, match


@named_arguments
@renamed(memory="pairs")
def inside(problem, pairs=10):
    return pairs


@places("problem", "over", "starts", when=lambda args: len(args) > 1 and isinstance(args[1], dict))
@places("problem", "starts", "rng", "method", "space")
@named_arguments
def grid(problem, starts=None, rng=None, *, over=None, method="lbfgs", space=None):
    return starts, rng, over, method, space


@renamed(width="d")
@named_arguments
class Thing:
    def __init__(self, d=1):
        self.d = d


@renamed_to("search")
@named_arguments
def hunt(problem, starts=12):
    return search(problem, starts)


chase = renamed_to("search", old="chase")(search)


@pytest.mark.parametrize(
    ("call", "value", "said"),
    [
        (lambda: search(1, memory=5), (1, None, 5, 0.1), "search: 'memory' is now 'pairs'"),
        (lambda: search(1, 2, tol=0.2), (1, 2, 10, 0.2), "search: 'tol' is now 'match'"),
        (lambda: inside(1, memory=5), 5, "inside: 'memory' is now 'pairs'"),
        (lambda: Thing(width=3).d, 3, "Thing: 'width' is now 'd'"),
        (lambda: hunt(1), (1, 12, 10, 0.1), "hunt is now search"),
        (lambda: chase(1, pairs=2), (1, None, 2, 0.1), "chase is now search"),
        (lambda: grid(1, 2, 3, "gd"), (2, 3, None, "gd", None), r"grid\(problem, starts, rng, method=...\)"),
        (lambda: grid(1, {}, 5), (5, None, {}, "lbfgs", None), r"give over, starts by name: grid\(problem, over=..."),
    ],
)
def test_the_old_spelling_works_and_warns_where_it_was_written(call, value, said):
    with pytest.warns(DeprecationWarning, match=said) as warned:
        assert call() == value
    assert [warning.filename for warning in warned] == [__file__]
    assert warned[0].lineno == call.__code__.co_firstlineno


def test_the_new_spelling_is_silent_and_shown():
    assert search(1, pairs=5, match=0.2) == (1, None, 5, 0.2) and grid(1, 2, method="gd")[3] == "gd"
    assert list(inspect.signature(search).parameters) == ["problem", "starts", "pairs", "match"]
    assert search.__doc__ == "A search." and search.__name__ == "search"


def test_old_and_new_at_once_are_refused():
    with pytest.raises(ValueError, match="memory is the old name of pairs: give pairs alone; got both"):
        search(1, memory=3, pairs=3)


def test_wrong_words_are_answered_by_the_new_names():
    with pytest.raises(WrongWord, match=r"no argument 'pair'; did you mean 'pairs'\? It has problem, starts, pairs, m"):
        search(1, pair=3)
    with pytest.warns(DeprecationWarning), pytest.raises(WrongWord, match="no argument 'seed'"):
        search(1, memory=3, seed=3)
    with pytest.raises(WrongWord, match="takes over, method, space by name only"):
        grid(1, 2, 3, 4, 5, 6)


def test_a_call_that_is_wrong_is_told_what_is_wrong():
    with pytest.raises(WrongWord, match="hunt has no argument 'seed'"):
        hunt(1, seed=3)


def test_they_pickle():
    for function in (search, grid, hunt, chase):
        assert pickle.loads(pickle.dumps(function)) is function


def test_the_old_name_of_a_verb_is_the_new_verb():
    problem = ufm.Problem(K=3, L=2, lam=0.02)
    with pytest.warns(DeprecationWarning, match="relu_profile is now profile") as warned:
        old = ufm.relu_profile(problem, 0)
    assert old.rows == ufm.profile(problem, 0).rows and warned[0].filename == __file__
