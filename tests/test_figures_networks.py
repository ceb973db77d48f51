"""Figures of trained heads: the line is the model's value, the control rests there, ends are counted as they are,
nothing overlaps."""

import json
import sys

import numpy as np
import pytest
from scipy.optimize import brentq

from theory.figures import gk25_3, gk25_4, gk25_7, gk25_8, heads
from theory.figures.figure import PAGE, Work, sheet
from ufm.networks import Data, Network, Objective
from ufm.numerics.records import plain
from ufm.objectives.factors import FactorObjective
from ufm.problem import Problem

FIGURES = {"gk25-3": gk25_3, "gk25-4": gk25_4, "gk25-7": gk25_7, "gk25-8": gk25_8}
TINY = {"n": 2, "h": 20, "d": 12, "steps": 40, "seeds": 1, "scales": (1.0,), "rounds": 2}


@pytest.fixture
def mixture(monkeypatch):
    """Ten Gaussian classes in the place of the digits, which need scikit-learn, and tiny networks."""
    made = staticmethod(lambda classes=None, n=3, rng=None: Data.mixture(K=10, n=n, d=64, sigma=0.3, rng=1))
    monkeypatch.setattr(heads.Data, "digits", made)
    monkeypatch.setattr(heads, "SMALL", TINY)
    monkeypatch.setattr(heads, "FIT", 300)


def cell(decay, L=3, activation="linear", scale=1.0, **more):
    size = {key: val for key, val in TINY.items() if key not in ("seeds", "scales")}
    return {**size, **decay, "activation": activation, "rng": 0, "L": L, "scale": scale, "seed": 0, **more}


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("L", [3, 4])
def test_the_objective_is_that_of_the_model_at_the_features(mixture, L, activation):
    c, digits = cell(heads.UFM, L, activation), heads.Data.digits(n=2)
    net = heads.network(c)
    params = net.init(0)
    fun = Objective(net, digits, "ce", heads.decay_of(c)).value(params)
    linear = heads.problem_of(c)
    model = FactorObjective(Problem(K=10, n=2, d=c["d"], L=L, lam=linear.lam, activation=activation))
    factors = [net.features(params, digits)[3], *params[-L:]]
    assert fun == pytest.approx(model.value_grad(model.pack(factors))[0], rel=1e-12)
    factors[0] = 1.01 * factors[0]
    assert fun != pytest.approx(model.value_grad(model.pack(factors))[0], rel=1e-6)


@pytest.mark.parametrize(
    "L, n, lam, lam_H", [(3, 20, 5e-3, 6e-3), (4, 20, 5e-3, 6e-3), (3, 7, 1e-3, 2e-2), (4, 1, 8e-3, 1e-4)]
)
def test_the_line_is_the_closed_form_and_does_not_see_n(L, n, lam, lam_H):
    level, K = (lam**L * lam_H) ** (1 / (L + 1)), 10
    a = brentq(lambda a: a ** ((L - 1) / (L + 1)) / (np.exp(a) + K - 1) - level, 2.0, 40.0, xtol=1e-14)
    expected = np.log1p((K - 1) * np.exp(-a)) + (L + 1) * (K - 1) * a / (2 * (np.exp(a) + K - 1))
    found = heads.values(cell(heads.UFM, L, n=n, lam=lam, lam_H=lam_H), [])
    assert found["dnc"] == pytest.approx(expected, rel=1e-10) and found["pairs"] < found["dnc"]
    assert list(heads.values(cell(heads.UFM, L, "relu"), [])) == ["dnc"]


@pytest.mark.parametrize("L", [3, 4])
def test_the_control_rests_in_collapse_at_the_line(mixture, L):
    c = cell(heads.UFM, L, scale=None)
    run, line = heads.trained(c), heads.values(c, [])["dnc"]
    assert run["held"] == pytest.approx(line, rel=1e-6) and run["fun"] == pytest.approx(line, rel=1e-6)
    assert run["name"] == "dnc" and run["distance"] < 1e-3 and run["ranks"] == [9] * L and run["grad_norm"] < 1e-3
    assert run["nc"][-1]["nc2"] < 1e-2 and run["nc"][-1]["nc3"] < 1e-2 and run["nc"][-1]["nc4"] == 1.0
    wrong = heads.values({**c, "lam": 1.01 * c["lam"]}, [])["dnc"]
    assert run["fun"] != pytest.approx(wrong, rel=1e-4)


