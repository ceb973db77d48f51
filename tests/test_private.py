"""The tests come in by the public door: they use no name of the package that begins with an underscore.

A private thing that deserves a test is public, with a docstring; the rest is seen from outside.
"""

import ast
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
ALLOWED = {
    "_actions": "argparse lists a parser's options nowhere else",
    "_HelpAction": "argparse's class of -h",
    "_exit": "of os: a process that dies at once",
    "_repr_png_": "notebooks call it",
    "_repr_html_": "notebooks call it",
}
"""Names of others that are public in all but spelling, and why they are used."""
SETTERS = {"setattr", "delattr", "getattr", "hasattr", "patch", "object"}


def private(name: str) -> bool:
    return bool(re.fullmatch(r"_(?!_).+", name)) and name not in ALLOWED


def uses(text: str) -> list[str]:
    """`line: name` of every private name that is imported, read from something other than `self` or `cls`, or set as a
    string."""
    found = []
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            names = [node.attr]
        elif isinstance(node, ast.Call) and called(node) in SETTERS:
            words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            names = [part for word in words for part in word.split(".")]
        found += [f"{node.lineno}: {name}" for name in names if private(name)]
    return found


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: os.path.relpath(path, ROOT))
def test_files_use_public_names_only(path):
    assert uses(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "from ufm.solvers import _x",
        "from ufm._solvers import x",
        "import ufm._x",
        "engine._Job(3)",
        "x = point._y.z",
        "monkeypatch.setattr(engine, '_x', 3)",
        "monkeypatch.setattr('ufm.cli._x', 3)",
        "getattr(engine, '_x')",
    ],
)
def test_a_private_name_is_seen(text):
    assert len(uses(text)) == 1


def test_own_names_and_those_of_python_are_no_matter():
    assert uses("self._x = 1\nx.__dict__\nos._exit(1)\n_, y = f()\nenv['_VARIABLE'] = '1'\n") == []


def test_every_exception_is_needed():
    text = "".join(path.read_text() for path in FILES if path.name != Path(__file__).name)
    assert [name for name in ALLOWED if name not in text] == []
