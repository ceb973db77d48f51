"""Figures: equal bytes on equal arguments, cells kept across interruptions, nothing overlapping, every number in the
table."""

import csv
import itertools
import json
import math

import numpy as np
import pytest
from scipy import special

from theory.figures import (
    descents,
    ends,
    gk25_1,
    gk25_2,
    gk25_5,
    gk25_6,
    ufm_dimension,
    ufm_ends,
    ufm_map,
    ufm_profile,
    ufm_stability,
)
from theory.figures.figure import COLUMN, PAGE, PaperFigure, Work, epochs, figures, sheet
from theory.gk25.thm4_sharp import threshold
from theory.references import references
from ufm import structures
from ufm.cli import main
from ufm.numerics.records import csv_text
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.numerics.statistics import wilson
from ufm.objectives.factors import FactorObjective
from ufm.plot.style import COLOURS
from ufm.problem import Problem
from ufm.solvers.starts import gaussian

SERIES = [
    *(f"gk25-{i}" for i in range(1, 9)),
    *("gsgp22-displacement", "gsgp22-sweep", "lj22-invariants", "lj22-rank-one"),
    *(f"sml24-{i}" for i in (1, 2, 3, 5, 6)),
    *(
        "ufm-angles",
        "ufm-bifurcation",
        "ufm-death",
        "ufm-dimension",
        "ufm-ends",
        "ufm-map",
        "ufm-minority",
        "ufm-morse",
        "ufm-of-kink",
        "ufm-profile",
    ),
    *("ufm-stability", "zang24-classes", "zang24-lambda"),
]

# ------------------------------------------------------------------------------------------------ Wilson's interval


@pytest.mark.parametrize("k, m", [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (7, 20), (123, 1000)])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_wilson_ends_are_where_the_score_test_is_at_its_level(k, m, level):
    z = special.ndtri(0.5 + level / 2)
    low, high = wilson(k, m, level)
    assert 0 <= low <= k / m <= high <= 1
    for q, closed in ((low, k == 0), (high, k == m)):
        assert closed or (k / m - q) ** 2 == pytest.approx(z**2 * q * (1 - q) / m, rel=1e-10)
    assert (low == 0) == (k == 0) and (high == 1) == (k == m)
    mirrored = wilson(m - k, m, level)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-14)


def test_wilson_covers_near_its_level_and_the_plain_interval_does_not():
    m, level = 10, 0.95
    z = special.ndtri(0.975)

    def plain(k):
        reach = z * math.sqrt(k / m * (1 - k / m) / m)
        return k / m - reach, k / m + reach

    def coverage(interval):
        qs = np.linspace(0.02, 0.98, 97)
        inside = [[low <= q <= high for low, high in map(interval, range(m + 1))] for q in qs]
        chance = [[math.comb(m, k) * q**k * (1 - q) ** (m - k) for k in range(m + 1)] for q in qs]
        return np.mean(np.sum(np.array(inside) * chance, axis=1))

    assert abs(coverage(lambda k: wilson(k, m, level)) - level) < 0.015
    assert coverage(plain) < 0.90


@pytest.mark.parametrize(
    "arguments, name",
    [
        ((3, 2), "successes"),
        ((-1, 2), "successes"),
        ((0, 0), "trials"),
        ((1, 2, 1.0), "level"),
        ((1, 2, 0), "level"),
        ((1.5, 2), "successes"),
    ],
)
def test_wilson_names_what_is_wrong(arguments, name):
    with pytest.raises(ValueError, match=name):
        wilson(*arguments)


# ------------------------------------------------------------------------------------------------ the framework


def toy(data=None, **more):
    """A figure of squares, drawn in a moment."""

    def draw(found):
        picture = sheet(COLUMN, 2.0)
        ax = picture.add_subplot()
        ax.plot([row["square"] for row in found["cells"]], label="$x^2$")
        epochs(ax, 1, 3000)
        ax.legend()
        return picture

    data = data or (lambda work: {"cells": work.map(square, [{"x": x} for x in range(5)])})
    return PaperFigure(
        id="toy",
        title="Squares",
        source="gk25, nothing",
        data=data,
        draw=draw,
        rows=lambda d: d["cells"],
        takes="0 s",
        takes_fast="0 s",
        **more,
    )


