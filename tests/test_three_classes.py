"""Three classes: every bound of the branch and bound holds at points inside the boxes, and nothing false is
certified."""

from dataclasses import replace

import numpy as np
import pytest

from ufm.certificates.certificate import Certificate
from ufm.certificates.check import three_classes as bb
from ufm.certificates.check.model import Model
from ufm.certificates.check.record import sealed
from ufm.certificates.check.rejected import Rejected, Undecided
from ufm.certificates.check.scales import enclose
from ufm.certificates.three_classes import three_classes, three_classes_interval
from ufm.numerics import balls
from ufm.numerics.intervals import Interval
from ufm.objectives.logits import value
from ufm.points import from_matrix
from ufm.problem import Problem

ORDER = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
TAKEOVER = {2: ".2603", 3: ".2640", 4: ".2716", 5: ".2791", 8: ".2968"}
SLACK = 1e-12


def matrices(m):
    """Centred Z (..., 3, 3) of margins (6, ...)."""
    Z = np.zeros((*m.shape[1:], 3, 3))
    for c in range(3):
        a, b = m[2 * c], m[2 * c + 1]
        for j, x in ((c, (a + b) / 3), (ORDER[2 * c][1], (b - 2 * a) / 3), (ORDER[2 * c + 1][1], (a - 2 * b) / 3)):
            Z[..., j, c] = x
    return Z


def spectrum(m):
    s = np.linalg.svd(matrices(m), compute_uv=False)[..., :2]
    return np.where(s > 1e-13 * s[..., :1], s, 0.0)


def loss_of(m):
    return np.mean(np.log1p(np.exp(-m[0::2]) + np.exp(-m[1::2])), axis=0)


def F(m, C, p):
    return loss_of(m) + C * np.sum(spectrum(m) ** p, axis=-1)


def boxes(rng, count, about=None, widest=2.0):
    """Random boxes (6, count) of all sizes and (6, count, 20) points in them, corners and the middle among them."""
    centre = rng.normal(0, 1, (6, count)) * 10.0 ** rng.uniform(-2, 1, count) + rng.uniform(0, 4, count)
    if about is not None:
        centre = about + rng.normal(0, 1, (6, count)) * 10.0 ** rng.uniform(-3, 0, count)
    h = widest * rng.uniform(0, 1, (6, count)) * 10.0 ** rng.uniform(-4, 0, count)
    t = rng.uniform(-1, 1, (6, count, 20))
    t[..., 10:] = np.sign(t[..., 10:])
    t[..., 0] = 0
    lo, hi = centre - h, centre + h
    points = np.clip(centre[..., None] + t * h[..., None], lo[..., None], hi[..., None])
    return lo, hi, points


def made_up(L, C, goal, alpha=None):
    return bb.Case(bb.power(L), (Interval.of(C),), (goal,), alpha)


def holds_inside(rng, L=3):
    """Bounds of single quantities."""
    lo, hi, m = boxes(rng, 2000)
    s, p = spectrum(m), 2 / (L + 1)
    V, scale = s[..., 0] * s[..., 1], 1 + np.max(np.abs(m))
    below, above = bb.columns(lo, hi)
    norms = np.moveaxis(np.sum(matrices(m) ** 2, -2), -1, 0)
    assert np.all(below[..., None] <= norms + SLACK * scale**2) and np.all(norms <= above[..., None] + SLACK * scale**2)
    assert np.all(bb.volume(lo, hi)[:, None] <= V + SLACK * scale**2)
    least_T, most_T = bb.add(Interval.of(below)).lo, bb.add(Interval.of(above)).hi
    penalty = bb.penalty(least_T, bb.volume(lo, hi), bb.power(L))
    assert np.all(penalty[:, None] <= np.sum(s**p, -1) + 1e-6 * scale)
    assert np.all(bb.singular_values(most_T, bb.volume(lo, hi))[1][:, None] <= s[..., 1] + 1e-9 * scale)
    assert np.all(bb.fit(Interval.of(hi)).lo[:, None] <= loss_of(m) + SLACK * scale)
    e = np.exp(-m)
    total = 1 + e[0::2] + e[1::2]
    q, every = bb.shares(lo, hi), e / np.repeat(total, 2, axis=0)
    assert np.all(q.lo[..., None] <= every + SLACK) and np.all(every <= q.hi[..., None] + SLACK)
    least = np.minimum(1 / total, np.minimum(every[0::2], every[1::2]))
    assert np.all(bb.least_shares(lo, hi)[..., None] <= least + SLACK)


