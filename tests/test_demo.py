"""The teaching page: its physics against the package's numbers, its assembly, its server, its verb."""

import json
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest

import ufm
from ufm import structures
from ufm.critical.identify import identify
from ufm.demo import export, server
from ufm.demo.assembly import page, source
from ufm.demo.questions import Abandoned, Desk, Late
from ufm.numerics.arithmetic import number
from ufm.numerics.spectra import thin_svd
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum, value
from ufm.plot.style import COLOURS
from ufm.points import LogitPoint
from ufm.structures.blocks import blocks

quickjs = pytest.importorskip("quickjs", reason="the page's physics runs in quickjs here: pip install quickjs")

RTOL = 1e-9


class Physics:
    """`physics(expression, **values)`: the value of a JavaScript expression in which the values are known by name."""

    def __init__(self, text):
        self.context = quickjs.Context()
        self.context.eval(text)

    def __call__(self, expression, **values):
        heads = "".join(f"const {name} = {json.dumps(v)};" for name, v in values.items())
        return json.loads(self.context.eval(f"(() => {{ {heads} return JSON.stringify({expression}); }})()"))


@pytest.fixture(scope="module")
def physics():
    return Physics(source("physics.js"))


STRUCTURES = """(() => { const P = UFM.problem(p);
  return UFM.structures(P).map((s) => s.exists ? { ...s, shape: null, s: UFM.spectrum(P, s), Z: UFM.logits(P,
    s) } : s); })()"""


def random_problem(rng, loss, most=10):
    K, L = int(rng.integers(2, most + 1)), int(rng.integers(1, 11))
    d = int(rng.integers(1, K + 3)) if rng.random() < 0.3 else K + int(rng.integers(0, 3))
    return ufm.Problem(K=K, n=int(rng.integers(1, 8)), d=d, L=L, lam=float(10 ** rng.uniform(-6, 0.3)), loss=loss)


def as_js(problem):
    return {k: v for k, v in problem.to_dict().items() if k in ("K", "n", "d", "L", "lam", "loss")}


def disagreements(problem, rows):
    """What the page's structures say otherwise than the package's, as sentences."""
    points, _ = structures.existing(problem)
    here = {row["name"]: row for row in rows if row["exists"]}
    found = [
        f"{name} {'missing' if name in points else 'unknown'}"
        for name in points.keys() ^ (here.keys() - beyond(problem, here))
    ]
    for name in points.keys() & here.keys():
        point, row = points[name], here[name]
        fun = value(point)
        found += [f"{name}: rank {row['rank']}, not {point.rank}"] * (row["rank"] != point.rank)
        found += [f"{name}: F {row['fun']}, not {fun}"] * (abs(row["fun"] - fun) > RTOL * abs(fun))
        found += [f"{name}: penalty"] * (abs(row["penalty"] - paid(point)) > RTOL * abs(paid(point)))
        slack = 1e-6 if name == "pairs+apex" else RTOL  # python's apex stops at a gradient, not at rounding
        found += [f"{name}: s {row['s']}"] * (
            len(row["s"]) != point.rank or not np.allclose(row["s"], point.s, rtol=slack, atol=0)
        )
        sizes = sorted({*point.scales}) if name != "pairs+apex" else point.scales
        mine = sorted({*row["scales"]}) if name != "pairs+apex" else row["scales"]
        found += [f"{name}: scales {mine}, not {sizes}"] * (not close_sets(mine, sizes, slack))
    return found


def close_sets(a, b, slack):
    return all(any(abs(x - y) <= slack * max(map(abs, b)) for y in b) for x in a) and all(
        any(abs(x - y) <= slack * max(map(abs, b)) for y in a) for x in b
    )


def paid(point):
    problem = point.problem
    return float(0.5 * problem.D * problem.Lam * np.sum(point.s ** (2 / problem.D)))


def beyond(problem, here):
    """Mixtures with parts of 1, which the package lists up to K = 6 and the page always."""
    return (
        {name for name in here if name.startswith("blocks") and "1" in re.findall(r"\d+", name)}
        if problem.K > 6
        else set()
    )


@pytest.mark.quick(2)
@pytest.mark.parametrize("loss, count", [("ce", 40), ("mse", 40), ("ce", 100), ("mse", 100)])
def test_structures_agree_with_the_package_over_random_problems(physics, loss, count):
    rng, existing = np.random.default_rng(7), 0
    for _ in range(count):
        problem = random_problem(rng, loss)
        rows = physics(STRUCTURES, p=as_js(problem))
        existing += sum(row["exists"] for row in rows)
        assert not disagreements(problem, rows), problem
    assert existing > 6 * count