CALLS = []
FAIL_AT = []


def square(cell):
    CALLS.append(cell["x"])
    if cell["x"] in FAIL_AT:
        raise KeyboardInterrupt
    return {"x": cell["x"], "square": cell["x"] ** 2}


@pytest.fixture(autouse=True)
def fresh():
    CALLS.clear()
    FAIL_AT.clear()


def test_interrupted_work_resumes_where_it_stopped(tmp_path):
    FAIL_AT.append(3)
    with pytest.raises(KeyboardInterrupt):
        toy().compute(cache=tmp_path, jobs=1)
    assert CALLS == [0, 1, 2, 3]
    CALLS.clear(), FAIL_AT.clear()
    first = toy().compute(cache=tmp_path, jobs=1)
    assert CALLS == [3, 4] and [row["square"] for row in first["cells"]] == [0, 1, 4, 9, 16]
    CALLS.clear()
    assert toy().compute(cache=tmp_path, jobs=1) == first and CALLS == []
    assert toy().compute(cache=None, jobs=1) == first and CALLS == [0, 1, 2, 3, 4]
    CALLS.clear()
    toy().compute(fast=True, cache=tmp_path)
    assert CALLS == [0, 1, 2, 3, 4]  # the small version remembers for itself


def test_other_cells_and_torn_memories_are_computed_anew(tmp_path):
    toy().compute(cache=tmp_path, jobs=1)
    (memory,) = tmp_path.iterdir()
    memory.write_bytes(memory.read_bytes()[:-5])  # a killed process left half a line
    CALLS.clear()
    toy(lambda work: {"cells": work.map(square, [{"x": 4}, {"x": 7}, {"x": 0}])}).compute(cache=tmp_path, jobs=1)
    assert CALLS == [4, 7]


def test_figures_with_one_memory_share_cells(tmp_path):
    toy(memory="shared").compute(cache=tmp_path, jobs=1)
    CALLS.clear()
    with Work("shared", False, 0, tmp_path, jobs=1) as work:
        work.map(square, [{"x": 2}])
    assert CALLS == [] and {p.name.split("-")[0] for p in tmp_path.iterdir()} == {"shared"}
    shared = {id: figure.memory for id, figure in figures().items() if figure.memory}
    assert shared == dict.fromkeys(("gk25-2", "gk25-5", "ufm-ends"), ends.MEMORY)


def test_processes_give_the_same_numbers():
    cells = [{"K": K, "L": 2, "side": side} for K in (4, 6) for side in (1.01, 0.99)]
    with Work("toy", False, 0, jobs=1) as here, Work("toy", False, 0, jobs=2) as there:
        assert here.map(ufm_stability.signature, cells) == there.map(ufm_stability.signature, cells)
    with pytest.raises(ValueError, match="jobs"):
        Work("toy", False, 0, jobs=0)


@pytest.mark.quick(1)
@pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
def test_equal_arguments_give_equal_bytes(tmp_path, suffix):
    files = []
    for run, cache in (
        ("a", tmp_path / "cache"),
        ("b", tmp_path / "cache"),
        ("c", None),
    ):  # computed, read back, computed
        (tmp_path / run).mkdir()
        files.append(toy().write(tmp_path / run / f"f.{suffix}", cache=cache, csv=True, jobs=1))
    for same in zip(*files, strict=True):
        assert len({path.read_bytes() for path in same}) == 1
    changed = toy(lambda work: {"cells": [{"square": 2.0}, {"square": 2.1}]}).write(tmp_path / f"g.{suffix}")
    assert changed[0].read_bytes() != files[0][0].read_bytes()
    record = json.loads(files[0][1].read_text())
    assert record["source"] == "gk25, nothing" and set(record["versions"]) == {"ufm", "numpy", "scipy", "matplotlib"}
    with open(files[0][2], newline="") as stream:
        assert [row["square"] for row in csv.DictReader(stream)] == ["0", "1", "4", "9", "16"]


