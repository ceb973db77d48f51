"""A problem is a value: checked once, printed as what it is, equal when it says the same."""

import json
import re

import autograd.numpy as anp
import numpy as np
import pytest

from ufm.losses import Focal, Loss
from ufm.points import FactorPoint
from ufm.problem import Problem


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"K": 1}, "K=1"),
        ({"K": 0}, "K=0"),
        ({"K": 2.5}, "K=2.5"),
        ({"K": True}, "K=True"),
        ({"K": "3"}, "K='3'"),
        ({"K": None}, "K=None"),
        ({"K": np.nan}, "K=nan"),
        ({"K": np.inf}, "K=inf"),
        ({"L": 0}, "L=0"),
        ({"L": 1.5}, "L=1.5"),
        ({"L": True}, "L=True"),
        ({"n": 0}, "n=0"),
        ({"n": -1}, "n=-1"),
        ({"n": True}, "n=True"),
        ({"n": None}, "n=None"),
        ({"n": (2, 2)}, "n must.*length 3.*length 2"),
        ({"n": (1, 2, 0)}, "n=0"),
        ({"n": "abc"}, "n='abc'"),
        ({"d": 0}, "d=0"),
        ({"d": 2.5}, "d=2.5"),
        ({"d": (4, 4, 4)}, "d must.*length 2.*length 3"),
        ({"d": (4, 0)}, "d=0"),
        ({"lam": None}, "lam is required"),
        ({"lam": -0.1}, "lam=-0.1"),
        ({"lam": np.nan}, "lam=nan"),
        ({"lam": np.inf}, "lam=inf"),
        ({"lam": True}, "lam=True"),
        ({"lam": "0.1"}, "lam='0"),
        ({"lam": (0.1, 0.1)}, "L\\+1=3.*length 2"),
        ({"lam": (0.1, 0.1, 0.0)}, "lam must be positive for every factor, or zero for all.*0.0\\)"),
        ({"lam": 1j}, "lam=1j"),
        ({"bias": -0.1}, "bias=-0.1"),
        ({"bias": np.nan}, "bias=nan"),
        ({"bias": True}, "bias=True"),
        ({"bias": "yes"}, "bias='yes'"),
        ({"loss": "cee"}, "loss='cee'.*'ce'"),
        ({"loss": None}, "loss=None"),
        ({"activation": "rellu"}, "activation='rellu'.*'relu'"),
        ({"activation": None}, "activation=None"),
    ],
)
def test_what_is_no_problem_is_refused_by_argument_and_value(arguments, said):
    with pytest.raises(ValueError, match=said):
        Problem(**{"K": 3, "L": 2, "lam": 0.1, **arguments})


@pytest.mark.parametrize(
    ("arguments", "same"),
    [
        ({"n": (4, 4, 4)}, {"n": 4}),
        ({"n": np.array([4, 4, 4])}, {"n": 4}),
        ({"d": [5, 5]}, {"d": 5}),
        ({"d": None}, {"d": 3}),
        ({"lam": (0.1, 0.1, 0.1)}, {"lam": 0.1}),
        ({"lam": 1}, {"lam": 1.0}),
        ({"K": 3.0, "n": 2.0}, {"n": np.int64(2)}),
        ({"n": [1, 2, 3]}, {"n": (1, 2, 3)}),
        ({"loss": Focal(2)}, {"loss": "focal(2.0)"}),
        ({"loss": "label_smoothing(0)"}, {"loss": "ce"}),
        ({"activation": "leaky_relu"}, {"activation": "leaky_relu(0.01)"}),
        ({"bias": 0}, {"bias": 0.0}),
    ],
)
def test_problems_that_say_the_same_are_equal_and_hash_alike(arguments, same):
    one, other = (Problem(**{"K": 3, "L": 2, "lam": 0.1, **a}) for a in (arguments, same))
    assert one == other
    assert hash(one) == hash(other)
    assert {one: "seen"}[other] == "seen"


@pytest.mark.parametrize(
    "changed",
    [
        {"K": 4},
        {"n": 2},
        {"n": (1, 1, 2)},
        {"d": 4},
        {"L": 3},
        {"lam": 0.2},
        {"loss": "mse"},
        {"activation": "tanh"},
        {"bias": 0.0},
    ],
)
def test_every_argument_tells_problems_apart(changed):
    plain = {"K": 3, "L": 2, "lam": 0.1}
    assert Problem(**plain) != Problem(**{**plain, **changed})


EXAMPLES = [
    Problem(K=3, lam=0.1),
    Problem(K=3, n=(1, 2, 5), d=(4, 7), L=2, lam=(0.1, 0.2, 1 / 3), loss="mse", bias=0.5),
    Problem(K=2, n=4, L=3, lam=2**-20, loss="focal(0.123456789)", activation="tanh", bias=0.0),
    Problem(K=2, lam=0.1, loss="label_smoothing(0.3)", activation="leaky_relu"),
    Problem(K=2, lam=0.1, activation="leaky_relu(0.25)"),
]


@pytest.mark.parametrize("problem", EXAMPLES)
def test_a_problem_goes_through_json_unchanged(problem):
    assert Problem.from_dict(json.loads(json.dumps(problem.to_dict()))) == problem


