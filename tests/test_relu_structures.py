"""Closed forms of deep ReLU models against the full objective at explicit weights."""

from dataclasses import replace

import numpy as np
import pytest

from ufm import structures
from ufm.critical.classify import classify
from ufm.critical.identify import identify
from ufm.critical.relu_names import hidden_rank, name_of
from ufm.numerics.graphs import complete, complete_multipartite, cycle, petersen, simple_graphs, wheel
from ufm.objectives.clarke import clarke
from ufm.objectives.factors import value
from ufm.objectives.logits import value as linear_value
from ufm.objectives.stationary import ROUNDING
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.structures import graph_codes, relu_collapse
from ufm.structures.graph_codes import graph_code, rho, srg
from ufm.structures.relu_collapse import f, fold, kappa, relu_dnc, tau


def relu(K, L, lam, loss="mse", **rest):
    return Problem(K=K, L=L, lam=lam, loss=loss, activation="relu", **rest)


def is_stationary(point):
    """Clarke residual at most 1e-10 of the ridge's own gradient, or rounding of the fit's."""
    found = clarke(point)
    return found.relative < 1e-10 or found.residual < ROUNDING


def some_lams(rng, L, K, n, strength):
    """L + 1 ridge weights whose kappa is `strength`."""
    lam = np.exp(1.5 * rng.standard_normal(L + 1))
    return tuple(lam * strength / (K * (n * np.prod(lam)) ** (1 / (L + 1))))


@pytest.mark.parametrize("loss", ["mse", "ce", "label_smoothing(0.1)"])
def test_dnc_costs_its_closed_form_and_is_stationary(loss):
    rng = np.random.default_rng(0)
    for _ in range(20):
        K, L = int(rng.integers(2, 7)), int(rng.integers(2, 7))
        n = tuple(rng.integers(1, 5, K).tolist()) if loss == "mse" and rng.random() < 0.5 else int(rng.integers(1, 5))
        lam = some_lams(rng, L, K, float(np.mean(n)), 10 ** rng.uniform(-5, -1.6))
        problem = relu(K, L, lam, loss, n=n, d=tuple(rng.integers(K, K + 4, L).tolist()))
        for root in ("large", "small"):
            for second in ("identity", "pairs", "etf"):
                point = relu_dnc(problem, root, second=second)
                assert value(point) == pytest.approx(relu_collapse.loss(problem, root), rel=1e-13)
                assert is_stationary(point)


def test_a_planted_error_is_seen():
    problem = relu(5, 3, (0.002, 0.01, 0.004, 0.003), n=2)
    point = relu_dnc(problem)
    wrong = FactorPoint(problem, (*point.factors[:-1], 1.001 * point.factors[-1]))
    assert value(wrong) > relu_collapse.loss(problem) * (1 + 1e-9) and clarke(wrong).relative > 1e-4
    code = graph_code(relu(10, 4, 0.004), complete(5))
    shifted = FactorPoint(code.problem, (code.factors[0] * 1.001, *code.factors[1:]))
    assert value(shifted) > graph_codes.loss(code.problem, complete(5)) * (1 + 1e-9) and clarke(shifted).relative > 1e-4


def test_dnc_through_relu_costs_what_it_costs_in_the_linear_model_under_mse():
    for n in (1, 3, (1, 2, 5, 4)):
        problem = relu(4, 3, (0.004, 0.01, 0.002, 0.003), n=n)
        linear = replace(problem, activation="linear")
        assert relu_collapse.loss(problem) == pytest.approx(linear_value(structures.dnc(linear)), rel=1e-13)


@pytest.mark.parametrize("L", [2, 3, 4, 7])
def test_thresholds(L):
    assert f(tau(L) * (1 - 1e-6), L) < 0.5 and f(tau(L) * (1 + 1e-6), L) == 0.5
    assert relu_collapse.mse_roots(tau(L), L)[-1] == pytest.approx((L - 1) / L, rel=1e-12)
    K = 3
    assert relu_dnc(relu(K, L, fold(L) * (1 - 1e-6) / K)).problem.K == K
    with pytest.raises(ValueError, match="dnc does not exist"):
        relu_dnc(relu(K, L, fold(L) * (1 + 1e-6) / K))
    product = (L - 1) ** (L - 1) / (2.0 ** (L + 1) * L ** (2.0 * L))  # the published threshold for two classes
    problem = relu(2, L, product ** (1 / (L + 1)))
    assert kappa(problem)[0] == pytest.approx(tau(L), rel=1e-12) and relu_collapse.loss(problem) == pytest.approx(
        0.5, rel=1e-12
    )