def test_a_planted_error_is_seen(physics):
    wrong = Physics(
        source("physics.js").replace("0.5 * P.D * P.ridge * t ** P.p", "0.5000001 * P.D * P.ridge * t ** P.p")
    )
    problem = ufm.Problem(K=6, L=2, lam=2e-3)
    assert not disagreements(problem, physics(STRUCTURES, p=as_js(problem)))
    found = disagreements(problem, wrong(STRUCTURES, p=as_js(problem)))
    assert any("dnc: F" in words for words in found) and any("pairs: penalty" in words for words in found)


@pytest.mark.quick(1)
@pytest.mark.parametrize("count", [15, 35])
def test_logit_matrices_are_the_critical_points_they_are_called(physics, count):
    rng, seen = np.random.default_rng(3), set()
    for _ in range(count):
        problem = random_problem(rng, "ce" if rng.random() < 0.7 else "mse", most=12)
        for row in physics(STRUCTURES, p=as_js(problem)):
            if not row["exists"] or row["name"] == "zero":
                continue
            point = point_of(problem, row)
            assert abs(value(point) - row["fun"]) <= RTOL * abs(row["fun"]), row["name"]
            stratum = Stratum(point)
            if row["critical"]:
                assert stratum.grad_norm <= 1e-9 * stratum.ridge_norm + 1e-13, (row["name"], problem)
            seen.add(row["family"])
            if problem.loss.name == "ce" and row["critical"] and problem.K > 2:
                assert identify(point).name == row["name"], row["name"]
    assert seen >= {"dnc", "pairs", "pairs+apex", "blocks", "circle"}


def point_of(problem, row):
    Z = np.array(row["Z"])
    svd = thin_svd(Z, row["rank"])
    return LogitPoint(problem, svd.U, svd.s * np.sqrt(problem.n), svd.V, name=row["name"])


def test_both_roots_and_the_fold_agree_with_the_package(physics):
    rng, checked = np.random.default_rng(11), 0
    for _ in range(120):
        K, L, n = int(rng.integers(2, 21)), int(rng.integers(2, 9)), int(rng.integers(1, 51))
        loss = "ce" if rng.random() < 0.7 else "mse"
        problem = ufm.Problem(K=K, n=n, L=L, lam=float(10 ** rng.uniform(-6, 0)), loss=loss)
        row = physics("UFM.dnc(UFM.problem(p))", p=as_js(problem))
        small = physics("UFM.dnc(UFM.problem(p), 'small')", p=as_js(problem))
        try:
            large = structures.dnc(problem)
        except ValueError as reason:
            assert not row["exists"] and not small["exists"]
            fold = float(re.search(r"fold Lam=([^ ]+?)\.$", str(reason))[1])
            assert row["fold"] == pytest.approx(fold, rel=1e-5)  # the message has six digits
            continue
        checked += 1
        assert row["scales"][0] == pytest.approx(large.scales[0], rel=RTOL)
        assert small["scales"][0] == pytest.approx(structures.dnc(problem, "small").scales[0], rel=RTOL)
        assert row["barrier"] == small["scales"][0]
    assert checked > 60


@pytest.mark.parametrize("parts", [(12,), (6, 6), (7, 3, 2), (2,) * 6, (5, 4, 1, 1, 1), (11, 1)])
def test_mixtures_up_to_twelve_classes_agree(physics, parts):
    problem = ufm.Problem(K=12, n=3, d=14, L=3, lam=4e-4)
    rows = {row["name"]: row for row in physics(STRUCTURES, p=as_js(problem))}
    point = blocks(problem, parts)
    row = rows[point.name]
    assert row["fun"] == pytest.approx(value(point), rel=RTOL) and row["rank"] == point.rank
    np.testing.assert_allclose(row["s"], point.s, rtol=RTOL)


def test_the_winner_is_the_lowest_critical_structure_whichever_way_it_is_found(physics):
    rng = np.random.default_rng(5)
    for _ in range(80):
        problem = random_problem(rng, "ce" if rng.random() < 0.7 else "mse", most=20)
        both = (
            "(() => { const P = UFM.problem(p), a = UFM.winner(UFM.structures(P)), b = UFM.lowest(P); return [a.name,"
            " a.fun, b.name, b.fun]; })()"
        )
        name, fun, quick, quick_fun = physics(both, p=as_js(problem))
        assert fun == pytest.approx(quick_fun, rel=1e-12) and name == quick, problem


def test_width_decides_who_exists(physics):
    rows = {row["name"]: row for row in physics(STRUCTURES, p={"K": 6, "L": 2, "lam": 1e-3, "d": 4})}
    assert not rows["dnc"]["exists"] and "width" in rows["dnc"]["why"] and rows["pairs"]["exists"]
    assert all(row["rank"] <= 4 for row in rows.values() if row["exists"])


