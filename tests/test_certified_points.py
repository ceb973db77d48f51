"""Certified critical points: existence, isolation and index, and that nothing false passes."""

import json
from dataclasses import replace

import numpy as np
import pytest

import ufm
from ufm.certificates import models
from ufm.certificates.certificate import Certificate
from ufm.certificates.check import Rejected
from ufm.certificates.check import check as check_data
from ufm.certificates.check.critical import BITS, DECIMALS, Place, System, decimal, pivots, read_decimal
from ufm.certificates.check.matrices import floats, inertia, matrix
from ufm.certificates.check.record import sealed
from ufm.certificates.critical_points import certify_landscape, critical
from ufm.critical.classify import classify
from ufm.numerics import balls
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.structures import dnc, pairs, zero


def _proved(point, index=None):
    made = critical(point)
    expected = classify(point).index if index is None else index
    assert made.holds, made
    assert made.check(), made.objection()
    assert made.data["index"] == expected
    assert f"rank {point.rank} and index {expected} " in made.statement
    return made


@pytest.mark.parametrize("L", [1, 2, 3, 4])
@pytest.mark.parametrize("K", [2, 4, 6])
@pytest.mark.parametrize("structure", [zero, dnc, pairs])
def test_structures_have_the_index_that_floats_say(structure, K, L):
    made = _proved(structure(Problem(K=K, L=L, lam=1e-2)))
    assert made.kind == "critical"
    assert made.arithmetic == "ball"
    assert ("local minimum" in made.statement) == (made.data["index"] == 0)


@pytest.mark.parametrize("structure", [pytest.param(dnc, marks=pytest.mark.slow), pairs])
def test_ten_classes(structure):
    made = _proved(structure(Problem(K=10, L=3, lam=1e-3)), 0)
    assert made.margin >= 1e-7


@pytest.mark.parametrize(
    ("K", "L", "C", "index"), [(6, 4, 0.16, 9), pytest.param(10, 3, 0.03, 35, marks=pytest.mark.slow)]
)
def test_dnc_below_its_threshold_is_a_saddle_of_index_K_choose_2_minus_K(K, L, C, index):
    assert index == K * (K - 3) // 2
    _proved(dnc(Problem(K=K, L=L, lam=2 * C / (L + 1))), index)


