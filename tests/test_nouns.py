"""Everything a verb returns, every verb takes."""

import numpy as np
import pytest

import ufm
from ufm import plot
from ufm.certificates import orders
from ufm.critical import measures
from ufm.objectives.clarke import clarke
from ufm.points import held_point
from ufm.solvers import starts

P = ufm.Problem(K=4, n=2, d=5, L=2, lam=0.02)
RELU = ufm.Problem(K=4, L=2, lam=0.002, loss="mse", activation="relu")
DNC = ufm.structures.dnc(P)


def pairs_at(p):
    return ufm.structures.pairs(held_point(p).problem)


NOUNS = {
    "LogitPoint": lambda: DNC,
    "FactorPoint": DNC.lift,
    "Result": lambda: ufm.minimize(P, rng=0),
    "best of multistart": lambda: ufm.multistart(P, 2, 0).best,
    "CriticalPoint": lambda: ufm.classify(DNC),
    "row of compare": lambda: ufm.compare(P, 0, prove=False).winner,
    "row of landscape": lambda: ufm.landscape(P, 0, 0, max_idempotents=1).best,
    "row of basins": lambda: ufm.basins(P, 5, 0)[0],
    "row of profile": lambda: ufm.profile(P, 0)[3],
    "point of a branch": lambda: ufm.follow(DNC, 0.021, steps=3).points[1],
    "top of a path": lambda: ufm.path(DNC, pairs_at(DNC), "straight").top,
    "minimum of a network": lambda: ufm.connect([DNC]).minima[0],
}
EVERY = {
    "classify": ufm.classify,
    "identify": ufm.identify,
    "collapse": ufm.collapse,
    "minimize": lambda p: ufm.minimize(held_point(p).problem, p, rng=0, max_steps=3),
    "minimize with gd": lambda p: ufm.minimize(held_point(p).problem, p, "gd", rng=0, lr=0.1, steps=2),
    "multistart": lambda p: ufm.multistart(held_point(p).problem, 2, 0, start=starts.near(p), max_steps=3),
    "basins": lambda p: ufm.basins(held_point(p).problem, 2, 0, start=p, max_steps=3),
    "clarke": clarke,
    "plot.logits": plot.logits,
    "plot.singular_values": lambda p: plot.singular_values({"it": p}),
}
LINEAR = {
    "certify": ufm.certify,
    "path to": lambda p: ufm.path(pairs_at(p), p, "balanced"),
    "path from": lambda p: ufm.path(p, pairs_at(p), "balanced"),
    "read_trajectory": lambda p: ufm.read_trajectory(np.zeros((2, 4, 4)), [p, pairs_at(p)]),
    "order": lambda p: orders.order(p, pairs_at(p)),
    "plot.costs": lambda p: plot.costs([p]),
    "plot.ray": lambda p: plot.ray({"it": p}, samples=20),
}
CRITICAL = {
    "follow": lambda p: ufm.follow(p, 1.01 * held_point(p).problem.Lam, steps=2),
    "connect": lambda p: ufm.connect([p]),
    "spectrum": measures.spectrum,
    "flatness": measures.flatness,
    "solution_dimension": measures.solution_dimension,
    "escape_rate": measures.escape_rate,
    "plot.code": plot.code,
    "plot.hessian_spectra": lambda p: plot.hessian_spectra({"it": p}),
}


@pytest.fixture(scope="module")
def nouns():
    return {name: make() for name, make in NOUNS.items()}


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize("verb", [*EVERY, *LINEAR, *CRITICAL])
def test_every_verb_takes_every_noun(nouns, verb):
    for name, value in nouns.items():
        if verb not in CRITICAL or name != "top of a path":  # the highest point of a straight line is not critical
            assert {**EVERY, **LINEAR, **CRITICAL}[verb](value) is not None or verb == "escape_rate", name


def test_rows_of_relu_models_are_taken_where_the_model_is_and_refused_by_name_elsewhere():
    row = ufm.compare(RELU, 0)["dnc"]
    for verb in EVERY.values():
        assert verb(row) is not None
    for name, verb in {**LINEAR, "follow": CRITICAL["follow"]}.items():
        if name == "certify":
            assert not any(proof.holds for proof in verb(row))
            continue
        with pytest.raises(ValueError, match=r"linear|relu"):
            verb(row)


def test_a_point_measured_for_collapse_brings_its_labels_and_weights():
    best = ufm.minimize(P, rng=0)
    factors = best.point.lift()
    by_hand = ufm.collapse(features=[H.T for H in factors.layers()], labels=P.labels, weights=list(factors.factors[1:]))
    assert ufm.collapse(best) == by_hand
    with pytest.raises(ValueError, match="X is a point, which has features, labels"):
        ufm.collapse(best, P.labels)


@pytest.mark.parametrize("verb", [ufm.classify, ufm.follow, ufm.path, clarke, plot.logits, starts.near])
def test_what_is_no_point_is_refused_by_name(verb):
    given = {ufm.follow: (P, 0.1), ufm.path: (P, DNC)}.get(verb, (P,))
    with pytest.raises(ValueError, match=r"(point|a) must be a point, or hold one as \.point .* got Problem"):
        verb(*given)