def test_the_known_crossing_at_four_classes(physics):
    for n in (1, 8):
        found = physics("UFM.crossing(p, 1e-3, 1e-1)", p={"K": 4, "L": 2, "n": n, "d": 20, "lam": 1})
        assert (found["below"], found["above"]) == ("dnc", "pairs")
        assert found["lam"] * n ** (1 / 3) == pytest.approx(0.0117605, abs=1e-7)
        sides = [
            ufm.compare(ufm.Problem(K=4, L=2, n=n, lam=found["lam"] * f), starts=0, prove=False).winner.name
            for f in (1 - 1e-6, 1 + 1e-6)
        ]
        assert sides == ["dnc", "pairs"]


def test_the_stability_rule_is_what_the_signature_says(physics):
    rng, seen = np.random.default_rng(2), set()
    for _ in range(40):
        K, L = int(rng.integers(4, 13)), int(rng.integers(1, 7))
        rule = physics("UFM.stability(UFM.problem(p))", p={"K": K, "L": L, "n": 2, "lam": 0.01, "d": K})
        factor = float(np.exp(rng.uniform(-1, 1))) if L > 1 else 0.02
        lam = rule["lam"] * factor
        problem = ufm.Problem(K=K, L=L, n=2, lam=lam)
        here = physics("UFM.stability(UFM.problem(p))", p=as_js(problem))
        if here["scale"] is None or abs(factor - 1) < 0.01:
            continue
        status = ufm.classify(structures.dnc(problem)).status
        assert here["stable"] == (status == "local minimum"), (K, L, factor, status)
        seen.add(here["stable"])
    assert seen == {True, False}


def test_rays_pass_through_both_roots(physics):
    rng = np.random.default_rng(8)
    for _ in range(25):
        problem = random_problem(rng, "ce" if rng.random() < 0.6 else "mse")
        code = """(() => { const P = UFM.problem(p); return UFM.structures(P).filter((s) => s.exists
          && s.rank).map((s) => {
          const slope = (t) => { const e = 1e-4, [a, b] = UFM.ray(P, s, [t * (1 - e), t * (1 + e)]);
            return Math.abs(b - a) / (2 * e); };
          return { name: s.name, at: UFM.ray(P, s, [s.t])[0] / s.fun - 1, slope: slope(s.t), paid: s.penalty,
            barrier: s.barrier ? slope(s.barrier) : 0 };
        }); })()"""
        for row in physics(code, p=as_js(problem)):
            noise = 3e-11  # rounding of F over twice the step of 1e-4
            assert (
                abs(row["at"]) < 1e-12
                and row["slope"] < 1e-5 * row["paid"] + noise
                and row["barrier"] < 1e-6 * row["paid"] + noise
            ), (row, problem)


def test_gradient_descent_has_the_packages_value_and_gradient(physics):
    for p in (
        {"K": 5, "n": 1, "L": 3, "d": 4, "lam": 0.02, "loss": "ce"},
        {"K": 3, "n": 1, "L": 1, "d": 6, "lam": 0.1, "loss": "mse"},
    ):
        run = physics(
            "(() => { const r = UFM.descent(UFM.problem(p), 3); return { f: r.factors.map(UFM.asRows), g:"
            " r.grads.map(UFM.asRows), fun: r.fun }; })()",
            p=p,
        )
        objective = FactorObjective(ufm.Problem(**p))
        x = objective.pack([np.array(A) for A in run["f"]])
        fun, gradient = objective.value_grad(x)
        assert run["fun"] == pytest.approx(fun, rel=RTOL)
        np.testing.assert_allclose(np.concatenate([np.ravel(A) for A in run["g"]]), gradient, rtol=RTOL, atol=1e-15)


def test_starts_are_seeded_and_normal(physics):
    assert physics("(() => { const r = UFM.mulberry32(1); return [r(), r(), r()]; })()") == pytest.approx(
        [0.6270739405881613, 0.002735721180215478, 0.5274470399599522]
    )
    draw = "UFM.asRows(UFM.descent(UFM.problem({K: 20, d: 40, L: 8, lam: 1}), 1, 1).factors[3]).flat()"
    x = np.array(physics(draw))
    assert (
        physics(draw) == x.tolist() and abs(x.mean()) < 0.1 and abs(x.std() - 1) < 0.1 and abs((x**4).mean() - 3) < 0.6
    )


ENDS = """(() => { const P = UFM.problem(p), r = UFM.advance(UFM.descent(P, seed), 3000), Z = UFM.asRows(r.Z);
  return { ...UFM.identify(P, Z, r.fun), fun: r.fun, Z, done: r.done, norm: UFM.gradNorm(r) }; })()"""


