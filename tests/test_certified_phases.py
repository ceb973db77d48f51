"""Certified phases: what is coloured is true, what is not proved stays blank."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("flint")

from ufm import plot, structures
from ufm.certificates.certificate import load
from ufm.certificates.certified_phases import ABSENT, absent_on, certified_phase_diagram, order_on
from ufm.certificates.check import Rejected, phases
from ufm.certificates.check import check as run_check
from ufm.certificates.check.model import Model
from ufm.certificates.check.record import sealed
from ufm.objectives.logits import Stratum
from ufm.plot.certified import certified_phases
from ufm.problem import Problem

LAM_STAR = "0.0117604980792883942"
"""K=4, L=2, n=1: dnc and pairs cost the same, to eighteen digits."""


def value(K, n, L, lam, name, loss="ce"):
    """Float value of a structure, or None where it does not exist."""
    problem = Problem(K=K, n=n, L=L, lam=lam, loss=loss)
    try:
        structure = structures.catalogue(problem)["dnc" if K == 2 and name == "pairs" else name]
        return Stratum(structure()).fun
    except ValueError:
        return None


@pytest.fixture(scope="module")
def diagram():
    return certified_phase_diagram(range(3, 9), (1, 2, 4), ("1e-5", "0.5"), cells=4, splits=6)


def test_the_known_boundary_is_bracketed():
    narrow = certified_phase_diagram(4, 2, ("1e-2", "2e-2"), cells=1, splits=34)
    dnc, blank, pairs = narrow.cells
    assert (dnc.winner, blank.winner, pairs.winner) == ("dnc", None, "pairs")
    assert blank.lam_low < float(LAM_STAR) < blank.lam_high and blank.lam_high - blank.lam_low < 1e-10
    assert not blank.certificates and narrow.decided > 1 - 1e-8


@pytest.mark.parametrize("half_width", ["1e-3", "1e-6", "1e-15", "1e-17"])
def test_no_interval_across_the_boundary_is_proved(half_width):
    low, high = f"{LAM_STAR}-{half_width}", f"{LAM_STAR}+{half_width}"
    for left, right in (("dnc", "pairs"), ("pairs", "dnc")):
        assert not order_on(4, 1, 2, left, right, low, high).holds
    side = order_on(4, 1, 2, "dnc", "pairs", "1e-2", low), order_on(4, 1, 2, "pairs", "dnc", high, "2e-2")
    if half_width != "1e-17":
        assert all(c.holds and c.check() for c in side)


@pytest.mark.quick(1)
@pytest.mark.parametrize("count", [120, 250])
def test_colours_are_true_inside_their_cells(diagram, count):
    rng = np.random.default_rng(11)
    seen = set()
    for _ in range(count):
        cell = diagram.cells[rng.integers(len(diagram.cells))]
        if cell.winner is None:
            continue
        lam = math.exp(rng.uniform(math.log(cell.lam_low), math.log(cell.lam_high)))
        dnc = value(cell.K, 1, cell.L, lam, "dnc")
        seen.add(cell.winner.split("(")[0])
        if cell.winner == ABSENT:
            assert dnc is None
        elif cell.winner == "dnc":
            others = [value(cell.K, 1, cell.L, lam, name) for name in diagram.names[cell.K, cell.L]]
            assert all(other is None or dnc < other + 1e-12 for other in others)
        else:
            assert value(cell.K, 1, cell.L, lam, cell.winner) < dnc + 1e-12
    assert seen >= {"dnc", "pairs", "blocks", "zero", ABSENT}


def test_cells_tile_the_range_and_every_certificate_checks(diagram):
    for K in diagram.Ks:
        for L in diagram.Ls:
            column = [c for c in diagram.cells if (c.K, c.L) == (K, L)]
            assert column[0].lam_low == 1e-5 and column[-1].lam_high == 0.5
            assert all(a.lam_high == b.lam_low and a.winner != b.winner for a, b in pairwise(column))
            assert all(bool(c.certificates) == (c.winner is not None) for c in column)
    assert diagram.decided > 0.98 and diagram.certificates
    phases.end.cache_clear()
    assert diagram.check()


def test_theorem_one_and_the_diagram_agree(diagram):
    """DNC never wins where Theorem 1 forbids it."""
    for cell in diagram.cells:
        if (cell.K >= 6 and cell.L == 2) or (cell.K >= 4 and cell.L >= 3):
            assert cell.winner != "dnc"
        if cell.L == 1:
            assert cell.winner in ("dnc", ABSENT, None)


@pytest.mark.quick(1)
@pytest.mark.parametrize("count", [20, 40])
def test_random_orders_against_floats(count):
    rng, proved = np.random.default_rng(5), 0
    for _ in range(count):
        K, n, L = int(rng.integers(2, 11)), int(rng.integers(1, 6)), int(rng.integers(1, 7))
        low = math.exp(rng.uniform(math.log(1e-7), math.log(0.1)))
        high = low * math.exp(rng.uniform(0.01, 3))
        names = [
            "zero",
            "dnc",
            "pairs",
            *(name for name in structures.catalogue(Problem(K=K, L=L, lam=1.0)) if name.startswith("blocks")),
        ]
        left, right = rng.choice(names, 2, replace=False).tolist()
        certificate = order_on(K, n, L, left, right, low, high)
        lams = np.geomspace(low * (1 + 1e-9), high * (1 - 1e-9), 7)
        order = [(value(K, n, L, lam, left), value(K, n, L, lam, right)) for lam in lams]
        true = all(a is not None and (b is None or a < b) for a, b in order)
        if certificate.holds:
            proved += 1
            assert certificate.check() and (true or K == 2) and order[0][1] is not None
            gaps = [b - a for a, b in order if b is not None]
            assert certificate.margin <= min(gaps) + 1e-12
        elif true and None not in order[-1] and order[0][1] is not None:
            assert min(b - a for a, b in order) < 1e-3
    assert proved > 0.2 * count


def test_where_a_structure_ceases_to_exist():
    """dnc's fold at K=4, n=3, L=3 lies in [0.12, 1]; a one-scale lone class is not shown to have one peak."""
    certificate = order_on(4, 3, 3, "zero", "dnc", "0.12", "1")
    assert certificate.holds and "as long as dnc exists" in certificate.statement
    assert not order_on(4, 3, 3, "dnc", "zero", "1e-3", "1").holds
    assert not order_on(5, 1, 2, "zero", "pairs", "0.1", "1").holds
    assert order_on(5, 1, 1, "dnc", "pairs", "0.1", "0.1999").holds
    assert absent_on(4, 1, 2, "dnc", "0.2", "1").check() and not absent_on(4, 1, 2, "dnc", "0.1", "1").holds
    assert (
        absent_on(4, 1, 2, "dnc", "0.2", "1").statement == "dnc does not exist for all lam in [0.2, 1] (K=4, n=1, L=2)"
    )


