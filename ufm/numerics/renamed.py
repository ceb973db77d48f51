"""Old spellings of what was renamed: for one release they work, with a DeprecationWarning that names the new one.

    renamed(old="new")        a keyword has a new name
    places("a", "b", "c")     arguments that went by place go by name, or stand elsewhere
    renamed_to("new")         a function has a new name

Each stands above `named_arguments`; the signature shown, and the words suggested, are the new ones. Needs no numpy.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
import warnings
from collections.abc import Callable
from typing import TypeVar, cast

Thing = TypeVar("Thing", bound=Callable)

WRAPPERS = ("ufm.numerics.renamed", "ufm.numerics.words", "ufm.numerics.state")
"""Modules whose functions stand between a caller and what it calls."""


def renamed(**new_names: str) -> Callable[[Thing], Thing]:
    """A decorator of a function or a class whose keywords were renamed, old="new".

    >>> @renamed(memory="pairs")
    ... def search(problem, pairs=10):
    ...     return pairs
    >>> search("any", pairs=3)
    3
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     search("any", memory=5), str(said[0].message)
    (5, "search: 'memory' is now 'pairs'; the old name goes with the next release.")

    Raises ValueError, when called, where the old and the new keyword are both given.
    """

    def rewritten(name: str, args: tuple, given: dict) -> tuple[tuple, dict]:
        old = [word for word in new_names if word in given]
        for word in old:
            new = new_names[word]
            if new in given:
                raise ValueError(f"{name}: {word} is the old name of {new}: give {new} alone; got both.")
            _warn(f"{name}: {word!r} is now {new!r}; the old name goes with the next release.")
        return args, {new_names.get(word, word): value for word, value in given.items()}

    return _calling(rewritten, lambda args, given: any(word in given for word in new_names))


def places(*words: str, when: Callable[[tuple], bool] | None = None) -> Callable[[Thing], Thing]:
    """A decorator of a function whose arguments, by place, used to be `words`; `when` says of the arguments of a call
    that they stand in the old places (left out: that there are more of them than the function takes now).

    >>> @places("problem", "starts", "method")
    ... def search(problem, starts=None, *, method="lbfgs"):
    ...     return method
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     search("any", 3, "gd"), str(said[0].message)
    ('gd', 'search: give method by name: search(problem, starts, method=...); by place it goes with the next release.')
    """

    def decorate(thing: Thing) -> Thing:
        now = _by_place(thing)

        def rewritten(name: str, args: tuple, given: dict) -> tuple[tuple, dict]:
            paired = zip(words[: len(args)], now, strict=False)
            kept = [word for word, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], paired)]
            moved = dict(zip(words[len(kept) :], args[len(kept) :], strict=False))
            if len(args) > len(words) or set(moved) & set(given):
                return args, given  # a call that was wrong before as well
            by_name = ", ".join(f"{word}=..." for word in moved)
            right = f"{name}({', '.join([*kept, by_name])})"
            _warn(f"{name}: give {', '.join(moved)} by name: {right}; by place it goes with the next release.")
            return args[: len(kept)], {**moved, **given}

        return _calling(rewritten, lambda args, given: when(args) if when else len(args) > len(now))(thing)

    return decorate


def renamed_to(new: str, old: str = "") -> Callable[[Thing], Thing]:
    """A decorator of a function that goes by its old name with the next release; with `old`, of the new one itself.

    >>> def profile(problem): ...
    >>> lowest_by_rank = renamed_to("profile", old="lowest_by_rank")(profile)
    >>> lowest_by_rank.__name__, profile.__name__
    ('lowest_by_rank', 'profile')
    """

    def decorate(function: Thing) -> Thing:
        def rewritten(name: str, args: tuple, given: dict) -> tuple[tuple, dict]:
            _warn(f"{old or name} is now {new}; the old name goes with the next release.")
            return args, given

        called = _calling(rewritten, lambda args, given: _fits(function, args, given))(function)
        if old:
            called.__name__ = called.__qualname__ = old
            called.__module__ = sys._getframe(1).f_globals["__name__"]
        return called

    return decorate


def _calling(rewritten: Callable, applies: Callable[[tuple, dict], bool]) -> Callable[[Thing], Thing]:
    """A decorator that calls with what `rewritten` makes of the arguments, where it applies."""

    def decorate(thing: Thing) -> Thing:
        if inspect.isclass(thing):
            thing.__init__ = over(thing.__init__, thing.__name__)
            return cast(Thing, thing)
        return cast(Thing, over(thing, thing.__name__))

    def over(function, name: str):
        @functools.wraps(function)
        def called(*args, **given):
            if applies(args, given):
                args, given = rewritten(name, args, given)
            return function(*args, **given)

        return called

    return decorate


def _by_place(function: Callable) -> list[str]:
    kinds = inspect.signature(function).parameters.values()
    return [p.name for p in kinds if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _fits(function: Callable, args: tuple, given: dict) -> bool:
    """Whether a call is right; one that is not says so itself."""
    try:
        inspect.signature(function).bind(*args, **given)
    except TypeError:
        return False
    return True


def _warn(said: str) -> None:
    """A DeprecationWarning at the line that called, whatever stands between."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__") in WRAPPERS:
        frame, level = frame.f_back, level + 1
    warnings.warn(said, DeprecationWarning, stacklevel=level)