@pytest.mark.parametrize(
    ("p", "seed", "name"),
    [
        ({"K": 4, "L": 2, "lam": 0.005, "d": 16}, 1, "dnc"),
        ({"K": 6, "L": 2, "lam": 0.01, "d": 6}, 1, "pairs"),
        ({"K": 5, "L": 2, "lam": 0.01, "d": 5}, 1, "pairs+apex"),
        ({"K": 3, "L": 2, "lam": 0.01, "d": 3, "loss": "mse"}, 1, "dnc"),
        ({"K": 4, "L": 3, "lam": 0.5, "d": 4}, 1, "zero"),
    ],
)
def test_descent_ends_are_named_as_the_package_names_them(physics, p, seed, name):
    end = physics(ENDS, p=p, seed=seed)
    assert end["done"] and end["norm"] < 1e-6 and end["name"] == name
    if name not in ("zero",) and p.get("loss") != "mse":
        assert identify(np.array(end["Z"])).name == name
        assert identify(np.array(end["Z"])[::-1, ::-1]).name == name


def test_names_do_not_depend_on_the_order_of_classes_and_are_not_given_to_strangers(physics):
    rng = np.random.default_rng(0)
    code = """(() => { const P = UFM.problem(p), here = UFM.structures(P).filter((s) => s.exists && s.critical);
      return here.map((s) => ({ name: s.name, fun: s.fun, Z: UFM.logits(P, s) })); })()"""
    for p in ({"K": 10, "L": 3, "lam": 1e-3, "d": 10}, {"K": 7, "L": 2, "lam": 1e-2, "d": 7}):
        for row in physics(code, p=p):
            if row["name"] in ("dnc(small)",):
                continue
            order = rng.permutation(p["K"])
            Z = np.array(row["Z"])[np.ix_(order, order)]
            name = "(() => UFM.identify(UFM.problem(p), Z, fun).name)()"
            assert physics(name, p=p, Z=(Z * 1.001 + 1e-4).tolist(), fun=row["fun"]) == row["name"]
            if row["name"] != "zero":
                bent = Z + 0.2 * np.abs(Z).max() * rng.standard_normal(Z.shape)
                assert physics(name, p=p, Z=bent.tolist(), fun=row["fun"]).startswith("unnamed")


def test_codes_keep_all_distances_up_to_rank_three(physics):
    for p, name in (
        ({"K": 6, "L": 2, "lam": 1e-3, "d": 6}, "pairs"),
        ({"K": 7, "L": 4, "lam": 1e-3, "d": 7}, "circle"),
        ({"K": 4, "L": 1, "lam": 1e-2, "d": 4}, "dnc"),
    ):
        code = (
            "(() => { const P = UFM.problem(p), Z = UFM.logits(P, UFM.structures(P).find((s) => s.name === name));"
            " return { Z, ...UFM.coordinates(Z) }; })()"
        )
        row = physics(code, p=p, name=name)
        X = np.array(row["points"])
        np.testing.assert_allclose(X @ X.T, row["Z"], atol=1e-9)
    assert len(physics(code, p={"K": 10, "L": 1, "lam": 1e-2, "d": 10}, name="dnc")["points"][0]) == 3


def test_svd_agrees(physics):
    rng = np.random.default_rng(4)
    for K in (2, 5, 20):
        Z = rng.standard_normal((K, K)) @ np.diag(10.0 ** -np.arange(K))
        found = physics("UFM.svd(Z)", Z=Z.tolist())
        s = np.linalg.svd(Z, compute_uv=False)
        np.testing.assert_allclose(found["s"][:5], s[:5], rtol=1e-9)
        V = np.array(found["V"])
        np.testing.assert_allclose(V.T @ V, np.eye(K), atol=1e-12)


# ---- The pictures


@pytest.fixture(scope="module")
def pictures():
    drawn = Physics(f"const COLOURS = {json.dumps(COLOURS)};" + source("physics.js") + source("draw.js"))
    drawn.context.set_time_limit(
        20
    )  # seconds of one expression: a loop that does not end is an error, not a frozen suite
    return drawn


COMPARED = """(() => { const P = UFM.problem(p), all = UFM.structures(P), here = all.filter((s) => s.exists && s.rank);
  const described = here.map((s) => ({ name: s.name, family: s.family, s: UFM.spectrum(P, s) }));
  return Draw.rays(300, P, here, all[0].fun) + Draw.price(300, P, described) + Draw.spectrum(300, P.K, described);
    })()"""


def labels(picture):
    return re.findall(r'class="soft" *>([^<]*)', picture)


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("K", "L", "loss"), [(6, 2, "ce"), (5, 3, "ce"), (7, 10, "ce"), (2, 2, "mse"), (12, 4, "mse"), (4, 1, "ce")]
)
def test_pictures_end_where_a_valley_is_as_shallow_as_rounding(pictures, K, L, loss):
    p = {"K": K, "L": L, "loss": loss, "lam": 0.01, "d": 20}
    folds = set(pictures("UFM.structures(UFM.problem(p)).map((s) => s.fold)", p=p)) - {None}
    level = "(UFM.problem(p).loss === 'mse' ? 0.5 : Math.log(p.K))"
    # where the minimum on dnc's ray costs what zero costs: there the range of F is of rounding size
    even = f"""(() => {{ let [a, b] = [1e-6, Math.min(1, UFM.dnc(UFM.problem(p)).fold * (1 - 1e-12))];
      for (let i = 0; i < 60; i++) {{ const lam = (a + b) / 2;
        if (UFM.dnc(UFM.problem({{ ...p, lam }})).fun < {level}) a = lam; else b = lam; }}
      return a; }})()"""
    for centre in [*folds, pictures(even, p=p)][:6]:
        for shift in (0.0, 1e-16, 1e-12, 1e-6, -1e-16, -1e-12, -1e-6):
            picture = pictures(COMPARED, p={**p, "lam": centre * (1 + shift)})
            assert len(picture) < 200_000 and len(labels(picture)) < 60 and "NaN" not in picture