def test_width_and_copies():
    """A width below K-1 has no dnc; n samples are lam n^(1/D)."""
    assert (
        absent_on(6, 1, 2, "dnc", "1e-3", "1e-2", d=4).holds
        and order_on(6, 1, 2, "pairs", "zero", "1e-3", "1e-2", d=4).holds
    )
    edge = float(LAM_STAR) / 5 ** (1 / 3)
    assert (
        order_on(4, 5, 2, "dnc", "pairs", edge / 2, edge * 0.999).holds
        and not order_on(4, 5, 2, "dnc", "pairs", edge / 2, edge * 1.001).holds
    )


@pytest.mark.parametrize("loss", ["mse", "label_smoothing(0.1)"])
def test_other_losses(loss):
    found = certified_phase_diagram((4, 5), 2, ("1e-4", "0.5"), cells=4, splits=4, loss=loss)
    rng = np.random.default_rng(2)
    for cell in found.cells:
        lam = math.exp(rng.uniform(math.log(cell.lam_low), math.log(cell.lam_high)))
        dnc = value(cell.K, 1, cell.L, lam, "dnc", loss)
        if cell.winner == ABSENT:
            assert dnc is None
        elif cell.winner == "dnc":
            assert all(
                (f := value(cell.K, 1, cell.L, lam, name, loss)) is None or dnc < f
                for name in found.names[cell.K, cell.L]
            )
        elif cell.winner:
            assert value(cell.K, 1, cell.L, lam, cell.winner, loss) < dnc
    assert found.decided > 0.8 and loss.split("(")[0] in found.certificates[0].statement


def test_tampering_is_seen():
    original = order_on(4, 1, 2, "dnc", "pairs", "1e-3", "1e-2")
    assert original.check()
    assert not replace(original, statement=original.statement.replace("1e-2", "2e-2")).check()
    assert not replace(original, margin=2 * original.margin).check()
    assert not replace(original, data={**original.data, "left": "pairs", "right": "dnc"}).check()
    lam, problem = original.data["lam"], original.data["problem"]
    for change in (
        {"left": "pairs", "right": "dnc"},
        {"lam": [*lam[:-1], "0.02"]},
        {"lam": lam[::-1]},
        {"lam": lam[:1]},
        {"lam": [lam[0], lam[-1]]},
        {"lam": ["-1", *lam]},
        {"right": "dnc"},
        {"right": "pairs(small)"},
        {"right": "pairs+apex"},
        {"claim": "absent", "right": None},
        {"claim": "global"},
        {"problem": {**problem, "L": 3}},
        {"problem": {**problem, "loss": "focal"}},
        {"problem": {**problem, "n": [0] * 4}},
        {"problem": {**problem, "n": [1, 1, 1, 2]}},
        {"problem": {**problem, "d": [1, 1]}},
        {"problem": {**problem, "bias": "0"}},
        {"problem": {**problem, "lam": ["1e-4"] * 3}},
    ):
        with pytest.raises(Rejected):
            run_check("phase", sealed({**original.data, **change}))