def test_partial_fits_add_up():
    problem = relu(6, 3, 0.004, n=2, d=8)
    whole = relu_collapse.loss(problem)
    for m in (1, 3, 5):
        point = relu_dnc(problem, fitted=m)
        assert value(point) == pytest.approx((6 - m) / 12 + m / 6 * whole, rel=1e-13) and clarke(point).relative < 1e-10
        assert name_of(point) == f"partial({m})" and hidden_rank(point) == m
    assert np.flatnonzero(relu_dnc(problem, fitted=(4, 1)).product().any(axis=1)).tolist() == [1, 4]


def test_the_second_layer_may_be_anything_of_its_kind():
    problem = relu(6, 3, 0.004, d=(3, 6, 6))
    pairs = relu_dnc(problem, second="pairs")  # rank 3, so a first width of 3 is enough
    assert value(pairs) == pytest.approx(relu_collapse.loss(problem), rel=1e-13)
    triangular = np.eye(6) - np.array(graph_codes.disjointness(complete(4)))
    assert clarke(relu_dnc(problem, second=triangular)).relative < 1e-10
    for wrong, why in (
        (np.ones((6, 6)), "second must be"),
        ("identity", "first width"),
        ("simplex", "second must be one of"),
    ):
        with pytest.raises(ValueError, match=why):
            relu_dnc(problem, second=wrong)


POOL = [
    complete(4),
    complete(5),
    complete(6),
    complete(7),
    complete(8),
    complete_multipartite(3, 3),
    complete_multipartite(2, 2, 2),
    cycle(5),
    wheel(5),
    petersen(),
]


def test_codes_cost_their_closed_form_over_random_problems():
    rng = np.random.default_rng(1)
    made = 0
    while made < 60:
        L, n = int(rng.integers(3, 7)), int(rng.integers(1, 5))
        parts = [POOL[i] for i in rng.integers(0, len(POOL), int(rng.integers(1, 3)))]
        K = sum(map(len, parts)) + int(rng.integers(0, 3))
        width = sum(max(len(g), g.vertices) for g in parts) + 2
        problem = relu(
            K,
            L,
            some_lams(rng, L, K, n, 10 ** rng.uniform(-4, -0.6)),
            n=n,
            d=tuple((width + rng.integers(0, 4, L)).tolist()),
        )
        variant = "identity" if rng.random() < 0.2 else "disjoint"
        try:
            point = graph_code(problem, parts, variant)
        except ValueError as reason:
            assert "does not exist here" in str(reason)
            continue
        made += 1
        assert value(point) == pytest.approx(graph_codes.loss(problem, parts, variant), rel=1e-13)


def test_codes_obey_their_bound_and_its_limit():
    rng = np.random.default_rng(2)
    for graph in (complete(5), complete(6), complete_multipartite(3, 3), cycle(5)):
        for L in (3, 4, 5):
            ratio = rho(graph, L)
            for strength in 10 ** rng.uniform(-7, -0.8, 5):
                problem = relu(len(graph), L, strength / len(graph))
                assert graph_codes.part_loss(problem, graph) <= f(ratio * strength, L) * (1 + 1e-13)
            tiny = relu(len(graph), L, 1e-9 / len(graph))
            assert graph_codes.loss(tiny, graph) / relu_collapse.loss(tiny) == pytest.approx(ratio, rel=1e-5)


@pytest.mark.parametrize("L, lam", [(3, 1e-12), (12, 1e-12), (20, 1e-6), (3, 1e-40)])
def test_extreme_weights_are_survived(L, lam):
    for loss in ("mse", "ce"):
        problem = relu(10, L, lam, loss, n=2, d=12)
        points, _ = structures.existing(problem)
        assert all(np.isfinite(value(p)) for p in points.values()) and {"dnc", "zero"} <= set(points)
        if lam > 1e-40:  # below, 1 - z is not a number of float64
            assert value(points["dnc"]) == pytest.approx(relu_collapse.loss(problem), rel=1e-12)


def test_known_numbers():
    problem = relu(10, 4, 0.004)
    assert value(srg(problem)) == pytest.approx(0.0809113321993693, rel=1e-14)
    assert relu_collapse.loss(problem) == pytest.approx(0.0991798746355952, rel=1e-14)
    assert rho(complete_multipartite(3, 3), 3) == pytest.approx(0.9783183435, abs=1e-10)
    assert [round(rho(complete(r), 3), 4) for r in (4, 5, 6, 7, 8)] == [1.0561, 0.9234, 0.9268, 0.9381, 0.9476]
    assert [round(rho(complete(r), 4), 5) for r in (4, 5, 6, 7)] == [0.96327, 0.81681, 0.78345, 0.76276]
    assert all(rho(complete(r), 3, "identity") > 1 for r in (4, 5, 6))
    assert rho(complete_multipartite(2, 3), 3) == pytest.approx(np.inf) or rho(complete_multipartite(2, 3), 3) > 1


