"""Descents by steps of a given length: what gradient descent, momentum, Adam, signs and polar factors share.

    coupled      g = grad F(x),                   x <- x - lr direction(g)
    decoupled    g = grad of the fit alone,       x <- x - lr direction(g) - lr (lam_l A_l)_l

With decoupled decay the rests are those of another function than F; what a result says is F's all the same, and it is
a success only where the gradient of F is small. Source: loshchilov19.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ufm.numerics import arguments
from ufm.solvers.methods.method import Method, fraction, one_of, setting, whole


def _batch(name: str, value) -> int | None:
    return None if value is None else arguments.integer(name, value, 1)


@dataclass(frozen=True)
class Descent(Method):
    """Steps x <- x - lr direction on all rows at once, until the gradient is small or the steps are used.

    spans: whether its steps are combinations of gradients, so that at L = 1 they stay in the span of the start.
    """

    spans: ClassVar[bool] = False

    lr: float = setting(0.01, arguments.positive, "learning rate")
    batch: int | None = setting(None, _batch, "samples per step, drawn epoch by epoch (none: all)")
    steps: int = setting(20_000, whole, "most steps")
    decay: str = setting("coupled", one_of("coupled", "decoupled"), "ridge in the gradient, or beside it")

    def init(self, on: Any, objective: Any, x: Any) -> tuple:
        """What is carried from step to step before the first: arrays with a row per start."""
        return ()

    def direction(self, on: Any, objective: Any, grad: Any, state: tuple, t: int) -> tuple[Any, tuple]:
        """(direction, state) of step t = 1, 2, ... from the gradient (rows, size), which may be written to."""
        raise NotImplementedError

    def run(self, chunk: Any) -> None:
        from ufm.solvers import descent

        objective, X, lift = chunk.objective, chunk.X, None
        if self.spans and self.decay == "coupled" and chunk.watch is None:
            objective, X, lift = descent.narrow(objective, X)
        x, ended, tick = objective.on.put_in(X), chunk.ended, chunk.tick
        if lift is not None:

            def ended(labels, x, *said):
                chunk.ended(labels, lift(labels, objective.on.take_out(x)), *said)

            def tick(labels, nit, x):
                chunk.tick(labels, nit, x, lift)

        descent.descend(objective, x, self, chunk.tol, chunk.draws, ended, tick, chunk.watch)

    def check(self, problem: Any, space: str) -> None:
        if self.batch is None:
            return
        if self.batch > problem.N:
            raise ValueError(f"batch must be at most the number of samples {problem.N}; got batch={self.batch}.")
        if space == "reduced":
            raise ValueError(
                f"batch draws samples and needs space='factors'; got batch={self.batch} with space='reduced'."
            )

    def said(self) -> str:
        own = [f"lr={self.lr:g}"]
        momentum = self.settings.get("momentum")
        own += [f"momentum={momentum:g}"] if momentum else []
        own += [f"batches of {self.batch}"] if self.batch else []
        own += ["decoupled decay"] if self.decay == "decoupled" and "decay" in self.settings else []
        return f"{self.title} ({', '.join([*own, f'at most {self.steps} steps'])})"


@dataclass(frozen=True)
class Heavy(Descent):
    """A descent with momentum: v <- momentum v + g, and the direction is made from v."""

    momentum: float = setting(0.0, fraction, "momentum")

    def init(self, on: Any, objective: Any, x: Any) -> tuple:
        return (on.xp.zeros_like(x),) if self.momentum else ()

    def heavy(self, grad: Any, state: tuple) -> tuple[Any, tuple]:
        """(v, state): the gradient itself without momentum."""
        if not state:
            return grad, state
        velocity = state[0]
        velocity *= self.momentum
        velocity += grad
        return velocity, state
