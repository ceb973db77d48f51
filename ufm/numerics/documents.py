"""Files read back: whatever is wrong with one is a single ValueError naming file and field. Starts without numpy."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ufm.numerics import arguments

if TYPE_CHECKING:
    import numpy as np

MISTAKES = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError, MemoryError)
"""What reading damaged values ends in."""


@dataclass(frozen=True)
class Fields:
    """Named values of a file, each asked for by its kind; `where` begins every refusal: "file 'x' does not hold a run".

    >>> Fields("file 'run.json' does not hold a run", {"steps": "many"}).whole("steps")
    Traceback (most recent call last):
    ValueError: file 'run.json' does not hold a run: field 'steps' must be an integer of at least 0; got 'many'.
    """

    where: str
    values: dict

    def __post_init__(self):
        if not isinstance(self.values, dict):
            raise ValueError(f"{self.where}: {_kind(self.values)} stands where named fields should.")

    def refuse(self, name: str, why: str):
        """The ValueError about one field."""
        raise ValueError(f"{self.where}: field {name!r} {why}.") from None

    def take(self, name: str, make: Callable | None = None):
        """The value of a field that must be there, as `make` reads it; what `make` raises becomes a sentence."""
        if name not in self.values:
            self.refuse(name, "is missing")
        value = self.values[name]
        try:
            return value if make is None else make(value)
        except MISTAKES as mistake:
            said = str(mistake) if isinstance(mistake, ValueError) else f"{type(mistake).__name__}: {mistake}"
            self.refuse(name, f"cannot be read: {said.rstrip('.')}")

    def _checked(self, name: str, good: Callable, wanted: str, none: bool):
        value = self.take(name)
        if not (good(value) or (none and value is None)):
            self.refuse(name, f"must be {wanted}{' or null' if none else ''}; got {_shown(value)}")
        return value

    def whole(self, name: str, least: int = 0, none: bool = False, most: int = arguments.WHOLE) -> int:
        beyond = "" if most == arguments.WHOLE else f" and at most {most}"
        return self._checked(
            name, lambda v: type(v) is int and least <= v <= most, f"an integer of at least {least}{beyond}", none
        )

    def real(self, name: str, none: bool = False) -> float:
        return self._checked(name, lambda v: type(v) in (int, float) and math.isfinite(v), "a finite number", none)

    def number(self, name: str) -> float:
        """A number, NaN and infinities included."""
        return self._checked(name, lambda v: type(v) in (int, float), "a number", False)

    def text(self, name: str, none: bool = False) -> str:
        return self._checked(name, lambda v: isinstance(v, str), "a text", none)

    def truth(self, name: str) -> bool:
        return self._checked(name, lambda v: isinstance(v, bool), "true or false", False)

    def table(self, name: str) -> dict:
        return self._checked(name, lambda v: isinstance(v, dict), "named fields", False)

    def listed(self, name: str, length: int | None = None) -> list:
        wanted = "a list" + ("" if length is None else f" of {length}")
        return self._checked(name, lambda v: isinstance(v, list) and length in (None, len(v)), wanted, False)

    def fields(self, name: str) -> Fields:
        """Fields within a field."""
        return Fields(f"{self.where}: field {name!r}", self.table(name))

    def rows(self, name: str) -> list[Fields]:
        """A list of named fields."""
        return [Fields(f"{self.where}: entry {i} of {name!r}", row) for i, row in enumerate(self.listed(name))]

    def document(self, name: str) -> Fields:
        """The named fields of a JSON text that stands in a field (an array of one text in an .npz)."""
        return Fields(f"{self.where}: field {name!r}", self.take(name, lambda value: json.loads(str(value))))

    def array(self, name: str, shape: tuple | None = None) -> np.ndarray:
        """A finite array of numbers; None entries of the shape are free."""
        return self.take(name, lambda value: arguments.array("the value", value, shape=shape))

    def arrays(self, name: str, length: int, shape: tuple, none: bool = False) -> list[np.ndarray | None]:
        """A list of so many finite arrays of one shape."""
        values = self.listed(name, length)
        return self.take(
            name,
            lambda _: [
                None if none and v is None else arguments.array(f"entry {i}", v, shape=shape)
                for i, v in enumerate(values)
            ],
        )


def read_json(path, what: str) -> Fields:
    """The named fields of a JSON file that should hold `what`, or a ValueError naming the file."""
    where = f"file {str(path)!r} does not hold {what}"
    try:
        with open(path, "rb") as file:
            return Fields(where, json.loads(file.read()))
    except (OSError, RecursionError, MemoryError, json.JSONDecodeError, UnicodeDecodeError) as mistake:
        raise ValueError(f"{where}: {reason(mistake)}") from None


def read_toml(path, what: str) -> dict:
    """The values of a TOML file, or a ValueError naming it."""
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, TypeError, RecursionError, MemoryError, tomllib.TOMLDecodeError, UnicodeDecodeError) as mistake:
        raise ValueError(f"{what} {str(path)!r} cannot be read: {reason(mistake)}") from None


def reason(mistake: Exception) -> str:
    """Why a file could not be read, in words."""
    if isinstance(mistake, RecursionError):
        return "it is nested too deeply."
    if isinstance(mistake, UnicodeDecodeError):
        return "it is not a text file (in UTF-8)."
    if isinstance(mistake, OSError) and mistake.strerror:
        return mistake.strerror
    return f"{mistake}"


def _kind(value) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _shown(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
