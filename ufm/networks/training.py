"""What training returns, and its files. Not converging is a result with a sentence, not an exception."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np

from ufm.losses import Loss
from ufm.networks.data import Data
from ufm.networks.decay import Decay
from ufm.networks.losses import loss as loss_of
from ufm.networks.network import Network
from ufm.networks.objective import Objective
from ufm.networks.trace import Trace, spectra
from ufm.numerics.content import ByContent
from ufm.numerics.documents import Fields
from ufm.numerics.files import load_arrays, save_arrays
from ufm.numerics.hints import FileName
from ufm.numerics.ranks import numerical_rank
from ufm.numerics.records import own, picked
from ufm.solvers.result import Status


@dataclass(frozen=True, eq=False)
class Training(ByContent):
    """End of a run: the network and its parameters, values there, and what it took.

    success: for sgd on batches, that it used its steps without diverging; otherwise that the gradient norm reached tol
    (a flow: or its end time). fun, loss, grad_norm and accuracy are those of all samples at `params`; grad_norm
    includes the decay. steps and lr_sum count from the start of the run, checkpoints included. `rng` replays start and
    batches; `settings` are those used; `data` is None in a run read from a file.
    """

    network: Network
    params: list[np.ndarray]
    loss_function: Loss
    decay: Decay
    fun: float
    loss: float
    grad_norm: float
    accuracy: float
    success: bool
    message: str
    method: str
    steps: int
    lr_sum: float
    rng: dict
    settings: dict
    trace: Trace | None
    about_data: str
    seconds: float
    data: Data | None = field(default=None, repr=False)
    status: Status = Status.UNFINISHED

    def __post_init__(self):
        own(self, "params", "rng", "settings")

    @property
    def ok(self) -> bool:
        return self.success

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run."""
        return self.status is Status.INTERRUPTED

    def require(self) -> Training:
        """Self if it succeeded; RuntimeError with the message if not."""
        if not self.success:
            raise RuntimeError(self.message)
        return self

    @property
    def weights(self) -> list[np.ndarray]:
        """[W_1, ..., W_L]."""
        return self.network.weights(self.params)

    @property
    def E(self) -> float:
        """sum_t lr_t lam, lam the weights' decay: the start's share in the end is prod(1 - lr_t lam), about e^(-E).

        ValueError where the matrices have different decays. Source: gsgp22.
        """
        lams = set(self.decay.lams(self.network))
        if len(lams) > 1:
            raise ValueError(f"E needs one decay for all weight matrices; got {sorted(lams)}.")
        return self.lr_sum * lams.pop()

    def objective(self, data: Data | None = None) -> Objective:
        """F on the run's data, or on other data."""
        return Objective(self.network, self._data(data), self.loss_function, self.decay)

    def features(self, data: Data | None = None) -> list[np.ndarray]:
        """[z^0, ..., z^L] on the run's data, or on other data."""
        return self.network.features(self.params, self._data(data))

    def logits(self, data: Data | None = None) -> np.ndarray:
        return self.network.logits(self.params, self._data(data))

    def test_accuracy(self, data: Data) -> float:
        return self.objective(data).accuracy(self.params)

    def _data(self, data):
        data = self.data if data is None else data
        if data is None:
            raise ValueError(f"data must be given: the run was read from a file; it was trained on {self.about_data}.")
        return data

    def save(self, path: FileName) -> None:
        """Write network, parameters, values and trace to an .npz file, without the data; `load` reads it."""
        header = {**picked(self, _NUMBERS), "loss_function": self.loss_function.name}
        header |= {"network": self.network.to_dict(), "decay": self.decay.to_dict()}
        arrays = {f"param_{name}": A for name, A in zip(self.network.names, self.params, strict=True)}
        trace = {} if self.trace is None else self.trace.arrays() | {"trace": np.array(True)}
        save_arrays(path, ufm_training=np.array(json.dumps(header)), **arrays, **trace)

    def __repr__(self) -> str:
        ranks = ", ".join(str(numerical_rank(s, 1e-3)) for s in spectra(self.network, self.params))
        head = f"Training: F = {self.fun:.12g}, |grad| = {self.grad_norm:.2e}, mean loss {self.loss:.6g}, accuracy"
        lines = [f"{head} {self.accuracy:.4g}; {self.message}", repr(self.network)]
        ran = f"{self.method}, {self.steps} steps, {self.seconds:.3g} s; ranks of the weights (s > 1e-3 |W|) {ranks}"
        lines += [f"{self.loss_function.name} on {self.about_data}", f"{ran}; rng={self.rng}"]
        return "\n  ".join(lines)


_NUMBERS = "fun loss grad_norm accuracy success message status method steps lr_sum rng settings about_data seconds"


def load(path: FileName) -> Training:
    """The run written by `Training.save`; ValueError naming the file and the field when it cannot be read."""
    arrays = Fields(f"file {str(path)!r} does not hold a training run", load_arrays(path))
    header = arrays.document("ufm_training")
    net, decay = header.take("network", Network.from_dict), header.take("decay", lambda said: Decay(**said))
    params = [arrays.array(f"param_{name}", shape) for name, shape in net.layout]
    trace = Trace.read(net, arrays) if "trace" in arrays.values else None
    numbers = {name: header.number(name) for name in ("fun", "loss", "grad_norm", "accuracy", "lr_sum", "seconds")}
    words = {name: header.text(name) for name in ("message", "method", "about_data")}
    rest = {"success": header.truth("success"), "steps": header.whole("steps")}
    if "status" in header.values:
        rest["status"] = header.take("status", Status)
    rest |= {name: header.table(name) for name in ("rng", "settings")}
    return Training(net, params, header.take("loss_function", loss_of), decay, trace=trace, **numbers, **words, **rest)
