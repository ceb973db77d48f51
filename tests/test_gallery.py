"""Every gallery example runs without a warning, draws, and its story is true in numbers."""

import ast
import re
import runpy
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import ufm
from ufm.critical.measures import spectrum
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import value
from ufm.plot.bars import costs, split
from ufm.plot.levels import ladder
from ufm.plot.rays import along_ray, ray
from ufm.plot.spectra import hessian_spectra
from ufm.plot.style import colour

GALLERY = Path(__file__).resolve().parent.parent / "docs" / "gallery"
EXAMPLES = sorted(path.stem for path in GALLERY.glob("plot_*.py"))


# ------------------------------------------------------------------------------------------------ what each example
# says


def duel(the):
    dnc, pairs, table = the["dnc"], the["pairs"], the["table"]
    assert ufm.identify(dnc).name == "dnc" and ufm.identify(pairs).name == "pairs"
    for run, name in ((dnc, "dnc"), (pairs, "pairs")):
        assert run.fun == pytest.approx(table[name].fun, rel=1e-4) and table[name].status == "local minimum"
    assert table.winner.name == "pairs" and pairs.fun < dnc.fun
    assert table["pairs"].rank == 3 and table["dnc"].rank == 5
    between = np.array(pairs.trace.fun) - table["blocks(4,2)"].fun
    slope = np.gradient(np.array(pairs.trace.fun), np.array(pairs.trace.nit))
    near, later = np.argmin(np.abs(between)), np.flatnonzero(between < -0.01)[0]
    assert abs(slope[near]) < abs(slope[near:later]).max()  # it slows down near the mixture and speeds up again


def two_roots(the):
    for valley, barrier in zip(the["valleys"], the["barriers"], strict=True):
        size = float(np.linalg.norm(barrier.s) / np.linalg.norm(valley.s))
        F = along_ray(valley, [0.0, 0.5 * size, size, 2 * size, 0.9, 1.0, 1.1])
        assert F[2] > max(F[0], F[1], F[3]) and F[5] < min(F[4], F[6]) and F[2] > F[5]
    zero = value(ufm.structures.zero(the["deep"][0]))
    assert [value(p) < zero for p in the["valleys"]] == [True, True, False]
    assert all(ufm.classify(p).status == "local minimum" for p in the["valleys"])
    flat = along_ray(ufm.structures.dnc(the["shallow"]), np.linspace(0, 1, 50))
    assert np.all(np.diff(flat) < 0)  # no barrier with one layer
    assert "fold" in str(the["said"])


def why_rank_is_cheap(the):
    for L, points in the["duels"].items():
        dnc, pairs = points
        assert (value(pairs) < value(dnc)) == (L > 1)
        assert (split(pairs)[1] < split(dnc)[1]) == (L > 1) and (split(pairs)[0] < split(dnc)[0]) == (L > 1)


def loss_against_rank(the):
    assert {L: (p.best.rank, p.best.name) for L, p in the["profiles"].items()} == {
        1: (7, "dnc"),
        2: (4, "pairs"),
        4: (3, "code(antiprism(4))"),
    }


def spherical_codes(the):
    names = {8: "code(antiprism(4))", 9: "code(tricapped prism(3))", 12: "code(icosahedron)"}
    assert {K: ufm.identify(run).name for K, run in the["best"].items()} == names
    assert all(
        ufm.classify(run.point).status == "local minimum" and run.point.rank == 3 for run in the["best"].values()
    )


def who_wins_where(the):
    won = {(cell.lam, cell.K, cell.L): cell.winner for diagram in the["maps"] for cell in diagram.cells}
    assert all(won[lam, K, 1] == "dnc" for lam in (1e-4, 2e-2) for K in range(2, 11))
    assert all(won[1e-4, K, L] == ("pairs" if K % 2 == 0 else "pairs+apex") for K in range(6, 11) for L in range(2, 6))
    assert (
        won[1e-4, 5, 2] == "dnc"
        and won[2e-2, 4, 2] == "pairs"
        and won[2e-2, 5, 2] == "pairs+apex"
        and won[2e-2, 3, 5] == "dnc"
    )
    assert won[0.1, 10, 5] == "zero"
    assert the["border"] == pytest.approx(0.0117604980793, rel=1e-9)