def test_panels_stand_at_six_digits_whatever_the_layout_solver_does():
    picture = toy().picture(toy().compute(jobs=1))
    assert picture.get_layout_engine() is None or not picture.get_layout_engine().adjust_compatible
    assert all(x == round(x, 6) for ax in picture.axes for x in ax.get_position(original=True).bounds[:2])


def test_pdf_fonts_are_embedded_outlines(tmp_path):
    text = toy().write(tmp_path / "f.pdf", jobs=1)[0].read_bytes()
    assert b"/FontFile2" in text and b"/Type3" not in text and b"STIX" in text


def test_bad_paths_are_refused_before_any_work(tmp_path):
    for path, what in ((tmp_path / "f.doc", "must end in"), (tmp_path / "no" / "f.pdf", "existing folder")):
        with pytest.raises(ValueError, match=what):
            toy().write(path, jobs=1)
    assert CALLS == []


def test_table_keeps_every_column():
    assert csv_text([{"a": 1}, {"a": 2, "b": "x,y"}]) == 'a,b\n1,\n2,"x,y"\n'


def test_the_registry_holds_every_series_with_a_known_source():
    known = figures()
    assert list(known) == SERIES
    assert {figure.key for figure in known.values()} <= set(references())


# ------------------------------------------------------------------------------------------------ the paper's method


def wide_and_narrow(L):
    problem = Problem(K=3, n=2, d=20, L=L, lam=2.0**-4)
    objective = FactorObjective(problem)
    return problem, objective, gaussian()(objective, generator(child(seed_sequence(1), 0)))


@pytest.mark.parametrize("L", [1, 2, 3])
def test_leaving_the_width_keeps_logits_and_ends(L, monkeypatch):
    problem, objective, x = wide_and_narrow(L)
    for _ in range(3):
        x, _ = descents.advance(objective, x[None], 1e-12, 60)
        x = x[0]
    collapsed = objective.to_logits(x, collapse=True).matrix()
    narrow = descents.narrow_objective(problem)
    assert np.allclose(narrow.logits(descents.narrowed(objective, x)), collapsed, atol=1e-12)
    early = gaussian()(objective, generator(child(seed_sequence(1), 0)))
    assert descents.remnant(objective, early) > 0.1  # at the start the width still matters
    fast = descents.rest(problem, 3, 5, 1e-9, 20_000)
    monkeypatch.setattr(descents, "FADED", -1.0)
    whole = descents.rest(problem, 3, 5, 1e-9, 20_000)
    assert [e.name for e in fast] == [e.name for e in whole]
    for quick, full in zip(fast, whole, strict=True):
        assert quick.fun == pytest.approx(full.fun, abs=1e-10) and quick.grad_norm <= 1e-9
        assert np.allclose(quick.logits, full.logits, atol=2e-5) and quick.polished


def test_wrong_frames_would_be_seen(monkeypatch):
    problem, objective, x = wide_and_narrow(2)
    frames_of = descents.class_frames

    def planted(objective, x):
        H, spread, frames = frames_of(objective, x)
        return (
            H,
            spread,
            [frames[0][:, ::-1].copy() * np.sign(np.arange(frames[0].shape[1]) - 0.5), np.roll(frames[1], 1, axis=0)],
        )

    monkeypatch.setattr(descents, "class_frames", planted)
    logits = descents.narrow_objective(problem).logits(descents.narrowed(objective, x))
    assert not np.allclose(logits, objective.to_logits(x, collapse=True).matrix(), atol=1e-3)


def test_starts_are_those_of_minimize_and_independent_of_their_number():
    from ufm.solvers.minimize import minimize

    problem = Problem(K=4, n=2, d=6, L=2, lam=2.0**-4)
    many, one = descents.rest(problem, 4, 3, 1e-8, 20_000), descents.rest(problem, 1, 3, 1e-8, 20_000, first=2)
    assert one[0].fun == pytest.approx(many[2].fun, abs=1e-12) and one[0].name == many[2].name
    run = minimize(problem, method="gd", rng=child(seed_sequence(3), 2), tol=1e-8, steps=20_000)
    assert run.fun == pytest.approx(one[0].fun, abs=1e-10)


