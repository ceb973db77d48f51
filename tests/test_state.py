"""What users call depends neither on their numpy error state nor on their matplotlibrc."""

import hashlib
import io

import matplotlib as mpl
import numpy as np
import pytest

import ufm
from theory.figures.figure import paper_style, settled, sheet
from theory.registry import claims
from theory.runs import verify
from ufm import structures
from ufm.numerics.state import DEFAULTS, own_numpy_state
from ufm.problem import Problem

PROBLEM, RELU = Problem(4, n=2, L=2, lam=0.02), Problem(4, L=2, lam=0.02, activation="relu")
TINY = Problem(6, L=3, lam=1e-100)
X, Y = np.random.default_rng(0).standard_normal((12, 3)), np.repeat([0, 1, 2], 4)
HOSTILE = {
    "text.usetex": True,
    "font.size": 30,
    "font.family": "serif",
    "axes.facecolor": "red",
    "axes.grid": True,
    "figure.facecolor": "green",
    "savefig.facecolor": "blue",
    "savefig.transparent": True,
    "savefig.bbox": "tight",
    "lines.linewidth": 9,
    "image.cmap": "jet",
    "axes.unicode_minus": False,
    "svg.fonttype": "none",
}

QUICK = {
    "structures": lambda: [
        structures.existing(Problem(6, L=L, lam=lam, loss=loss))
        for L in (1, 3)
        for lam in (1e-10, 0.01)
        for loss in ("ce", "mse")
    ],
    "lift": lambda: structures.dnc(TINY).lift().to_logits(),
    "classify": lambda: ufm.classify(structures.dnc(TINY)),
    "identify": lambda: ufm.identify(np.eye(5) * 1e-200),
    "collapse": lambda: ufm.collapse(X * 1e-200, Y),
    "compare": lambda: ufm.compare(Problem(4, L=3, lam=1e-9), 1, 0, prove=False),
    "loss": lambda: [
        PROBLEM.loss.hvp(1e3 * np.eye(4), np.eye(4), np.eye(4)),
        Problem(3, lam=1, loss="focal").loss.grad(1e3 * np.eye(3), np.eye(3)),
    ],
}
SLOW = {
    "minimize": lambda: [ufm.minimize(PROBLEM, rng=0, method=method) for method in ("lbfgs", "newton", "gd", "flow")],
    "minimize, tanh": lambda: ufm.minimize(Problem(4, L=2, lam=0.02, activation="tanh", loss="focal(2)"), rng=0),
    "multistart": lambda: ufm.multistart(PROBLEM, 3, 0),
    "compare, twelve": lambda: ufm.compare(Problem(12, L=3, lam=1e-4), 2, 0),
    "compare, relu": lambda: ufm.compare(RELU, rng=0),
    "compare, relu and mse": lambda: ufm.compare(Problem(6, L=3, lam=1e-3, loss="mse", activation="relu"), rng=0),
    "landscape": lambda: ufm.landscape(PROBLEM, starts=2, rng=0),
    "landscape, mse": lambda: ufm.landscape(Problem(4, L=3, lam=1e-3, loss="mse")),
    "profile": lambda: ufm.profile(PROBLEM, 2, 0),
    "profile, relu": lambda: ufm.profile(RELU, starts=1, rng=0),
    "basins": lambda: [ufm.basins(PROBLEM, 5, 0), ufm.basins(PROBLEM, 3, 0, method="adam", steps=50)],
    "phase_diagram": lambda: ufm.phase_diagram([4], [2, 3], starts=1),
    "certify": lambda: [ufm.certify(PROBLEM), ufm.certify(Problem(4, L=2, lam=0.02, loss="mse"))],
    "follow": lambda: ufm.follow(structures.dnc(PROBLEM), 0.03),
    "connect": lambda: ufm.connect([ufm.classify(structures.dnc(PROBLEM)), ufm.classify(structures.pairs(PROBLEM))]),
    "graph_search": lambda: ufm.graph_search(Problem(6, L=3, lam=1e-3, loss="mse", activation="relu")),
    "sweep": lambda: ufm.sweep({"grid": {"K": [4], "L": [2], "lam": [0.01]}}),
    "verify": lambda: verify(claims(["gk25:lemma1"])),
}


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_verb_works_where_numpy_raises_and_leaves_that_as_it_was(name):
    if name == "certify":
        pytest.importorskip("flint")
    with np.errstate(all="raise"):
        (QUICK | SLOW)[name]()
        assert set(np.geterr().values()) == {"raise"}


@pytest.mark.parametrize("state", ["raise", "ignore", "warn"])
def test_numbers_are_the_same_in_every_state(state):
    expected = ufm.compare(PROBLEM, 1, 0).to_dict()
    with np.errstate(all=state):
        found = ufm.compare(PROBLEM, 1, 0).to_dict()
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}


def test_the_state_inside_is_that_of_numpy_as_imported():
    with np.errstate(all="raise"):
        assert own_numpy_state(np.geterr)() == DEFAULTS
    assert own_numpy_state(structures.dnc).__doc__ == structures.dnc.__doc__


def pictures(which):
    drawn = {
        "logits": lambda: ufm.plot.logits(structures.pairs(PROBLEM)),
        "comparison": lambda: ufm.plot.comparison(ufm.compare(PROBLEM, 2, 0, trace=1)),
        "code": lambda: ufm.plot.code(structures.pairs(Problem(6, L=2, lam=0.01))),
        "spectra": lambda: ufm.plot.hessian_spectra(
            {"pairs": structures.pairs(PROBLEM), "dnc": structures.dnc(PROBLEM)}
        ),
        "profile": lambda: ufm.plot.profile(ufm.profile(PROBLEM, 1, 0)),
    }[which]()
    drawn = drawn[0] if isinstance(drawn, (list, tuple)) else drawn
    return getattr(drawn, "figure", drawn)


def digests(figure, folder, suffixes=("png", "pdf", "svg")):
    found = []
    for suffix in suffixes:
        ufm.plot.save(figure, folder / f"a.{suffix}")
        found.append(hashlib.sha256((folder / f"a.{suffix}").read_bytes()).hexdigest())
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return [*found, hashlib.sha256(stream.getvalue()).hexdigest()]


def same_bytes(which, folder, suffixes):
    plain = digests(pictures(which), folder, suffixes)
    with mpl.rc_context(HOSTILE), np.errstate(all="raise"):
        assert digests(pictures(which), folder, suffixes) == plain
        foreign = pictures(which)
        assert mpl.rcParams["text.usetex"] and mpl.rcParams["font.size"] == 30
    assert digests(foreign, folder, suffixes) == plain


def test_a_picture_has_equal_bytes_whatever_the_readers_settings(tmp_path):
    same_bytes("logits", tmp_path, ["svg"])


@pytest.mark.slow
@pytest.mark.parametrize("which", ["logits", "comparison", "code", "spectra", "profile"])
def test_every_picture_has_equal_bytes_whatever_the_readers_settings(which, tmp_path):
    same_bytes(which, tmp_path, ["png", "pdf", "svg"])


@pytest.mark.slow
def test_a_paper_figure_keeps_its_own_sizes_when_it_is_saved(tmp_path):
    def drawn():
        with paper_style():
            page = sheet(3, 2)
            page.subplots().plot([1, 2, 3])
            return digests(settled(page), tmp_path)

    plain = drawn()
    with mpl.rc_context(HOSTILE):
        assert drawn() == plain
