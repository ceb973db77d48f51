"""One family of methods: every verb that descends offers them all, with the same settings, those of others included."""

import json

import numpy as np
import pytest

from tests.test_batch import others
from tests.test_solvers import DEEP
from ufm import Problem, basins, minimize, multistart
from ufm.cli import main
from ufm.numerics import families
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.solvers import starts
from ufm.solvers.batch import run_batch
from ufm.solvers.methods.descent import Descent
from ufm.solvers.methods.method import METHODS, Method, known_settings, settings_of
from ufm.sweeps.sweep import sweep

NAMES = ("lbfgs", "newton", "gd", "adam", "adamw", "sign", "polar", "flow")
UNEVEN = Problem(K=3, n=(1, 2, 4), d=(5, 3), L=2, lam=(0.02, 0.03, 0.01), bias=0.2)
SHORT = {"lbfgs": {}, "newton": {}, "flow": {"time": 3.0}}
CONTRIBUTED = """
from dataclasses import dataclass
from ufm.numerics import arguments
from ufm.solvers.methods.descent import Descent
from ufm.solvers.methods.method import setting

@dataclass(frozen=True)
class Normalised(Descent):
    name = "normalised"
    title = "normalised gradient descent"
    power: float = setting(1.0, arguments.positive, "power of the gradient's length to divide by")

    def direction(self, on, objective, grad, state, t):
        return grad / (on.dot(grad, grad) ** (0.5 * self.power))[:, None], state
"""


@pytest.fixture
def contributed(tmp_path, clean):
    (tmp_path / "normalised.py").write_text(CONTRIBUTED)
    families.use(tmp_path / "normalised.py")


def short(name):
    return SHORT.get(name, {"steps": 30})


def test_the_family_holds_what_is_promised_and_says_each_setting_once():
    members = METHODS.members()
    assert set(NAMES) <= set(members)
    for name, method in members.items():
        assert method().settings == settings_of(method)
        assert method.title and issubclass(method, Method), name
    for homes in known_settings().values():
        assert all(field.metadata["help"] for _, field in homes)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_runs_alike_in_every_verb(name):
    alone = [minimize(DEEP, method=name, rng=child(seed_sequence(1), i), tol=1e-9, **short(name)) for i in range(3)]
    many = multistart(DEEP, 3, 1, name, tol=1e-9, **short(name))
    assert [r.fun for r in many] == pytest.approx([r.fun for r in alone], rel=1e-12)
    assert [(r.nit, r.success, r.settings) for r in many] == [(r.nit, r.success, r.settings) for r in alone]
    census = basins(DEEP, 3, 1, method=name, **short(name))
    assert census.starts == 3
    assert census.runs.settings.items() >= short(name).items()
    done = sweep({"verb": "solve", "grid": {"lam": [0.02]}, "fixed": {"K": 4, "L": 2, "method": name, **short(name)}})
    assert not done.failed


@pytest.mark.parametrize("verb", ["solve", "basins"])
def test_the_command_line_lists_every_method_and_every_setting(verb, capsys):
    main([verb, "--help"])
    text = capsys.readouterr().out
    for name in NAMES:
        assert name in text
    for name in known_settings():
        assert f"--{name.replace('_', '-')}" in text


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["adam", "--betas", "0.8,0.95", "--eps", "1e-6", "--decay", "decoupled"], ((0.8, 0.95), 1e-6, "decoupled")),
        (["polar", "--momentum", "0.5", "--lr", "2**-7"], (0.5, 2**-7)),
    ],
)
def test_settings_come_through_from_the_command_line(words, settings, capsys):
    argv = ["-K", "4", "-L", "2", "--lam", "0.02", "--steps", "5", "--starts", "2", "--json", "--method", *words]
    assert main(["basins", *argv]) == 0
    said = json.loads(capsys.readouterr().out)["settings"]
    names = ("betas", "eps", "decay") if words[0] == "adam" else ("momentum", "lr")
    assert tuple(tuple(v) if isinstance(v, list) else v for v in (said[name] for name in names)) == settings
    assert main(["solve", *argv]) == 0


def by_hand(name, objective, x, decay, steps, ridge):
    """Each method as its formula says, on one row."""
    m = v = 0.0
    for t in range(1, steps + 1):
        whole = objective.grad(x)
        g = whole - ridge * x if decay == "decoupled" else whole
        if name == "gd":
            m = 0.5 * m + g
            move = 0.1 * m
        elif name.startswith("adam"):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            move = 0.1 * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        elif name == "sign":
            move = 0.1 * np.sign(g)
        else:
            m = 0.5 * m + g
            factors, b = objective.unpack(m)
            parts = []
            for A in factors:
                U, s, Vt = np.linalg.svd(A, full_matrices=False)
                r = int(np.sum(s > 1e-14 * s[0]))
                parts.append(U[:, :r] @ Vt[:r])
            move = 0.1 * objective.pack(parts, b / np.linalg.norm(b))
        x = x - move - (0.1 * ridge * x if decay == "decoupled" else 0.0)
    return x