def test_a_plain_pair_is_a_saddle_of_the_whole_problem_and_wider_ones_more_so():
    """(d - r) #{sigma_i(G_perp) > Lam}: 0 on the stratum, K/2 - 1 directions for each free column."""
    for K, d in ((4, 4), (4, 9), (6, 6)):
        _proved(pairs(Problem(K=K, d=d, L=1, lam=1e-2)), (d - K // 2) * (K // 2 - 1))
    assert "local minimum" in _proved(pairs(Problem(K=4, d=2, L=1, lam=1e-2)), 0).statement


@pytest.mark.parametrize("d", [2, 5])
def test_zero_of_the_plain_model_is_a_saddle_by_d_times_singular_values_above_lam(d):
    _proved(zero(Problem(K=4, d=d, L=1, lam=0.01)), 3 * d)
    _proved(zero(Problem(K=4, d=d, L=1, lam=0.3)), 0)
    assert not critical(zero(Problem(K=4, d=d, L=1, lam=0.25))).holds, "sigma = Lam exactly: undecided"


def test_every_nondegenerate_point_of_a_landscape():
    """K = 4, L = 2, C = 0.02: all that floats call nondegenerate are proved, with the same index."""
    atlas = ufm.landscape(Problem(K=4, L=2, lam=0.02 / 1.5), rng=0, starts=3)
    made = certify_landscape(atlas)
    clear = [(f, c) for f, c in zip(atlas, made, strict=True) if f.nullity == f.nullity_symmetry]
    assert len(clear) >= 15
    for found, c in clear:
        assert c.holds and c.data["index"] == found.index, (found, c)
    for found, c in zip(atlas, made, strict=True):
        assert not c.holds or found.index_range[0] <= c.data["index"] <= found.index_range[1]


CASES = [
    {"K": 3, "n": (1, 2, 4), "L": 2, "lam": 0.01},
    {"K": 4, "n": 3, "d": 6, "L": 3, "lam": (0.01, 0.02, 0.005, 0.03)},
    {"K": 3, "n": 2, "L": 2, "lam": 0.02, "bias": 0.05},
    {"K": 4, "n": (1, 1, 2, 3), "L": 1, "lam": 0.01, "bias": 0.0},
    {"K": 3, "n": (1, 2, 4), "L": 3, "lam": 0.01, "bias": 0.0},
    {"K": 4, "L": 2, "lam": 0.005, "loss": "label_smoothing(0.1)"},
    {"K": 3, "n": (1, 2, 4), "L": 2, "lam": 0.02, "loss": "mse"},
    {"K": 3, "n": (1, 2, 3), "L": 2, "lam": 0.02, "loss": "mse", "bias": 0.0},
    {"K": 2, "n": (1, 3), "L": 6, "lam": 0.02},
    {"K": 5, "L": 2, "lam": 1e-7},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_end_points_of_descent(case):
    """Imbalanced, biased, other losses, per-factor weights: distinct singular values, no symmetry."""
    ends = ufm.multistart(Problem(**case), starts=3, rng=1)
    for result in ends.results:
        point = result.point
        _proved(point.to_logits() if isinstance(point, FactorPoint) else point)


def test_all_forms_of_a_point_give_one_certificate():
    problem = Problem(K=3, n=3, d=5, L=2, lam=0.01)
    point = dnc(problem)
    made = critical(point)
    on_samples = LogitPoint(problem, point.U, point.s, point.V)
    for form in (classify(point), point.lift(rng=0), on_samples):
        other = critical(form)
        assert other.holds, other
        assert other.statement == made.statement


def test_the_stored_point_is_the_one_given():
    point = ufm.multistart(Problem(K=4, n=(1, 2, 2, 5), L=3, lam=0.01), starts=1, rng=3).results[0].point
    assert point.rank > 1
    data = critical(point).data
    A, B, E = (np.array([[float(t) for t in row] for row in data[name]]) for name in "ABE")
    np.testing.assert_allclose(A @ E @ E @ B.T, point.matrix(), atol=1e-11)
    np.testing.assert_allclose(A.T @ A, E @ E, atol=1e-13)
    np.testing.assert_allclose(B.T @ B, E @ E, atol=1e-13)


def test_per_factor_weights_enter_by_their_geometric_mean():
    one = critical(dnc(Problem(K=3, L=2, lam=(0.02, 0.01, 0.005))))
    two = critical(dnc(Problem(K=3, L=2, lam=0.01)))
    assert (one.holds, one.statement) == (True, two.statement)


def test_exact_lam():
    point = dnc(Problem(K=3, L=2, lam=1 / 30))
    assert critical(point, "1/30").data["problem"]["lam"] == ["1/30"] * 3
    with pytest.raises(ValueError, match="not the problem's"):
        critical(point, "1/29")


def test_saddles_without_symmetry():
    atlas = ufm.landscape(Problem(K=4, n=(2, 1, 3, 1), L=2, lam=0.01), rng=0, starts=6)
    signatures = {(f.rank, _proved(f.point, f.index).data["index"]) for f in atlas if f.nullity == f.nullity_symmetry}
    assert {0, 1, 2, 3} <= {rank for rank, _ in signatures}
    assert max(index for _, index in signatures) > 1


@pytest.mark.parametrize(
    ("structure", "case"),
    [
        (dnc, {"K": 4, "d": 5, "L": 2, "lam": 0.163}),
        (pairs, {"K": 4, "d": 5, "n": 2, "L": 1, "lam": 0.02}),
        (zero, {"K": 3, "n": 2, "d": 4, "L": 1, "lam": 0.1}),
    ],
    ids=["dnc", "pairs", "zero"],
)
def test_the_index_is_that_of_the_dense_hessian(structure, case):
    objective, x = objective_of(structure(Problem(**case)).lift())
    values = np.linalg.eigvalsh(objective.hessian(x))
    index = int(np.sum(values < -1e-9))
    assert index > 0
    _proved(structure(Problem(**case)), index)


# --- derivatives


def _system(case, r, rng):
    with balls.precision(BITS):
        system = System.at(models.model(Problem(**case)), r, list(range(r - 1)))
        return system, [balls.ball(float(v)) for v in rng.normal(size=system.size)]


def _derivative_errors(case):
    """Largest differences of gradient and Hessian from central differences with h = 2^-40 in 192 bits."""
    rng = np.random.default_rng(0)
    system, x = _system(case, 2, rng)
    with balls.precision(BITS):
        h, direction = balls.ball(2) ** -40, [balls.ball(float(v)) for v in rng.normal(size=system.size)]
        ahead, behind = ([v + s * h * d for v, d in zip(x, direction, strict=True)] for s in (1, -1))
        slope = (system.value(ahead) - system.value(behind)) / (2 * h)
        exact = sum((g * d for g, d in zip(system.gradient(x), direction, strict=True)), balls.ball(0))
        change = [(a - b) / (2 * h) for a, b in zip(system.gradient(ahead), system.gradient(behind), strict=True)]
        product = (system.hessian(x) * matrix([[d] for d in direction])).entries()
        J = floats(system.hessian(x))
        np.testing.assert_allclose(J, J.T, atol=1e-14)
        return float(abs(slope - exact).mid()), max(
            float(abs(a - b).mid()) for a, b in zip(change, product, strict=True)
        )


@pytest.mark.parametrize("case", [*CASES[:9], {"K": 3, "L": 1, "lam": 0.1, "bias": 0.1}], ids=str)
def test_gradient_and_hessian_are_derivatives_of_the_objective(case):
    assert max(_derivative_errors(case)) < 1e-20


@pytest.mark.parametrize("part", ["fit_part", "bent_part"])
def test_a_hessian_off_by_a_millionth_is_seen(monkeypatch, part):
    right = getattr(System, part)
    monkeypatch.setattr(System, part, lambda self, here: right(self, here) * balls.ball("1.000001"))
    slope, change = _derivative_errors(CASES[1])
    assert slope < 1e-20 < 1e-9 < change


def test_value_is_the_objective():
    made = critical(pairs(Problem(K=6, n=2, L=3, lam=0.01)))
    with balls.precision(BITS):
        system = System.of(models.model(Problem(K=6, n=2, L=3, lam=0.01)), made.data)
        fun = Place(system, system.read(made.data)).fun()
    assert float(fun.mid()) == pytest.approx(Stratum(pairs(Problem(K=6, n=2, L=3, lam=0.01))).fun, abs=1e-14)
    assert fun.rad() < 1e-27


# --- inertia


def test_inertia_of_known_matrices():
    rng = np.random.default_rng(3)
    with balls.precision(BITS):
        for negative in range(6):
            X = rng.normal(size=(5, 5))
            signs = np.where(np.arange(5) < negative, -1.0, 1.0) * 10.0 ** rng.uniform(-3, 3, 5)
            assert inertia(matrix(X @ np.diag(signs) @ X.T)) == negative
        assert inertia(matrix([[1, 2], [2, 4]])) is None
        assert inertia(matrix([[balls.between(-1e-9, 1e-9)]])) is None
        tiny = matrix([[balls.ball("1e-25"), 0], [0, 1]])
        assert (inertia(tiny), inertia(tiny * -1)) == (0, 2)
        turn = matrix([[1, 1], [-1, 1]])
        assert inertia(turn * matrix([[balls.ball("-1e-22"), 0], [0, 1]]) * turn.transpose()) == 1


# --- what must fail


def _forged(made: Certificate, **changes) -> Certificate:
    forged = replace(made, **changes)
    return forged.signed()


def _texts(data):
    """(row path, text) of every stored number."""
    for name in "ABE":
        for i, row in enumerate(data[name]):
            for j, text in enumerate(row):
                yield (name, i, j), text
    for i, text in enumerate(data["b"] or []):
        yield ("b", i), text


def _with(data, path, text):
    changed = json.loads(json.dumps(data))
    here = changed
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = text
    return changed


@pytest.mark.parametrize("case", [CASES[0], CASES[4], {"K": 4, "L": 2, "lam": 0.01}], ids=str)
def test_no_digit_can_be_changed(case):
    """Every stored number, one digit of it (first, last, any), with the fingerprint made anew."""
    made = critical(ufm.multistart(Problem(**case), starts=1, rng=2).results[0].point)
    assert made.check()
    rng = np.random.default_rng(5)
    for path, text in _texts(made.data):
        digits = [k for k, c in enumerate(text) if c.isdigit()]
        for k in {digits[-1], int(rng.choice(digits))}:
            other = text[:k] + str((int(text[k]) + int(rng.integers(1, 10))) % 10) + text[k + 1 :]
            data = _with(made.data, path, other)
            assert not replace(made, data=data).check()
            assert not _forged(made, data=sealed(data)).check(), (path, text, other)


def test_other_fields_are_pinned():
    made = critical(pairs(Problem(K=4, n=2, L=2, lam=0.01)))
    data = made.data
    problem = data["problem"]
    changes = [
        {"index": 1},
        {"index": -1},
        {"index": False},
        {"rho": "1e-3"},
        {"rho": "1e-6"},
        {"rho": None},
        {"rho": "1e9"},
        {"E": []},
        {"b": ["0." + "0" * DECIMALS] * 4},
        {"problem": {**problem, "lam": ["0.01", "0.01", "0.011"]}},
        {"problem": {**problem, "n": [2, 2, 2, 3]}},
        {"problem": {**problem, "L": 3, "d": [4, 4, 4], "lam": ["0.01"] * 4}},
        {"problem": {**problem, "loss": "mse"}},
        {"problem": {**problem, "loss": "focal(2)"}},
        {"problem": {**problem, "d": [1, 4]}},
        {"problem": {**problem, "bias": "0"}},
    ]
    for change in changes:
        assert not _forged(made, data={**data, **change}).check(), change
        assert not _forged(made, data=sealed({**data, **change})).check(), change
    for wrong in ("index 1 (strict saddle)", "index 0 (strict saddle)"):
        assert not _forged(made, statement=made.statement.replace("index 0 (local minimum)", wrong)).check()


def test_a_false_index_is_rejected_by_its_reason():
    for structure, index in ((dnc, 9), (pairs, 0)):
        data = critical(structure(Problem(K=6, L=4, lam=0.064))).data
        assert data["index"] == index
        for wrong in (0, 1, 8, 10):
            if wrong != index:
                with pytest.raises(Rejected, match=f"the index is {index}, not {wrong}"):
                    check_data("critical", sealed({**data, "index": wrong}))


def test_a_negative_E_is_no_deep_critical_point():
    """At L = 3, (A, -E, B) has the same product and is a zero of the gradient; it is not balanced by positive
    frames."""
    data = critical(pairs(Problem(K=4, L=3, lam=0.01))).data
    flipped = [[t[1:] if t.startswith("-") else t if not t.strip("0.") else "-" + t for t in row] for row in data["E"]]
    with pytest.raises(Rejected, match="positive definite"):
        check_data("critical", sealed({**data, "E": flipped}))


def test_texts_have_one_form():
    assert read_decimal(decimal(-12345)) == -12345
    for text in ("0.1", "-0." + "0" * DECIMALS, "00." + "0" * DECIMALS, 0.5, None, "1e-3", "0." + "0" * (DECIMALS + 1)):
        with pytest.raises(Rejected, match="decimals"):
            read_decimal(text)
    with pytest.raises(Rejected, match="gauge"):
        pivots([[1000, 1], [2000, 3]])


def test_refusals_say_why():
    plain = {"K": 3, "L": 2, "lam": 0.01}
    moved = dnc(Problem(**plain))
    moved = LogitPoint(moved.problem, moved.U, moved.s * 1.01, moved.right)
    cases = {
        "not critical: gradient norm": moved,
        "only linear layers are covered": FactorPoint(
            Problem(**plain, activation="relu"), tuple(np.ones((3, 3)) for _ in range(3))
        ),
        "focal": zero(Problem(**plain, loss="focal(2)")),
        "whole families": ufm.multistart(Problem(K=4, d=2, L=2, lam=0.01, loss="mse"), starts=1, rng=0)
        .results[0]
        .point,
        "too close to Lam": zero(Problem(K=4, L=1, lam=0.25)),
    }
    for reason, point in cases.items():
        made = critical(point)
        assert not made.holds
        assert not made.check()
        assert reason in made.why, made.why
    with pytest.raises(ValueError, match="LogitPoint"):
        critical(3)


def test_a_loss_of_the_users_own_is_not_taken_for_its_namesake():
    from ufm.losses import Loss

    mine = Loss.from_function(lambda Z, Y: 0.5 * ((Z - 2 * Y) ** 2).sum(0), "mse", convex=True)
    assert "knows cross-entropy" in critical(zero(Problem(K=3, L=2, lam=0.01, loss=mine))).why


@pytest.mark.parametrize("distance", [1e-3, 1e-7, 1e-10, 1e-13, 0.0])
def test_near_the_stability_threshold_of_dnc_the_index_is_right_or_undecided(distance):
    """K = 4, L = 2: lam* = a^(1-p)/(e^a + K - 1), a = K (1 - p), beyond which DNC has index K (K-3)/2 = 2."""
    K, L = 4, 2
    p = 2 / (L + 1)
    a = K * (1 - p)
    threshold = a ** (1 - p) / (np.exp(a) + K - 1)
    for side, index in ((-1, 0), (1, K * (K - 3) // 2)):
        made = critical(dnc(Problem(K=K, L=L, lam=threshold * (1 + side * distance))))
        assert made.data["index"] == index if made.holds else distance < 1e-6, made
        assert not made.holds or distance


def test_at_the_fold_of_dnc_nothing_is_proved():
    """lam = max_a a^(1-p)/(e^a + K - 1): the two scales merge, the stratum Hessian is singular along the ray."""
    from scipy.optimize import brentq

    K, L = 3, 2
    a = brentq(lambda a: (np.exp(a) + K - 1) / 3 - a * np.exp(a), 0.1, 5, xtol=1e-15)
    top = a ** (1 / 3) / (np.exp(a) + K - 1)
    assert critical(dnc(Problem(K=K, L=L, lam=top * (1 - 1e-4)))).holds
    scale = a * (1 - 1e-9)
    near = dnc(Problem(K=K, L=L, lam=top * (1 - 1e-4)))
    problem = Problem(K=K, L=L, lam=scale ** (1 / 3) / (np.exp(scale) + K - 1))
    made = critical(LogitPoint(problem, near.U, np.full(2, scale), near.right))
    assert not made.holds or float(made.data["rho"]) < 1e-8
