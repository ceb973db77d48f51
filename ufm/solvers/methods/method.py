"""A way down is a frozen record of its settings: a dataclass whose fields say name, check, default and help once.

`minimize`, `multistart`, `basins`, `sweep` and the command line read the family METHODS. A contribution is one file
with one class, in this folder or in a file in use (`numerics.families`):

    @dataclass(frozen=True)
    class Normalised(Descent):
        name = "normalised"
        title = "normalised gradient descent"
        lr: float = setting(0.01, arguments.positive, "learning rate")

        def direction(self, on, objective, grad, state, t):
            return grad / on.xp.sqrt(on.dot(grad, grad))[:, None], state

Importing this module needs no numpy: the command line lists settings before any work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ufm.numerics import arguments, words
from ufm.numerics.families import Family, modules_in

VERB_WORDS = ("rng", "starts", "start", "method", "space", "tol", "scale", "progress", "trace")
"""What verbs take beside the settings of a method: the words that a wrong one may stand for."""
TAKEN = (
    *("problem", "K", "n", "d", "L", "lam", "loss", "activation", "bias", "callback", "widths", "memory", "threads"),
    *("device", "xp", "keep", "level", "out", "fresh", "over", "by", "json", "plot", "save", "help", "from"),
    *(word for word in VERB_WORDS),
)
"""Words that verbs use themselves: no setting may be called so."""


def setting(default: Any, check: Callable[[str, Any], Any] | None, help: str) -> Any:
    """A field of a method: its default; check(name, value), which may raise ValueError; a line of help."""
    return field(default=default, metadata={"check": check, "help": help})


@dataclass(frozen=True)
class Method:
    """One way down from a start; an instance is its settings, checked.

    name: what people write. title: what sentences call it. space: where it runs by default. finished: whether its ends
    of linear models are critical points already, or have to be finished by Newton before they are counted.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    space: ClassVar[str] = "factors"
    finished: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for word, kind in vars(cls).get("__annotations__", {}).items():
            if word in TAKEN and "ClassVar" not in str(kind):
                raise ValueError(
                    f"{word} cannot be a setting of method {getattr(cls, 'name', cls.__name__)!r}: verbs have an"
                    " argument of that name."
                )

    def __post_init__(self):
        for one in fields(self):
            check = one.metadata.get("check")
            if check is not None:
                object.__setattr__(self, one.name, check(one.name, getattr(self, one.name)))

    @property
    def settings(self) -> dict:
        """Its settings by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def check(self, problem: Any, space: str) -> None:
        """ValueError where the method cannot run on this problem in this space."""

    def run(self, chunk: Any) -> None:
        """Take every row of a chunk (`solvers.runner.Chunk`) from chunk.X to its end: `chunk.tick` at every step,
        `chunk.watch` where it is not None, `chunk.ended` where rows end."""
        raise NotImplementedError

    @property
    def arrays(self) -> int:
        """Arrays of the size of a start that are kept for it."""
        return 4

    @property
    def every(self) -> int:
        """Steps between two records of a trace that is to be drawn: about four hundred records."""
        return max(1, self.settings.get("steps", 1) // 400)

    def said(self) -> str:
        """The method and what it was run with, in a sentence."""
        return self.title


def _is_method(value) -> bool:
    return isinstance(value, type) and issubclass(value, Method) and "name" in vars(value)


METHODS = Family(
    "methods",
    lambda: modules_in("ufm.solvers.methods"),
    _is_method,
    lambda method: method.name,
    ("lbfgs", "newton", "gd", "adam", "adamw"),
)


def settings_of(method: type[Method]) -> dict[str, object]:
    """The settings of a method with their defaults, in the order in which it declares them."""
    return {one.name: one.default for one in fields(method)}


def known_settings() -> dict[str, list[tuple[type[Method], Any]]]:
    """Every setting of every method: its name, and (method, field) for each that has it."""
    found: dict[str, list] = {}
    for method in METHODS.members().values():
        for one in fields(method):
            found.setdefault(one.name, []).append((method, one))
    return found


def method_of(name: str, given: dict, problem: Any = None, space: str | None = None) -> Method:
    """The method of this name with the settings given, its defaults for the others.

    ValueError naming a method or setting that is unknown, a value that is wrong, or what does not go with the problem
    or the space.
    """
    method = METHODS.get(name, "method")
    refuse_unknown(name, given, settings_of(method))
    made = method(**given)
    if problem is not None:
        made.check(problem, space)
    return made


def refuse_unknown(method: str, given: Any, known: Any) -> None:
    """ValueError for the first setting that a method does not have, with the word that is meant."""
    for name in given:
        if name not in known:
            hint = words.suggestion(name, [*known, *(word for word in VERB_WORDS if word not in known)])
            raise ValueError(
                f"{name} is not a setting of method {method!r}; {hint + ' It' if hint else 'it'} has"
                f" {', '.join(known)}."
            )


# checks that several settings share


def whole(name: str, value: Any) -> int:
    """An integer of at least 1."""
    return arguments.integer(name, value, 1)


def fraction(name: str, value: Any) -> float:
    """A number in [0, 1)."""
    number = arguments.real(name, value)
    if not 0 <= number < 1:
        raise ValueError(f"{name} must lie in [0, 1); got {name}={value!r}.")
    return number


def one_of(*allowed: str) -> Callable[[str, Any], str]:
    """One of the allowed words."""
    return lambda name, value: arguments.choice(name, value, allowed)
