"""One verb for every way to train a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.losses import Loss
from ufm.networks import checkpoint as files
from ufm.networks.data import Data
from ufm.networks.decay import Decay
from ufm.networks.losses import has_log
from ufm.networks.network import Network
from ufm.networks.objective import Objective
from ufm.networks.schedules import schedule as schedule_of
from ufm.networks.steps import ADAPTIVE, FIXED, METHODS, State
from ufm.networks.trace import Trace, measure
from ufm.networks.training import Training
from ufm.numerics import arguments, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.numerics.files import check_writable
from ufm.numerics.hints import FileName, Rng
from ufm.numerics.records import own
from ufm.numerics.renamed import renamed
from ufm.numerics.seeds import generator, seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.solvers.methods.method import refuse_unknown
from ufm.solvers.result import Reason, Status

SETTINGS = {
    "sgd": {"lr": 0.1, "batch": None, "epochs": 100, "steps": None, "momentum": 0.0, "schedule": "constant"},
    "lbfgs": {"max_steps": 10_000, "pairs": 10},
    "flow": {"time": 1e3, "integrator": "RK45", "rtol": 1e-6, "atol": 1e-9, "step": 1e-2, "max_steps": 1_000_000},
    "log_flow": {"time": 20.0, "floor": -1e5, "integrator": "heun", "rtol": 1e-8, "atol": 1e-10, "step": 2e-3}
    | {"max_steps": 20_000},
}


@dataclass(frozen=True, eq=False)
class Progress(ByContent):
    """What a callback sees after every step: step, the flat x, the state's memory and the objective."""

    step: int
    x: np.ndarray
    memory: dict
    objective: Objective

    def __post_init__(self):
        own(self, "x")

    @property
    def params(self) -> list[np.ndarray]:
        return self.objective.net.unpack(self.x)


@renamed(memory="pairs")
@named_arguments
@own_numpy_state
def train(
    net: Network,
    data: Data,
    loss: str | Loss = "ce",
    method: str = "sgd",
    decay: float | Decay = 0.0,
    rng: Rng = None,
    *,
    start: Sequence[np.ndarray] | None = None,
    scale: float | Sequence[float] = 1.0,
    tol: float = 1e-8,
    trace: int = 0,
    keep: bool = False,
    callback: Callable | None = None,
    checkpoint: FileName | None = None,
    checkpoint_every: int = 1000,
    progress: bool | None = None,
    **settings: Any,
) -> Training:
    """Minimise F = (1/N) sum_i l(z_i, y_i) + decay over the parameters of a network.

    method and its settings:
      `sgd`       lr, batch (None: all samples), epochs or steps, momentum, schedule (`constant`, `cosine`, MultiStep or
                  a function of the epoch). A step is W <- (1 - h lam) W - h G, G the gradient of the batch's mean loss;
                  with momentum V <- momentum V + G + lam W, W <- W - h V. An epoch is N // batch disjoint batches.
      `lbfgs`     max_steps, pairs (stored): to a gradient of norm tol.
      `flow`      dx/dt = -grad F: time, integrator (RK45, DOP853 with rtol, atol; heun, rk4 with step), max_steps.
      `log_flow`  the curve of gradient flow of the loss in the clock |dx|/|x|, which goes on where the loss underflows,
                  until its logarithm is `floor`: the same settings; losses ce, logistic and exponential, no decay. For
                  smooth networks DOP853 is faster and sharper; at the kinks of a ReLU, and below a log-loss of about
                  -1e6, its steps become tiny, while heun and rk4 go on and slowly lose the invariants of the flow.
    decay: a number or one per weight matrix, lam_l in (lam_l/2)||W_l||^2, or a `Decay` (`Decay("ufm", W=, H=, head=)`).
    start: parameters; None for `net.init` at `scale`. tol: on the norm of the full gradient (not for batches).
    trace: record every that many steps (and at the end); keep: with the parameters. callback(Progress) may raise
    StopIteration.
    checkpoint: a file, written every `checkpoint_every` steps and at the end; when it exists the run goes on from it,
    bit for bit as if it had not stopped (a larger number of steps may be given then). progress: True, False, or None
    for a bar on a terminal after 2 s.

    Returns a Training; diverging, not converging and Ctrl-C are results whose message says so.
    Raises ValueError for what does not fit together, naming it. Sources: gsgp22 (sgd with decay), lj22 (flow of the
    logarithm).

    >>> data = Data.mixture(K=3, n=5, d=4, sigma=0.1, rng=0)
    >>> run = train(Network([4, 8, 3], "tanh"), data, "mse", "lbfgs", decay=1e-2, rng=0)
    >>> run.ok, run.accuracy
    (True, 1.0)
    """
    began = time.perf_counter()
    objective = Objective(net, data, loss, decay)
    method = arguments.choice("method", method, METHODS)
    settings = _settings(method, settings, objective)
    tol, every = arguments.nonnegative("tol", tol), arguments.integer("trace", trace, 0)
    checkpoint_every = arguments.integer("checkpoint_every", checkpoint_every, 1)
    if checkpoint is not None:
        check_writable(checkpoint, "checkpoint")
    seed = seed_sequence(rng)
    if rng is None and files.exists(checkpoint):
        raise ValueError("rng must be given to go on from a checkpoint: the run it continues has a seed of its own.")
    x = net.pack(net.check(net.init(generator(seed), scale) if start is None else start))
    run = _Run(objective, method, settings, seed, tol, every, keep, callback, checkpoint, checkpoint_every, x)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        try:
            run.resume()
            run.go(_bar(method, settings, progress))
        except KeyboardInterrupt:
            interruption.pass_on()
            run.state = run.state.end(Status.INTERRUPTED, f"interrupted after {run.state.step} steps")
        return run.result(began)