def certified_phases(the):
    diagram = the["diagram"]
    assert diagram.decided > 0.99 and the["checked"] and all(c.holds for c in the["proofs"])
    assert all(diagram.at(K, 1, 1e-2).winner == "dnc" for K in diagram.Ks)
    assert all(diagram.at(K, 3, 1e-2).winner not in ("dnc", None) for K in diagram.Ks)
    for (K, L), low, high in (((4, 2), 0.0117, 0.0118), ((6, 2), 0, 0), ((8, 2), 0, 0)):
        assert diagram.at(K, L, 0.05).winner == "pairs"
        assert not high or diagram.at(K, L, low * 0.95).winner == "dnc"


def atlas(the):
    found = the["atlas"]
    minima = sorted((p.fun, p.name, p.rank) for p in found.minima if p.fun < 0.06)
    assert [name for _, name, _ in minima[-2:]] == ["dnc", "circle"] and minima[0][2] == 3
    assert {"petersen", "pairs"} <= {name for _, name, _ in minima} and not found.complete


def disconnectivity(the):
    network, problem = the["network"], the["problem"]
    assert set(network.names) == {"pairs", "blocks(4,2)", "dnc", "circle"} and len(network.components) == 1
    joined = {frozenset((network.names[a], network.names[b])): network.saddles[s].fun for s, a, b in network.edges}
    low, step = joined[frozenset(("pairs", "blocks(4,2)"))], joined[frozenset(("dnc", "blocks(4,2)"))]
    mixture = value(ufm.structures.blocks(problem, (4, 2)))
    assert 0 < low - mixture < 1e-5 < step - value(ufm.structures.dnc(problem)) < joined[frozenset(("circle", "pairs"))]
    assert the["string"].top.index == 1


def barrier(the):
    heights = [road.barrier for road in the["roads"]]
    assert heights == sorted(heights, reverse=True) and heights[-1] > 0
    assert the["roads"][-1].top.index == 1 and value(the["pairs"]) < value(the["dnc"])
    assert ufm.classify(the["dnc"]).status == "local minimum"


def named_saddles(the):
    assert the["reading"].passed == ["blocks(4,4)", "blocks(4,2,2)", "pairs"]
    middle = the["reading"].plateaus[1]
    assert abs(middle.ratio - 1) < 0.01 and middle.status == "strict saddle" and middle.exit - middle.entry > 20_000


def basins(the):
    found = the["found"]
    assert found.starts == found.converged == 1000 and found.winner != found.lowest.name
    assert found.lowest.rank == 3 and found.lowest.low <= 1 / 16 <= found.lowest.high
    two = list(found)[:2]
    assert {b.name for b in two} == {"petersen", "code(antiprism(4)+pair)"} and sum(b.share for b in two) > 0.7
    assert found.share("dnc")[0] == 0 < found.share("dnc")[2] < 0.01
    assert ufm.classify(ufm.structures.dnc(found.problem)).status == "local minimum"


def width_flips_the_winner(the):
    found = the["found"]
    pairs, dnc = found.shares("pairs"), found.shares("dnc")
    assert found.values[0] == 6 and found.values[-1] == 32
    assert pairs[0, 0] > 0.8 and dnc[0, 0] == 0 and dnc[-1, 0] > 0.5 > pairs[-1, 0]
    assert pairs[0, 1] > pairs[-1, 2] and dnc[0, 2] < dnc[-1, 1]  # intervals apart
    assert value(ufm.structures.pairs(the["problem"])) < value(ufm.structures.dnc(the["problem"]))


