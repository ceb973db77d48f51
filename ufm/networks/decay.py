"""Weight decay: what is pulled to zero, and how strongly.

    standard    (1/2) sum_l lam_l ||W_l||^2                                         every weight matrix
    ufm   (1/2) sum_{head} lam_l ||W_l||^2 + (lam_H/2) ||H||^2   the last `head` matrices and their input H

H = z^(L - head) (d, N) is what the head sees; its penalty is a sum over samples, not a mean, as in an unconstrained
feature model. Trainable skips are weights and decay like the layer they end at; biases decay by their own `bias`,
usually 0.

Other conventions: a `weight_decay` of PyTorch is this lam; a penalty lam ||W||^2 without the half is this lam divided
by two.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ufm.networks.network import Network
from ufm.numerics import arguments
from ufm.numerics.records import picked
from ufm.numerics.words import named_arguments


@named_arguments
@dataclass(frozen=True, init=False)
class Decay:
    """kind `standard` or `ufm`; W one number or one per (head) matrix; H the feature weight lam_H; head: its depth.

    >>> Decay("ufm", W=5e-3, H=1e-6, head=3)
    Decay(kind='ufm', W=0.005, H=1e-06, head=3, bias=0.0)

    Raises ValueError for negative numbers, an unknown kind, a missing head, or H and head given to `standard`.
    """

    kind: str
    W: float | tuple[float, ...]
    H: float
    head: int | None
    bias: float

    def __init__(
        self,
        kind: str = "standard",
        W: float | Sequence[float] = 0.0,
        H: float = 0.0,
        head: int | None = None,
        bias: float = 0.0,
    ) -> None:
        put = functools.partial(object.__setattr__, self)
        put("kind", arguments.choice("decay", kind, ("standard", "ufm")))
        if isinstance(W, (list, tuple, np.ndarray)):
            put("W", tuple(arguments.nonnegative("W", w) for w in W))
        else:
            put("W", arguments.nonnegative("W", W))
        put("H", arguments.nonnegative("H", H))
        put("bias", arguments.nonnegative("bias", bias))
        put("head", head)
        if self.kind == "ufm":
            put("head", arguments.integer("head", head or 0, 1, "It counts the weight matrices of the head."))
        elif self.H or self.head is not None:
            raise ValueError(f"H and head belong to decay 'ufm'; got H={self.H:g}, head={self.head} with 'standard'.")

    def lams(self, net: Network) -> tuple[float, ...]:
        """(lam_1, ..., lam_L): the weight of every matrix, 0 below a ufm head. ValueError where they do not fit."""
        count = net.L if self.head is None else self.head
        if count > net.L:
            raise ValueError(f"head must be at most the network's L={net.L} weight matrices; got head={self.head}.")
        W = self.W if isinstance(self.W, tuple) else (self.W,) * count
        if len(W) != count:
            raise ValueError(f"W must be one number or {count}, one per matrix; got {len(W)}.")
        return (0.0,) * (net.L - count) + W

    def layer(self, net: Network) -> int | None:
        """The layer whose features decay, or None."""
        return net.L - self.head if self.head is not None and self.H else None

    def of_parameters(self, net: Network) -> tuple[float, ...]:
        """The weight of every parameter array, in the network's order."""
        lams = self.lams(net)
        return (*lams, *(self.bias for _ in net.biases), *(lams[s.end - 1] for s in net.skip if s.kind != "identity"))

    def to_dict(self) -> dict:
        W = list(self.W) if isinstance(self.W, tuple) else self.W
        return picked(self, "kind W H head bias") | {"W": W}


def decay(spec) -> Decay:
    """The decay meant by a number or a sequence (standard, on all matrices) or a Decay.

    >>> decay(1e-3).W
    0.001
    """
    if isinstance(spec, Decay):
        return spec
    if isinstance(spec, str):
        example = "Decay('ufm', W=5e-3, H=1e-6, head=3)"
        raise ValueError(f"decay must be a number, one per weight matrix, or a Decay such as {example}; got {spec!r}.")
    return Decay("standard", spec)
