"""Completeness inside symmetry classes: the proved counts, agreement with the float search, and every forged
certificate seen."""

import collections
import dataclasses
import itertools
import json
import math

import flint
import numpy as np
import pytest

from ufm.certificates import certificate
from ufm.certificates.check import Rejected, boxes
from ufm.certificates.check import groups as check_groups
from ufm.certificates.check import symmetric as proof
from ufm.certificates.completeness import complete, groups, points
from ufm.certificates.models import model
from ufm.landscapes.sources.symmetric import scheme_pairs, scheme_roots, two_orbit_roots
from ufm.numerics import balls
from ufm.numerics.schemes import schemes
from ufm.objectives.logits import Stratum
from ufm.problem import Problem


def normal_form(K, L, C, **options):
    return Problem(K=K, L=L, lam=2 * C / (L + 1), **options)


def by_system(data):
    return dict(collections.Counter((tuple(map(tuple, point["modes"])), point["coupled"]) for point in data["points"]))


def float_search(problem, group):
    """{(modes, coupled): roots found} by `ufm.landscapes.sources.symmetric`."""
    if "+" in group:
        found = [two_orbit_roots(problem, a, b) for a, b in scheme_pairs(problem.K, 5) if f"{a.name}+{b.name}" == group]
    else:
        found = [scheme_roots(problem, scheme) for scheme in schemes(problem.K, 5) if scheme.name == group]
    return {(roots.support, roots.coupled): len(roots) for roots in found[0] if len(roots)}


# Famous integers


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    "group, K, L, C, count",
    [
        ("V_4", 4, 2, 0.02, 26),
        ("S_2wrS_2", 4, 2, 0.02, 8),
        ("S_2xS_2", 4, 2, 0.02, 26),
        ("S_1xS_3", 4, 2, 0.02, 8),
        ("D_5", 5, 2, 0.02, 8),
        ("D_6", 6, 2, 0.02, 26),
        ("H(3,2)", 8, 3, 0.02, 26),
        ("J(5,2)", 10, 2, 0.02, 8),
        ("icosahedron", 12, 2, 0.02, 26),
    ],
)
def test_proved_counts(group, K, L, C, count):
    made = complete(normal_form(K, L, C), group)
    assert made.holds and made.kind == "completeness" and made.arithmetic == "interval"
    assert f"are exactly {count} (K={K}, " in made.statement and len(made.data["points"]) == count


@pytest.mark.slow
@pytest.mark.parametrize(
    "group, K, L, C, count",
    [
        ("S_3xS_2", 5, 2, 0.1, 26),
        ("S_2wrS_2+1", 5, 2, 0.0015, 26),
        ("S_2wrS_3+1", 7, 2, 0.009, 26),
        ("S_3wrS_2+1", 7, 2, 0.009, 26),
        ("D_5+S_2", 7, 3, 0.002, 72),
        ("D_8", 8, 3, 0.01, 78),
    ],
)
def test_proved_counts_of_larger_classes(group, K, L, C, count):
    made = complete(normal_form(K, L, C), group)
    assert made.check() and len(made.data["points"]) == count


def test_a_certificate_survives_its_file(tmp_path):
    made = complete(Problem(K=3, n=2, L=2, lam=(0.01, 0.02, 0.03)), "S_2+S_1")
    certificate.save([made], tmp_path / "one.json")
    (again,) = certificate.load(tmp_path / "one.json")
    assert again.check() and again.statement == made.statement and "lam=(0.01, 0.02, 0.03)" in made.statement


# Against the float search, on parameters drawn at random


@pytest.mark.quick(4)
@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_the_float_search(seed):
    rng = np.random.default_rng(seed)
    K, L = int(rng.integers(2, 7)), int(rng.choice([1, 1, 2, 2, 3, 5, 9]))
    lam = float(10 ** rng.uniform(-6, -0.5))
    lams = [float(lam * 10 ** rng.uniform(-0.5, 0.5)) for _ in range(L + 1)] if seed % 3 == 0 else lam
    problem = Problem(K=K, n=int(rng.integers(1, 5)), d=int(rng.integers(max(1, K - 2), K + 2)), L=L, lam=lams)
    for group in rng.choice(groups(K, 2 if L > 1 else 4), 2).tolist():
        made = complete(problem, group)
        assert made.holds, (problem, group, made.why)
        assert by_system(made.data) == float_search(problem, group), (problem, group)


