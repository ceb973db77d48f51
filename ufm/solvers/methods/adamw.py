"""Adam with decoupled decay."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.solvers.methods.adam import Adam
from ufm.solvers.methods.method import one_of, setting


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam on the gradient of the fit alone, and x <- x - lr (lam_l A_l)_l beside it.

    Source: loshchilov19.
    """

    name = "adamw"
    title = "Adam with decoupled decay"

    decay: str = setting("decoupled", one_of("decoupled"), "always beside the gradient")