def test_ends_are_named_and_honest():
    zero = descents.rest(Problem(K=4, n=1, d=6, L=2, lam=1.0), 2, 0, 1e-8, 5000)
    assert {e.name for e in zero} == {"zero"} and {e.rank for e in zero} == {0}
    (dnc,) = descents.rest(Problem(K=3, n=1, d=12, L=2, lam=2.0**-4), 1, 0, 1e-8, 50_000)
    exact = structures.dnc(Problem(K=3, n=1, d=12, L=2, lam=2.0**-4))
    assert dnc.name == "dnc" and dnc.distance < 1e-5 and dnc.index == 0 and dnc.status == "local minimum"
    assert dnc.singular_values[:2] == pytest.approx(exact.s.tolist(), rel=1e-6)
    (short,) = descents.rest(Problem(K=6, n=2, d=12, L=2, lam=2.0**-6), 1, 0, 1e-8, 30)
    assert short.steps == 30 and short.grad_norm > 1e-3 and not short.polished
    (far,) = descents.rest(Problem(K=3, n=1, d=4, L=3, lam=2.0**-4), 1, 0, 1e-8, 500, scale=20.0)
    assert far.name == "diverged" and not np.isfinite(far.fun)


def test_cells_of_different_points_have_different_seeds():
    base = {"K": 4, "n": 1, "L": 2, "rng": 7, "starts": 2, "tol": 1e-7, "steps": 10}
    cells = [
        descents.cell(d=d, lam=lam, scale=s, **base) for d in (4, 5) for lam in (0.1, 0.2) for s in (None, 0.5, 0.25)
    ]
    assert len({json.dumps(c["seed"]) for c in cells}) == len(cells)
    assert all(c["seed"]["entropy"] == 7 for c in cells)


# ------------------------------------------------------------------------------------------------ pictures


def overlaps(picture, slack=0.75):
    """Pairs of written texts whose boxes overlap by more than `slack` points, and texts that leave the page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    boxes, page, cut = [], picture.bbox, slack * picture.dpi / 72
    for text in written(picture):
        if text.get_visible() and text.get_text().strip():
            boxes.append((text.get_text(), text.get_window_extent(canvas.get_renderer())))
    found = []
    for (a, p), (b, q) in itertools.combinations(boxes, 2):
        if min(p.x1, q.x1) - max(p.x0, q.x0) > cut and min(p.y1, q.y1) - max(p.y0, q.y0) > cut:
            found.append((a, b))
    return found + [
        (text, "page")
        for text, box in boxes
        if box.x0 < page.x0 - 1 or box.x1 > page.x1 + 1 or box.y0 < page.y0 - 1 or box.y1 > page.y1 + 1
    ]


def written(picture):
    """Every text of a figure; of tick labels those inside their axis' limits."""
    from matplotlib.text import Text

    legends = [*picture.legends, *(ax.get_legend() for ax in picture.axes if ax.get_legend())]
    yield from (text for legend in legends for text in legend.findobj(Text))
    yield from picture.texts
    for ax in picture.axes:
        yield from (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts)
        for axis, at, limits in ((ax.xaxis, 0, ax.get_xlim()), (ax.yaxis, 1, ax.get_ylim())):
            low, high = min(limits), max(limits)
            labels = axis.get_ticklabels(which="both") if ax.axison else ()
            yield from (label for label in labels if low <= label.get_position()[at] <= high)


def end(name, rank, fun=0.1):
    return {"name": name, "rank": rank, "fun": fun, "grad_norm": 1e-8, "steps": 10}


def made_up(d, lam, names):
    return {"K": 10, "n": 5, "L": 2, "d": d, "lam": lam, "ends": [end(name, rank) for name, rank in names]}


MIX = [("pairs", 5)] * 3 + [
    ("blocks(4,2,2,2)", 6),
    ("blocks(3,3,2,2)", 6),
    ("blocks(6,2,2)", 7),
    ("blocks(8,2)", 8),
    ("dnc", 9),
    ("dnc", 9),
    ("unnamed(rank=5, group order=80)", 5),
]