def test_the_page_draws_at_the_place_where_it_once_froze(pictures):
    for shift in range(-8, 9):
        picture = pictures(COMPARED, p={"K": 6, "L": 2, "lam": float(f"{10 ** (-0.9 + shift / 400):.4g}"), "d": 20})
        assert len(labels(picture)) < 60


def test_marks_of_rays_stay_inside_their_frame(pictures):
    code = """(() => { const P = UFM.problem(p), all = UFM.structures(P);
      return Draw.rays(300, P, all.filter((s) => s.exists && s.rank), all[0].fun); })()"""
    rng = np.random.default_rng(6)
    for _ in range(40):
        problem = random_problem(rng, "ce" if rng.random() < 0.7 else "mse", most=9)
        picture = pictures(code, p=as_js(problem))
        for x, y in re.findall(r'<circle cx="([^"]+)" cy="([^"]+)"', picture):
            assert 40 <= float(x) <= 300 and 15 <= float(y) <= 216, (problem, x, y)


ODD = [0, -1, 1, 1 + 2e-16, 1e-300, -1e300, 1e308, 5e-324, 1e21, math.log(6)]
DRAWINGS = [
    "Draw.trace(300, [0, 1, 2], [{ y: [a, b, a], stroke: 'x' }], 'F', '', [{ y: b, stroke: 'x', name: '' }], true)",
    "Draw.trace(300, [0, a, b], [{ y: [a, b, a], stroke: 'x' }], 'F', '')",
    "Draw.trace(300, [], [], 'F', '') + Draw.spectrum(300, 6, []) + Draw.price(300, P, []) + Draw.rays(300, P, [], a)",
    "Draw.heat(300, [[a, b], [b, 1]], '') + Draw.heat(300, [[a, a], [a, a]], '')",
    "Draw.spectrum(300, 6, [{ name: 'u', family: 'dnc', s: [a, b] }, { name: 'u', family: 'no', s: [] }])",
    (
        "Draw.price(300, P, [{ name: 'u', family: 'dnc', s: [a, b, b] }]) + Draw.price(300, { ...P, lam: a, p: b }, [{"
        " name: 'u', family: 'dnc', s: [1] }])"
    ),
    "Draw.code(300, { points: [[a, b], [b, a], [1, 2]], near: [[0, 1]] }, { azimuth: a, elevation: 0 }, 'dnc', '')",
    (
        "Draw.code(300, { points: [[a, b, 1], [b, a, 2], [1, 2, 3]], near: [[0, 1]] }, { azimuth: 1, elevation: b },"
        " 'dnc', '')"
    ),
    (
        "Draw.gauge(300, { threshold: a, scale: b }) + Draw.map(300, [['dnc', 'pairs'], undefined], [1e-6, 1], { K: a,"
        " lam: b }, '')"
    ),
    "Draw.rays(300, P, all.map((s) => ({ ...s, t: a, fun: b, barrier: b })), 1.8) + Draw.number(a)",
]


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_pictures_leave_out_what_is_not_a_finite_number(pictures, drawing):
    code = f"""(() => {{ const P = UFM.problem({{ K: 6, L: 2, lam: 0.01, d: 20 }}),
      all = UFM.structures(P).filter((s) => s.exists && s.rank).slice(0, 2);
      const odd = [NaN, Infinity, -Infinity, ...numbers], found = [];
      for (const a of odd) for (const b of odd) found.push({drawing});
      return found; }})()"""
    found = pictures(code, numbers=ODD)
    assert len(found) == (len(ODD) + 3) ** 2
    for picture in found:
        assert len(picture) < 100_000 and not re.search("NaN|Infinity|undefined", picture), picture


def test_a_problem_beyond_the_sliders_is_answered_all_the_same(pictures):
    for lam in ("0", "-1", "NaN", "Infinity", "1e300", "1e-300"):
        for loss in ("ce", "mse"):
            code = (
                f"(() => {{ const P = UFM.problem({{ K: 5, L: 2, lam: {lam}, loss: '{loss}' }}); return"
                " UFM.verdict(P).winner.name + UFM.lowest(P).name; })()"
            )
            assert pictures(code) in ("zerozero", "dncdnc", "pairspairs", "pairs+apexpairs+apex"), (lam, loss)


