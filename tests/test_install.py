"""A missing package is named with a command that works, however this one was installed."""

import importlib.metadata
import re
import shlex
import sys
from pathlib import Path

import pytest

from ufm.numerics import install

ROOT = Path(__file__).parent.parent
EXTRAS = (
    ("certify", "python-flint"),
    ("gpu", "array-api-compat"),
    ("data", "scikit-learn"),
    ("shell", "argcomplete"),
    (None, "pyarrow"),
)


def arguments_of_pip(sentence):
    words = shlex.split(sentence[sentence.index(sys.executable) :])
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    return words[4:]


@pytest.mark.parametrize("extra, package", EXTRAS)
def test_the_command_names_packages_that_an_index_has(extra, package):
    said = str(install.missing("this", package, extra))
    wanted = arguments_of_pip(said)
    assert [re.split("[<>=]", name)[0] for name in wanted] == [package] and (extra is None or f"ufm[{extra}]" in said)


def test_versions_come_from_the_metadata_and_all_packages_of_the_extra_are_named(monkeypatch):
    lines = [
        "numpy>=2",
        "b>=1; extra == 'two'",
        'c!=2,>=1 ; python_version > "3" and extra == "two"',
        'd; extra == "twofold"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    assert arguments_of_pip(install.command("b", "two")) == ["b>=1", "c!=2,>=1"]
    assert arguments_of_pip(install.command("x", "unheard of")) == ["x"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: None)
    assert arguments_of_pip(install.command("b", "two")) == ["b"]


def test_a_checkout_without_metadata_and_an_environment_without_pip_have_a_command_too(monkeypatch):
    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", nothing)
    assert arguments_of_pip(install.command("python-flint", "certify")) == ["python-flint"]
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    assert shlex.split(install.command("python-flint", "certify")) == [
        "uv",
        "pip",
        "install",
        "--python",
        sys.executable,
        "python-flint",
    ]


def test_only_one_place_says_how_to_install():
    """Docs name the folder of the source (`pip install '.[certify]'`) or a package; the code asks `install`."""
    for path in [*ROOT.glob("ufm/**/*.py"), *ROOT.glob("theory/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]:
        assert path.name == "install.py" or not re.search(r"pip3? install", path.read_text(encoding="utf-8")), path
    for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]:
        assert "'ufm[" not in path.read_text(encoding="utf-8"), path