def crowded() -> dict:
    """Data of gk25-2 at full size with every kind of end in it."""
    lam0, lams = 2.0**-10, ends.LAMS
    return {
        "width": [made_up(d, lam0, MIX[i % 4 :] + MIX[: i % 4]) for i, d in enumerate(ends.WIDTHS)],
        "lam": [made_up(70, lam, MIX[:8]) for lam in lams],
        "lam_wide": [made_up(140, lam, MIX[2:]) for lam in lams],
        "scale": [made_up(70, lam0, MIX[1:]) for _ in ends.SCALES],
        "scales": list(ends.SCALES),
        "level": 0.95,
        "values": ufm_ends.values(Problem(K=10, n=5, L=2, lam=lam0), np.geomspace(lams[0], lams[-1], 5)),
    }


@pytest.mark.slow
def test_full_size_ends_are_drawn_without_overlaps():
    data = crowded()
    for module in (gk25_2, gk25_5, ufm_ends):
        picture = module.FIGURE.picture(data)
        assert picture.get_size_inches()[0] == PAGE
        assert overlaps(picture) == [], module.FIGURE.id


def test_an_overlap_would_be_seen():
    picture = gk25_2.FIGURE.picture(crowded())
    ax = picture.axes[0]
    ax.set_xticks([100, 101], ["one hundred", "one hundred and one"])
    assert overlaps(picture)
    other = gk25_2.FIGURE.picture(crowded())
    other.axes[0].text(
        0.9, 0.5, "this text leaves the page on its right side, wide as it is: " * 3, transform=other.axes[1].transAxes
    ).set_in_layout(False)
    assert any(pair[1] == "page" for pair in overlaps(other))


def test_fractions_and_intervals_are_those_of_the_runs():
    data = crowded()
    rows = gk25_2.rows(data)
    assert len(rows) == len(ends.WIDTHS) + 2 * len(ends.LAMS)
    for row in rows:
        point = next(p for p in data[row["cut"]] if (p["d"], p["lam"]) == (row["d"], row["lam"]))
        hits = sum(e["name"] == "dnc" for e in point["ends"])
        assert (row["dnc"], row["fraction"], (row["low"], row["high"])) == (
            hits,
            hits / len(point["ends"]),
            wilson(hits, len(point["ends"])),
        )
    picture = gk25_2.FIGURE.picture(data)
    drawn = {float(y) for ax in picture.axes for line in ax.lines for y in line.get_ydata()}
    assert {row["fraction"] for row in rows} <= drawn
    counted = {}
    for row in gk25_5.rows(data):
        counted[row["cut"], row["d"], row["lam"]] = counted.get((row["cut"], row["d"], row["lam"]), 0) + row["hits"]
    assert all(total == len(MIX) or total == 8 for total in counted.values())
    assert {row["rank"] for row in gk25_5.rows(data) if row["name"].startswith("blocks")} == {6, 7, 8}


def test_colours_are_the_house_colours():
    styles = ends.look({"dnc": 9, "pairs": 5, "blocks(6,2,2)": 7, "blocks(5,3,2)": 7, "blocks(8,2)": 8})
    assert styles["dnc"]["facecolor"] == COLOURS["dnc"] and styles["pairs"]["facecolor"] == COLOURS["pairs"]
    assert (
        styles["blocks(6,2,2)"]["facecolor"]
        == styles["blocks(5,3,2)"]["facecolor"]
        != styles["blocks(8,2)"]["facecolor"]
    )
    assert styles["blocks(6,2,2)"]["hatch"] != styles["blocks(5,3,2)"]["hatch"]
    same = ends.look({"code(antiprism(4)+pair)": 4, "code(icosahedron)": 3})
    assert len({style["hatch"] for style in same.values()}) == 2
    assert (
        ends.short("blocks(6,2,2)") == "6+2+2"
        and ends.short("dnc") == "DNC"
        and ends.short("unnamed(rank=5)") == "unnamed"
    )