def test_numbers_are_read_as_the_command_line_reads_them(pictures):
    for text in (
        "2**-10",
        "1e-3",
        " 0.005 ",
        "1/1024",
        "5*10**-3",
        "2**-1**2",
        "-0.5**2",
        ".5",
        "5.",
        "5**(1/3)/100",
        "(2+3)*1e-3",
        "2 - 1 - 1",
        "- -1",
        "1E-3",
    ):
        assert pictures("Draw.readNumber(text)", text=text) == pytest.approx(number(text), rel=1e-15), text
    assert pictures("Draw.readNumber('2^-10')") == 2**-10 and pictures("Draw.readNumber('\u22121')") == -1
    for text in (
        "",
        " ",
        "abc",
        "1e",
        "1e-",
        "2**",
        "0x10",
        "1//2",
        "1 2",
        "(1",
        "1)",
        "()",
        "1e-3e",
        "Infinity",
        "alert(1)",
        "1,000",
    ):
        assert pictures("Number.isFinite(Draw.readNumber(text))", text=text) is False, text


# ---- The tour


def test_every_step_of_the_tour_shows_what_it_says(physics):
    tour = Physics(source("physics.js") + source("tour.js"))
    steps = tour("TOUR.map((s) => ({ ...s, answer: typeof s.answer === 'string' ? s.answer : s.answer(UFM) }))")
    assert len(steps) == 8
    for step in steps:
        p = {k: v for k, v in step["set"].items() if k != "shown"}
        rows, shows = physics(STRUCTURES, p=p), step["shows"]
        best = ufm.compare(ufm.Problem(**p), starts=0, prove=False).winner
        assert best.name == shows["winner"] and best.rank == shows["rank"], step["title"]
        assert physics("UFM.verdict(UFM.problem(p)).winner.name", p=p) == shows["winner"], step["title"]
        assert step["set"]["shown"] in {"", *(row["name"] for row in rows if row["exists"])}
        assert (
            step["question"].endswith("?")
            and len(step["answer"]) > 40
            and step["lit"]
            and set(step["asks"]) <= {"K", "n", "L", "lam", "d"}
            and step["asks"]
        )
        if "stable" in shows:
            assert physics("UFM.stability(UFM.problem(p)).stable", p=p) is shows["stable"]


def test_the_numbers_the_tour_says_in_words(physics):
    win = lambda **p: physics("UFM.lowest(UFM.problem(p)).name", p=p)  # noqa: E731
    assert all(win(K=6, L=2, lam=lam, d=20) != "dnc" for lam in np.geomspace(1e-6, 1, 13))
    assert all(
        win(K=K, L=1, lam=lam, d=20) in ("dnc", "zero") for K in range(2, 21) for lam in np.geomspace(1e-6, 1, 7)
    )
    assert all(win(K=3, L=2, lam=lam, d=20) == "dnc" for lam in np.geomspace(1e-6, 0.1, 12))
    assert win(K=5, L=2, lam=1e-4, d=20) == "dnc" and win(K=5, L=2, lam=1.4e-4, d=20) == "pairs+apex"
    assert win(K=10, L=3, lam=1e-3, d=20) == "petersen" and win(K=6, L=2, lam=1e-3, d=2) == "circle"
    assert all(win(K=K, L=L, lam=10.0**-e, d=20) != "dnc" for K in range(6, 21) for L in (2, 5) for e in range(7))
    assert (
        9 > 5 * 2 ** (2 / 3)
        and 5 < 6
        and 3 < 2 * 2 ** (2 / 3)
        and 3 > 2 * 2**0.5
        and 100**0.2 == pytest.approx(2.51, abs=0.01)
    )
    ends = [
        physics(ENDS, p={"K": 6, "L": 2, "lam": 1e-3, "d": d}, seed=seed)["name"]
        for d, seed in ((6, 1), (6, 2), (40, 1))
    ]
    assert ends == ["pairs", "pairs", "dnc"]


# ---- The file


def test_the_page_is_one_small_file_that_asks_nobody():
    text = page()
    assert len(text.encode()) < 1_500_000 and "/*{" not in text
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#|data:,)", text) and not re.search(
        r"@import|url\(|https?:|//[a-z]+\.", text
    )
    assert not re.search(r"\beval\s*\(|new Function|document\.write|localStorage", text)
    assert "default-src 'none'" in text and text.count("</script>") == 2
    assert json.loads(re.search(r"const COLOURS = (\{.*\});", text)[1]) == COLOURS
    assert "const SERVER = false;" in text and "const SERVER = true;" in page(server=True)


