"""The vocabulary: which names there are, and that verbs rhyme."""

import ast
import dataclasses
import importlib
import inspect
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ufm
from ufm import networks
from ufm.cli import main
from ufm.networks import Data, Network
from ufm.numerics.words import named_arguments
from ufm.objectives.clarke import clarke
from ufm.points import from_matrix

sys.path.append(str(Path(__file__).resolve().parents[1] / "docs" / "_ext"))
public_names = importlib.import_module("public_names")

STUB = Path(ufm.__file__).with_suffix(".pyi")
DESIGN = (
    "Problem minimize multistart compare landscape basins profile follow connect classify identify certify",
    "collapse sweep verify figure claims plot load",
)


def test_the_first_screen_is_the_first_day():
    names = [name for name in dir(ufm) if not name.startswith("_")]
    assert set(" ".join(DESIGN).split()) <= set(names) and len(names) <= 22
    loaded = subprocess.run(
        [sys.executable, "-c", "import ufm; ufm.Problem; ufm.census; print(*dir(ufm))"], capture_output=True, text=True
    )
    assert loaded.stdout.split() == dir(ufm)


def test_all_other_names_are_there_and_known_to_suggestions():
    assert all(getattr(ufm, name) is not None for name in ufm.LATER) and not set(ufm.LATER) & set(dir(ufm))
    with pytest.raises(AttributeError, match="did you mean 'phase_diagram'"):
        ufm.phase_diagramm  # noqa: B018


def test_type_checkers_read_the_same_names_from_the_same_places():
    stub = ast.parse(STUB.read_text(encoding="utf-8")).body
    said = {
        alias.asname: (node.module, alias.name)
        for node in stub
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    named = {
        node.target.id for node in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(node, ast.AnnAssign)
    }
    assert set(ufm.INSTALLED) <= named
    homes = {name: home or "ufm" for name, home in {**ufm.FIRST_DAY, **ufm.LATER}.items()}
    homes |= {name: getattr(ufm, name).__module__ for name in ufm.INSTALLED}
    assert said == {name: (home, name) for name, home in homes.items()}
    assert (STUB.parent / "py.typed").is_file()


@pytest.mark.parametrize("name", [name for name, home in {**ufm.FIRST_DAY, **ufm.LATER}.items() if home])
def test_help_shows_the_signature_and_the_docstring_of_the_verb_itself(name):
    value = getattr(ufm, name)
    assert value.__module__.startswith("ufm.") and value.__name__ == name and inspect.getdoc(value)
    parameters = inspect.signature(value).parameters.values()
    assert not {p.name for p in parameters} & {"args", "kwargs", "given"}
    assert isinstance(importlib.import_module(value.__module__), ModuleType)


@pytest.mark.parametrize("verb", [ufm.compare, ufm.landscape, ufm.basins, ufm.profile, ufm.census])
def test_verbs_about_a_problem_read_alike(verb):
    """(problem, starts=None, rng=None, *, progress=None, ...)."""
    parameters = list(inspect.signature(verb).parameters.values())
    assert [(p.name, p.default) for p in parameters[:3]] == [
        ("problem", inspect.Parameter.empty),
        ("starts", None),
        ("rng", None),
    ]
    assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters[3:])
    assert next(p.default for p in parameters if p.name == "progress") is None


def test_words_mean_one_thing():
    """`tol` is a gradient norm and `memory` bytes; distances of a match and relative accuracies have names of their
    own."""
    functions = {where: inspect.signature(call).parameters for where, call in _hinted() if where.startswith("ufm.")}
    tolerances = {where for where, names in functions.items() if "tol" in names and "solvers" not in where}
    assert tolerances == {f"ufm.{name}" for name in ("minimize", "basins", "follow", "networks.train")}
    assert {where for where, names in functions.items() if "memory" in names and "solvers" not in where} == {
        "ufm.basins"
    }


# ------------------------------------------------------------------------------------------ types


def test_the_type_checker_reads_a_use_of_every_name():
    used = (Path(__file__).parent / "typing" / "usage.py").read_text(encoding="utf-8")
    names = {**ufm.FIRST_DAY, **ufm.LATER}.keys() - {"relu_profile", "solvers"} | set(ufm.INSTALLED)
    assert [name for name in sorted(names) if not re.search(rf"\bufm\.{name}\b|\b{name}[.,]", used)] == []


def test_the_type_checker_reads_the_whole_package():
    settings = json.loads((Path(__file__).parents[1] / "pyrightconfig.json").read_text(encoding="utf-8"))
    assert (
        {"ufm", "tests/typing"} <= set(settings["include"]) and "exclude" not in settings and "ignore" not in settings
    )


def _hinted():
    """(where, function) of every public function, and of the public methods and constructors of every public class."""
    for module, names in public_names.documented().items():
        for name in names:
            value = getattr(importlib.import_module(module), name)
            if inspect.isclass(value):
                for key, own in vars(value).items():
                    call = getattr(own, "fget", None) or getattr(own, "func", None) or getattr(own, "__func__", own)
                    made = key == "__init__" and not dataclasses.is_dataclass(value)
                    if inspect.isfunction(call) and call.__name__ != "<lambda>" and (made or not key.startswith("_")):
                        yield f"{module}.{name}.{key}", call
            elif inspect.isroutine(value):
                yield f"{module}.{name}", value


def _unhinted(call):
    hints, names = inspect.unwrap(call).__annotations__, inspect.signature(call).parameters
    wanted = [name for name in names if name not in ("self", "cls")] + ["return"] * (call.__name__ != "__init__")
    return [name for name in wanted if name not in hints]