def test_from_dict_names_the_field_it_does_not_know():
    with pytest.raises(ValueError, match=r"'lamda'.*'lam'"):
        Problem.from_dict({"K": 3, "lamda": 0.1})


def test_from_dict_refuses_a_loss_it_cannot_know():
    mine = Problem(K=3, lam=0.1, loss=Loss.from_function(lambda Z, Y: anp.sum((Z - Y) ** 4, axis=0), "mine"))
    with pytest.raises(ValueError, match="loss='mine'"):
        Problem.from_dict(mine.to_dict())


def test_effective_weight_is_the_geometric_mean():
    assert Problem(K=3, L=2, lam=(0.1, 0.2, 0.4)).Lam == pytest.approx(0.2, rel=1e-15)
    assert Problem(K=3, L=2, lam=0.3).Lam == 0.3
    assert Problem(K=3, L=2, lam=0.3).lams == (0.3, 0.3, 0.3)
    assert Problem(K=3, L=9, lam=[1e-40] * 9 + [2e-40]).Lam == pytest.approx(1e-40 * 2**0.1, rel=1e-12)


def test_sizes_follow_the_layers():
    problem = Problem(K=3, n=(1, 2, 2), d=(7, 2), L=2, lam=0.1)
    assert (problem.D, problem.N, problem.widths, problem.max_rank) == (3, 5, (7, 2), 2)
    assert problem.shapes() == [(7, 5), (2, 7), (3, 2)]
    assert problem.shapes(3, (4, 4)) == [(4, 3), (4, 4), (3, 4)]
    assert problem.labels.tolist() == [0, 1, 1, 2, 2]
    assert not problem.balanced
    assert Problem(K=3, lam=0.1).max_rank == 3


@pytest.mark.parametrize(
    "problem", [Problem(K=3, n=4, lam=0.1), Problem(K=3, n=(1, 2, 5), lam=0.1), Problem(K=3, lam=0.1)]
)
def test_class_columns_and_sample_columns_tell_the_same_sum(problem):
    samples, classes = problem.samples, problem.classes
    loss = np.array([1.0, 10.0, 100.0])  # of any sample of class c
    assert loss[problem.labels] @ samples.weight == pytest.approx(loss @ classes.weight, rel=1e-15)
    assert samples.weight.sum() == pytest.approx(1.0) == classes.weight.sum()
    assert np.array_equal(samples.Y, np.eye(3)[:, problem.labels])
    z = np.arange(3.0)  # a row of class logits: the stored columns have the norm of all samples
    assert np.sum((z / classes.scale) ** 2) == pytest.approx(np.sum((z * samples.scale[:3])[problem.labels] ** 2))
    assert classes.copies.sum() == problem.N


@pytest.mark.parametrize(
    ("problem", "printed"),
    [
        (
            Problem(K=3, n=(1, 2, 5), d=(4, 6), L=2, lam=(0.1, 0.2, 0.3), loss="mse", bias=0.5),
            (
                "minimise MSE(W_2 W_1 H_1 + b; 3 classes, counts (1, 2, 5)) + 0.1/2 |H_1|^2 + 0.2/2 |W_1|^2 + 0.3/2"
                " |W_2|^2 + 0.5/2 |b|^2\n  H_1 4 x 8, W_1 6 x 4, W_2 3 x 6; linear; 77 parameters"
            ),
        ),
        (
            Problem(K=2, L=3, lam=2**-4, loss="focal(2)", activation="relu"),
            (
                "minimise focal(2)(W_3 s(W_2 s(W_1 H_1)); 2 classes x 1) + 0.0625/2 (|H_1|^2 + |W_1|^2 + |W_2|^2 +"
                " |W_3|^2)\n  H_1 2 x 2, W_1 2 x 2, W_2 2 x 2, W_3 2 x 2; relu; 16 parameters"
            ),
        ),
        (
            Problem(K=2, lam=1),
            (
                "minimise CE(W_1 H_1; 2 classes x 1) + 1/2 (|H_1|^2 + |W_1|^2)\n  H_1 2 x 2, W_1 2 x 2; linear; 8"
                " parameters"
            ),
        ),
    ],
)
def test_a_problem_prints_as_what_it_minimises(problem, printed):
    assert repr(problem) == printed


@pytest.mark.parametrize("problem", EXAMPLES)
def test_the_printed_number_of_parameters_is_what_a_point_holds(problem):
    point = FactorPoint(problem, tuple(np.zeros(shape) for shape in problem.shapes()))
    held = sum(A.size for A in point.factors) + (0 if point.b is None else point.b.size)
    assert int(re.search(r"(\d+) parameters", repr(problem))[1]) == held


def test_a_long_list_of_counts_is_cut_short_in_print():
    assert "counts (1, 2, 3, 4, 5, 6, 7, 8, ...)" in repr(Problem(K=12, n=range(1, 13), lam=0.1))


def test_samples_per_class_are_one_number_or_none():
    assert Problem(K=3, n=4, lam=0.1).per_class == 4
    with pytest.raises(ValueError, match=r"equal counts here; got n=\(1, 2, 3\)"):
        _ = Problem(K=3, n=(1, 2, 3), lam=0.1).per_class