@pytest.mark.parametrize(
    "r, L, stationary",
    [(4, 3, False), (4, 5, False), (5, 3, True), (5, 5, True), (6, 4, True), (7, 3, True), (7, 4, False)],
)
def test_where_srg_is_stationary(r, L, stationary):
    K = r * (r - 1) // 2
    residual = clarke(srg(relu(K, L, 0.02 / K))).relative
    assert residual < 1e-10 if stationary else residual > 1e-3


@pytest.mark.parametrize("K, L", [(6, 4), (7, 5), (8, 4), (10, 3), (11, 3), (13, 4), (14, 3), (20, 3), (23, 6)])
@pytest.mark.parametrize("strength", [1e-6, 1e-2, 0.999])
def test_dnc_is_beaten_as_the_theorem_says(K, L, strength):
    problem = relu(K, L, strength * tau(L) / K)
    points, _ = structures.existing(problem)
    assert min(value(p) for n, p in points.items() if "srg" in n or "code" in n) < min(0.5, value(points["dnc"])) * (
        1 - 1e-9
    )


def test_catalogue_of_relu_models():
    names = set(structures.existing(relu(10, 4, 0.004))[0])
    assert {"zero", "dnc", "dnc(small)", "partial(1)", "srg(r=5)"} <= names
    assert "srg(r=4)+dnc(1)" in structures.existing(relu(7, 4, 0.004))[0]
    assert "code(K3,3)" in structures.existing(relu(9, 3, 0.001))[0]
    assert {"relu_pairs", "dnc"} <= set(structures.existing(relu(10, 4, 0.001, "ce"))[0])
    assert all(isinstance(p, FactorPoint) for p in structures.existing(relu(5, 2, 0.01))[0].values())
    large, reasons = structures.existing(relu(5, 3, 0.5))
    assert set(large) == {"zero"} and "fold" in reasons["dnc"]
    assert not structures.existing(Problem(K=4, L=2, lam=0.01, activation="tanh"))[0]


def test_codes_that_cannot_be_are_refused_with_the_reason():
    cases = [
        (relu(6, 2, 0.01), complete(4), "L >= 3"),
        (relu(6, 3, 0.01, "ce"), complete(4), "mse"),
        (relu(6, 3, 0.01, n=(1, 2, 1, 1, 1, 1)), complete(4), "equal class counts"),
        (relu(6, 3, 0.01, d=5), complete(4), "d_3 >= 6"),
        (relu(5, 3, 0.01), complete(4), "6 edges"),
        (relu(3, 3, 0.01), complete(3), "separates nothing"),
        (relu(6, 3, 0.5), complete(4), "lam too large"),
        (replace(relu(6, 3, 0.01), activation="leaky_relu"), complete(4), "ReLU"),
    ]
    for problem, graph, why in cases:
        with pytest.raises(ValueError, match=why):
            graph_code(problem, graph)
    with pytest.raises(ValueError, match="r\\(r-1\\)/2"):
        srg(relu(7, 3, 0.01))


@pytest.mark.parametrize(
    "K, L, rest",
    [(6, 2, {}), (7, 4, {"n": (1, 2, 3, 1, 2, 3, 1)}), (10, 3, {"bias": 0.1}), (8, 2, {"n": tuple(range(1, 9))})],
)
def test_the_catalogue_refuses_codes_with_the_reason(K, L, rest):
    points, reasons = structures.existing(relu(K, L, 1e-3, **rest))
    assert "zero" in points and not any("srg" in name or "code" in name for name in points)
    assert any("graph codes" in why for why in reasons.values())


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda p: graph_code(p, None), "part must"),
        (lambda p: graph_code(p, ()), "parts must"),
        (lambda p: graph_codes.code(p, "K4"), "graph must"),
        (lambda p: graph_codes.part_loss(p, 4), "graph must"),
        (lambda p: graph_codes.part_loss(p, complete(4), "other"), "variant must"),
        (lambda p: graph_codes.part_loss(replace(p, L=2), complete(4)), "L=2"),
        (lambda p: graph_codes.lone_loss(replace(p, n=(1, 2, 1, 1, 1, 1))), "n="),
        (lambda p: rho("K4", 3), "graph must"),
        (lambda p: graph_codes.srg_order(-3), "K must"),
        (lambda p: structures.relu_pairs(3), "problem must"),
    ],
)
def test_bad_arguments_of_codes_are_named(call, name):
    with pytest.raises(ValueError, match=name):
        call(relu(6, 4, 1e-3))


