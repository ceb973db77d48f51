"""The objective of a network on data, F = (1/N) sum_i l(z_i, y_i) + decay, with what theorems about its layers need.

grad_l F = G_l + lam_l W_l,   G_l = (1/N) sum_i delta^l_i (z^(l-1)_i)'     (biases, skips and feature decay alike)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ufm.losses import Loss
from ufm.networks.data import Data
from ufm.networks.decay import Decay
from ufm.networks.decay import decay as decay_of
from ufm.networks.losses import check_outputs, log_mean
from ufm.networks.losses import loss as loss_of
from ufm.networks.network import Network, Workspace
from ufm.numerics import arguments
from ufm.numerics.content import ByContent


@dataclass(frozen=True, eq=False, init=False)
class Objective(ByContent):
    """F of a network on data. Methods take the network's list of arrays; `value_grad` takes the flat vector.

    >>> from ufm.networks import Data, Network
    >>> data = Data.mixture(K=3, n=5, d=4, sigma=0.1, rng=0)
    >>> f = Objective(Network([4, 8, 3]), data, "ce", 1e-2)
    >>> params = f.net.init(rng=0)
    >>> W, G, g = params[0], f.fit_gradients(params)[0], f.gradients(params)[0]
    >>> bool(np.allclose(g, G + 1e-2 * W))
    True

    Raises ValueError where network, data, loss and decay do not fit together.
    """

    net: Network
    data: Data
    loss: Loss
    decay: Decay

    def __init__(self, net: Network, data: Data, loss: str | Loss = "ce", decay: float | Decay = 0.0) -> None:
        put = functools.partial(object.__setattr__, self)
        put("net", arguments.instance("net", net, Network))
        put("data", arguments.instance("data", data, Data))
        put("loss", loss_of(loss))
        put("decay", decay_of(decay))
        if self.data.d != self.net.inputs:
            raise ValueError(f"data must have the network's {self.net.inputs} inputs; got d={self.data.d}.")
        check_outputs(self.loss, self.data.K, self.net.outputs)
        self.decay.lams(self.net)
        self.data.targets(self.net.outputs)

    @functools.cached_property
    def Y(self) -> np.ndarray:
        """Targets (outputs, N): one-hot labels, +-1 for one output, or the data's own."""
        return self.data.targets(self.net.outputs)

    @functools.cached_property
    def _work(self) -> Workspace:
        return Workspace()

    @property
    def size(self) -> int:
        return self.net.size

    @functools.cached_property
    def ridge(self) -> float | np.ndarray:
        """The decay of every coordinate: a number where all are equal, else (size,)."""
        lams = self.decay.of_parameters(self.net)
        if len(set(lams)) == 1:
            return lams[0]
        return np.repeat(lams, [int(np.prod(shape)) for shape in self.net.shapes])

    def fit_grad(
        self, x: np.ndarray, X: np.ndarray | None = None, Y: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        """(mean loss + feature decay, its gradient (size,)) at the flat x, on all samples or on columns X, Y.

        On a batch of B samples the feature decay is scaled by N/B, so that its mean over batches is that of all
        samples.
        """
        if X is None or Y is None:
            X, Y = self.data.X, self.Y
        params, grad = self.net.unpack(x), np.empty(self.size)
        run = self.net.forward(params, X, self._work)
        values, dZ = self.loss.value_grad(run.logits, Y)
        dZ = dZ / X.shape[1]
        value, at = float(np.mean(values)), None
        if (layer := self.decay.layer(self.net)) is not None:
            weight = self.decay.H * self.data.N / X.shape[1]
            H = run.post[layer]
            value += 0.5 * weight * float(np.vdot(H, H))
            at = {layer: weight * H}
        self.net.backward(params, run, dZ, at, self.net.unpack(grad), self._work)
        return value, grad

    def value_grad(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """(F, gradient (size,)) at the flat vector x (size,)."""
        value, grad = self.fit_grad(x)
        if np.ndim(self.ridge) or self.ridge:
            penalty = self.ridge * x
            value += 0.5 * float(penalty @ x)
            grad += penalty
        return value, grad

    def grad(self, x: np.ndarray) -> np.ndarray:
        return self.value_grad(x)[1]

    def log_grad(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """(log of the mean loss, its gradient (size,)), accurate where the loss underflows; without decay."""
        params, grad = self.net.unpack(x), np.empty(self.size)
        run = self.net.forward(params, self.data.X, self._work)
        value, dZ = log_mean(self.loss, run.logits, self.Y)
        self.net.backward(params, run, dZ, None, self.net.unpack(grad), self._work)
        return value, grad

    # ------------------------------------------------------------------------------ on lists of parameters

    def value(self, params: Sequence[np.ndarray]) -> float:
        """F."""
        return self.value_grad(self.net.pack(self.net.check(params)))[0]

    def gradients(self, params: Sequence[np.ndarray]) -> list[np.ndarray]:
        """grad F for every parameter, decay included."""
        return self.net.unpack(self.grad(self.net.pack(self.net.check(params))))

    def fit_gradients(self, params: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The gradient of the mean loss (and of the feature decay) for every parameter: G_l for W_l."""
        return self.net.unpack(self.fit_grad(self.net.pack(self.net.check(params)))[1])

    def mean_loss(self, params: Sequence[np.ndarray]) -> float:
        """(1/N) sum_i l(z_i, y_i)."""
        return float(np.mean(self.loss.value(self.net.logits(params, self.data.X), self.Y)))

    def deltas(self, params: Sequence[np.ndarray]) -> list[np.ndarray]:
        """[delta^1, ..., delta^L], delta^l (d_l, N): column i is d l_i / d a^l_i, not divided by N."""
        params = self.net.check(params)
        run = self.net.forward(params, self.data.X)
        return self.net.backward(params, run, self.loss.grad(run.logits, self.Y))[1]

    def accuracy(self, params: Sequence[np.ndarray]) -> float:
        """Share of samples whose largest logit (or whose sign, for one output) is their label's."""
        return float(np.mean(self.data.predicted(self.net.logits(params, self.data.X)) == self.data.y))

    def __repr__(self) -> str:
        return f"Objective: {self.loss.name} of {self.net!r}\n  on {self.data!r}\n  with {self.decay!r}"