def test_a_false_slope_is_seen(monkeypatch):
    """The test of the test: a tangent too flat would prove an order across the crossing; the floats contradict it, the
    true slope refuses."""
    true, problem, lam = phases.end, Model(4, (1,) * 4, (4, 4), 2, ("0.0105",) * 3), ("0.0105", "0.0125")
    with pytest.raises(Rejected):
        phases.piece_margin(problem, "dnc", "pairs", *lam)
    monkeypatch.setattr(phases, "end", lambda *key: (true(*key)[0], true(*key)[1] - 10))
    assert phases.piece_margin(problem, "dnc", "pairs", *lam) > 0
    assert value(4, 1, 2, 0.0125, "pairs") < value(4, 1, 2, 0.0125, "dnc")


def test_save_and_load(tmp_path, diagram):
    small = certified_phase_diagram(4, 2, ("1e-3", "1/3"), splits=3)
    small.save(tmp_path / "phases.json")
    loaded = load(tmp_path / "phases.json")
    assert len(loaded) == len(small.certificates) and all(c.check() for c in loaded)
    assert (
        small.at(4, 2, 2e-3).winner == "dnc"
        and "K=4 L=2  dnc [0.001, " in repr(small)
        and small.to_dict()["decided"] == small.decided
    )
    with pytest.raises(ValueError, match="finished column"):
        small.at(4, 3, 2e-3)


def test_names_taking_part():
    found = certified_phase_diagram((4, 5), 2, ("1e-3", "1e-2"), names=["pairs"], cells=2, splits=2)
    assert set(found.names.values()) == {("pairs",)} and all(len(c.certificates) <= 1 for c in found.cells)


def test_interrupted(stop_at):
    stop_at(phases, "piece_margin", lambda problem, *_: problem.K == 6)
    found = certified_phase_diagram((4, 6), 2, cells=1, splits=0)
    assert found.interrupted and {c.K for c in found.cells} == {4} and "interrupted" in repr(found)


def test_arguments():
    for call, word in (
        (lambda: order_on(1, 1, 2, "dnc", "pairs", 0.1, 0.2), "K"),
        (lambda: order_on(4, 0, 2, "dnc", "pairs", 0.1, 0.2), "n"),
        (lambda: order_on(4, 1, 2, "dnc", "pairs", 0.2, 0.1), "lam_low"),
        (lambda: order_on(4, 1, 2, "dnc", "pairs", -0.2, 0.1), "lam_low"),
        (lambda: order_on(4, 1, 2, "dnc", "blocks(3,2)", 0.1, 0.2), "right"),
        (lambda: order_on(4, 1, 2, "dnc(small)", "pairs", 0.1, 0.2), "left"),
        (lambda: order_on(4, 1, 2, "dnc", "pears", 0.1, 0.2), "right"),
        (lambda: order_on(4, 1, 2, "dnc", "pairs", 0.1, 0.2, loss="focal"), "focal"),
        (lambda: certified_phase_diagram((), 2), "K"),
        (lambda: certified_phase_diagram(4, 2, lam=0.1), "lam"),
        (lambda: certified_phase_diagram(4, 2, names=["pears"]), "pairs"),
        (lambda: certified_phase_diagram(4, 2, cells=0), "cells"),
        (lambda: certified_phase_diagram(4, 2, splits=-1), "splits"),
        (lambda: certified_phase_diagram(4, 2, loss="focal"), "focal"),
    ):
        with pytest.raises(ValueError, match=word):
            call()


def test_picture(diagram):
    ax = certified_phases(diagram)
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert (
        texts[0] == "dnc < all compared"
        and "pairs < dnc" in texts
        and texts[-2:] == ["dnc does not exist", "not decided"]
    )
    from matplotlib.colors import to_hex

    colours = {to_hex(p.get_facecolor()) for p in ax.patches}
    assert {plot.colour(name).lower() for name in ("dnc", "pairs", "zero")} <= colours and any(
        p.get_hatch() for p in ax.patches
    )
    figure = ax.figure
    figure.draw_without_rendering()
    assert certified_phases(certified_phase_diagram(4, 2, cells=1, splits=1), figure.add_subplot()) is figure.axes[-1]