@pytest.mark.quick(1)
@pytest.mark.parametrize("module, most", [(ufm_dimension, 3.0), (ufm_stability, 1.0)], ids=["dimension", "stability"])
def test_a_fast_figure_from_the_start(module, most, tmp_path):
    figure = module.FIGURE
    data = figure.compute(fast=True, cache=tmp_path)
    picture = figure.picture(data)
    assert picture.get_size_inches()[0] in (COLUMN, PAGE)
    assert overlaps(picture) == []
    assert all(isinstance(row, dict) for row in figure.rows(data)) and figure.rows(data)
    files = [figure.write(tmp_path / f"{run}.pdf", True, cache=tmp_path, csv=True) for run in "ab"]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))


def test_dimension_curves_are_the_counts_and_the_hessians_agree():
    with Work("x", True, 0) as work:
        data = ufm_dimension.data(work)
    for row in ufm_dimension.rows(data):
        expected = ufm_dimension.frames(9, row["d"]) / ufm_dimension.frames(row["rank"], row["d"])
        assert row["ratio"] == pytest.approx(expected, rel=1e-12) and row["ratio"] > 1
        if row["kind"] == "count":
            assert row["published_low"] <= row["published_high"] < row["ratio"]
    assert ufm_dimension.published(10, 5, 10)[1] < 1  # what the paper says of small widths


def test_stability_markers_only_where_signatures_agree():
    with Work("x", True, 0) as work:
        data = ufm_stability.data(work)
    assert all(
        c["index"] == c["expected"] and c["status"] == ("local minimum" if c["side"] > 1 else "strict saddle")
        for c in data["checks"]
    )
    assert all(a < b for curve in data["curves"] for a, b in zip(curve["threshold"], curve["fold"], strict=True))
    for line, L in zip(data["lines"], (2, 3, 6), strict=True):
        seen = [p for p in data["stairs"] if p["L"] == L]
        assert all(p["index"] == (0 if p["lam"] < ufm_stability.lam_star(10, L) else 35) for p in seen) and {
            p["index"] for p in seen
        } == {0, 35}
        assert {0, 35, 44} == set(line["index"])
    assert float(threshold(10, 3)) == 5.0
    before = sum(
        len(line.get_xdata()) for line in ufm_stability.FIGURE.picture(data).axes[0].lines if line.get_marker() == "o"
    )
    data["checks"][0]["index"] += 1  # a signature that disagrees is not drawn
    after = sum(
        len(line.get_xdata()) for line in ufm_stability.FIGURE.picture(data).axes[0].lines if line.get_marker() == "o"
    )
    assert after == before - 1


def test_map_cells_name_the_lowest_and_prove_its_order():
    expected = {
        (4, 2, 1e-3): "dnc",
        (4, 2, 5e-2): "pairs",
        (4, 3, 1e-2): "pairs",
        (2, 2, 1e-2): "dnc",
        (6, 1, 1e-2): "dnc",
        (5, 3, 1e-2): "circle",
        (3, 2, 0.5): "zero",
    }
    cells = [ufm_map.winner({"K": K, "L": L, "lam": lam, "starts": 3, "rng": 0}) for K, L, lam in expected]
    assert [c["winner"] for c in cells] == list(expected.values())
    from ufm.numerics import balls

    for c in cells:
        assert c["against"] is None or (c["margin"] > 0 and c["proved"] == balls.available())
    assert cells[-1]["dnc"] is None and cells[0]["rank"] == 3
    assert (
        ufm_map.family("code(icosahedron)") == "code"
        and ufm_map.family("unnamed(rank=3)") == "unnamed"
        and ufm_map.family("circle#2") == "circle"
    )
    grid = [
        {**c, "K": K, "L": L, "lam": lam}
        for (K, L), lam in itertools.product(itertools.product(range(2, 17), range(1, 9)), (1e-4, 5e-2))
        for c in cells[:1]
    ]
    grid[5]["proved"], grid[7]["dnc"] = False, None
    data = {"Ks": list(range(2, 17)), "Ls": list(range(1, 9)), "lams": [1e-4, 5e-2], "cells": grid}
    assert overlaps(ufm_map.FIGURE.picture(data)) == []


PANELS, LAMS = [[5, 2], [6, 3], [4, 1]], [1e-3, 1e-2, 2e-2]