@pytest.mark.parametrize(
    "L, lam", [(1, 1e-20), (1, 0.9), (2, 1e-20), (2, 5.0), (9, 5.0), pytest.param(9, 1e-12, marks=pytest.mark.slow)]
)
def test_extreme_ridge_weights(L, lam):
    problem = Problem(K=3, L=L, lam=lam)
    made = complete(problem, "S_2+S_1")
    assert made.holds and len(made.data["points"]) == (0 if lam > 0.5 else 3 if L == 1 else 8)
    assert complete(Problem(K=2, L=L, lam=lam), "S_2").holds


def test_points_are_critical_and_carry_the_proved_digits():
    for problem, group in [
        (Problem(K=4, n=3, d=9, L=2, lam=0.01), "V_4"),
        (Problem(K=3, n=2, L=3, lam=0.004), "S_2+S_1"),
        (Problem(K=4, L=1, lam=0.01), "S_3+S_1"),
    ]:
        made = complete(problem, group)
        found = points(made, problem)
        listed = sorted(made.data["points"], key=lambda entry: float(entry["loss"][0]))
        assert len(found) == len(listed) > 0
        for point, entry in zip(found, listed, strict=True):
            stratum = Stratum(point)
            assert stratum.grad_norm < 1e-13 and point.name.startswith(f"code({group}:")
            low, high = map(float, entry["loss"])
            assert low - 1e-14 <= stratum.fun <= high + 1e-14 and high - low < 1e-15 * (1 + high) + 1e-15
            assert all(float(radius) < 1e-18 * abs(float(centre)) for centre, radius in entry["values"])


def test_points_are_those_of_the_float_search():
    problem = Problem(K=6, n=2, L=2, lam=0.004)
    scheme = next(scheme for scheme in schemes(6) if scheme.name == "D_6")
    mine = {(point.name, tuple(np.round(point.scales, 8))) for point in points(complete(problem, "D_6"), problem)}
    roots = scheme_roots(problem, scheme)
    floats = {(f"code(D_6:{','.join(map(str, r.support[0]))})", tuple(np.round(v, 8))) for r in roots for v in r.values}
    assert mine == floats


def test_permutations_in_place_of_a_name():
    problem, rng = Problem(K=5, L=2, lam=0.003), np.random.default_rng(3)
    named = complete(problem, "D_5")
    turn = rng.permutation(5).tolist()
    back = np.argsort(turn).tolist()
    given = [[turn[perm[back[i]]] for i in range(5)] for perm in check_groups.generators("D_5")]
    made = complete(problem, given)
    assert made.check() and "symmetry <(1 " in made.statement
    assert sorted(p["loss"] for p in made.data["points"]) == sorted(p["loss"] for p in named.data["points"])
    assert max(Stratum(point).grad_norm for point in points(made, problem)) < 1e-13


# What is not covered, and what is not accepted


@pytest.mark.parametrize(
    "options, group, why",
    [
        ({"K": 4, "L": 2, "lam": 0.1, "loss": "mse"}, "V_4", "cross-entropy"),
        ({"K": 4, "L": 2, "lam": 0.1, "n": (1, 2, 2, 2)}, "V_4", "equal class counts"),
        ({"K": 4, "L": 2, "lam": 0.1, "bias": 0.1}, "V_4", "without a bias"),
        ({"K": 4, "L": 2, "lam": 0.1, "activation": "relu"}, "V_4", "linear layers"),
        ({"K": 3, "L": 2, "lam": 0.1}, [[1, 2, 0]], "symmetric orbitals"),
        ({"K": 4, "L": 2, "lam": 0.1}, [[1, 0, 2, 3]], "one or two orbits; it has 3"),
        ({"K": 4, "L": 2, "lam": 0.1}, [[1, 0, 3, 2]], "split the pairs"),
    ],
)
def test_what_is_not_covered_is_refused_with_the_reason(options, group, why):
    made = complete(Problem(**options), group)
    assert not made.holds and not made.check() and why in made.why


@pytest.mark.parametrize(
    "group, K",
    [("S_5", 4), ("nonsense", 4), ("V_4", 5), ("D_5+S_2", 5), ([[0, 1, 1]], 3), ([[1, 0]], 3), (7, 3), ("S_0", 3)],
)
def test_unknown_groups_are_errors(group, K):
    with pytest.raises(ValueError, match="group must be"):
        complete(Problem(K=K, L=2, lam=0.1), group)