def test_every_public_name_has_type_hints():
    found = dict(_hinted())
    bare = {where: m for where, call in found.items() if (m := _unhinted(call))}
    assert len(found) > 400 and bare == {}


def test_a_missing_hint_is_seen():
    def call(point, rng: int = 0):
        return point

    assert _unhinted(named_arguments(call)) == ["point", "return"]


# ------------------------------------------------------------------------------------------ old spellings

SMALL = ufm.Problem(K=3, L=2, lam=0.02)
RELU = ufm.Problem(6, L=3, lam=1e-3, loss="mse", activation="relu")
ENDS = ufm.structures.dnc(SMALL), ufm.structures.blocks(SMALL, (2, 1))
ROWS, WHICH = np.repeat(np.eye(3), 2, axis=0), np.repeat(np.arange(3), 2)
STREAM = ufm.Accumulator(3, 3).update(ROWS, WHICH)
DATA = Data.from_arrays(ROWS, WHICH)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (lambda: ufm.basins(SMALL, 5, 0, "gd", "factors", steps=5), "give method, space by name"),
        (lambda: ufm.census(SMALL, {"lam": [0.02]}, 5, 0), "give over, starts, rng by name"),
        (lambda: ufm.census(SMALL, {"lam": [0.02]}, starts=5, rng=0), "give over by name"),
        (lambda: ufm.graph_search(RELU, 4, 2), "give vertices, best by name"),
        (lambda: ufm.identify(np.eye(3), tol=0.01), "'tol' is now 'match'"),
        (lambda: ufm.identify(np.eye(3)).tol, "tol is now match"),
        (lambda: ufm.path(*ENDS, "straight", tol=0.01), "'tol' is now 'rel_tol'"),
        (lambda: ENDS[0].lift().to_logits(tol=1e-9), "'tol' is now 'rel_tol'"),
        (lambda: from_matrix(SMALL, np.eye(3), tol=1e-9), "'tol' is now 'rel_tol'"),
        (lambda: clarke(ufm.structures.relu_dnc(RELU), tol=1e-9), "'tol' is now 'rel_tol'"),
        (lambda: clarke(ufm.structures.relu_dnc(RELU)).tol, "tol is now rel_tol"),
        (lambda: ufm.multistart(SMALL, 2, 0).distinct(tol=1e-9), "'tol' is now 'match'"),
        (lambda: DATA.whitened(tol=1e-9), "'tol' is now 'rel_tol'"),
        (lambda: Data.from_arrays(X=ROWS, y=WHICH), "'X' is now 'features'"),
        (lambda: networks.class_means(Z=ROWS.T, y=WHICH), "'y' is now 'labels'"),
        (lambda: networks.tcv(ROWS.T, y=WHICH), "'y' is now 'labels'"),
        (lambda: networks.layers([ROWS.T], y=WHICH), "'y' is now 'labels'"),
        (lambda: networks.train(Network([3, 3]), DATA, method="lbfgs", memory=5, rng=0), "'memory' is now 'pairs'"),
        (lambda: STREAM.agreeing(X_batch=ROWS, W=np.eye(3)), "'X_batch' is now 'features'"),
        (lambda: STREAM.ties(ROWS, W=np.eye(3)), "'W' is now 'weights'"),
        (lambda: STREAM.collapse(W=np.eye(3)), "'W' is now 'weights'"),
    ],
)
def test_old_spellings_work_and_name_the_new_one(old, new):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert old() is not None
    assert {(warning.category, warning.filename) for warning in warned} == {(DeprecationWarning, __file__)}
    assert any(new in str(warning.message) for warning in warned)


def test_every_renamed_word_is_on_the_page_of_spellings():
    page = (Path(__file__).parents[1] / "docs" / "howto" / "deprecations.md").read_text(encoding="utf-8")
    source = [file.read_text(encoding="utf-8") for file in Path(ufm.__file__).parent.rglob("*.py")]
    words = {
        word for text in source for said in re.findall(r"^ *@renamed\((.*)\)$", text, re.M) for word in said.split(", ")
    }
    pairs = [re.fullmatch(r'(\w+)="(\w+)"', word).groups() for word in words]
    assert len(pairs) >= 8 and all(f"`{old}`" in page and f"`{new}`" in page for old, new in pairs)


def test_a_line_says_that_an_option_has_a_new_name(tmp_path, capsys):
    np.save(tmp_path / "Z.npy", np.eye(3))
    assert main(["identify", str(tmp_path / "Z.npy"), "--tol", "0.01", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == "ufm identify: --tol is now --match; the old name goes with the next release\n"
    assert json.loads(said.out)["match"] == json.loads(said.out)["tol"] == 0.01
    assert main(["identify", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--match" in said and "--tol" not in said


def test_a_checkpoint_of_an_older_version_goes_on(tmp_path):
    """Its settings say `memory`, which is now `pairs`."""
    options = {"method": "lbfgs", "decay": 1e-2, "rng": 0, "checkpoint": tmp_path / "run.npz"}
    train = networks.train
    train(Network([3, 3]), DATA, max_steps=2, **options)
    with np.load(tmp_path / "run.npz") as file:
        arrays = dict(file)
    arrays["ufm_checkpoint"] = np.array(str(arrays["ufm_checkpoint"]).replace('"pairs"', '"memory"'))
    np.savez(tmp_path / "run.npz", **arrays)
    again = train(Network([3, 3]), DATA, max_steps=5, **options)
    options["checkpoint"] = None
    assert again.fun == train(Network([3, 3]), DATA, max_steps=5, **options).fun and again.steps == 5