@pytest.mark.parametrize("L", [3, 4])
def test_a_held_head_costs_what_the_formula_says_and_its_scale_is_best(mixture, L):
    c, digits = cell(heads.STANDARD, L, scale=None, rounds=8), heads.Data.digits(n=2)
    params, fun = heads.collapsed(c, digits)
    A, head, K = params[:3], params[3:], 10
    scales = [np.linalg.svd(W, compute_uv=False) for W in head]
    assert all(np.allclose(s[:9], scales[0][0], rtol=1e-10) and np.all(s[9:] < 1e-12) for s in scales)
    scale = scales[0][0]
    z = np.maximum(A[1] @ np.maximum(A[0] @ digits.X, 0), 0)
    logits = head[-1] @ head[0] @ A[2] @ z * scale ** (L - 2)
    fit = np.mean(np.log(np.sum(np.exp(logits), axis=0)) - logits[digits.y, np.arange(digits.N)])
    decay = 0.5 * c["lam"] * (sum(np.sum(W**2) for W in A) + L * (K - 1) * scale**2)
    assert fun == pytest.approx(fit + decay, rel=1e-10)
    objective = Objective(heads.network(c), digits, "ce", c["lam"])

    def value(
        *factors,
    ):  # the layers of the head scaled by factors, the map's last weight against them: the same logits
        return objective.value([*A[:2], A[2] / np.prod(factors), *(f * W for f, W in zip(factors, head, strict=True))])

    assert value(*[1.0] * L) == pytest.approx(fun, rel=1e-12)
    assert min(value(*[f] * L) for f in (0.9, 0.97, 1.03, 1.1)) > fun  # the common scale
    assert value(1.1, 1 / 1.1, *[1.0] * (L - 2)) > fun  # equal scales


@pytest.mark.parametrize("blocks, name", [([2] * 5, "pairs"), ([10], "dnc"), ([4, 2, 2, 2], "blocks(4,2,2,2)")])
def test_ends_are_named_after_any_order_of_classes(blocks, name):
    Z = np.zeros((10, 10))
    for start, size in zip(np.cumsum([0, *blocks[:-1]]), blocks, strict=True):
        Z[start : start + size, start : start + size] = np.eye(size) - 1 / size
    order = np.random.default_rng(3).permutation(10)
    Z = Z[np.ix_(order, order)]
    digits = Data(np.eye(10), np.arange(10), 10)
    net = Network([10, 12, 12, 10], "linear")  # the features are 12 x 10, the head W_2, W_3
    I = np.eye(12, 10)
    found = heads.end(net, [I @ Z, np.eye(12), I.T], digits, 2)
    assert found["name"] == name and found["distance"] < 1e-12 and sorted(found["order"]) == list(range(10))
    M = np.array(found["logits"])
    assert np.linalg.norm(M[~np.kron(np.eye(5), np.ones((2, 2))).astype(bool)]) < 1e-12 or name != "pairs"
    assert np.allclose(M, Z[np.ix_(found["order"], found["order"])], atol=1e-12)
    assert found["rank"] == 10 - len(blocks) and len(found["nc"]) == 2 and found["nc"][0]["nc3"] is None


