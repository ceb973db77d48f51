"""Small fully connected networks: forward and backward passes by hand, on columns.

    a^l = W_l z^(l-1) + b_l,   z^l = s_l(a^l),   z^0 = X,   Z = z^L = a^L,

and, where a skip from layer i ends at layer l, S z^i is added to a^l, or to z^l (`after`), with S the identity, a
trainable diagonal or a trainable matrix. Parameters are a list of arrays [W_1, ..., W_L, b's, S's]; `names` says which
is which.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ufm import activations
from ufm.activations import LINEAR, RELU, TANH, Activation
from ufm.numerics import arguments
from ufm.numerics.hints import Arrays, Rng
from ufm.numerics.seeds import generator, seed_sequence
from ufm.numerics.words import named_arguments

KINDS = ("identity", "diagonal", "trainable")


@dataclass(frozen=True)
class Skip:
    """S z^start added to a^end or, if `after`, to z^end; kind `identity`, `diagonal` (S = diag(v)) or `trainable`."""

    start: int
    end: int
    kind: str = "identity"
    after: bool = False


class Pass(NamedTuple):
    """A forward pass: pre[l-1] = a^l, fired[l-1] = s_l(a^l), post[l] = z^l with post[0] = X and post[L] the logits."""

    pre: list[np.ndarray]
    fired: list[np.ndarray]
    post: list[np.ndarray]

    @property
    def logits(self) -> np.ndarray:
        return self.post[-1]


class HasSamples(Protocol):
    """Whatever keeps samples X (d_0, N) as columns: a `Data`."""

    @property
    def X(self) -> np.ndarray: ...


class Workspace:
    """Arrays that passes over one network write to again: fresh memory would cost as much as the products."""

    def __init__(self):
        self._arrays = {}

    def array(self, key, shape) -> np.ndarray:
        found = self._arrays.get(key)
        if found is None or found.shape != shape:
            found = self._arrays[key] = np.empty(shape)
        return found


@named_arguments
@dataclass(frozen=True, init=False)
class Network:
    """A fully connected network of the given widths (d_0, ..., d_L): inputs, hidden layers, outputs.

    activation: one for all hidden layers, or L - 1 of them (`["relu", "linear"]`: a linear layer last); outputs are
    linear.
    bias: True, False or one per layer. skip: None, a list of `Skip`, or `"identity"`, `"diagonal"`, `"trainable"`,
    short for z^l = s(a^l) + S z^(l-1) around every hidden layer but the first.

    >>> net = Network([20, 64, 64, 10], "relu")
    >>> net
    Network 20-64-64-10, relu, no bias; 6016 parameters
    >>> params = net.init(rng=0)
    >>> net.logits(params, np.ones((20, 3))).shape
    (10, 3)

    Raises ValueError for fewer than two widths, wrong lengths, unknown names, skips that do not fit.
    """

    widths: tuple[int, ...]
    activation: Activation | tuple[Activation, ...]
    bias: bool | tuple[bool, ...]
    skip: tuple[Skip, ...]

    def __init__(
        self,
        widths: Sequence[int],
        activation: str | Activation | Sequence[str | Activation] = "relu",
        bias: bool | Sequence[bool] = False,
        skip: str | Sequence[Skip] | None = None,
    ) -> None:
        put = functools.partial(object.__setattr__, self)
        try:
            sizes = tuple(widths)
        except TypeError:
            what = "a sequence (inputs, hidden layers, outputs)"
            raise ValueError(f"widths must be {what}; got widths={widths!r}.") from None
        if len(sizes) < 2:
            raise ValueError(f"widths must hold at least two sizes, inputs and outputs; got widths={sizes!r}.")
        put("widths", tuple(arguments.integer("widths", d, 1) for d in sizes))
        kinds = activations.activation, (str, Activation)
        put("activation", _per_layer("activation", activation, self.L - 1, *kinds))
        put("bias", _per_layer("bias", bias, self.L, _flag, (bool, np.bool_)))
        put("skip", self._skips(skip))

    def _skips(self, skip) -> tuple[Skip, ...]:
        if skip is None:
            return ()
        if isinstance(skip, str):
            kind = arguments.choice("skip", skip, KINDS)
            skip = [Skip(l - 1, l, kind, after=True) for l in range(2, self.L)]
        result = []
        for s in skip:
            arguments.instance("skip", s, Skip)
            arguments.choice("skip kind", s.kind, KINDS)
            if not 0 <= s.start < s.end <= self.L:
                allowed = f"0 <= start < end <= L={self.L}"
                raise ValueError(f"skip must run from a layer to a later one, {allowed}; got {s!r}.")
            if s.kind != "trainable" and self.widths[s.start] != self.widths[s.end]:
                got = f"{self.widths[s.start]} and {self.widths[s.end]}. Use kind 'trainable'"
                raise ValueError(f"skip kind {s.kind!r} needs equal widths at layers {s.start} and {s.end}; got {got}.")
            result.append(s)
        return tuple(result)

    # ------------------------------------------------------------------------------------------ shapes

    @property
    def L(self) -> int:
        """Number of weight matrices."""
        return len(self.widths) - 1

    @property
    def inputs(self) -> int:
        return self.widths[0]

    @property
    def outputs(self) -> int:
        return self.widths[-1]

    @functools.cached_property
    def activations(self) -> tuple[Activation, ...]:
        """(s_1, ..., s_L), the last one linear."""
        hidden = self.activation if isinstance(self.activation, tuple) else (self.activation,) * (self.L - 1)
        return (*hidden, LINEAR)

    @functools.cached_property
    def biases(self) -> tuple[int, ...]:
        """The layers 1..L that carry a bias."""
        flags = self.bias if isinstance(self.bias, tuple) else (self.bias,) * self.L
        return tuple(l for l, flag in enumerate(flags, 1) if flag)

    @functools.cached_property
    def layout(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """((name, shape), ...) of all parameters, in order."""
        d = self.widths
        weights = [(f"W_{l}", (d[l], d[l - 1])) for l in range(1, self.L + 1)]
        biases = [(f"b_{l}", (d[l],)) for l in self.biases]
        trained = [(j, s) for j, s in enumerate(self.skip, 1) if s.kind != "identity"]
        skips = [(f"S_{j}", (d[s.end], d[s.start])[: 1 + (s.kind == "trainable")]) for j, s in trained]
        return (*weights, *biases, *skips)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.layout)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(shape for _, shape in self.layout)

    @functools.cached_property
    def _ends(self) -> list[int]:
        return np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)]).tolist()

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self._ends[-1]

    @property
    def smooth(self) -> bool:
        return all(s.smooth for s in self.activations)

    @property
    def linear(self) -> bool:
        return all(s.linear for s in self.activations)

    # ------------------------------------------------------------------------------------------ parameters

    def init(self, rng: Rng = None, scale: float | Sequence[float] = 1.0) -> list[np.ndarray]:
        """Gaussian weights of variance scale^2 g / fan-in (g = 2 before a ReLU, else 1), zero biases, unit diagonals.

        scale: one number or one per weight matrix. Trainable skips are drawn with variance scale^2 / fan-in, scale that
        of the layer they end at.
        """
        draw = rng if isinstance(rng, np.random.Generator) else generator(seed_sequence(rng))
        scales = _per_layer("scale", scale, self.L, arguments.nonnegative, (int, float, np.number))
        scales = scales if isinstance(scales, tuple) else (scales,) * self.L
        gains = [2.0 if s.homogeneous and not s.linear else 1.0 for s in self.activations]
        result = [
            c * np.sqrt(g / shape[1]) * draw.standard_normal(shape)
            for c, g, shape in zip(scales, gains, self.shapes[: self.L], strict=True)
        ]
        result += [np.zeros(self.widths[l]) for l in self.biases]
        for s in self.skip:
            if s.kind == "diagonal":
                result.append(np.ones(self.widths[s.end]))
            elif s.kind == "trainable":
                shape = (self.widths[s.end], self.widths[s.start])
                result.append(scales[s.end - 1] / np.sqrt(shape[1]) * draw.standard_normal(shape))
        return result

    def check(self, params: Sequence[np.ndarray]) -> list[np.ndarray]:
        """params as float64 arrays; ValueError naming the parameter whose shape is wrong or that is not finite."""
        params = list(params)
        if len(params) != len(self.layout):
            raise ValueError(f"params must be {len(self.layout)} arrays ({', '.join(self.names)}); got {len(params)}.")
        return [arguments.array(name, A, shape=shape) for A, (name, shape) in zip(params, self.layout, strict=True)]

    def pack(self, params: Sequence[np.ndarray]) -> np.ndarray:
        """The flat vector (size,) of a list of parameters."""
        return np.concatenate([np.ravel(A) for A in params])

    def unpack(self, x: np.ndarray) -> list[np.ndarray]:
        """The parameters in a flat vector, as views."""
        return [x[i:j].reshape(shape) for i, j, shape in zip(self._ends[:-1], self._ends[1:], self.shapes, strict=True)]

    def weights(self, params: Sequence[np.ndarray]) -> list[np.ndarray]:
        """[W_1, ..., W_L]."""
        return list(params[: self.L])

    def bias_of(self, params: Sequence[np.ndarray], l: int) -> np.ndarray | None:
        """b_l, or None."""
        return params[self.L + self.biases.index(l)] if l in self.biases else None

    def skips_of(self, params: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """S of every skip: a matrix, the vector of a diagonal, or None for the identity."""
        rest = iter(params[self.L + len(self.biases) :])
        return [None if s.kind == "identity" else next(rest) for s in self.skip]

    # ------------------------------------------------------------------------------------------ passes

    @functools.cached_property
    def _ending(self) -> tuple[dict, dict]:
        """({layer: numbers of skips added before s}, {layer: after s})."""
        before, after = {}, {}
        for j, s in enumerate(self.skip):
            (after if s.after else before).setdefault(s.end, []).append(j)
        return before, after

    def forward(self, params: Sequence[np.ndarray], X: np.ndarray, work: Workspace | None = None) -> Pass:
        """All pre-activations and layers at inputs X (d_0, N). A workspace lends its arrays, and `pre` is not kept."""
        pre, fired, post = [], [], [X]
        new = _fresh if work is None else work.array
        before, after = self._ending
        S = self.skips_of(params) if self.skip else ()
        for l, s in enumerate(self.activations, 1):
            a = np.matmul(params[l - 1], post[-1], out=new(("a", l), (self.widths[l], X.shape[1])))
            if (b := self.bias_of(params, l)) is not None:
                a += b[:, None]
            for j in before.get(l, ()):
                a += _apply(S[j], post[self.skip[j].start])
            z = h = a if s.linear else _fire(s, a, None if work is None else a)
            for j in after.get(l, ()):
                z = z + _apply(S[j], post[self.skip[j].start])
            pre.append(a)
            fired.append(h)
            post.append(z)
        return Pass(pre, fired, post)

    def backward(
        self,
        params: Sequence[np.ndarray],
        run: Pass,
        dZ: np.ndarray,
        at: dict | None = None,
        out: Sequence[np.ndarray] | None = None,
        work: Workspace | None = None,
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """(gradients in the order of the parameters, [delta^1, ..., delta^L]) from dZ (outputs, N) at the logits.

        delta^l (d_l, N) is the gradient at a^l. `at` adds gradients at layers z^l: {l: (d_l, N)}. `out`: arrays to
        write to; `work`: the workspace of the forward pass.
        """
        L, post = self.L, run.post
        grads = [np.empty(shape) for shape in self.shapes] if out is None else list(out)
        new = _fresh if work is None else work.array
        S, dS = (self.skips_of(params), self.skips_of(grads)) if self.skip else ((), ())
        before, after = self._ending
        D: dict[int, np.ndarray] = {L: dZ}
        deltas: list[np.ndarray] = []
        for l in range(L, 0, -1):
            dz = D[l] if at is None or l not in at else D[l] + at[l]
            for j in after.get(l, ()):
                _unapply(self.skip[j], S[j], dS[j], dz, post, D)
            s, delta = self.activations[l - 1], dz
            if not s.linear:
                delta = _through(s, dz, run.pre[l - 1], run.fired[l - 1], new(("delta", l), dz.shape))
            for j in before.get(l, ()):
                _unapply(self.skip[j], S[j], dS[j], delta, post, D)
            np.matmul(delta, post[l - 1].T, out=grads[l - 1])
            if (b := self.bias_of(grads, l)) is not None:
                np.sum(delta, axis=1, out=b)
            if l > 1:
                back = new(("back", l), (self.widths[l - 1], delta.shape[1]))
                _add(D, l - 1, np.matmul(params[l - 1].T, delta, out=back))
            deltas.append(delta)
        return grads, deltas[::-1]

    def logits(self, params: Sequence[np.ndarray], X: Arrays | HasSamples) -> np.ndarray:
        """Z (outputs, N) at inputs X (d_0, N)."""
        return self.forward(self.check(params), self.columns(X)).logits

    def features(self, params: Sequence[np.ndarray], X: Arrays | HasSamples) -> list[np.ndarray]:
        """[z^0, z^1, ..., z^L]: entry l - 1 is the input of W_l, entry 0 is X and entry L the logits."""
        return self.forward(self.check(params), self.columns(X)).post

    def columns(self, X: Arrays | HasSamples) -> np.ndarray:
        """X (d_0, N) checked; a `Data` stands for its X."""
        return arguments.array("X", getattr(X, "X", X), shape=(self.inputs, None))

    # ------------------------------------------------------------------------------------------ words

    def to_dict(self) -> dict:
        """A JSON-able description; activations by name."""
        one = self.activation
        return {
            "widths": list(self.widths),
            "activation": one.name if isinstance(one, Activation) else [s.name for s in one],
            "bias": list(self.bias) if isinstance(self.bias, tuple) else self.bias,
            "skip": [[s.start, s.end, s.kind, s.after] for s in self.skip],
        }

    @staticmethod
    def from_dict(description: dict) -> Network:
        """The network described by `to_dict`; refuses activations that are not known by name."""
        return Network(**{**description, "skip": [Skip(*s) for s in description["skip"]]})

    def __repr__(self) -> str:
        kinds = [s.name for s in self.activations[:-1]]
        named = "linear" if not kinds else kinds[0] if len(set(kinds)) == 1 else "/".join(kinds)
        some = f"bias in layers {', '.join(map(str, self.biases))}"
        bias = "no bias" if not self.biases else "bias" if len(self.biases) == self.L else some
        skips = "".join(f", {s.kind} skip {s.start}->{s.end}" for s in self.skip[:4])
        skips += ", ..." if len(self.skip) > 4 else ""
        return f"Network {'-'.join(map(str, self.widths))}, {named}, {bias}{skips}; {self.size} parameters"


def _apply(S, z):
    return z if S is None else S[:, None] * z if S.ndim == 1 else S @ z


def _unapply(skip: Skip, S, dS, d, post, D) -> None:
    """Gradients of S and of z^start, given the gradient d where S z^start was added."""
    z = post[skip.start]
    if S is None:
        back = d
    elif S.ndim == 1:
        dS[...] = np.sum(d * z, axis=1)
        back = S[:, None] * d
    else:
        np.matmul(d, z.T, out=dS)
        back = S.T @ d
    _add(D, skip.start, back)


def _add(D, l: int, d) -> None:
    D[l] = D[l] + d if l in D else d


def _fire(s: Activation, a, out):
    """s(a); into `out` (a itself) where the derivative can do without a."""
    if s is RELU:
        return np.maximum(a, 0.0, out=out)
    return np.tanh(a, out=out) if s is TANH else s.value(a)


def _through(s: Activation, dz, a, h, out):
    """dz s'(a) into out, from h = s(a) where that is cheaper."""
    if s is RELU:
        return np.multiply(dz, h > 0, out=out)
    if s is TANH:
        np.multiply(h, h, out=out)
        np.subtract(1.0, out, out=out)
        out *= dz
        return out
    return np.multiply(dz, s.derivative(a), out=out)


def _fresh(key, shape) -> np.ndarray:
    return np.empty(shape)


def _flag(name: str, value) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, or one of them per layer; got {name}={value!r}.")
    return bool(value)


def _per_layer(name: str, value, length: int, check, single):
    """One checked value, or a tuple of `length` of them; equal entries become one."""
    check_named = check if check is activations.activation else functools.partial(check, name)
    if isinstance(value, single):
        return check_named(value)
    try:
        values = [check_named(v) for v in value]
    except TypeError:
        raise ValueError(f"{name} must be one value or a sequence of {length}; got {name}={value!r}.") from None
    if len(values) != length:
        raise ValueError(f"{name} must be one value or one per layer, {length} here; got {len(values)}.")
    equal = bool(values) and all(a == b for a, b in itertools.pairwise(values))
    return values[0] if equal else tuple(values)
