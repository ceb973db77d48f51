"""A loss of one logit column z and its one-hot label y: what it states about itself, and the family of all of them.

Arrays have shape (..., K, N): classes, then columns; any leading axes are a batch. Labels are the one-hot matrix Y
(K, N). The fit term of a problem is the mean of l over samples.

To add a loss, write one file: in this folder, or anywhere and named with `ufm.use(path)`, `--from PATH` or an entry
point of the group `ufm.losses`. It holds a frozen dataclass whose fields are the loss's numbers:

    @dataclass(frozen=True)
    class Huber(Loss):
        "sum_i (sqrt(1 + ((z_i - y_i)/width)^2) - 1) width^2."

        width: float = 1.0
        keyword = "huber"
        convex = True

        def value(self, Z, Y): ...
        def grad(self, Z, Y): ...
        def hvp(self, Z, Y, V): ...

Then `loss="huber(0.5)"` works wherever a loss is named.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from ufm.losses import function as by_autograd
from ufm.numerics import arguments
from ufm.numerics.content import ByContent, same
from ufm.numerics.families import Family, choice, modules_in
from ufm.numerics.state import own_numpy_state


class Loss(ABC):
    """A column loss: value (..., N), gradient and Hessian-vector product (..., K, N), and the facts below.

    The facts are promises that everything else goes by: what is said of a point, which theorems and which constructions
    apply. A loss that promises nothing is treated as a smooth function of which only the numbers are known.
    """

    keyword: ClassVar[str]
    """The word by which it is asked for, `loss="keyword(numbers)"`; a class without one is not found by name."""
    convex: bool = False
    """Convex in z for every label."""
    shift_invariant: bool = False
    """True when adding one number to all logits of a column changes nothing."""
    quadratic: bool = False
    """True when l = ||z - y||^2 / 2, under which singular modes decouple and rotations that keep the labels are
    symmetries."""
    smoothing: float | None = None
    """delta where l is cross-entropy against (1 - delta) y + delta/K, 0 where it is cross-entropy; None elsewhere."""
    gradient_bound: float | None = None
    """c where l is convex and at least 0, and the gradients of N columns have a norm of at most c sqrt(N) wherever the
    mean of their losses is at most that at z = 0; None where there is none or it is not known."""

    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        own_numpy_state(cls)

    @property
    def cross_entropy(self) -> bool:
        """Whether l = log sum_j e^(z_j) - z_y, without smoothing."""
        return self.smoothing == 0

    @property
    def label(self) -> str:
        """How it stands in a printed problem: its name, an abbreviation in capitals."""
        return self.name

    @property
    def name(self) -> str:
        """What names it exactly: its keyword, and its numbers in brackets."""
        numbers = _numbers(self)
        return self.keyword + (f"({', '.join(map(_text, numbers))})" if numbers else "")

    @abstractmethod
    def value(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Loss of every column, shape (..., N)."""

    @abstractmethod
    def grad(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Gradient of every column's loss, shape (..., K, N)."""

    @abstractmethod
    def hvp(self, Z: np.ndarray, Y: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Hessian of every column's loss applied to V, shape (..., K, N)."""

    def value_grad(self, Z: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(value, grad); losses that share work between the two do it here."""
        return self.value(Z, Y), self.grad(Z, Y)

    def value_grad_on(self, xp: Any, Z: Any, Y: Any) -> tuple:
        """(value, grad) in another array namespace xp (PyTorch, JAX, any of the array API). Optional: without it a loss
        runs on numpy only."""
        raise NotImplementedError

    def enclosure(self, z: list, y: int) -> tuple:
        """Of one column in ball arithmetic, for proofs: (l, [dl/dz_i], [[d2l/dz_i dz_j]]) at the list z of K balls and
        the label's index y. Optional: without it nothing is proved about the loss.

        Balls have + - * / **, `.exp()`, `.log()`, `.log1p()`, `.sqrt()`, and mix with whole numbers; a number of the
        loss's own enters as `balls.ball(balls.text(self.width))` (`ufm.numerics.balls`), a float is never exact enough.
        What is returned must contain the true values for every point of the balls.
        """
        raise NotImplementedError

    def prepared(self, Y: np.ndarray) -> Callable:
        """`value_grad` as a function (Z, Y) of rows Z (B, K, N), for many calls with these labels (K, N), where
        something can be computed once."""
        return self.value_grad

    def on(self, xp: Any) -> Callable:
        """`value_grad_on` as a function (Z, Y) in the namespace; ValueError for losses that are known to numpy only."""
        if type(self).value_grad_on is Loss.value_grad_on:
            raise ValueError(
                f"loss={self.name!r} runs on numpy only: it has no value_grad_on(xp, Z, Y). Leave out device and xp."
            )
        return functools.partial(self.value_grad_on, xp)

    def hessians(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """The K x K Hessian of every column's loss, shape (..., N, K, K), for Z (..., K, N)."""
        K, N = Z.shape[-2:]
        directions = np.broadcast_to(np.eye(K)[:, :, None], (K, K, N))
        return np.moveaxis(self.hvp(Z[..., None, :, :], Y, directions), -1, -3)

    @staticmethod
    def from_function(
        function: Callable, name: str = "custom", convex: bool = False, shift_invariant: bool = False
    ) -> Loss:
        """The loss l(Z, Y) given as a function in `autograd.numpy` from (K, N), (K, N) to (N,) column losses.

        Derivatives come from autograd. `convex` and `shift_invariant` are promises of the caller; they
        are used in what is said about a point, never to compute its numbers.

        >>> import autograd.numpy as anp
        >>> huber = lambda Z, Y: anp.sum(anp.sqrt(1 + (Z - Y) ** 2) - 1, axis=0)
        >>> huber = Loss.from_function(huber, "huber", convex=True)
        >>> huber.value(np.zeros((2, 1)), np.array([[1.0], [0.0]])).round(6)
        array([0.414214])
        """
        return FunctionLoss(function, name, convex, shift_invariant)

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self).__qualname__, *map(str, vars(self).values())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __reduce_ex__(self, protocol):
        # By name where the name says it: a process that has not read the file of a contributed loss finds it so.
        return (loss, (self.name,)) if known(self) else super().__reduce_ex__(protocol)


@dataclass(frozen=True, eq=False)
class FunctionLoss(ByContent, Loss):
    """The user's own loss through autograd; see `Loss.from_function`."""

    function: Callable
    name: str = "custom"  # pyright: ignore[reportIncompatibleMethodOverride]
    convex: bool = False
    shift_invariant: bool = False

    def value(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return by_autograd.value(self.function, self.name, Z, Y)

    def grad(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return by_autograd.grad(self.function, Z, Y)

    def hvp(self, Z: np.ndarray, Y: np.ndarray, V: np.ndarray) -> np.ndarray:
        return by_autograd.hvp(self.function, Z, Y, V)


@dataclass(frozen=True)
class Spelling:
    """A word by which a loss is asked for, where it is not a class's keyword: what makes the loss from the numbers."""

    keyword: str
    make: Callable[..., Loss]


def _member(value: object) -> bool:
    """A class of losses with a keyword of its own, or a Spelling."""
    return isinstance(value, Spelling) or (
        isinstance(value, type) and issubclass(value, Loss) and "keyword" in vars(value)
    )


LOSSES = Family(
    "losses",
    lambda: modules_in("ufm.losses"),
    _member,
    lambda member: vars(member)["keyword"],
    ("ce", "mse", "label_smoothing", "focal"),
)
"""Keyword -> the class of losses, or the Spelling."""


def makers() -> dict[str, Callable[..., Loss]]:
    """Keyword -> what makes a loss from its numbers: its parameters are the name's, its docstring has the formula."""
    return {
        keyword: member.make if isinstance(member, Spelling) else cast(type[Loss], member)
        for keyword, member in LOSSES.members().items()
    }


def names() -> list[str]:
    """The name of every known loss, with the numbers that it has by itself, or what they are called.

    >>> names()
    ['ce', 'mse', 'label_smoothing(0.1)', 'focal(2)']
    """
    return [_example(keyword, make) for keyword, make in makers().items()]


def _example(keyword: str, make: Callable[..., Loss]) -> str:
    wanted = inspect.signature(make).parameters
    return make().name if all(p.default is not p.empty for p in wanted.values()) else f"{keyword}({', '.join(wanted)})"


def own(spec: Loss) -> bool:
    """Whether a loss is one of this package's, the one its name says; False for a user's own, whatever it is called."""
    return type(spec).__module__.startswith("ufm.losses.") and known(spec)


def known(spec: Loss) -> bool:
    """Whether a loss is the one that its name says, this package's or a contributed one."""
    try:
        return same(loss(spec.name), spec)
    except (ValueError, AttributeError):
        return False


def loss(spec: Any) -> Loss:
    """The loss meant by an object or a name: `ce`, `mse`, `label_smoothing(0.1)`, `focal(2)`, or a contributed one.

    >>> loss("focal(3)")
    Focal(gamma=3.0)

    Raises ValueError for anything that is neither a Loss nor such a name.
    """
    if isinstance(spec, Loss):
        return spec
    known_by = makers()
    match = re.fullmatch(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", spec) if isinstance(spec, str) else None
    if match is None:
        raise ValueError(f"loss must be a Loss or one of {', '.join(sorted(known_by))}; got loss={spec!r}.")
    make = known_by[choice("loss", match[1], known_by)]
    try:
        return make(*([] if match[2] is None else _read(make, match[2])))
    except (TypeError, ValueError) as error:
        raise ValueError(f"loss {spec!r} is not understood: {error}") from None


def _read(make: Callable, text: str) -> list:
    """The numbers in the brackets of a name, each of the kind that its maker says."""
    wanted = list(inspect.signature(make).parameters.values())
    given = text.split(",")
    if len(given) > len(wanted):
        raise ValueError(f"it takes {', '.join(p.name for p in wanted) or 'no number'}; got {len(given)}.")
    return [int(word) if p.annotation in (int, "int") else float(word) for p, word in zip(wanted, given, strict=False)]


def _numbers(loss: Loss) -> list:
    return [getattr(loss, field.name) for field in dataclasses.fields(loss)] if dataclasses.is_dataclass(loss) else []


def _text(number) -> str:
    return str(number) if isinstance(number, int) else arguments.short(number)
