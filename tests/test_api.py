"""The vocabulary: which names there are, and that verbs rhyme."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import ufm

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
    said = {
        alias.asname: (node.module, alias.name)
        for node in ast.parse(STUB.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
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