def test_export_writes_one_file_and_refuses_bad_paths(tmp_path):
    out = tmp_path / "page.html"
    export(out)
    assert out.read_text(encoding="utf-8") == page() and [f.name for f in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(ValueError, match="existing folder"):
        export(tmp_path / "no" / "page.html")


def test_physics_touches_no_page():
    assert not re.search(
        r"\b(document|window|navigator|location|performance|Date|Math\.random)\b", source("physics.js")
    )


# ---- The server


def ask(address, question, kind="application/json", path="api/compare", **headers):
    data = question if isinstance(question, bytes) else json.dumps(question).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": kind, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


GOOD = {"K": 4, "n": 1, "L": 2, "d": 4, "lam": 0.0133, "loss": "ce"}


def test_the_server_sends_the_page(served):
    with urllib.request.urlopen(served, timeout=60) as reply:
        assert (
            reply.status == 200
            and reply.headers["Content-Type"].startswith("text/html")
            and reply.read().decode() == page(server=True)
        )
    assert served.startswith("http://127.0.0.1:")
    assert ask(served, GOOD, path="elsewhere")[0] == 404
    with pytest.raises(urllib.error.HTTPError, match="404") as refusal:
        urllib.request.urlopen(served + "../setup.cfg", timeout=60)
    refusal.value.close()


def test_the_server_asks_the_solver(served):
    status, found = ask(served, GOOD)
    direct = ufm.compare(ufm.Problem(**GOOD), starts=10, rng=0).to_dict()
    assert status == 200 and found["winner"] == direct["winner"] and found["problem"]["K"] == 4
    assert [s["fun"] for s in found["structures"]] == pytest.approx([s["fun"] for s in direct["structures"]], rel=1e-9)


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ({**GOOD, "K": 1}, "K must be"),
        ({**GOOD, "K": 21}, "K must be at most 20"),
        ({**GOOD, "K": 4.5}, "K must be an integer"),
        ({**GOOD, "K": True}, "K must be an integer"),
        ({**GOOD, "L": 0}, "L must be"),
        ({**GOOD, "d": 10**6}, "d must be at most"),
        ({**GOOD, "lam": -1}, "lam must be positive"),
        ({**GOOD, "lam": float("nan")}, "lam must be"),
        ({**GOOD, "lam": 10**400}, "too large"),
        ({**GOOD, "lam": "0.1"}, "lam must be"),
        ({**GOOD, "loss": "focal(2)"}, "loss must be one of"),
        ({**GOOD, "loss": ["ce"]}, "loss must be one of"),
        ({**GOOD, "size": 1}, "field must be one of"),
        ({k: v for k, v in GOOD.items() if k != "lam"}, "lam is missing"),
        ([1, 2], "must be a dict"),
        (b"{", "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"[" * 4000, "not JSON"),
        (b"1" * 5000, "bytes"),
    ],
)
def test_bad_questions_are_refused_with_a_sentence(served, question, word):
    status, reply = ask(served, question)
    assert status == 400 and word in reply["error"], reply


def test_other_sites_cannot_ask(served):
    assert ask(served, GOOD, kind="text/plain")[0] == 400
    assert ask(served, GOOD, Host="evil.example")[0] == 403


@pytest.fixture
def desk_server():
    """A running server to which a test may give a desk and patience of its own."""
    running = server.make_server()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


class SlowDesk(Desk):
    """A desk whose solver needs `work` seconds; counts who is at it, and what it starts, finishes and gives up."""

    work, started, ended, dropped = 0.0, 0, 0, 0

    def __init__(self, **options):
        super().__init__(**options)
        self.here = []

    def ask(self, question, gone=lambda: False):
        self.here.append(question)
        try:
            return super().ask(question, gone)
        finally:
            self.here.pop()

    def answer(self, question, gone):
        self.look(gone)
        self.started += 1
        began = time.monotonic()
        try:
            while time.monotonic() < began + self.work:
                self.look(gone)
                time.sleep(0.01)
        except Abandoned:
            self.dropped += 1
            raise
        self.ended += 1
        return {"winner": "dnc"}


def post(running, question=None, body=None, size=None):
    """An open connection on which a question, or part of one, was sent."""
    body = json.dumps(question).encode() if body is None else body
    connection = socket.create_connection(("127.0.0.1", running.server_address[1]), timeout=60)
    head = (
        f"POST /api/compare HTTP/1.0\r\nHost: 127.0.0.1:{running.server_address[1]}\r\nContent-Type:"
        " application/json\r\n"
    )
    connection.sendall(f"{head}Content-Length: {len(body) if size is None else size}\r\n\r\n".encode() + body)
    return connection


def reply_of(connection):
    with connection:
        text = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    head, _, body = text.partition("\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_questions_nobody_waits_for_block_no_others(desk_server):
    desk_server.desk = desk = SlowDesk()
    desk.work = 60
    for _ in range(20):
        post(desk_server, GOOD).close()
    until = time.monotonic() + 30
    while desk.here and time.monotonic() < until:
        time.sleep(0.01)
    desk.work = 0
    assert ask(server.address(desk_server), GOOD) == (200, {"winner": "dnc"})
    assert desk.ended == 1 and desk.started == desk.dropped + 1


def test_a_full_line_is_told_so_and_the_others_are_answered(desk_server, monkeypatch):
    monkeypatch.setattr("ufm.demo.questions.HURRY", 0.1)
    desk_server.desk = desk = SlowDesk(waiting=1)
    desk.work = 2
    first, second = post(desk_server, GOOD), post(desk_server, GOOD)
    while len(desk.here) < 2:
        time.sleep(0.01)
    status, reply = ask(server.address(desk_server), GOOD)
    assert status == 503 and "2 questions" in reply["error"]
    desk.work = 0
    assert reply_of(first)[0] == reply_of(second)[0] == 200


@pytest.mark.parametrize("body", [b"", b'{"K": 4, '])
def test_a_body_that_stalls_or_drips_is_given_up(desk_server, body):
    desk_server.patience = 0.3
    stalled = post(desk_server, body=body, size=100)
    for _ in range(2 if body else 0):
        time.sleep(0.1)
        stalled.sendall(b" ")
    status, reply = reply_of(stalled)
    assert status == 408 and f"{len(body) + (2 if body else 0)} of 100 bytes" in reply["error"]
    cut = post(desk_server, body=b'{"K"', size=100)
    cut.shutdown(socket.SHUT_WR)
    status, reply = reply_of(cut)
    assert status == 400 and "after 4 of 100 bytes" in reply["error"]


def test_a_question_has_a_limit_and_its_process_ends_with_it(monkeypatch):
    ended = []
    monkeypatch.setattr(
        subprocess.Popen, "kill", lambda self, kill=subprocess.Popen.kill: (ended.append(self), kill(self))
    )
    began = time.monotonic()
    with pytest.raises(Late, match=r"after 0.2 s.*command line"):
        Desk(seconds=0.2).ask({**GOOD, "K": 20, "d": 40, "L": 10, "n": 50})
    assert time.monotonic() - began < 30 and len(ended) == 1 and ended[0].poll() is not None
    closed = Desk()
    closed.close()
    with pytest.raises(Abandoned):
        closed.ask(GOOD)


@pytest.mark.slow
def test_abandoned_questions_to_the_real_solver_leave_no_process_and_no_wait(desk_server):
    heavy = {**GOOD, "K": 20, "d": 40, "L": 10, "n": 50}
    for _ in range(20):
        post(desk_server, heavy).close()
    began = time.monotonic()
    status, found = ask(server.address(desk_server), GOOD)
    assert status == 200 and found["problem"]["K"] == 4
    assert time.monotonic() - began < 20  # alone it takes about 2 s
    with pytest.raises(RuntimeError, match="K must be at most 20"):
        desk_server.desk.ask({**GOOD, "K": 10**6})


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals")
def test_a_killed_server_takes_its_solver_along(tmp_path):
    code = "from ufm.demo.server import serve; serve(open_browser=False)"
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    port = int(re.search(r":(\d+)/", running.stdout.readline())[1])
    connection = post(SimpleNamespace(server_address=("", port)), {**GOOD, "K": 20, "d": 40, "L": 10, "n": 50})
    children, until = [], time.monotonic() + 30
    while not children and time.monotonic() < until:
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(running.pid)], capture_output=True, text=True
        ).stdout.split()
    time.sleep(5)  # until it computes
    running.kill()
    running.communicate()
    connection.close()
    until = time.monotonic() + 20
    while (alive := [pid for pid in children if os.path.exists(f"/proc/{pid}")]) and time.monotonic() < until:
        time.sleep(0.1)
    assert children and not alive