def test_bounds_hold_at_points_of_the_boxes():
    holds_inside(np.random.default_rng(0))


@pytest.mark.parametrize("name", ["volume", "columns", "least_shares"])
def test_a_flipped_bound_is_seen(monkeypatch, name):
    """The test above can fail: bounds taken at the wrong end leave points out."""
    true = getattr(bb, name)
    wrong = {
        "volume": lambda lo, hi: bb.add(bb.minors(lo, hi).square()).sqrt().hi,
        "columns": lambda lo, hi: true(lo, hi)[::-1],
        "least_shares": lambda lo, hi: true(hi, hi),
    }
    monkeypatch.setattr(bb, name, wrong[name])
    with pytest.raises((AssertionError, ValueError)):
        holds_inside(np.random.default_rng(0))


@pytest.mark.parametrize("L", [2, 5, 20])
def test_slopes_contain_the_derivatives_also_at_equal_singular_values(L):
    rng, p = np.random.default_rng(L), 2 / (L + 1)
    m = np.concatenate([rng.normal(1, 2, (6, 300)), np.full((6, 1), 3.0), 2 + 10.0 ** rng.uniform(-15, -3, (6, 60))], 1)
    V = bb.volume(m, m)
    cost, slope = bb.penalty_slope(Interval.of(m), V, bb.power(L))
    U, s, Vt = np.linalg.svd(matrices(m))
    keep = (s[:, 1] > 1e-3) & (V > 0)
    G = p * np.einsum("nik,nk,nkj->nij", U[..., :2], np.where(keep[:, None], s[:, :2], 1.0) ** (p - 1), Vt[:, :2])
    expected = np.stack([-G[:, j, c] for c, j in ORDER])
    assert keep.sum() > 300
    assert np.all((np.abs(expected - np.clip(expected, slope.lo, slope.hi)) < 1e-6 * (1 + np.abs(expected)))[:, keep])
    assert np.all((slope.hi - slope.lo)[:, keep] < 1e-4 * (1 + np.abs(expected))[:, keep])
    f = np.sum(s[:, :2] ** p, -1)
    assert np.all((np.abs(f - cost.middle) < 1e-7 * f)[keep])
    g = bb.fit_slope(Interval.of(m))
    step = 1e-6 * np.eye(6)[:, :, None]
    numeric = np.stack([(loss_of(m + step[k]) - loss_of(m - step[k])) / 2e-6 for k in range(6)])
    assert np.max(np.abs(numeric - g.middle)) < 1e-8


@pytest.mark.parametrize("L, C", [(2, 0.2), (3, 0.02), (10, 0.2)])
def test_boxes_called_too_costly_are(L, C):
    rng, p = np.random.default_rng(1), 2 / (L + 1)
    for about in (None, float(bb.dnc_case(L, repr(C)).alpha.lo)):
        lo, hi, m = boxes(rng, 1500, about, widest=0.5)
        values = F(m, C, p)
        found = np.zeros(2, int)
        for offset in (0.0, 1e-4, 1e-2, 0.1, 0.3):
            goal = float(np.median(values)) - offset if about is None else float(F(np.full(6, about), C, p)) + offset
            case = made_up(L, C, goal)
            least = bb.penalty(bb.add(Interval.of(bb.columns(lo, hi)[0])).lo, bb.volume(lo, hi), case.p)
            reasons = bb.too_costly(bb.fit(Interval.of(hi)).lo, least, case), bb.too_costly_by_taylor(lo, hi, case)
            for k, done in enumerate(reasons):
                found[k] += done.sum()
                assert np.all(values[done] > goal - 1e-9)
        assert np.all(found > 50)