def test_profiles_are_drawn_with_what_lies_above():
    cells = [{"K": K, "L": L, "lam": lam, "starts": 0, "rng": 0} for K, L in PANELS for lam in LAMS]
    data = {"panels": PANELS, "lams": LAMS, "profiles": [ufm_profile.lowest(c) for c in cells]}
    best = {(p["K"], p["L"], p["lam"]): min(p["entries"], key=lambda e: e["fun"])["name"] for p in data["profiles"]}
    assert best[6, 3, 1e-2] == "pairs"
    picture = ufm_profile.FIGURE.picture(data)
    assert overlaps(picture) == [] and any("uparrow" in text.get_text() for text in picture.axes[0].texts)
    assert len(ufm_profile.rows(data)) == sum(len(p["entries"]) for p in data["profiles"])


def test_two_descents_are_found_named_and_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(gk25_1, "SMALL", {"K": 6, "n": 1, "L": 2, "tol": 1e-5, "steps": 20_000})
    monkeypatch.setattr(gk25_1, "CHUNK", 8)
    data = gk25_1.FIGURE.compute(fast=True)
    assert [run["name"] for run in data["runs"]] == list(gk25_1.WANTED)
    assert sum(data["tried"][-1]["ends"].values()) == data["tried"][-1]["starts"]
    for run in data["runs"]:
        assert run["losses"][-1] == pytest.approx(run["fun"], rel=1e-6) and run["fun"] == pytest.approx(
            data["values"][run["name"]], rel=1e-6
        )
        assert (
            run["distance"] < 1e-3
            and len(run["losses"]) == len(run["epochs"])
            and np.allclose(np.sum(run["logits"], axis=0), 0, atol=1e-9)
        )
    assert overlaps(gk25_1.FIGURE.picture(data)) == []
    kinds = {row["kind"] for row in gk25_1.rows(data)}
    assert kinds == {"value", "loss", "logit"}
    assert overlaps(gk25_1.FIGURE.picture({**data, "runs": data["runs"][:1]})) == []  # one end was not met


def test_two_descents_go_to_wider_models_and_say_so(monkeypatch):
    monkeypatch.setattr(gk25_1, "SMALL", {"K": 3, "n": 1, "L": 1, "tol": 1e-3, "steps": 2000})
    data = gk25_1.FIGURE.compute(fast=True)
    assert [t["d"] for t in data["tried"]] == [20, 30] and [run["name"] for run in data["runs"]] == ["dnc"]


def test_relu_run_is_compared_with_the_linear_bound():
    cell = {"K": 4, "n": 1, "d": 8, "L": 3, "lam": 2.0**-5, "starts": 2, "steps": 300, "scale": 1.0, "rng": 0}
    both = gk25_6.relu_runs({**cell, "start": None})
    one = gk25_6.relu_run({**cell, "start": 1})
    curve = gk25_6.relu_curve({**cell, "start": 1})
    assert one == pytest.approx(both[1]) and curve["fun"] == pytest.approx(one["fun"], rel=1e-9)
    assert [len(layer) for layer in curve["layers"]] == [4, 4, 4] and all(r <= 4 for r in curve["ranks"])
    data = {**cell, "bound": 0.3, "tried": [], "run": {"start": 1, **curve}}
    assert overlaps(gk25_6.FIGURE.picture(data)) == []
    assert {row["kind"] for row in gk25_6.rows(data)} == {"bound", "loss", "singular value"}


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_lists_draws_and_refuses(tmp_path, capsys):
    assert main(["figure", "--list", "--json"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)["figures"]] == SERIES
    out = tmp_path / "f.svg"
    assert (
        main(
            [
                "figure",
                "ufm-stability",
                "--fast",
                "--out",
                str(out),
                "--csv",
                "--cache",
                str(tmp_path / "cache"),
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["files"] == [str(out.with_suffix(s)) for s in (".svg", ".json", ".csv")]
    assert out.read_text().startswith("<?xml")
    for wrong in (
        ["figure"],
        ["figure", "gk25-9"],
        ["figure", "gk25-1", "--out", str(tmp_path / "f.txt")],
        ["figure", "gk25-1", "--jobs", "0"],
    ):
        assert main(wrong) == 2
        assert capsys.readouterr().err
