"""Everything public survives pickling and copying and then equals itself."""

import copy
import pickle
from dataclasses import is_dataclass, replace

import autograd.numpy as anp
import joblib
import numpy as np
import pytest

import ufm
from theory.cases import Case
from theory.evidence import Evidence
from theory.registry import claims
from ufm.activations import Activation, activation, smoothed
from ufm.landscapes.sources.narrow import low_rank_ends
from ufm.losses import Loss, loss
from ufm.networks.data import Data
from ufm.networks.network import Network
from ufm.numerics.content import ByContent, same
from ufm.numerics.seeds import seed_sequence
from ufm.solvers.batch import run_batch

PROBLEM = ufm.Problem(4, n=2, L=2, lam=0.02)
RELU = ufm.Problem(4, L=2, lam=0.02, activation="relu")
FEATURES, LABELS = np.random.default_rng(0).standard_normal((12, 3)), np.repeat([0, 1, 2], 4)


def huber(Z, Y):
    return anp.sum(anp.sqrt(1 + (Z - Y) ** 2) - 1, axis=0)


NOUNS = {
    "Problem": lambda: PROBLEM,
    "Problem, relu": lambda: RELU,
    "Problem, tanh and bias": lambda: ufm.Problem(
        3, n=(1, 2, 2), L=3, lam=(0.1, 0.2, 0.3, 0.4), activation="tanh", bias=0.1
    ),
    "Problem, leaky": lambda: ufm.Problem(3, L=2, lam=0.1, activation="leaky_relu(0.2)", loss="focal(2)"),
    "Problem, own": lambda: ufm.Problem(
        3, L=2, lam=0.1, activation=Activation.from_function(anp.tanh), loss=Loss.from_function(huber)
    ),
    "Columns": lambda: PROBLEM.classes,
    "Loss": lambda: loss("label_smoothing(0.1)"),
    "Loss, own": lambda: Loss.from_function(huber, "huber", convex=True),
    "Activation": lambda: activation("relu"),
    "Activation, smoothed": lambda: smoothed(0.1, 0.5),
    "LogitPoint": lambda: ufm.structures.dnc(PROBLEM),
    "FactorPoint": lambda: ufm.structures.dnc(PROBLEM).lift(),
    "Result": lambda: ufm.minimize(PROBLEM, rng=0, trace=1),
    "Result, gd": lambda: ufm.minimize(PROBLEM, rng=0, method="gd", steps=5),
    "CriticalPoint": lambda: ufm.classify(ufm.structures.dnc(PROBLEM)),
    "Multistart": lambda: ufm.multistart(PROBLEM, 2, 0),
    "BatchResult": lambda: run_batch(PROBLEM, 2, 0),
    "BatchResult, factors": lambda: run_batch(ufm.Problem(3, L=2, lam=0.1, activation="tanh"), 2, 0),
    "LowRankEnds": lambda: low_rank_ends(ufm.Problem(7, d=3, L=2, lam=0.01), 1, seed_sequence(0)),
    "Comparison": lambda: ufm.compare(PROBLEM, 1, 0),
    "Comparison, relu": lambda: ufm.compare(RELU, 0, 0),
    "Landscape": lambda: ufm.landscape(ufm.Problem(3, L=2, lam=0.02), starts=0, rng=0),
    "Landscape, mse": lambda: ufm.landscape(ufm.Problem(3, L=2, lam=0.02, loss="mse")),
    "Profile": lambda: ufm.profile(PROBLEM, 1, 0),
    "Basins": lambda: ufm.basins(PROBLEM, 3, 0),
    "PhaseDiagram": lambda: ufm.phase_diagram([4], [2], [1e-2, 2e-2], ("dnc", "pairs")),
    "Branch": lambda: ufm.follow(ufm.structures.dnc(PROBLEM), 0.0201),
    "Identity": lambda: ufm.identify(np.eye(4)),
    "Collapse": lambda: ufm.collapse(FEATURES, LABELS),
    "Certificate": lambda: ufm.certify(PROBLEM, ["order"]),
    "Network": lambda: Network((2, 3, 2)),
    "Data": lambda: Data(FEATURES.T, LABELS),
    "Case": lambda: Case(K=4, L=2),
    "Evidence": lambda: Evidence(1.0, "<", 2.0, tol=1e-9),
}
NEEDS_FLINT = {"Certificate"}