class _Run:
    """A run under way. `state` and `trace` are replaced, never changed, so that Ctrl-C finds them whole."""

    def __init__(self, objective, method, settings, seed, tol, every, keep, callback, checkpoint, checkpoint_every, x):
        self.objective, self.method, self.settings, self.seed, self.tol = objective, method, settings, seed, tol
        self.every, self.keep, self.callback = every, keep, callback
        self.checkpoint, self.checkpoint_every = checkpoint, checkpoint_every
        self.start, self.state = x, State(0, x)
        self.recorded = (Trace(objective.net), None)
        self.advance = METHODS[method](objective, settings, seed, tol)

    def resume(self) -> None:
        if files.exists(self.checkpoint):
            state, trace, traced, start = files.load(self.checkpoint, self.task(), self.objective.net)
            if not np.array_equal(start, self.start):
                raise ValueError(f"file {str(self.checkpoint)!r} belongs to a run from other starting parameters.")
            budget = self.settings.get("steps", self.settings.get("max_steps"))
            if state.step > budget:
                done = f"has done {state.step} steps already; got a budget of {budget}"
                raise ValueError(f"file {str(self.checkpoint)!r} {done}.")
            self.state, self.recorded = state, (trace, traced)

    def go(self, bar) -> None:
        with bar:
            while self.state.done is None:
                self.record()
                self.save_now_and_then()
                if self.callback is not None and not self.told():
                    return
                self.state = self.advance(self.state)
                if self.state.step % 100 == 0:
                    bar.update(self.state.step - bar.n)

    def told(self) -> bool:
        try:
            self.callback(Progress(self.state.step, self.state.x, self.state.memory, self.objective))
        except StopIteration:
            self.state = self.state.end(Status.STOPPED, f"stopped by the callback after {self.state.step} steps")
            return False
        return True

    def record(self) -> None:
        if self.every and self.state.step % self.every == 0:
            trace, _ = self.recorded
            if not len(trace) or trace.rows[-1]["step"] < self.state.step:
                self.recorded = (trace.with_row(self.row()), self.state.x)

    def row(self) -> dict:
        memory, step = self.state.memory, self.state.step
        batch = self.settings.get("batch")
        epoch = step / (self.objective.data.N // batch) if batch else float(step)
        known = {"step": step, "epoch": epoch, **{name: float(memory.get(name, 0.0)) for name in ("time", "lr_sum")}}
        return measure(self.objective, self.state.x, self.recorded[1], self.keep, **known)

    def save_now_and_then(self) -> None:
        if self.state.step and self.state.step % self.checkpoint_every == 0:
            self.save()

    def save(self) -> None:
        if self.checkpoint is not None:
            files.save(self.checkpoint, self.task(), self.state, *self.recorded, self.start)

    def task(self) -> dict:
        """What a checkpoint must agree on; functions are named, and given anew by whoever goes on."""
        o = self.objective
        plain = (int, float, str, type(None))
        words = {key: value if isinstance(value, plain) else repr(value) for key, value in self.settings.items()}
        if callable(self.settings.get("schedule")) and " at 0x" in str(words["schedule"]):
            words["schedule"] = "a function"
        model = {"network": o.net.to_dict(), "data": o.data.fingerprint}
        model |= {"loss": o.loss.name, "decay": o.decay.to_dict()}
        used = {"rng": seed_record(self.seed), "tol": self.tol, "trace": [self.every, self.keep]}
        return {"method": self.method, "settings": words, **model, **used}

    def result(self, began: float) -> Training:
        self.save()
        o, net, state = self.objective, self.objective.net, self.state
        params = [np.array(A) for A in net.unpack(state.x)]
        fun, grad = o.value_grad(state.x)
        grad_norm = float(np.linalg.norm(grad))
        trace, _ = self.recorded
        if self.every and trace.rows[-1:] and trace.rows[-1]["step"] < state.step:
            trace = trace.with_row(self.row())
        settings = self.task()["settings"] | {"tol": self.tol}
        values = {"fun": float(fun), "grad_norm": grad_norm}
        values |= {"loss": o.mean_loss(params), "accuracy": o.accuracy(params)}
        done = state.done
        assert done is not None, "a run that has not ended has no result"
        said = _sentence(done, state.converged, grad_norm, self.tol, self.method, net.smooth)
        how = {
            "success": state.converged,
            "message": said,
            "status": done.status,
            "method": self.method,
            "steps": state.step,
        }
        how |= {"lr_sum": float(state.memory.get("lr_sum", 0.0)), "rng": seed_record(self.seed), "settings": settings}
        kept = {"trace": trace if self.every else None, "about_data": repr(o.data), "data": o.data}
        return Training(net, params, o.loss, o.decay, **values, **how, **kept, seconds=time.perf_counter() - began)


def _sentence(done: Reason, converged: bool, grad_norm: float, tol: float, method: str, smooth: bool) -> str:
    if done.status is Status.CONVERGED:
        return f"converged to gradient norm {grad_norm:.1e} <= {tol:g}"
    if converged or done.status in (Status.INTERRUPTED, Status.STOPPED, Status.DIVERGED):
        return str(done)
    kinks = " (minima of this network may lie on kinks of its activation, where no gradient is small)"
    kinks = "" if smooth or method != "lbfgs" else kinks
    return f"not converged: {done}; gradient norm {grad_norm:.2e} > {tol:g}{kinks}"


def _bar(method: str, settings: dict, progress: bool | None):
    """A bar over the steps."""
    total = settings.get("steps", settings.get("max_steps"))
    return progress_bar(total=total if method in ("sgd", "lbfgs") else None, desc=method, progress=progress)


def _settings(method: str, given: dict, objective: Objective) -> dict:
    refuse_unknown(method, given, SETTINGS[method])
    result = SETTINGS[method] | given
    for name in ("lr", "time", "rtol", "atol", "step"):
        if name in result:
            result[name] = arguments.positive(name, result[name])
    for name in ("max_steps", "pairs", "epochs", "steps"):
        if result.get(name) is not None:
            result[name] = arguments.integer(name, result[name], 1)
    if method == "sgd":
        _sgd_settings(result, given, objective)
    if method == "log_flow":
        result["floor"] = arguments.real("floor", result["floor"])
        _log_flow_fits(objective)
    if "integrator" in result:
        arguments.choice("integrator", result["integrator"], (*FIXED, *ADAPTIVE))
    return result


def _sgd_settings(result: dict, given: dict, objective: Objective) -> None:
    """Momentum, schedule and batch checked; epochs turned into steps."""
    if not 0 <= arguments.real("momentum", result["momentum"]) < 1:
        raise ValueError(f"momentum must lie in [0, 1); got momentum={result['momentum']!r}.")
    result["schedule"] = schedule_of(result["schedule"])
    N = objective.data.N
    if result["batch"] is not None:
        result["batch"] = arguments.integer("batch", result["batch"], 1)
        if result["batch"] > N:
            raise ValueError(f"batch must be at most the number of samples {N}; got batch={result['batch']}.")
    if given.get("steps") is not None and given.get("epochs") is not None:
        got = f"steps={given['steps']}, epochs={given['epochs']}"
        raise ValueError(f"steps and epochs say the same thing: give one; got {got}.")
    epochs = result.pop("epochs")
    if result["steps"] is None:
        result["steps"] = epochs * (1 if result["batch"] is None else N // result["batch"])


def _log_flow_fits(objective: Objective) -> None:
    if not has_log(objective.loss):
        raise ValueError(f"method 'log_flow' needs loss ce, logistic or exponential; got loss={objective.loss.name!r}.")
    if any(objective.decay.of_parameters(objective.net)) or objective.decay.H:
        what = "the flow of the loss alone and takes no decay"
        raise ValueError(f"method 'log_flow' is {what}; got {objective.decay!r}.")