@pytest.mark.parametrize("L, C", [("2", ".239"), ("2", "1e-6"), ("5", ".05"), ("20", ".2")])
def test_convexity_about_dnc_and_the_slope_at_zero(L, C):
    L, rng, p = int(L), np.random.default_rng(2), 2 / (int(L) + 1)
    case, number = bb.dnc_case(L, C), balls.arithmetic.number(C)
    lo, hi, m = boxes(rng, 3000, float(case.alpha.lo), widest=0.5)
    done = bb.near_the_claim(lo, hi, case)
    assert done.sum() > 200 and not np.all(done)
    assert np.all(F(m[:, done], number, p) >= case.goal[0] * (1 - 1e-9))
    zero = bb.zero_case(L, C)
    lo, hi, m = boxes(rng, 3000, 0.0, widest=0.5)
    shrink = (3 * number) ** (1 / (1 - p))
    done = bb.near_the_claim(lo * shrink, hi * shrink, zero)
    assert done.sum() > 200 and not np.all(done)
    assert np.all(F(m[:, done] * shrink, number, p) >= np.log(3) - 1e-12)


def test_boxes_about_critical_points_are_never_discarded_as_having_none():
    """dnc and blocks(2,1) with either scale, of rank 2 and 1."""
    rng = np.random.default_rng(3)
    for L, C in ((2, 0.1), (3, 0.05), (8, 0.02)):
        model = Model(3, (1, 1, 1), (3,) * L, L, (f"2*{C}/{L + 1}",) * (L + 1))
        known = [np.full(6, float(enclose(model, "dnc", root).scales[0].mid())) for root in ("large", "small")]
        for root in ("large", "small"):
            t = float(enclose(model, "blocks(2,1)", root).scales[0].mid()) / 2
            known.append(np.array([2 * t, t, 2 * t, t, 0.0, 0.0]))
        for m in known:
            h = rng.uniform(1e-9, 1, (6, 400)) * 10.0 ** rng.uniform(-9, 0.5, 400)
            lo, hi = m[:, None] - h * rng.uniform(0.01, 1, h.shape), m[:, None] + h * rng.uniform(0.01, 1, h.shape)
            case = made_up(L, C, 1.0)
            least = bb.penalty(bb.add(Interval.of(bb.columns(lo, hi)[0])).lo, bb.volume(lo, hi), case.p)
            assert not np.any(bb.not_critical(lo, hi, least, case))
        lo, hi, _ = boxes(rng, 2000, known[0][0])
        least = bb.penalty(bb.add(Interval.of(bb.columns(lo, hi)[0])).lo, bb.volume(lo, hi), case.p)
        assert bb.not_critical(lo, hi, least, case).sum() > 300


@pytest.mark.parametrize("L, C", [(2, ".25"), (3, "1e-3"), (10, ".2"), (20, "1e-8")])
def test_the_domain_contains_every_point_that_costs_less_than_the_goal(L, C):
    rng, p = np.random.default_rng(4), 2 / (L + 1)
    case, number = bb.dnc_case(L, C), balls.arithmetic.number(C)
    low, high = bb.domain(case)
    assert low < case.alpha.lo and case.alpha.hi < high
    m = float(case.alpha.lo) * (1 + rng.normal(size=(6, 20_000)) * 10.0 ** rng.uniform(-2, 0.5, 20_000))
    cheap = F(m, number, p) <= case.goal[0] * 1.1
    raised = replace(case, goal=(case.goal[0] * 1.1,))
    low, high = bb.domain(raised)
    assert cheap.sum() > 50 and np.all((m >= low) & (m <= high), axis=0)[cheap].all()


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    "settings",
    [
        {"L": 2, "lam": 0.05},
        pytest.param({"L": 2, "lam": 1e-8}, marks=pytest.mark.slow),
        {"L": 3, "lam": 0.01, "n": 3, "d": [2, 9, 3]},
        {"L": 5, "lam": 1e-3},
        {"L": 20, "lam": 1e-3},
        {"L": 2, "lam": [1e-3, 0.1, 0.02], "n": 2},
    ],
)
def test_dnc_is_certified(settings):
    problem = Problem(K=3, **settings)
    made = three_classes(problem)
    assert (
        made.holds
        and made.kind == "global"
        and made.statement == "dnc is a global minimum"
        and made.arithmetic == "interval"
    )
    assert Certificate(**made.to_dict()).check()


