"""A loss in a file of its own works wherever one is named."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ufm
from ufm import losses
from ufm.cli import main
from ufm.losses import loss, names
from ufm.numerics import families

FILE = '''
from dataclasses import dataclass
import numpy as np
from ufm.losses import Loss
from ufm.numerics import arguments


@dataclass(frozen=True)
class Huber(Loss):
    """sum_i width^2 (sqrt(1 + ((z_i - y_i)/width)^2) - 1)."""

    width: float = 1.0
    keyword = "huber"
    convex = True

    def __post_init__(self):
        arguments.positive("width", self.width)

    def value(self, Z, Y):
        return self.width**2 * np.sum(np.sqrt(1 + ((Z - Y) / self.width) ** 2) - 1, axis=-2)

    def grad(self, Z, Y):
        return (Z - Y) / np.sqrt(1 + ((Z - Y) / self.width) ** 2)

    def hvp(self, Z, Y, V):
        return V / (1 + ((Z - Y) / self.width) ** 2) ** 1.5

    def value_grad_on(self, xp, Z, Y):
        root = xp.sqrt(1 + ((Z - Y) / self.width) ** 2)
        return self.width**2 * xp.sum(root - 1, axis=-2), (Z - Y) / root


@dataclass(frozen=True)
class Steep(Loss):
    """slope sum_i z_i^2 / 2, with a slope that has to be given."""

    slope: float
    keyword = "steep"

    def value(self, Z, Y):
        return self.slope * np.sum(Z**2, axis=-2) / 2

    def grad(self, Z, Y):
        return self.slope * Z

    def hvp(self, Z, Y, V):
        return self.slope * V


class Poly(Loss):
    """Cross-entropy and 1 - p_y (poly-1)."""

    keyword = "poly"
    shift_invariant = True

    def _p(self, Z, Y):
        E = np.exp(Z - np.max(Z, axis=-2, keepdims=True))
        P = E / np.sum(E, axis=-2, keepdims=True)
        return P, np.sum(P * Y, axis=-2, keepdims=True)

    def value(self, Z, Y):
        top = np.max(Z, axis=-2, keepdims=True)
        nll = np.log(np.sum(np.exp(Z - top), axis=-2)) + top[..., 0, :] - np.sum(Z * Y, axis=-2)
        return nll + 1 - np.exp(-nll)

    def grad(self, Z, Y):
        P, p = self._p(Z, Y)
        return (1 + p) * (P - Y)

    def hvp(self, Z, Y, V):
        P, p = self._p(Z, Y)
        along = np.sum(P * V, axis=-2, keepdims=True)
        return (1 + p) * P * (V - along) + p * (np.sum(Y * V, axis=-2, keepdims=True) - along) * (P - Y)
'''


@pytest.fixture
def contributed(tmp_path, clean):
    (tmp_path / "mine.py").write_text(FILE)
    families.use(tmp_path / "mine.py")
    return str(tmp_path / "mine.py")


def test_a_loss_in_a_file_is_found_by_name(contributed):
    assert names() == ["ce", "mse", "label_smoothing(0.1)", "focal(2)", "huber(1)", "poly", "steep(slope)"]
    for name in ("huber(0.5)", "poly"):
        assert losses.known(loss(name)) and not losses.own(loss(name)) and loss(name) == loss(loss(name).name)
    assert loss("huber") == loss("huber(1)") != loss("huber(0.5)") and loss("poly") != loss("huber")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hubr(1)", r"one of ce, focal, huber, label_smoothing, mse, poly, steep; .*Did you mean 'huber'"),
        ("huber(0)", r"huber\(0\).*width=0"),
        ("huber(1, 2)", r"it takes width; got 2"),
        ("poly(1)", r"it takes no number; got 1"),
        ("huber(a)", r"'a'"),
        ("huber()", r"huber\(\)"),
        ("steep", r"loss 'steep' is not understood: .*'slope'"),
    ],
)
def test_a_wrong_spelling_of_it_is_refused(contributed, name, said):
    with pytest.raises(ValueError, match=said):
        loss(name)


@pytest.mark.parametrize("name", ["huber(0.5)", pytest.param("poly", marks=pytest.mark.slow)])
def test_every_verb_takes_it_by_name(contributed, name):
    problem = ufm.Problem(K=3, L=2, lam=0.01, loss=name)
    assert problem.loss.name == name and name in repr(problem)
    assert ufm.Problem.from_dict(json.loads(json.dumps(problem.to_dict()))) == problem
    table = ufm.compare(problem, 1, rng=0)
    assert table.winner.name == "dnc" and table.winner.status == "local minimum"
    best = table.winner.fun
    assert abs(ufm.landscape(problem, starts=1, rng=0)[0].fun - best) < 1e-12
    assert abs(min(row.fun for row in ufm.profile(problem, starts=1, rng=0)) - best) < 1e-12
    assert ufm.basins(problem, 2, rng=0, progress=False)[0].name == "dnc"
    assert ufm.classify(table.winner).index == 0
    assert ufm.identify(table.winner).name == "dnc"
    assert ufm.follow(table.winner, 0.011).lam[-1] == pytest.approx(0.011)
    cells = ufm.sweep(
        {"verb": "compare", "grid": {"loss": [name, "ce"]}, "fixed": {"K": 3, "lam": 0.01, "starts": 0}}, jobs=1
    )
    assert [row["problem"]["loss"] for row in cells.rows] == [name, "ce"] and not cells.failed


def test_it_runs_elsewhere_where_it_says_how(contributed):
    strict = pytest.importorskip("array_api_strict")
    Z, Y = np.diag([2.0, 1.0, 0.5])[None], np.eye(3)
    found = loss("huber(0.3)").on(strict)(strict.asarray(Z), strict.asarray(Y))
    for here, there in zip(loss("huber(0.3)").value_grad(Z, Y), found, strict=True):
        np.testing.assert_allclose(np.asarray(there), here, rtol=1e-12)
    with pytest.raises(ValueError, match=r"loss='poly' runs on numpy only: it has no value_grad_on"):
        loss("poly").on(strict)


def test_the_command_line_takes_it_and_lists_it(contributed, capsys):
    words = ["-K", "3", "-L", "2", "--lam", "0.01", "--loss", "huber(0.5)", "--starts", "0", "--json"]
    assert main(["compare", *words]) == 0
    assert json.loads(capsys.readouterr().out)["problem"]["loss"] == "huber(0.5)"
    main(["compare", "--help"])
    assert "focal(2), huber(1), poly" in " ".join(capsys.readouterr().out.split())


def test_another_process_finds_it_by_name(contributed, tmp_path):
    (tmp_path / "loss.pickle").write_bytes(pickle.dumps(ufm.Problem(K=3, lam=0.1, loss="huber(0.25)")))
    code = (
        "import pickle, sys, pathlib; problem = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes());"
        " print(problem.loss.name, problem.loss.width)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "loss.pickle")], capture_output=True, text=True, check=False
    )
    assert run.stdout.split() == ["huber(0.25)", "0.25"], run.stderr


def test_the_files_of_the_losses_are_the_family():
    folder = Path(losses.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} >= {"loss", "cross_entropy", "mse", "focal", "function"}
    assert list(losses.LOSSES.members()) == ["ce", "mse", "label_smoothing", "focal"]