def test_port_is_checked_before_anything_starts():
    for port in (-1, 65536, 1.5, "80"):
        with pytest.raises(ValueError, match="port"):
            server.make_server(port)


# ---- The verb


def demo(*words):
    import argparse

    from ufm.demo.commands import add_demo

    parser = argparse.ArgumentParser(exit_on_error=False)
    add_demo(parser.add_subparsers())
    arguments = parser.parse_args(["demo", *words])
    return arguments.run(arguments)


def test_the_verb_exports(tmp_path, capsys):
    assert demo("--export", str(tmp_path / "a.html")) == 0 and "written" in capsys.readouterr().out
    assert (tmp_path / "a.html").stat().st_size > 50_000
    for bad, word in (
        (["--export", str(tmp_path / "a.txt")], ".html"),
        (["--export", "/nowhere/at/all.html"], "folder"),
        (["--port", "70000"], "port"),
        (["--port", "x"], "number"),
    ):
        with pytest.raises(ValueError, match=word):
            demo(*bad, "--no-browser")


def test_ctrl_c_ends_the_server_cleanly():
    import signal

    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from ufm.demo.server import serve;"
        " serve(open_browser=False)"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert first.startswith("ufm demo: http://127.0.0.1:") and "ended" in out and not err and process.returncode == 0