def birth_and_death(the):
    (dnc, pairs), problem = the["branches"], the["problem"]
    soft = dnc.events[0]
    assert (soft.kind, soft.index_before, soft.index_after) == ("bifurcation", 0, problem.K * (problem.K - 3) // 2)
    assert soft.point.s[0] == pytest.approx(problem.K * (problem.L - 1) / (problem.L + 1), rel=1e-6)
    assert soft.lam < dnc.folds()[0].lam < pairs.folds()[0].lam
    for lam in np.geomspace(0.01, 0.125, 6):
        assert value(pairs.at(lam)) < value(dnc.at(lam))


def hessian(the):
    spectra = {name: spectrum(point) for name, point in the["points"].items()}
    for name, flat in (("dnc", 1170), ("pairs", 670)):
        assert sum(count for _, count in spectra[name]) == 9100 and len(spectra[name]) < 20
        assert (
            sum(count for v, count in spectra[name] if abs(v) < 1e-12)
            == flat
            == ufm.classify(the["points"][name]).nullity
        )


def srg_against_dnc(the):
    assert all(a < b for a, b in zip(the["srg"], the["dnc"], strict=True)) and the["ranks"] == [5, 10]
    point = the["point"]
    objective = FactorObjective(point.problem)
    fun = objective.value_grad(objective.pack(list(point.factors)))[0]
    assert fun == pytest.approx(the["srg"][1], rel=1e-12)
    B = the["after"][:10] / the["after"].max()
    assert np.allclose(B, B.T) and np.allclose(B @ B + B - 2 * np.eye(10), 1)  # the Petersen graph's equation


def minority_collapse(the):
    ratios, gaps = the["ratios"], the["gaps"]
    end = {L: next(R for R, gap in zip(ratios, values, strict=True) if gap < 1e-6) for L, values in gaps.items()}
    assert end[1] > end[2] >= end[3] > 100
    assert all(
        (gap < 1e-6) == (2 * R + 2 > 1 / 1e-3) for R, gap in zip(ratios, gaps[1], strict=True)
    )  # merged from lam = sqrt(n)/N on, n = 1
    last = {L: [gap for gap in values if gap > 1e-6][-1] for L, values in gaps.items()}
    assert last[1] < 0.1 < 0.2 < last[2] < last[3]  # a drift with one layer, a jump with more
    assert all(values[0] == pytest.approx(1) and np.all(np.diff(values) <= 1e-6) for values in gaps.values())
    Z = the["lowest"](1, ratios[-1]).class_logits()
    assert np.allclose(Z[:, 2], Z[:, 3], atol=1e-6) and np.abs(Z[:, 2]).max() > 0.1
    assert np.abs(the["lowest"](2, ratios[-1]).class_logits()[:, 2:]).max() < 1e-6


def rank_and_decay(the):
    by_decay, by_E = (the["correlation"](the["runs"], "effective", key) for key in ("lam", "E"))
    assert by_E < -0.9 < -0.6 < by_decay < 0 and len(the["runs"]) == 24


def complete_list(the):
    found = the["atlas"]
    assert found.complete and len(found) == 81
    learned = [
        set(re.findall(r"n=(\d): large", p.name)) if "modes" in p.name else set("4321" if p.name == "dnc" else "")
        for p in found.minima
    ]
    assert sorted(learned, key=len) == [set(), {"4"}, {"4", "3"}, {"4", "3", "2"}, {"4", "3", "2", "1"}]
    assert all(p.index > 0 for p in found if p.status != "local minimum")


def trained_network(the):
    assert {head: found.name for head, found in the["found"].items()} == {0: "dnc", 1: "dnc", 3: "pairs"}
    assert all(run.accuracy == 1.0 for run in the["runs"].values())
    spectra = [np.linalg.svd(run.weights[-1], compute_uv=False) for run in the["runs"].values()]
    assert [int(np.sum(s > 0.1 * s[0])) for s in spectra] == [5, 5, 3]


STORIES = {
    "plot_01_duel": duel,
    "plot_02_two_roots": two_roots,
    "plot_03_why_rank_is_cheap": why_rank_is_cheap,
    "plot_04_loss_against_rank": loss_against_rank,
    "plot_05_spherical_codes": spherical_codes,
    "plot_06_who_wins_where": who_wins_where,
    "plot_07_certified_phases": certified_phases,
    "plot_08_atlas": atlas,
    "plot_09_disconnectivity": disconnectivity,
    "plot_10_barrier": barrier,
    "plot_11_named_saddles": named_saddles,
    "plot_12_basins": basins,
    "plot_13_width_flips_the_winner": width_flips_the_winner,
    "plot_14_birth_and_death": birth_and_death,
    "plot_15_hessian": hessian,
    "plot_16_srg_against_dnc": srg_against_dnc,
    "plot_17_minority_collapse": minority_collapse,
    "plot_18_rank_and_decay": rank_and_decay,
    "plot_19_complete_list": complete_list,
    "plot_20_trained_network": trained_network,
}
SLOW = {"01", "04", "06", "08", "09", "11", "13", "17", "20"}
"""Examples of three seconds and more."""


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """stem -> the example's names after it ran in an empty folder, its figures open."""
    monkeypatch.setattr(plt, "show", lambda: None)
    monkeypatch.chdir(tmp_path)
    before = plt.get_backend()
    plt.switch_backend("Agg")
    plt.close("all")
    with matplotlib.rc_context():
        yield lambda stem: runpy.run_path(str(GALLERY / f"{stem}.py"))
    plt.close("all")
    plt.switch_backend(before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    "stem", [pytest.param(stem, marks=[pytest.mark.slow] if stem[5:7] in SLOW else []) for stem in EXAMPLES]
)
def test_the_example_draws_and_its_story_holds(stem, drawn):
    if stem == "plot_07_certified_phases":
        pytest.importorskip("flint")
    names = drawn(stem)
    assert 1 <= len(plt.get_fignums()) <= 2
    for number in plt.get_fignums():
        figure = plt.figure(number)
        figure.canvas.draw()
        assert figure.axes and hidden_titles(figure) == []
    STORIES[stem](names)


def hidden_titles(figure) -> list[str]:
    """Titles and axis labels that leave the figure or cover each other."""
    renderer = figure.canvas.get_renderer()
    texts = [
        t
        for ax in figure.axes
        if ax.axison
        for t in (ax.title, ax.xaxis.label, ax.yaxis.label)
        if t.get_text() and t.get_visible()
    ]
    boxes = [t.get_window_extent(renderer) for t in texts]
    page = figure.bbox
    outside = [
        t.get_text()
        for t, b in zip(texts, boxes, strict=True)
        if b.x0 < page.x0 - 1 or b.y0 < page.y0 - 1 or b.x1 > page.x1 + 1 or b.y1 > page.y1 + 1
    ]
    covered = [
        a.get_text() for i, (a, p) in enumerate(zip(texts, boxes, strict=True)) for q in boxes[:i] if p.overlaps(q)
    ]
    return outside + covered


# ------------------------------------------------------------------------------------------------ tests of these tests


def test_every_example_has_a_story_and_every_story_an_example():
    assert list(STORIES) == EXAMPLES and len(EXAMPLES) >= 12
    assert (GALLERY / "GALLERY_HEADER.rst").exists()


@pytest.mark.parametrize("stem", EXAMPLES)
def test_the_example_reads_as_one(stem):
    text = (GALLERY / f"{stem}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    title, line, _, *story = ast.get_docstring(tree).splitlines()
    assert len(title) == len(line) and set(line) == {"="} and len(" ".join(story).split()) > 60
    assert "**Try next:**" in text.split("# %%")[-1] and max(map(len, text.splitlines())) <= 160
    code = [row for row in text.split('"""', 2)[2].splitlines() if row.strip() and not row.startswith("#")]
    assert 8 <= len(code) <= 60
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        random = (
            "ufm.multistart",
            "ufm.basins",
            "ufm.census",
            "ufm.landscape",
            "ufm.profile",
            "ufm.minimize",
            "ufm.path",
        )
        if ast.unparse(call.func) in random and "mse" not in ast.unparse(call):  # under mse nothing is searched
            assert "rng" in [keyword.arg for keyword in call.keywords], ast.unparse(call)


def test_untrue_stories_are_seen(drawn):
    the = drawn("plot_03_why_rank_is_cheap")
    with pytest.raises(AssertionError):
        why_rank_is_cheap({"duels": {L: points[::-1] for L, points in the["duels"].items()}})
    the = drawn("plot_16_srg_against_dnc")
    with pytest.raises(AssertionError):
        srg_against_dnc({**the, "srg": the["dnc"]})
    with pytest.raises(AssertionError):
        srg_against_dnc({**the, "after": np.roll(the["after"], 1, axis=0)})
    the = drawn("plot_10_barrier")
    with pytest.raises(AssertionError):
        barrier({**the, "roads": the["roads"][::-1]})


def test_covered_titles_are_seen(drawn):
    figure, ax = plt.subplots()
    ax.set(xlabel="covering", ylabel="outside")
    ax.set_title("covered", y=0.5)
    ax.xaxis.set_label_coords(0.5, 0.55)
    ax.yaxis.set_label_coords(-0.5, 0.5)
    figure.canvas.draw()
    assert hidden_titles(figure) == ["outside", "covering"]


# ------------------------------------------------------------------------------------------------ the drawing functions
# they brought


@pytest.mark.parametrize("seed", range(6))
def test_fit_and_penalty_add_up_for_random_problems(seed):
    rng = np.random.default_rng(seed)
    K, L, n = int(rng.integers(2, 9)), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    problem = ufm.Problem(K=K, n=n, L=L, lam=tuple(10 ** rng.uniform(-4, -2, L + 1)), bias=None if seed % 2 else 0.1)
    for point in ufm.structures.existing(problem)[0].values():
        fit, penalty = split(point)
        assert fit > 0 and penalty >= 0 and fit + penalty == pytest.approx(value(point), rel=1e-14)
        ridge = 0.5 * sum(lam * np.sum(A**2) for lam, A in zip(problem.lams, point.lift().factors, strict=True))
        assert penalty == pytest.approx(ridge, rel=1e-9, abs=1e-15)


def test_costs_are_drawn_as_they_are():
    problem = ufm.Problem(K=4, L=2, lam=0.01)
    points = [ufm.structures.dnc(problem), ufm.structures.pairs(problem), ufm.structures.zero(problem)]
    ax = costs(points)
    widths = [patch.get_width() for patch in ax.patches]
    assert widths == pytest.approx([part for point in points for part in split(point)])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dnc, rank 3", "pairs, rank 2", "zero, rank 0"]
    with pytest.raises(ValueError, match="points"):
        costs([])


def test_rays_pass_their_points_and_start_at_zero():
    problem = ufm.Problem(K=5, n=3, L=2, lam=0.005)
    point = ufm.structures.dnc(problem)
    assert along_ray(point, [0, 1]) == pytest.approx([np.log(5), value(point)])
    two = ufm.structures.dnc(ufm.Problem(K=5, n=3, L=2, lam=0.01))
    ax = ray({"a": point, "b": two, "c": ufm.structures.blocks(problem, (3, 2))}, ax=None)
    curves = [line for line in ax.lines if len(line.get_xdata()) > 1]
    assert len(curves) == 3 and len({str(line.get_color()) for line in curves}) == 3
    assert curves[0].get_xdata()[-1] == pytest.approx(1.35 * np.linalg.norm(point.s))
    with pytest.raises(ValueError, match="points"):
        ray({})


def test_ladders_have_a_rung_for_every_point_and_names_for_minima():
    found = ufm.landscape(ufm.Problem(K=3, L=2, lam=0.01, loss="mse"))
    ax = ladder(found)
    assert len(ax.lines) == len(found)
    assert sum(line.get_linewidth() > 2 for line in ax.lines) == len(found.minima) == len(ax.texts)
    assert len(ladder(found, highest=found.best.fun, labels=False).lines) == 1
    with pytest.raises(ValueError, match="highest"):
        ladder(found, highest=-1.0)


def test_spectra_are_drawn_with_their_multiplicities():
    problem = ufm.Problem(K=6, L=2, lam=1e-3, d=20)
    points = {"pairs": ufm.structures.pairs(problem), "blocks(3,3)": ufm.structures.blocks(problem, (3, 3))}
    axes = hessian_spectra(points)
    for ax, (name, point) in zip(axes, points.items(), strict=True):
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        assert sum(int(dot.get_ydata()[0]) for dot in dots) == sum(count for _, count in spectrum(point))
        assert all(dot.get_markeredgecolor() == colour(name) for dot in dots)
        assert sum(dot.get_markerfacecolor() == "white" for dot in dots) == 1
    assert min(line.get_xdata()[0] for line in axes[1].lines) < 0  # the saddle's stems lie left of zero
    assert axes[1].get_xlim()[0] < min(line.get_xdata()[0] for line in axes[1].lines)
    assert hessian_spectra({"pairs": points["pairs"]}).get_xlabel()
    with pytest.raises(ValueError, match="ax"):
        hessian_spectra(points, axes[0])
    with pytest.raises(ValueError, match="points"):
        hessian_spectra({})


def test_no_example_is_a_copy_of_a_figure():
    figures = Path(__file__).resolve().parent.parent / "theory" / "figures"
    known = {
        line.strip()
        for path in figures.glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if len(line.strip()) > 50
    }
    for stem in EXAMPLES:
        lines = [line.strip() for line in (GALLERY / f"{stem}.py").read_text(encoding="utf-8").splitlines()]
        assert not [line for line in lines if line in known and not re.match("(from|import) ", line)], stem