def test_points_ask_for_the_problem_of_the_certificate():
    made = complete(Problem(K=3, L=2, lam=0.01), "S_3")
    with pytest.raises(ValueError, match="problem must be the certificate's"):
        points(made, Problem(K=3, L=2, lam=0.02))
    with pytest.raises(ValueError, match="certificate must list"):
        points(certificate.refused("bound", "nothing", "no reason"), Problem(K=3, L=2, lam=0.02))


def test_a_double_root_is_left_undecided():
    """dnc appears where lam = a^(1/3)/(e^a + K - 1) is largest; on that lam to rounding nothing can be said."""
    low, high = 0.1, 2.0
    for _ in range(200):  # (1/3)(e^a + 2) = a e^a
        a = 0.5 * (low + high)
        low, high = (a, high) if (math.exp(a) + 2) / 3 > a * math.exp(a) else (low, a)
    fold = a ** (1 / 3) / (math.exp(a) + 2)
    made = complete(Problem(K=3, L=2, lam=fold), "S_3")
    assert not made.holds and "undecided boxes" in made.why
    assert len(complete(Problem(K=3, L=2, lam=fold * (1 - 1e-9)), "S_3").data["points"]) == 2
    assert "exactly 0" in complete(Problem(K=3, L=2, lam=fold * (1 + 1e-9)), "S_3").statement


# Forgeries


def resealed(made, data=None, **changes):
    forged = dataclasses.replace(made, **changes, **({} if data is None else {"data": data}))
    return forged.signed()