@pytest.mark.parametrize("variant", graph_codes.VARIANTS)
@pytest.mark.parametrize("r, K, L", [(4, 6, 3), (5, 13, 5), (8, 28, 6)])
def test_codes_exist_up_to_their_fold(r, K, L, variant):
    """Largest lam with a minimum on the ray, from the maximum over u of -dfit/dlog u / (1/2 (Q u)^(1/L)), Q u growing
    like lam^(L+1) u/lam."""
    graph = complete(r)
    mu, count = graph_codes.code_spectrum(graph, variant)
    v = np.exp(np.linspace(-8.0, 12.0, 200_001))[:, None] * mu**2 / np.max(mu**2)
    pull = np.sum(count * v / (1 + v) ** 2, axis=1) / K
    ridge = np.exp((graph_codes.code_log_Q(relu(K, L, 1.0), graph) + np.log(K * v[:, 0] / mu[0] ** 2)) / L)
    edge = float(np.max(pull / ridge)) ** (L / (L + 1))
    for times in (1 - 1e-7, 1 - 1e-9):
        assert graph_codes.loss(relu(K, L, edge * times), graph, variant) > 0.5
    with pytest.raises(ValueError, match="lam too large"):
        graph_codes.loss(relu(K, L, edge * (1 + 1e-7)), graph, variant)


def test_names_survive_permuted_and_split_neurons():
    rng = np.random.default_rng(3)
    for graph, name in ((complete(5), "srg(r=5)"), (complete_multipartite(3, 3), "code(K3,3)"), (cycle(5), "code(C5)")):
        point = graph_code(relu(len(graph), 4, 0.01 / len(graph), d=20), graph)
        H, W1, W2, W3, W4 = point.factors
        p, q = rng.permutation(20), rng.permutation(len(graph))
        mixed = FactorPoint(point.problem, (H[:, q], W1[p], W2[:, p], W3, W4[q]))
        assert name_of(mixed) == name
        loud = FactorPoint(point.problem, (H + 0.05 * rng.standard_normal(H.shape), *point.factors[1:]))
        assert name_of(loud).startswith("unnamed")
    assert (
        name_of(relu_dnc(relu(4, 3, 0.01), second="etf")) == "dnc"
        and name_of(relu_dnc(relu(4, 3, 0.01), "small")) == "dnc(small)"
    )


def test_a_class_with_small_features_is_fitted_nevertheless():
    """Features at a tenth of the others' size are features: no partial fit of the others, at any tolerance of noise
    below that."""
    H, *W = relu_dnc(relu(4, 3, 0.01)).factors
    H, W = H.copy(), [w.copy() for w in W]
    H[:, 0] *= 0.1
    point = FactorPoint(relu(4, 3, 0.01), (H, *W))
    assert name_of(point, 0.02) == "unnamed(rank=4)"
    H[:, 0] *= 0.1
    assert name_of(FactorPoint(point.problem, (H, *W)), 0.02) == "partial(3)"


def test_every_graph_with_five_edges_has_its_price():
    problem = relu(5, 3, 0.002)
    prices = {g.name: graph_codes.part_loss(problem, g) for g in simple_graphs(5)}
    assert len(prices) >= 20 and min(prices.values()) > relu_collapse.loss(problem)  # none beats DNC at K = 5, L = 3


@pytest.mark.parametrize("second, fitted", [("pairs", None), ("etf", 3), ("identity", 2)])
def test_rank_and_name_are_one_story_at_two_layers(second, fitted):
    """M_2 is not determined there: its rank is half that of its ReLU, which the name and the signature both go by."""
    point = relu_dnc(relu(4, 2, 0.01), fitted=fitted, second=second)
    who, what = identify(point), classify(point)
    assert who.rank == what.rank == hidden_rank(point) == (fitted or 4)
    assert who.name == ("dnc" if fitted is None else f"partial({fitted})")


@pytest.mark.parametrize("K, L, steps", [(4, 2, 60), (5, 3, 100), (10, 4, 150)])
def test_rank_and_name_agree_where_a_run_is_cut_short(K, L, steps):
    for rng in range(4):
        result = minimize(relu(K, L, 0.02 / K, d=2 * K), rng=rng, max_steps=steps, progress=False)
        who, what = identify(result), classify(result)
        assert who.rank == what.rank and (
            not who.name.startswith("unnamed") or who.name == f"unnamed(rank={what.rank})"
        )


def test_a_small_remainder_has_rank_zero_and_equal_logits_under_mse_are_not_zero():
    problem = Problem(K=3, L=2, lam=0.5, loss="mse", activation="tanh")
    rng = np.random.default_rng(0)
    dust = FactorPoint(problem, tuple(1e-11 * rng.standard_normal(shape) for shape in problem.shapes()))
    assert classify(dust).rank == 0 and set(classify(dust).ranks) == {0} and identify(dust).name == "zero"
    flat = FactorPoint(problem, (np.ones((3, 3)), np.eye(3), 0.2 * np.ones((3, 3))))
    assert identify(flat).name == "unnamed(rank=1)"
    assert identify(FactorPoint(replace(problem, loss="ce"), flat.factors)).name == "zero"