def test_an_end_without_signal_has_no_metrics():
    digits = Data(np.eye(10), np.arange(10), 10)
    found = heads.end(Network([10, 12, 10], "linear"), [np.zeros((12, 10)), np.zeros((10, 12))], digits, 1)
    assert found["name"] == "zero" and found["ranks"] == [0] and found["nc"][0]["nc1"] is None
    json.dumps(found, allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("id", FIGURES)
def test_a_figure_computes_what_it_says(mixture, id):
    figure = FIGURES[id].FIGURE
    assert figure.id == id and "digits" in figure.title and "analogue" in figure.source
    data = figure.compute(fast=True, progress=False)
    assert [part["L"] for part in data["parts"]] == [3, 4] and data["activation"] == (
        "linear" if id in ("gk25-3", "gk25-4") else "relu"
    )
    assert data["settings"]["kind"] == ("ufm" if id in ("gk25-3", "gk25-7") else "standard")
    assert all(np.isfinite(row["loss"]) for row in figure.rows(data) if "loss" in row)
    starts = [[(run["scale"], run["seed"]) for run in part["runs"]] for part in data["parts"]]
    assert starts == [[(1.0, 0), (None, 0)]] * 2


def test_equal_arguments_give_equal_bytes(mixture, tmp_path):
    files = []
    for run, cache in (("a", tmp_path / "cache"), ("b", None)):
        (tmp_path / run).mkdir()
        files.append(gk25_7.FIGURE.write(tmp_path / run / "f.pdf", True, cache=cache, csv=True, progress=False))
    for same in zip(*files, strict=True):
        assert len({path.read_bytes() for path in same}) == 1


def made_up(fun, name, rank, scale=1.0, seed=0, L=3):
    M = (7.1 * (np.eye(10) - 0.1)).tolist()
    spectra = [np.linspace(2.5, 0.01, 12).tolist()] * L
    curve = {"epochs": [1, 10, 100, 1000, 5000], "losses": [9.0, 2.0, 1.2 * fun, 1.01 * fun, fun]}
    more = {
        "distance": 0.0123 if not name.startswith("unnamed") else None,
        "within_class": 0.1,
        "grad_norm": 1e-3,
        "accuracy": 1.0,
        "held": None,
    }
    nc = [{"layer": l + 1, "nc1": 0.1, "nc1_rank": 4, "nc2": 0.5, "nc3": None, "nc4": None} for l in range(L)]
    said = {"scale": scale, "seed": seed, "fun": fun, "loss": fun / 2, "name": name, "rank": rank, "ranks": [9] * L}
    return {**said, **curve, **more, "spectra": spectra, "order": list(range(10)), "logits": M, "nc": nc}


def crowded(kind="ufm", activation="linear"):
    """Data of a figure with every kind of end in it."""
    names = [
        ("code(antiprism(4)+pair)", 4),
        ("pairs", 5),
        ("petersen", 4),
        ("blocks(4,2,2,2)", 6),
        ("unnamed(rank=8, group order=1)", 8),
        ("zero", 0),
    ]
    parts = []
    for L in (3, 4):
        runs = [made_up(0.18 + 0.02 * i, name, rank, seed=i, L=L) for i, (name, rank) in enumerate(names)]
        values = {"dnc": 0.2526, "pairs": 0.2003} if kind == "ufm" and activation == "linear" else {"dnc": 0.2526}
        parts.append({"L": L, "values": values, "runs": [*runs, made_up(0.2527, "dnc", 9, scale=None, L=L)]})
    return {"activation": activation, "settings": {"kind": kind}, "parts": parts}


@pytest.mark.quick(1)
@pytest.mark.parametrize("kind, activation", [("ufm", "linear"), ("standard", "relu")])
def test_nothing_overlaps_and_every_number_is_in_the_table(kind, activation):
    test_figures = pytest.importorskip("test_figures")
    data = crowded(kind, activation)
    picture = gk25_3.FIGURE.picture(data)
    assert picture.get_size_inches()[0] == PAGE and test_figures.overlaps(picture) == []
    table = heads.rows(data)
    losses = {row["loss"] for row in table if "loss" in row}
    drawn = {float(y) for ax in (picture.axes[0], picture.axes[3]) for line in ax.lines for y in line.get_ydata()}
    assert drawn <= losses
    singular = {row["value"] for row in table if row["kind"] == "singular value"}
    assert {
        float(y) for ax in (picture.axes[1], picture.axes[4]) for line in ax.lines for y in line.get_ydata()
    } <= singular
    logits = [row for row in table if row["kind"] == "logit"]
    assert len(logits) == 200 and logits[0]["value"] == data["parts"][0]["runs"][0]["logits"][0][0]
    picture.axes[0].set_xticks([100, 110], ["one hundred", "one hundred and ten"])
    assert test_figures.overlaps(picture)  # an overlap would be seen


def test_ends_below_the_line_are_counted_without_the_control():
    data = crowded()

    def title():
        ax = sheet(PAGE, 3.0).add_subplot()
        heads.curves(ax, data["parts"][0], data)
        return ax.get_title()

    assert "4 of 6 end below DNC" in title()  # 0.18, 0.20, 0.22, 0.24 of six random starts
    ends = [row for row in heads.rows(data) if row["kind"] == "end" and row["L"] == 3]
    assert [row["below"] for row in ends] == [True] * 4 + [False] * 3 and ends[-1]["start"] == "collapsed"
    data["parts"][0]["values"]["dnc"] = 0.17  # a line below all runs
    assert "0 of 6" in title()


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with Work("x", True, 0) as work, pytest.raises(ImportError, match=r"ufm\[data\]"):
        gk25_3.FIGURE.data(work)


def test_low_rank_on_digits_below_the_line():
    pytest.importorskip("sklearn")
    size = {key: heads.SMALL[key] for key in ("n", "h", "d")}
    run = heads.trained({**cell(heads.UFM, 4), **size, "steps": 700})
    assert (
        run["fun"] < 0.9 * heads.values(cell(heads.UFM, 4), [])["dnc"]
        and max(run["ranks"]) < 9
        and run["accuracy"] == 1.0
    )


@pytest.mark.quick(1)
@pytest.mark.parametrize("all_of_them", [True, False])
def test_runs_that_diverge_are_counted_and_not_drawn(mixture, all_of_them):
    bad = {"scale": 1.0, "seed": 9, **heads.trained(cell(heads.UFM, scale=20.0))}
    assert bad["name"] == "diverged" and bad["fun"] is None and bad["nc"] == []
    data = json.loads(json.dumps(plain(crowded())))
    data["parts"][0]["runs"] = [bad, data["parts"][0]["runs"][-1]] if all_of_them else [bad, *data["parts"][0]["runs"]]
    assert (heads.drawn(data["parts"][0]) is None) == all_of_them
    picture = gk25_3.FIGURE.picture(data)
    assert picture.axes[0].get_title().endswith("0 of 1 end below DNC" if all_of_them else "4 of 7 end below DNC")
    row = next(row for row in heads.rows(data) if row["kind"] == "end")
    assert row["name"] == "diverged" and row["below"] is False