def test_zero_is_certified_at_large_lam_for_every_width():
    for settings in ({"L": 2, "lam": 2.0}, {"L": 6, "lam": 0.2}, {"L": 3, "lam": 0.4, "d": 1, "n": 2}):
        made = three_classes(Problem(K=3, **settings))
        assert made.holds and made.statement == "zero is a global minimum" and made.check()


@pytest.mark.quick(2)
@pytest.mark.parametrize("L", TAKEOVER)
def test_above_the_takeover_nothing_is_certified(L):
    C = TAKEOVER[L]
    lam = f"2*{C}/{L + 1}"
    problem = Problem(K=3, L=L, lam=balls.arithmetic.number(lam))
    made = three_classes(problem, lam)
    assert not made.holds and not made.check() and "blocks(2,1), of rank 1, costs less" in made.why
    case = bb.dnc_case(L, C)
    with pytest.raises(Undecided, match="undecided after"):
        bb.search(case, 8_000)
    t = float(enclose(Model(3, (1, 1, 1), (3,) * L, L, (lam,) * (L + 1)), "blocks(2,1)").scales[0].mid()) / 2
    m, rng = np.array([2 * t, t, 2 * t, t, 0, 0])[:, None], np.random.default_rng(5)
    assert F(m[:, 0], balls.arithmetic.number(C), 2 / (L + 1)) < case.goal[0]
    h = rng.uniform(0.01, 1, (2, 6, 300)) * 10.0 ** rng.uniform(-9, 0.5, 300)
    h[1, 0] = np.max(h[1], axis=0)
    assert bb.remaining(m - h[0], m + h[1], case)[0].shape[1] == 300


def test_below_the_takeover_a_small_limit_says_undecided():
    made = three_classes(Problem(K=3, L=2, lam=0.17), limit=3000)
    assert not made.holds and not made.check() and "undecided after" in made.why
    assert "not proved" in repr(made)


def test_a_goal_that_is_too_low_would_be_met():
    """The test of the test: above the takeover the search does end when the value to beat is replaced by a lower
    one."""
    case = bb.dnc_case(2, ".2603")
    assert bb.search(replace(case, goal=(0.9,), alpha=None), 25_000) > 0


def resealed(made, **changes):
    data = sealed({**{k: v for k, v in made.data.items() if k != "digest"}, **changes})
    forged = replace(made, data=data)
    return forged.signed()


@pytest.mark.slow
def test_tampering_is_seen():
    made = three_classes(Problem(K=3, L=2, lam=0.02))
    model = made.data["model"]
    assert not replace(made, data={**made.data, "boxes": made.data["boxes"] + 1}).check()
    assert resealed(made).check()
    for changes in (
        {"boxes": made.data["boxes"] + 2},
        {"limit": 10},
        {"claim": "zero"},
        {"claim": "pairs"},
        {"model": {**model, "lam": ["0.18"] * 3}},
        {"model": {**model, "lam": ["0.021"] * 3}},
        {"model": {**model, "n": [1, 1, 2]}},
        {"model": {**model, "d": [1, 3]}},
        {"model": {**model, "bias": "0"}},
        {"model": {**model, "loss": "mse"}},
        {"model": {**model, "K": 4, "n": [1] * 4}},
    ):
        forged = resealed(made, **changes)
        forged = resealed(forged, limit=min(forged.data["limit"], 5_000))
        assert not forged.check(), changes
    assert not resealed(replace(made, statement="zero is a global minimum")).check()
    assert not resealed(replace(made, arithmetic="ball")).check()


@pytest.mark.quick(1)
@pytest.mark.parametrize("high", ["1.1e-3", "1.5e-3"])
def test_a_range_of_C(high):
    made = three_classes_interval(2, "1e-3", high)
    assert made.holds and made.check()
    assert (
        made.statement
        == "dnc is a global minimum for K=3, L=2, d >= 2, equal counts n and every C = (D/2) Lam n^(1/D) in [1e-3,"
        f" {high}]"
    )
    cuts = made.data["cuts"]
    assert cuts[0] == "1e-3" and cuts[-1] == high
    for changes in (
        {"cuts": cuts[1:]},
        {"cuts": [*cuts[:-1], "1.6e-3"]},
        {"cuts": cuts[::-1]},
        {"cuts": cuts[:1]},
        {"L": 1},
        {"L": 3},
        {"claim": "zero"},
    ):
        assert not resealed(made, **changes).check(), changes


