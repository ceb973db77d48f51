"""Cases: the points a claim is checked at, small frozen values that can be written down, and grids of them."""

from __future__ import annotations

import itertools
import math
import numbers
import re
from collections.abc import Iterable, KeysView, Mapping
from typing import TYPE_CHECKING, Any

from ufm.numerics.arguments import short
from ufm.numerics.arithmetic import number

if TYPE_CHECKING:
    from ufm.problem import Problem

MOST = 100_000
"""So many points a grid from the command line may have."""


class Case:
    """Named numbers, words or tuples of them, read as attributes: Case(K=4, L=2).K is 4. Frozen, hashable, JSON-able.

    planted: of a control, what was falsified on purpose (see `planted`); empty otherwise.

    >>> case = Case(K=4, n=(1, 2, 2, 1), lam=2**-10)
    >>> case, case.lam, case.get("rng", 0)
    (K=4 n=(1, 2, 2, 1) lam=0.0009765625, 0.0009765625, 0)
    """

    __slots__ = ("_values", "planted")

    def __init__(self, planted: str = "", /, **values: Any):
        taken = [name for name in values if name.startswith("_") or hasattr(Case, name)]
        if taken:
            raise ValueError(f"a parameter of a case cannot be called {taken[0]!r}.")
        object.__setattr__(self, "_values", {name: _plain(name, value) for name, value in values.items()})
        object.__setattr__(self, "planted", planted)

    def __getattr__(self, name: str):
        if name.startswith("_") or name not in self._values:
            raise AttributeError(
                f"the case has no {name!r}; it has {', '.join(self.keys()) if not name.startswith('_') else 'values'}."
            )
        return self._values[name]

    def __setattr__(self, name: str, value):
        raise AttributeError(f"a case is frozen; got {name}={value!r}.")

    def __getitem__(self, name: str):
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def keys(self) -> KeysView[str]:
        """The names of its parameters, in order; with `[]` it lets a function take `**case`."""
        return self._values.keys()

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default where the case does not name it."""
        return self._values.get(name, default)

    def but(self, **values: Any) -> Case:
        """The same case with some values replaced or added."""
        return Case(self.planted, **{**self._values, **values})

    def problem(self, **more: Any) -> Problem:
        """The Problem of those of K, n, d, L, lam, loss, activation, bias that the case names; `more` adds or
        replaces."""
        from ufm.problem import Problem

        named = {
            name: self[name]
            for name in ("K", "n", "d", "L", "lam", "loss", "activation", "bias")
            if name in self._values
        }
        return Problem(**{**named, **more})

    def to_dict(self) -> dict:
        """The values by name, tuples as lists."""
        return {name: _listed(value) for name, value in self._values.items()}

    def _identity(self):
        return tuple(self._values.items()), self.planted

    def __eq__(self, other) -> bool:
        return isinstance(other, Case) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __reduce__(self):
        return _case, (self.planted, self._values)

    def __repr__(self) -> str:
        return " ".join(
            f"{name}={short(value) if isinstance(value, float) else value}" for name, value in self._values.items()
        )


def _case(planted: str, values: dict) -> Case:
    return Case(planted, **values)


def planted(reason: str, **values: Any) -> Case:
    """A control inside the hypotheses that the check falsifies on purpose; `reason` says what is wrong in it.

    >>> planted("the exponent 2/D is replaced by 2/L", K=4, L=2, exponent="2/L").planted
    'the exponent 2/D is replaced by 2/L'
    """
    if not reason.strip():
        raise ValueError("reason must say what was falsified in a planted control; got an empty text.")
    return Case(reason, **values)


_LEAST = {"K": 2, "n": 1, "d": 1, "L": 1, "width": 1, "lam": 0, "lr": 0, "sigma": 0}
USUAL = "K at least 2; n, d, L and width at least 1; lam, lr and sigma at least 0"


def floors(cases: Iterable[Case]) -> dict[str, float]:
    """The least value that each usual name may have: that of the things they stand for, or of the cases where these use
    a name otherwise.

    >>> floors([Case(K=1, x=-3), Case(K=4)])["K"], floors([Case(L=3)])["L"]
    (1, 1)
    """
    cases = tuple(cases)
    return {
        name: min([least, *(v for case in cases if name in case for v in _entries(case[name]))])
        for name, least in _LEAST.items()
    }


def usual(case: Case, least: Mapping[str, float] = _LEAST) -> bool:
    """Whether the values of the usual names are what these names stand for, entry by entry; None and words are no
    numbers and pass.

    >>> usual(Case(K=4, n=(2, 1), lam=0.0)), usual(Case(K=4, n=0)), usual(Case(lam=-1e-3))
    (True, False, False)
    """
    return all(entry >= floor for name, floor in least.items() if name in case for entry in _entries(case[name]))


def _entries(value) -> list:
    return [v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, (int, float))]


def grid(**values: Any) -> list[Case]:
    """All combinations, the first name slowest. Lists, ranges and arrays run; a number, a word or a tuple is one value.

    >>> grid(K=range(4, 6), n=(1, 2), lam=[1e-2, 1e-3])
    [K=4 n=(1, 2) lam=0.01, K=4 n=(1, 2) lam=0.001, K=5 n=(1, 2) lam=0.01, K=5 n=(1, 2) lam=0.001]
    """
    axes = [value if _runs(value) else [value] for value in values.values()]
    return [Case(**dict(zip(values, point, strict=True))) for point in itertools.product(*axes)]


def _runs(value) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, tuple))


def refuse_unknown(cases: tuple[Case, ...], names: Iterable[str]) -> None:
    """ValueError for the first parameter that the cases do not have, naming those they have."""
    known = list(dict.fromkeys(name for case in cases for name in case.to_dict()))
    for name in names:
        if name not in known:
            raise ValueError(f"there is no parameter {name}; the parameters are {', '.join(known) or 'none'}.")


def replaced(cases: tuple[Case, ...], grids: dict) -> tuple[Case, ...]:
    """The cases with some parameters run over a grid instead, doubles dropped; the grid is the slowest.

    grids: name -> values, or a text that `values_of` reads. What a grid does not name keeps every value it has in the
    cases. Raises ValueError for a parameter that the cases do not have, naming those they have, and for a grid of too
    many points.
    """
    refuse_unknown(cases, grids)
    bases = [case for case in cases if all(name in case for name in grids)]
    if not bases:
        raise ValueError(f"no case has all of the parameters {', '.join(grids)} at once.")
    axes = [_axis(name, values, [case[name] for case in bases]) for name, values in grids.items()]
    rests = list(dict.fromkeys(case.but(**dict.fromkeys(grids)) for case in bases))
    if len(rests) * math.prod(map(len, axes)) > MOST:
        raise ValueError(
            f"grid must have at most {MOST} points; got {len(rests)} x {' x '.join(str(len(axis)) for axis in axes)}."
        )
    points = [dict(zip(grids, point, strict=True)) for point in itertools.product(*axes)]
    return tuple(dict.fromkeys(rest.but(**point) for point in points for rest in rests))


def _axis(name: str, values, declared: list) -> list:
    if not isinstance(values, str):
        return list(values) if _runs(values) else [values]
    kinds = {type(value) for value in declared if value is not None}
    if kinds == {str}:
        return [word.strip() for word in values.split(",")]
    if kinds == {bool}:
        return [_truth(name, word.strip()) for word in values.split(",")]
    found = values_of(name, values)
    if kinds == {int} and not all(isinstance(value, int) for value in found):
        raise ValueError(f"{name} must be integers; got {name}={values!r}.")
    return [float(value) for value in found] if kinds == {float} else found


def _truth(name: str, word: str) -> bool:
    if word not in ("true", "false"):
        raise ValueError(f"{name} must be true or false; got {name}={word!r}.")
    return word == "true"


def values_of(name: str, text: str) -> list:
    """The values meant by `4:40` (both ends included), `4:40:2` (every second), `4,6,8`, `1e-3,2**-10`, or a mixture.

    A hyphen between two whole numbers is a range too, as on paper: 4-40 is 4:40, and not -36. Elsewhere `-` is
    arithmetic.

    >>> values_of("K", "4:6,10"), values_of("K", "2:8:3"), values_of("lam", "2**-2"), values_of("K", "4-6")
    ([4, 5, 6, 10], [2, 5, 8], [0.25], [4, 5, 6])

    Raises ValueError naming the parameter and the text.
    """
    found = []
    for part in text.split(","):
        try:
            ends = [_whole(number(end)) for end in _HYPHEN.sub(r"\1:\2", part).split(":")]
        except ValueError as mistake:
            raise ValueError(f"{name}: {mistake}") from None
        found += _range(name, part, ends) if len(ends) > 1 else ends
    return found


_HYPHEN = re.compile(r"^\s*(\d+)\s*[-\u2010-\u2013]\s*(\d+)\s*(?=:|$)")
"""first-last at the start of a value, also with the dashes that word processors make of a hyphen."""


def _range(name: str, part: str, ends: list) -> range:
    first, last, step = (*ends, 1) if len(ends) == 2 else ends if len(ends) == 3 else (0.5, 0, 0)
    if not all(isinstance(end, int) for end in (first, last, step)) or step < 1 or last < first:
        raise ValueError(
            f"{name} must be numbers, or first:last or first:last:step of rising integers, as 4:40; got"
            f" {name}={part!r}."
        )
    if (last - first) // step >= MOST:
        raise ValueError(f"{name} must run over at most {MOST} values; got {name}={part!r}.")
    return range(first, last + 1, step)


def _whole(value: float):
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _plain(name: str, value):
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, (list, tuple, range)):
        return tuple(_plain(name, v) for v in value)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise ValueError(
        f"{name} of a case must be a finite number, a word, a truth value, None, or a tuple of these; got"
        f" {name}={value!r}."
    )


def _listed(value):
    return [_listed(v) for v in value] if isinstance(value, tuple) else value