@pytest.fixture(scope="module", params=NOUNS)
def noun(request):
    if request.param in NEEDS_FLINT:
        pytest.importorskip("flint")
    return NOUNS[request.param]()


@pytest.mark.parametrize(
    "way", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy], ids=["pickle", "deepcopy", "copy"]
)
def test_a_copy_equals_what_it_was_made_from(noun, way):
    again = way(noun)
    assert again == noun and hash(again) == hash(noun) and again in [noun] and repr(again) == repr(noun)
    assert again != object() and noun != "something else"


def test_a_change_in_one_number_is_seen():
    point = ufm.structures.dnc(PROBLEM)
    assert point != replace(point, s=point.s * (1 + 1e-15)) and point != replace(point, name="dnc(small)")
    assert ufm.structures.dnc(PROBLEM) == point and ufm.structures.pairs(PROBLEM) != point


def test_a_users_lambdas_are_equal_by_what_they_compute():
    def power(k):
        return Loss.from_function(lambda Z, Y: anp.sum((Z - Y) ** k, axis=0))

    assert power(4) == power(4) != power(6) and hash(power(4)) == hash(power(4))
    assert ufm.Problem(3, L=2, lam=0.1, loss=power(4)) == ufm.Problem(3, L=2, lam=0.1, loss=power(4))


def test_nan_equals_nan_and_shapes_and_kinds_count():
    assert same({"a": [np.array([np.nan]), float("nan")]}, {"a": [np.array([np.nan]), float("nan")]})
    assert (
        not same(np.zeros(2), np.zeros((2, 1)))
        and not same(np.zeros(2), np.zeros(2, dtype=int))
        and not same(np.zeros(1), 0.0)
    )
    assert same(np.float64(1.0), 1.0) and not same("1", 1)


def test_a_store_keyed_by_a_problem_knows_it_again(tmp_path):
    fresh, used = ufm.Problem(4, n=2, L=2, lam=0.02), ufm.Problem(4, n=2, L=2, lam=0.02)
    assert used.counts.sum() == 8 and used.samples is not None
    assert joblib.hash(fresh) == joblib.hash(used) == joblib.hash(pickle.loads(pickle.dumps(used)))
    table = ufm.compare(PROBLEM, 0)
    joblib.dump(table, tmp_path / "table")
    assert joblib.load(tmp_path / "table") == table


@pytest.mark.slow
def test_every_claim_survives_and_is_itself():
    for claim in claims():
        assert pickle.loads(pickle.dumps(claim)) is copy.deepcopy(claim) is claim


@pytest.mark.slow
def test_a_problem_with_lambdas_travels_to_another_process_and_back():
    problem = ufm.Problem(
        3, L=2, lam=0.05, loss=Loss.from_function(lambda Z, Y: anp.sum((Z - Y) ** 4, axis=0), convex=True)
    )
    (table,) = joblib.Parallel(n_jobs=2)(joblib.delayed(ufm.compare)(p, 1, 0) for p in [problem])
    assert table.problem == problem and table.winner.point.problem == problem


INNER = {
    "ufm.critical.near_zero.Spectrum",
    "ufm.networks.steps.State",
    "ufm.numerics.intervals.Interval",
    "ufm.objectives.gated.Gated",
    "ufm.objectives.strata.Strata",
    "ufm.solvers.finish.Finished",
    "ufm.solvers.lbfgs.Rows",
    "ufm.solvers.newton.Newton",
    "ufm.solvers.kinks.KinkEnd",
    "ufm.solvers.kinks.pieces.Piece",
}
"""Records that live inside one computation and are never handed out, and the numbers of interval arithmetic."""


@pytest.mark.slow
def test_records_with_arrays_compare_by_content():
    """No public record falls back on comparing arrays with ==, whose answer is an array, or on being the same
    object."""
    import importlib
    import pkgutil

    left = []
    for info in pkgutil.walk_packages(ufm.__path__, "ufm."):
        if ".check" in info.name or info.name == "ufm.__main__":
            continue
        for name, kind in vars(importlib.import_module(info.name)).items():
            mine = (
                isinstance(kind, type)
                and kind.__module__ == info.name
                and is_dataclass(kind)
                and not name.startswith("_")
            )
            if (
                mine
                and any("ndarray" in str(f.type) for f in kind.__dataclass_fields__.values())
                and not issubclass(kind, ByContent)
            ):
                left.append(f"{info.name}.{name}")
    assert set(left) <= INNER