def test_a_range_is_compared_with_a_tangent_above_the_loss():
    case = bb.dnc_case(3, "1e-2", "1.3e-2")
    for C in np.linspace(1e-2, 1.3e-2, 7):
        t = (C - 1e-2) / 0.3e-2
        at = bb.dnc_case(3, repr(float(C)))
        assert at.goal[0] <= (1 - t) * case.goal[0] + t * case.goal[1] + 1e-11
        assert case.alpha.lo <= at.alpha.lo + 1e-9 and at.alpha.hi <= case.alpha.hi + 1e-9


def test_a_range_across_the_takeover_is_not_certified():
    made = three_classes_interval(2, "0.25", "0.27", limit=30_000)
    assert not made.holds and "undecided" in made.why


def test_the_normal_form_is_the_problem():
    rng = np.random.default_rng(6)
    for _ in range(20):
        L, n = int(rng.integers(2, 8)), int(rng.integers(1, 9))
        lam = [float(f"{x:.4g}") for x in 10.0 ** rng.uniform(-4, -1, L + 1)]
        problem = Problem(K=3, L=L, n=n, lam=lam if rng.uniform() < 0.5 else lam[0])
        model = Model(3, (n,) * 3, (3,) * L, L, tuple(map(balls.text, problem.lams)))
        with balls.precision(128):
            C = balls.ball(bb.C_text(model))
            assert C.overlaps(model.C()) and C.rad() < 1e-30
        m = rng.normal(size=6) * 3
        assert np.isclose(value(from_matrix(problem, matrices(m))), F(m, float(C.mid()), 2 / (L + 1)), rtol=1e-12)


@pytest.mark.parametrize(
    "settings, why",
    [
        ({"K": 4, "L": 2}, "K=4"),
        ({"K": 3, "L": 1}, "L=1"),
        ({"K": 3, "L": 2, "n": (1, 2, 2)}, "equal counts"),
        ({"K": 3, "L": 2, "bias": 0.1}, "bias"),
        ({"K": 3, "L": 2, "loss": "mse"}, "cross-entropy"),
    ],
)
def test_what_the_argument_does_not_cover_is_refused(settings, why):
    made = three_classes(Problem(lam=0.01, **settings))
    assert not made.holds and why in made.why
    with pytest.raises(Rejected, match=why):
        bb.cases({"claim": "dnc", "model": made_model(settings)})


def made_model(settings):
    problem = Problem(lam=0.01, **settings)
    bias = None if problem.bias is None else balls.text(problem.bias)
    return Model(
        problem.K,
        tuple(map(int, problem.counts)),
        problem.widths,
        problem.L,
        ("0.01",) * problem.D,
        problem.loss.name,
        bias,
    ).to_dict()


def test_bad_input():
    with pytest.raises(ValueError, match="problem"):
        three_classes("a problem")
    with pytest.raises(ValueError, match="limit"):
        three_classes(Problem(K=3, L=2, lam=0.01), limit=0)
    with pytest.raises(ValueError, match="lam"):
        three_classes(Problem(K=3, L=2, lam=0.01), lam="0.02")
    with pytest.raises(ValueError, match="L"):
        three_classes_interval(1, 0.1, 0.2)
    with pytest.raises(ValueError, match="C_low"):
        three_classes_interval(2, 0.2, 0.1)
    with pytest.raises(ValueError, match="C_low"):
        three_classes_interval(2, 0, 0.1)


def test_width_one_has_no_dnc():
    made = three_classes(Problem(K=3, L=3, lam=0.02, d=1))
    assert not made.holds and made.statement == "zero is a global minimum" and "blocks(2,1)" in made.why
    with pytest.raises(Rejected, match="rank 2"):
        bb.cases({"claim": "dnc", "model": made_model({"K": 3, "L": 2, "d": 1})})