def digit_changes(value, path=()):
    """(path, value with one digit changed) for every digit in nested data."""
    if isinstance(value, dict):
        for key in value:
            yield from digit_changes(value[key], (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from digit_changes(item, (*path, i))
    elif isinstance(value, (str, int)) and not isinstance(value, bool):
        text = str(value)
        for i, character in enumerate(text):
            if character.isdigit():
                changed = text[:i] + str((int(character) + 1) % 10) + text[i + 1 :]
                yield path, changed if isinstance(value, str) else int(changed)


def with_change(data, path, value):
    copy = json.loads(json.dumps(data))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    "problem, group, sample",
    [
        (Problem(K=3, L=2, lam=0.01), "S_3", None),
        (Problem(K=3, L=2, lam=0.2), "S_2+S_1", 20),
        (Problem(K=4, L=1, lam=0.02), "V_4", 60),
        pytest.param(Problem(K=3, L=2, lam=0.2), "S_2+S_1", None, marks=pytest.mark.slow),
    ],
)
def test_every_changed_digit_is_seen(problem, group, sample):
    made = complete(problem, group)
    assert made.check() and resealed(made).check()
    changes = list(digit_changes(made.data))
    chosen = (
        range(len(changes)) if sample is None else np.random.default_rng(1).choice(len(changes), sample, replace=False)
    )
    for i in chosen:
        path, value = changes[i]
        assert not dataclasses.replace(made, data=with_change(made.data, path, value)).check()
        assert not resealed(made, with_change(made.data, path, value)).check(), (path, value)


def test_a_changed_statement_is_seen():
    made = complete(Problem(K=3, L=2, lam=0.01), "S_3")
    assert not resealed(made, statement=made.statement.replace("exactly 2", "exactly 3")).check()
    assert not resealed(made, kind="global").check() and not resealed(made, arithmetic="exact").check()


@pytest.mark.parametrize(
    "problem, group",
    [
        (Problem(K=4, L=2, lam=0.01), "S_2wrS_2"),
        (Problem(K=3, L=2, lam=0.2), "S_2+S_1"),
        (Problem(K=4, L=1, lam=0.02), "V_4"),
    ],
)
def test_a_missing_or_doubled_root_is_seen(problem, group):
    made = complete(problem, group)
    for i in (0, len(made.data["points"]) - 1):
        point = made.data["points"][i]
        for points_ in (made.data["points"][:i] + made.data["points"][i + 1 :], [*made.data["points"], point]):
            forged = {**made.data, "points": points_}
            count = f"exactly {len(points_)}"
            assert not resealed(
                made, forged, statement=made.statement.replace(f"exactly {len(made.data['points'])}", count)
            ).check()
    with pytest.raises(Rejected, match=r"missing|undecided"):
        proof.check({**made.data, "points": []})


def test_a_name_for_another_group_is_seen():
    made = complete(Problem(K=4, L=2, lam=0.01), "S_2wrS_2")
    assert not resealed(
        made, {**made.data, "group": "V_4"}, statement=made.statement.replace("S_2wrS_2", "V_4")
    ).check()


# The parts of the checker


@pytest.mark.parametrize("K", range(2, 17))
def test_schemes_from_permutations_are_the_named_ones(K):
    with balls.precision(proof.BITS):
        for scheme in schemes(K, 6):
            (orbit,) = proof.symmetry_class(scheme.name, None, K).orbits
            mine = sorted(
                (m, np.round(np.array([float(v) for v in row])[orbit.relations], 9).tolist())
                for m, row in zip(orbit.multiplicities, orbit.entries, strict=True)
            )
            theirs = sorted(
                (m, (np.round(E, 9) + 0.0).tolist())
                for m, E in zip(scheme.multiplicities, scheme.idempotents, strict=True)
            )
            assert [m for m, _ in mine] == [m for m, _ in theirs]
            for order in itertools.permutations(range(len(mine))):
                if all(np.allclose(mine[i][1], E, atol=1e-8) for i, (_, E) in zip(order, theirs, strict=True)):
                    break
            else:
                raise AssertionError(scheme.name)


def systems_at_random(rng):
    for K, group, L in [(5, "D_5", 2), (4, "S_3+S_1", 3), (5, "S_3+S_2", 2), (6, "D_5+S_1", 9)]:
        problem = Problem(K=K, n=2, L=L, lam=float(10 ** rng.uniform(-4, -1)))
        with balls.precision(proof.BITS):
            exact = model(problem)
            yield list(proof.systems(exact, proof.symmetry_class(group, None, K)).values())[-1]


def test_boxes_contain_residuals_and_slopes():
    rng = np.random.default_rng(5)
    for system in systems_at_random(rng):
        search = boxes.Search(system, [])
        low = rng.uniform(-12, 3, (60, system.size))
        high = low + 10.0 ** rng.uniform(-9, 0.5, (60, system.size))
        inner = np.clip(low + rng.uniform(size=low.shape) * (high - low), low, high)
        _, R = search.values(low, high)
        J_lo, J_hi = search.jacobian(low, high)
        with balls.precision(proof.BITS):
            for b, t in enumerate(inner):
                exact, slopes = system.residual([flint.arb(float(v)) for v in t])
                for j in range(system.size):
                    assert flint.arb(float(R.lo[b, j])) <= exact[j] <= flint.arb(float(R.hi[b, j]))
                    for l in range(system.size):
                        assert flint.arb(float(J_lo[b, j, l])) <= slopes[j][l] <= flint.arb(float(J_hi[b, j, l]))


def test_slopes_are_derivatives():
    for system in systems_at_random(np.random.default_rng(6)):
        with balls.precision(proof.BITS):
            t = [flint.arb(float(v)) for v in np.random.default_rng(7).uniform(-1, 1, system.size)]
            _, J = system.residual(t)
            h = flint.arb(2) ** -60
            for l in range(system.size):
                ahead = system.residual([v + (h if i == l else 0) for i, v in enumerate(t)])[0]
                back = system.residual([v - (h if i == l else 0) for i, v in enumerate(t)])[0]
                for j in range(system.size):
                    assert abs(float((ahead[j] - back[j]) / (2 * h) - J[j][l])) < 1e-14


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    "problem, group",
    [
        (Problem(K=3, L=2, lam=1e-5), "S_2+S_1"),
        (Problem(K=2, L=7, lam=0.01), "S_1+S_1"),
        (Problem(K=6, L=3, lam=1e-3), "D_6"),
    ],
)
def test_the_first_box_contains_every_root(problem, group):
    made = complete(problem, group)
    with balls.precision(proof.BITS):
        exact, family = proof.read(made.data)
        every = proof.systems(exact, family)
        for key, roots in proof.starts(made.data, family).items():
            low, high, empty = boxes.Search(every[key], []).first_box()
            for values in roots:
                t = np.log([float(v) for v in values])
                assert not empty and np.all(low[0] < t) and np.all(t < high[0])


def test_a_wrong_slope_would_be_seen(monkeypatch):
    """The proof can fail: slopes shrunk to their middles with a wrong sign settle boxes that hold roots, and the
    containment test sees it."""
    right = boxes.Search.jacobian
    monkeypatch.setattr(boxes.Search, "jacobian", lambda self, lo, hi: tuple(0.9 * J for J in right(self, lo, hi)))
    with pytest.raises(AssertionError):
        test_boxes_contain_residuals_and_slopes()


def test_names_that_are_available():
    for K in range(2, 13):
        for group in groups(K):
            with balls.precision(proof.BITS):
                assert proof.symmetry_class(group, None, K).K == K
    assert "D_5+S_2" in groups(7) and "icosahedron" in groups(12) and "J(5,2)" in groups(10)