@pytest.mark.parametrize("decay", ["coupled", "decoupled"])
@pytest.mark.parametrize("name", ["gd", "adam", "sign", "polar", "adamw"])
def test_steps_and_decay_are_those_of_the_formulas(name, decay):
    if (name, decay) == ("adamw", "coupled"):
        pytest.skip("adamw is decoupled")
    objective = FactorObjective(UNEVEN)
    x = starts.gaussian()(objective, generator(seed_sequence(0)))
    heavy = {"momentum": 0.5} if name in ("gd", "polar") else {}
    found = minimize(UNEVEN, method=name, rng=0, lr=0.1, steps=6, decay=decay, **heavy)
    expected = by_hand(name, objective, x, decay, 6, objective.ridge)
    np.testing.assert_allclose(objective.pack(found.point.factors, found.point.b), expected, atol=1e-12)
    assert found.fun == pytest.approx(objective.value(expected), rel=1e-12)
    assert found.grad_norm == pytest.approx(np.linalg.norm(objective.grad(expected)), rel=1e-9)


def test_adamw_is_adam_with_decoupled_decay_and_rests_elsewhere():
    one, other = (
        minimize(DEEP, method=name, rng=0, lr=0.02, steps=3000, tol=1e-6, **more)
        for name, more in (("adamw", {}), ("adam", {"decay": "decoupled"}))
    )
    assert one.fun == other.fun
    assert not one.success and one.grad_norm > 1e-3  # at rest for its own dynamics, not a critical point of F
    coupled = minimize(DEEP, method="adam", rng=0, lr=0.02, steps=3000, tol=1e-6)
    assert coupled.success and coupled.fun < one.fun


def test_polar_steps_are_of_full_size_whatever_the_gradient():
    from ufm.numerics.arrays import namespace
    from ufm.solvers.methods.polar import polar_factor

    draw = np.random.default_rng(0)
    A = draw.standard_normal((2, 5, 3))
    A[1, :, 2] = A[1, :, 0]  # rank 2
    s = np.linalg.svd(polar_factor(namespace(), 1e-7 * A), compute_uv=False)
    np.testing.assert_allclose(s, [[1, 1, 1], [1, 1, 0]], atol=1e-8)
    assert not polar_factor(namespace(), np.zeros((1, 3, 3))).any()


def test_a_method_in_one_file_works_in_every_verb(contributed, capsys):
    told = {"method": "normalised", "lr": 0.05, "steps": 40, "power": 0.5}
    alone = minimize(DEEP, rng=child(seed_sequence(3), 1), **told)
    assert alone.settings["power"] == 0.5
    assert multistart(DEEP, 2, 3, **told).results[1].fun == pytest.approx(alone.fun, rel=1e-12)
    assert "normalised gradient descent" in basins(DEEP, 2, 3, **told).dynamics
    spec = {"verb": "basins", "grid": {"power": [0.5, 1.0]}, "fixed": {"K": 4, "L": 2, "lam": 0.02, **told}}
    spec["fixed"] = {name: value for name, value in spec["fixed"].items() if name != "power"}
    assert not sweep({**spec, "fixed": {**spec["fixed"], "starts": 2}}, jobs=1).failed
    with pytest.raises(ValueError, match="power=-1"):
        minimize(DEEP, method="normalised", power=-1)
    main(["solve", "--help"])
    text = capsys.readouterr().out
    assert "normalised" in text and "--power" in text
    argv = ["solve", "-K", "4", "-L", "2", "--lam", "0.02", "--method", "normalised", "--power", "0.5"]
    argv += ["--steps", "40", "--lr", "0.05", "--json"]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["best"]["nit"] == 40


def test_a_setting_may_not_take_a_word_of_the_verbs(tmp_path, clean):
    (tmp_path / "bad.py").write_text(CONTRIBUTED.replace("power", "scale"))
    with pytest.raises(ValueError, match="scale cannot be a setting of method 'normalised'"):
        families.use(tmp_path / "bad.py")


def test_old_names_work_for_one_release():
    with pytest.warns(DeprecationWarning, match="'memory' is now 'pairs'"):
        old = minimize(DEEP, rng=0, memory=3)
    assert old.settings["pairs"] == 3
    with pytest.warns(DeprecationWarning, match="pairs"):
        assert multistart(DEEP, 2, 0, memory=3).results[0].settings["pairs"] == 3
    with pytest.raises(ValueError, match="memory is the old name of pairs"):
        minimize(DEEP, memory=3, pairs=4)


@pytest.mark.parametrize("name", [name for name, method in METHODS.members().items() if issubclass(method, Descent)])
@pytest.mark.parametrize("decay", ["coupled", "decoupled"])
def test_every_descent_takes_the_same_steps_on_other_arrays(name, decay):
    if decay not in ("decoupled", settings_of(METHODS.get(name))["decay"]):
        pytest.skip("always decoupled")
    for xp in others():
        here, there = (
            run_batch(UNEVEN, 3, 5, name, xp=which, steps=20, decay=decay, trace=5, batch=4) for which in (None, xp)
        )
        assert there.device != "numpy"
        np.testing.assert_allclose(there.fun, here.fun, atol=1e-10)
        np.testing.assert_allclose(there[1].trace.fun, here[1].trace.fun, atol=1e-10)
