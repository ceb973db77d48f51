"""The public names: which there are, and on which page of the reference each stands."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
LISTED = ("ufm", "ufm.structures", "ufm.plot", "ufm.networks")
"""Modules whose `__all__` is a promise; of the others, a page shows what they define."""


def names(module: str) -> list[str]:
    """`__all__` (and `LATER`) without modules and dunders where there is one, else the public functions and classes
    defined there, in their order."""
    home = importlib.import_module(module)
    if hasattr(home, "__all__"):
        return [
            name
            for name in (*home.__all__, *getattr(home, "LATER", ()))
            if not name.startswith("__") and not isinstance(getattr(home, name), ModuleType)
        ]
    own = [
        name
        for name, value in vars(home).items()
        if getattr(value, "__module__", None) == module and not name.startswith("_")
    ]
    return [name for name in own if inspect.isfunction(getattr(home, name)) or inspect.isclass(getattr(home, name))]


def summary(value) -> str:
    """The first line of its docstring; empty where it has none of its own (a dataclass has one made up by Python)."""
    text = (inspect.getdoc(value) if inspect.isroutine(value) or inspect.isclass(value) else "") or ""
    made_up = inspect.isclass(value) and text.startswith(f"{value.__name__}(")
    return "" if made_up or not text else text.splitlines()[0]


def documented(folder: Path = REFERENCE) -> dict[str, list[str]]:
    """module -> the names of it shown by an `api` directive in the pages of a folder."""
    found: dict[str, list[str]] = {}
    for page in sorted(folder.glob("*.rst")):
        for module, chosen in re.findall(r"^\.\. api:: (\S+) *(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(module, []).extend(chosen.split() or names(module))
    return found
