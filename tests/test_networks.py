"""Networks: gradients against autograd, data, training that can be stopped and continued, and the identities their
layers obey."""

import contextlib
import itertools
import json
import os
import signal

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad as autograd_of

from ufm.activations import Activation
from ufm.networks import (
    Data,
    Decay,
    MultiStep,
    Network,
    Objective,
    Skip,
    balancedness,
    diagnose,
    epoch_order,
    export,
    layers,
    load,
    spectra,
    tail,
    tcv,
    train,
)
from ufm.networks.data import centred
from ufm.networks.losses import log_mean, loss
from ufm.numerics.seeds import seed_sequence

ENTRYWISE = {
    "linear": lambda x: x,
    "relu": lambda x: anp.maximum(x, 0.0),
    "leaky_relu(0.2)": lambda x: anp.where(x > 0, x, 0.2 * x),
    "tanh": anp.tanh,
}
LOSSES = {
    "ce": lambda Z, Y: anp.log(anp.sum(anp.exp(Z), axis=0)) - anp.sum(Z * Y, axis=0),
    "mse": lambda Z, Y: 0.5 * anp.sum((Z - Y) ** 2, axis=0),
    "logistic": lambda Z, Y: anp.log(1 + anp.exp(-Z * Y))[0],
    "exponential": lambda Z, Y: anp.exp(-Z * Y)[0],
}


def plain_layers(net, params, X):
    """The definition, written again: [z^0, ..., z^L]."""
    named = dict(zip(net.names, params, strict=True))
    layers = [X]
    for l in range(1, net.L + 1):
        a = named[f"W_{l}"] @ layers[-1]
        a = a + named[f"b_{l}"][:, None] if f"b_{l}" in named else a
        parts = {False: 0.0, True: 0.0}
        for j, s in enumerate(net.skip, 1):
            if s.end == l:
                z, S = layers[s.start], named.get(f"S_{j}")
                parts[s.after] = parts[s.after] + (z if S is None else S[:, None] * z if S.ndim == 1 else S @ z)
        a = a + parts[False]
        layers.append((ENTRYWISE[net.activations[l - 1].name](a) if l < net.L else a) + parts[True])
    return layers


def plain_value(objective, params):
    """F from the definition, in autograd."""
    net, decay = objective.net, objective.decay
    layers = plain_layers(net, params, objective.data.X)
    total = anp.mean(LOSSES[objective.loss.name](layers[-1], objective.Y))
    for lam, A in zip(decay.of_parameters(net), params, strict=True):
        total = total + 0.5 * lam * anp.sum(A**2)
    if decay.kind == "ufm":
        total = total + 0.5 * decay.H * anp.sum(layers[net.L - decay.head] ** 2)
    return total


def away_from_kinks(net, params, X, gap=1e-3):
    return all(np.min(np.abs(a)) > gap for a in net.forward(params, X).pre[:-1])


def random_case(i):
    """A network, data, loss and decay, with everything that may vary drawn at random."""
    draw = np.random.default_rng(i)
    L = int(draw.integers(1, 6))
    K = int(draw.integers(2, 5))
    name = draw.choice(["ce", "mse", "logistic", "exponential"])
    K = 2 if name in ("logistic", "exponential") else K
    d = int(draw.integers(2, 6))
    widths = [d, *(int(draw.choice([3, 4])) for _ in range(L - 1)), 1 if name in ("logistic", "exponential") else K]
    pairs = [(a, b) for a, b in itertools.combinations(range(L + 1), 2) if draw.random() < 0.4]
    skips = []
    for a, b in pairs:
        kinds = ["trainable", "identity", "diagonal"] if widths[a] == widths[b] else ["trainable"]
        skips.append(Skip(a, b, str(draw.choice(kinds)), bool(draw.integers(2))))
    bias = [bool(draw.integers(2)) for _ in range(L)]
    net = Network(widths, [str(draw.choice(list(ENTRYWISE))) for _ in range(L - 1)], bias, skips)
    data = Data.mixture(K, [int(draw.integers(1, 5)) for _ in range(K)], d, sigma=0.5, rng=i)
    head = int(draw.integers(1, L + 1))
    per_layer = draw.uniform(0, 0.5, L).tolist()
    decay = (
        Decay("standard", per_layer, bias=0.1)
        if draw.integers(2)
        else Decay("ufm", per_layer[:head], H=0.03, head=head, bias=0.2)
    )
    return Objective(net, data, str(name), decay), draw


# ---------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_gradients_of_random_networks_equal_autograd(first):
    seen = 0
    for i in range(first, first + 20):
        objective, draw = random_case(i)
        net = objective.net
        params = [draw.standard_normal(shape) * 0.7 for shape in net.shapes]
        if not away_from_kinks(net, params, objective.data.X, 1e-9):
            continue
        seen += 1
        assert objective.value(params) == pytest.approx(plain_value(objective, params), rel=1e-12)
        wanted = autograd_of(lambda p, o=objective: plain_value(o, p))(params)
        for name, got, want in zip(net.names, objective.gradients(params), wanted, strict=True):
            assert np.allclose(got, want, rtol=1e-10, atol=1e-12), (i, name, net)
    assert seen >= 15


def test_every_activation_skip_and_place_is_among_the_random_networks():
    nets = [random_case(i)[0].net for i in range(120)]
    assert {s.name for net in nets for s in net.activations} == set(ENTRYWISE)
    assert {(s.kind, s.after) for net in nets for s in net.skip} == set(
        itertools.product(("identity", "diagonal", "trainable"), (False, True))
    )
    assert {random_case(i)[0].loss.name for i in range(120)} == set(LOSSES)
    assert {random_case(i)[0].decay.kind for i in range(120)} == {"standard", "ufm"}


@pytest.mark.parametrize("kind", ["identity", "diagonal", "trainable"])
@pytest.mark.parametrize("activation", list(ENTRYWISE))
def test_gradient_check_sees_one_percent(kind, activation):
    """The comparison above fails when any one layer's gradient is off by one percent."""
    net = Network([3, 4, 4, 3], activation, True, kind)
    objective = Objective(net, Data.mixture(3, 4, 3, 0.5, rng=1), "ce", 0.1)
    draw = np.random.default_rng(2)
    params = [
        draw.standard_normal(shape) for shape in net.shapes
    ]  # biases too: at zero, a dead layer puts the next on its kink
    wanted = autograd_of(lambda p: plain_value(objective, p))(params)
    for name, got, want in zip(net.names, objective.gradients(params), wanted, strict=True):
        assert np.allclose(got, want, rtol=1e-10, atol=1e-12), name
        assert not np.allclose(1.01 * got, want, rtol=1e-10, atol=1e-12)


def test_user_activation_and_deltas():
    soft = Activation.from_function(lambda x: anp.log1p(anp.exp(x)), "softplus")
    objective = Objective(
        Network([3, 5, 2], soft, skip=[Skip(0, 2, "trainable")]), Data.mixture(2, 3, 3, 0.4, rng=0), "mse"
    )
    params = objective.net.init(rng=1)
    layers, deltas = objective.net.features(params, objective.data), objective.deltas(params)
    for l, G in enumerate(objective.fit_gradients(params)[:2]):
        assert np.allclose(G, deltas[l] @ layers[l].T / objective.data.N, atol=1e-14)


def test_features_are_the_inputs_of_every_weight():
    net = Network([4, 6, 5, 3], ["relu", "linear"], [True, False, False])
    params = net.init(rng=0, scale=[1, 2, 0.5])
    X = np.random.default_rng(0).standard_normal((4, 7))
    layers = net.features(params, X)
    assert [z.shape[0] for z in layers] == [4, 6, 5, 3] and layers[0] is not None
    assert np.allclose(layers[3], net.logits(params, X)) and np.allclose(layers[2], params[1] @ layers[1])
    assert np.all(layers[1] >= 0) and net.names == ("W_1", "W_2", "W_3", "b_1")
    assert all(np.array_equal(a, b) for a, b in zip(net.unpack(net.pack(params)), params, strict=True))


def test_networks_survive_json():
    for i in range(30):
        net = random_case(i)[0].net
        assert Network.from_dict(json.loads(json.dumps(net.to_dict()))) == net
    assert "3 -> " not in repr(Network([3, 2])) and "linear" in repr(Network([3, 2]))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Network([3]), "widths must hold at least two sizes"),
        (lambda: Network(5), "widths must be a sequence"),
        (lambda: Network([3, 0, 2]), "widths must be an integer of at least 1"),
        (lambda: Network([3, 4, 2], "rleu"), "Did you mean 'relu'"),
        (lambda: Network([3, 4, 2], ["relu", "relu"]), "one per layer, 1 here; got 2"),
        (lambda: Network([3, 4, 2], bias=1), "bias must be"),
        (lambda: Network([3, 4, 5, 2], skip="identity"), "needs equal widths at layers 1 and 2; got 4 and 5"),
        (lambda: Network([3, 4, 2], skip=[Skip(2, 1)]), "start < end"),
        (lambda: Network([3, 4, 2], skip=[Skip(0, 1, "free")]), "skip kind must be one of"),
        (lambda: Network([3, 4, 2]).init(0, scale=-1), "scale must not be negative"),
        (lambda: Network([3, 4, 2]).logits([np.eye(3)], np.eye(3)), "params must be 2 arrays"),
        (lambda: Network([3, 4, 2]).logits([np.eye(4, 3), np.eye(3)], np.eye(3)), "W_2 must have shape"),
        (lambda: Network([3, 4, 2]).logits([np.eye(4, 3), np.eye(2, 4)], np.eye(4)), "X must have shape"),
        (lambda: Decay("ufm", 0.1), "head must be an integer"),
        (lambda: Decay("standard", 0.1, H=0.1), "belong to decay 'ufm'"),
        (lambda: Decay("standard", [0.1, -1]), "W must not be negative"),
        (lambda: Decay("ufm", 0.1, head=3).lams(Network([3, 4, 2])), "head must be at most"),
        (lambda: Objective(Network([3, 4, 2]), Data.mixture(2, 1, 3), decay=[0.1]), "W must be one number or 2"),
        (lambda: Objective(Network([3, 4, 2]), Data.mixture(2, 1, 3), decay="standard"), "decay must be a number"),
        (lambda: Objective(Network([3, 4, 2]), Data.mixture(2, 1, 4)), "network's 3 inputs; got d=4"),
        (lambda: Objective(Network([3, 4, 3]), Data.mixture(2, 1, 3)), "one output per class, 2"),
        (
            lambda: Objective(Network([3, 4, 2]), Data.mixture(2, 1, 3), "logistic"),
            "one output; got K=2 classes and 2 outputs",
        ),
        (
            lambda: Objective(Network([3, 4, 2]), Data.mixture(2, 1, 3), "hinge"),
            "Networks also know logistic and exponential",
        ),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        make()


# ---------------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize("name", ["logistic", "exponential"])
def test_two_class_losses(name):
    draw = np.random.default_rng(0)
    Z, Y, V = draw.standard_normal((1, 9)), np.sign(draw.standard_normal((1, 9))), draw.standard_normal((1, 9))
    l, h = loss(name), 1e-6
    assert np.allclose(l.value(Z, Y), LOSSES[name](Z, Y))
    assert np.allclose(l.grad(Z, Y), autograd_of(lambda Z: anp.sum(LOSSES[name](Z, Y)))(Z))
    assert np.allclose(l.hvp(Z, Y, V), (l.grad(Z + h * V, Y) - l.grad(Z - h * V, Y)) / (2 * h), atol=1e-8)


@pytest.mark.parametrize("name", ["ce", "logistic", "exponential"])
@pytest.mark.parametrize("size", [1.0, 30.0, 300.0, 1e4])
def test_log_of_the_mean_loss(name, size):
    """Equal to the logarithm where the loss is a number, and right beyond underflow: a difference quotient agrees
    everywhere."""
    draw, K = np.random.default_rng(3), 3 if name == "ce" else 1
    y = np.array([0, 1, 2, 0, 1]) if K == 3 else np.array([0, 1, 1, 0, 1])
    Y = np.eye(3)[:, y] if K == 3 else 2.0 * y[None] - 1
    Z = size * (Y + 0.1 * draw.standard_normal((K, 5)))
    value, G = log_mean(loss(name), Z, Y)
    if size < 100:
        assert value == pytest.approx(np.log(np.mean(loss(name).value(Z, Y))), rel=1e-12)
        assert np.allclose(G, loss(name).grad(Z, Y) / 5 / np.exp(value), rtol=1e-9, atol=1e-300)
    V, h = draw.standard_normal(Z.shape), 1e-3 / size
    slope = (log_mean(loss(name), Z + h * V, Y)[0] - log_mean(loss(name), Z - h * V, Y)[0]) / (2 * h)
    assert np.sum(G * V) == pytest.approx(slope, rel=1e-5, abs=1e-6)
    assert np.isfinite(value) and np.linalg.norm(G) > 0.01


# ---------------------------------------------------------------------------------------------- data


def test_mixtures_have_the_variation_asked_for():
    exact = Data.mixture(4, [3, 9, 2, 5], 6, sigma=[0.1, 0.5, 1.0, 2.0], rng=0, exact=True)
    for c, sigma in enumerate([0.1, 0.5, 1.0, 2.0]):
        part = exact.X[:, exact.y == c]
        assert tcv(part, np.zeros(part.shape[1], int)) == pytest.approx(sigma**2, rel=1e-12)
    assert Data.mixture(3, 4000, 5, 0.7, rng=1).tcv() == pytest.approx(0.49, rel=0.02)
    assert Data.mixture(3, 5, 4, 0.0, rng=0).tcv() == pytest.approx(0, abs=1e-28)
    M = Data.mixture(3, 2, 4, 0.0, rng=0, separation=2.0).class_means()
    assert np.allclose(M.T @ M, 4 * np.eye(3)) and Data.mixture(5, 2, 3, 0.1, rng=0).N == 10
    assert np.array_equal(Data.mixture(3, 5, 4, 0.3, rng=7).X, Data.mixture(3, 5, 4, 0.3, rng=7).X)


def test_separable_data_have_their_margin():
    for i in range(20):
        data = Data.separable(8, 1 + i % 6, margin=0.3, rng=i)
        run = np.linalg.lstsq(data.X.T, data.signs, rcond=None)[0]
        assert data.counts.tolist() == [8, 8] and run.shape == (data.d,)
        from scipy.optimize import linprog

        found = linprog(
            np.zeros(data.d), -(data.signs * data.X).T, -np.full(data.N, 0.3), bounds=[(None, None)] * data.d
        )
        assert found.success


def test_arrays_files_and_labels(tmp_path):
    X, y = np.arange(12.0).reshape(6, 2), np.array([-1, 1, 1, -1, 1, 1])
    data = Data.from_arrays(X, y)
    assert data.K == 2 and data.signs.tolist() == y.tolist() and np.array_equal(data.X, X.T)
    assert Data.from_arrays(X, np.array(list("abcabc"))).counts.tolist() == [2, 2, 2]
    assert Data.from_arrays(X.reshape(6, 2, 1), y).d == 2
    np.savez(tmp_path / "user.npz", features=X, labels=y)
    assert np.array_equal(Data.load(tmp_path / "user.npz").X, X.T)
    np.savez(tmp_path / "layers.npz", layer1=X, layer2=2 * X, labels=y)
    assert np.array_equal(Data.load(tmp_path / "layers.npz", features="layer2").X, 2 * X.T)
    with pytest.raises(ValueError, match="it holds layer1, layer2, labels"):
        Data.load(tmp_path / "layers.npz")
    targeted = data.with_targets(np.ones((3, 6)))
    targeted.save(tmp_path / "mine.npz")
    again = Data.load(tmp_path / "mine.npz")
    assert again.fingerprint == targeted.fingerprint != data.fingerprint and again.K == 2
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"bad\.npz"):
        Data.load(tmp_path / "bad.npz")


def test_standardised_whitened_subset_split():
    data = Data.mixture(4, 30, 6, 0.5, rng=0)
    flat = Data(np.vstack([data.X, np.ones(data.N)]), data.y)
    s = flat.standardised()
    assert np.allclose(s.X.mean(axis=1), 0) and np.allclose(s.X[:-1].std(axis=1), 1) and not np.any(s.X[-1])
    w = flat.whitened()
    assert w.d == 6 and np.allclose(w.X @ w.X.T / w.N, np.eye(6)) and np.allclose(w.X.mean(axis=1), 0)
    part = data.subset([3, 1], 5, rng=1)
    assert part.counts.tolist() == [5, 5] and {tuple(x) for x in part.X[:, :5].T} <= {
        tuple(x) for x in data.X[:, data.y == 3].T
    }
    first, second = data.split(0.7, rng=0)
    assert first.counts.tolist() == [21] * 4 and second.counts.tolist() == [9] * 4
    assert {tuple(x) for x in first.X.T} | {tuple(x) for x in second.X.T} == {tuple(x) for x in data.X.T}


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Data(np.eye(3), [0, 1]), "y must have shape"),
        (lambda: Data(np.eye(3), [0, 2, 2]), "every class 0..2"),
        (lambda: Data(np.eye(3), [0, 0, 0]), "K must be an integer of at least 2"),
        (lambda: Data(np.eye(3), [0.5, 1, 1]), "integer classes"),
        (lambda: Data(np.eye(2) * np.nan, [0, 1]), "X must be finite"),
        (lambda: Data(np.eye(2), [0, 1], T=np.ones((1, 3))), "T must have shape"),
        (lambda: Data.mixture(3, [1, 2], 4), "n must be one number or 3"),
        (lambda: Data.mixture(3, 1, 4, 0.1, exact=True), "at least two samples"),
        (lambda: Data.mixture(3, 1, 4, -0.1), "sigma must not be negative"),
        (lambda: Data.mixture(3, 4, 4).subset([0, 7]), "among 0..2"),
        (lambda: Data.mixture(3, 4, 4).subset([0]), "at least two"),
        (lambda: Data.mixture(3, 4, 4).subset(n=9), "between 1 and the 4 samples"),
        (lambda: Data.mixture(3, 1, 4).split(0.5), "two samples in every class"),
        (lambda: Data.mixture(3, 2, 4).split(1.0), "share must lie"),
        (lambda: Data.mixture(3, 2, 4).signs, "two classes"),
        (lambda: Data(np.ones((2, 2)), [0, 1]).whitened(), "all samples are equal"),
        (lambda: Data.from_arrays(np.eye(3), [0, 1]), "one label per row"),
    ],
)
def test_mistakes_in_data_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_digits_need_their_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"ufm\[data\]"):
        Data.digits()


def test_digits():
    pytest.importorskip("sklearn")
    data = Data.digits([3, 8], 50, rng=0)
    assert data.d == 64 and data.counts.tolist() == [50, 50] and 0 <= data.X.min() and data.X.max() == 1.0
    assert Data.digits().N == 1797


# ---------------------------------------------------------------------------------------------- training

DATA = Data.mixture(3, 8, 5, 0.5, rng=0)
NET = Network([5, 7, 6, 3], "tanh", True)
WAYS = {
    "sgd": {"lr": 0.2, "steps": 60},
    "sgd batch": {"lr": 0.2, "batch": 5, "steps": 60, "momentum": 0.5, "schedule": MultiStep((5, 9), 0.5)},
    "sgd cosine": {"lr": 0.2, "batch": 7, "steps": 60, "schedule": "cosine"},
    "lbfgs": {"max_steps": 60},
    "flow RK45": {"time": 50.0},
    "flow DOP853": {"time": 50.0, "integrator": "DOP853"},
    "flow heun": {"time": 3.0, "integrator": "heun", "step": 0.05},
    "log_flow": {"time": 0.6, "integrator": "heun", "step": 0.01},
    "log_flow DOP853": {"time": 2.0, "integrator": "DOP853", "rtol": 1e-8, "atol": 1e-10},
}


def run_of(way, **more):
    method = way.split()[0]
    decay = 0.0 if method == "log_flow" else 1e-3
    return train(NET, DATA, "ce", method, decay, rng=5, **{"trace": 10, "tol": 1e-12, **WAYS[way], **more})


@pytest.mark.parametrize("way", WAYS)
def test_stopping_and_going_on_changes_no_bit(way, tmp_path):
    whole = run_of(way, keep=True)
    assert whole.steps > 10
    file, stops = tmp_path / "run.npz", iter([7, 8, 20, 10**9])

    def stop(at):
        def callback(progress):
            if progress.step == at:
                raise StopIteration

        return callback

    for at in stops:
        part = run_of(way, keep=True, checkpoint=file, checkpoint_every=5, callback=stop(at))
        assert part.steps == min(at, whole.steps) and ("stopped by the callback" in part.message) == (at < whole.steps)
    assert all(np.array_equal(a, b) for a, b in zip(part.params, whole.params, strict=True))
    assert np.array_equal(part.trace.x, whole.trace.x) and np.array_equal(part.trace.fun, whole.trace.fun)
    assert np.array_equal(part.trace.moved, whole.trace.moved, equal_nan=True) and part.lr_sum == whole.lr_sum
    assert len(part.trace) == len(whole.trace) and part.message == whole.message


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path):
    whole = run_of("sgd batch", steps=80)
    run_of("sgd batch", steps=33, checkpoint=tmp_path / "run.npz")
    on = run_of("sgd batch", steps=80, checkpoint=tmp_path / "run.npz")
    assert (
        all(np.array_equal(a, b) for a, b in zip(on.params, whole.params, strict=True))
        and on.trace.step.tolist() == whole.trace.step.tolist()
    )


@pytest.mark.parametrize(
    "change, words",
    [
        ({"lr": 0.3}, "lr=0.2 there, 0.3 here"),
        ({"steps": 50}, "has done 60 steps already; got a budget of 50"),
        ({"momentum": 0.9}, "momentum=0.5 there"),
        ({"rng": 6}, "its rng is"),
        ({"data": Data.mixture(3, 8, 5, 0.5, rng=1)}, "its data is"),
        ({"decay": 0.1}, "its decay is"),
        ({"start": NET.init(rng=9)}, "other starting parameters"),
        ({"rng": None}, "rng must be given"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(change, words, tmp_path):
    common = {
        "net": NET,
        "data": DATA,
        "loss": "ce",
        "decay": 1e-3,
        "rng": 5,
        "checkpoint": tmp_path / "run.npz",
        **WAYS["sgd batch"],
    }
    train(**common)
    with pytest.raises(ValueError, match=words):
        train(**{**common, **change})
    (tmp_path / "run.npz").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"run\.npz"):
        train(**common)


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_keeps_the_point(way, tmp_path):
    def press(progress):
        if progress.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    run = run_of(way, callback=press, checkpoint=tmp_path / "run.npz")
    assert run.interrupted and not run.ok and run.steps in (4, 5, 6) and np.isfinite(run.fun)
    on = run_of(way, checkpoint=tmp_path / "run.npz")
    assert all(np.array_equal(a, b) for a, b in zip(on.params, run_of(way).params, strict=True))


def test_steps_are_the_recursion_of_the_papers():
    """W <- (1 - h lam) W - h G with G of the batch, C <- (1 - h lam)^2 C + h^2 (G'G - GG'), and V <- m V + G + lam
    W."""
    h, lam, net = 0.3, 0.05, Network([5, 6, 6, 3], "linear")
    run = train(net, DATA, "mse", decay=lam, rng=1, lr=h, batch=4, steps=30, trace=1, keep=True)
    Y, N = DATA.targets(3), DATA.N
    worst = 0.0
    for t in range(30):
        order = epoch_order(seed_sequence(1), t // (N // 4), N)
        index = order[(t % (N // 4)) * 4 :][:4]
        batch = Objective(net, Data(np.zeros((5, 2)), [0, 1]).with_targets(np.zeros((3, 2))), "mse")
        params = run.trace.params(t)
        G = net.unpack(batch.fit_grad(net.pack(params), DATA.X[:, index], Y[:, index])[1])
        after = run.trace.params(t + 1)
        for W, g, V in zip(params, G, after, strict=True):
            worst = max(worst, np.max(np.abs((1 - h * lam) * W - h * g - V)))
        for l, (C, D) in enumerate(zip(balancedness(net, params), balancedness(net, after), strict=True)):
            wanted = (1 - h * lam) ** 2 * C + h**2 * (G[l + 1].T @ G[l + 1] - G[l] @ G[l].T)
            worst = max(worst, np.max(np.abs(D - wanted)))
    assert worst < 1e-14
    assert run.lr_sum == pytest.approx(9.0) and run.E == pytest.approx(0.45) and run.trace.lr_sum[-1] == run.lr_sum


def test_momentum_is_the_recursion():
    h, lam, m, net = 0.3, 0.05, 0.6, Network([5, 6, 3], "tanh", True)
    objective = Objective(net, DATA, "ce", Decay(W=lam, bias=0.01))
    run = train(net, DATA, "ce", decay=objective.decay, rng=1, lr=h, momentum=m, steps=12, trace=1, keep=True)
    x, V = run.trace.x[0], 0.0
    for t in range(12):
        V = m * V + objective.grad(x)
        x = x - h * V
        assert np.allclose(x, run.trace.x[t + 1], atol=1e-13)
    plain = train(net, DATA, "ce", decay=objective.decay, rng=1, lr=h, steps=12)
    assert not np.allclose(x, net.pack(plain.params), atol=1e-3)


def test_decay_of_features_on_batches_is_unbiased():
    """The mean over the batches of an epoch of the batch gradient is the full one, feature decay included."""
    objective = Objective(Network([5, 6, 6, 3], "relu"), DATA, "ce", Decay("ufm", 0.1, H=0.02, head=2))
    x = objective.net.pack(objective.net.init(rng=0))
    parts = [objective.fit_grad(x, DATA.X[:, i : i + 6], objective.Y[:, i : i + 6]) for i in range(0, 24, 6)]
    value, grad = objective.fit_grad(x)
    assert np.mean([v for v, _ in parts]) == pytest.approx(value, rel=1e-12) and np.allclose(
        np.mean([g for _, g in parts], axis=0), grad, atol=1e-13
    )


def test_batches_are_epochs_without_repetition():
    orders = [epoch_order(seed_sequence(3), e, 20) for e in range(4)]
    assert all(sorted(o) == list(range(20)) for o in orders) and len({tuple(o) for o in orders}) == 4
    assert train(NET, DATA, rng=0, batch=5, epochs=3).steps == 12
    assert train(NET, DATA, rng=0, epochs=3).steps == 3


def test_schedules_multiply_the_learning_rate():
    def lr(schedule, **more):
        return np.diff(train(NET, DATA, rng=0, lr=0.1, schedule=schedule, trace=1, **{"steps": 8, **more}).trace.lr_sum)

    assert np.allclose(lr("constant"), 0.1)
    assert np.allclose(lr(MultiStep((2, 5), 0.2)), [0.1, 0.1, 0.02, 0.02, 0.02, 0.004, 0.004, 0.004])
    assert np.allclose(lr(lambda epoch: 1 / (1 + epoch), batch=12, steps=6), [0.1, 0.1, 0.05, 0.05, 0.1 / 3, 0.1 / 3])
    assert np.allclose(lr("cosine"), 0.05 * (1 + np.cos(np.pi * np.arange(8) / 8)))


@pytest.mark.parametrize("loss_name, outputs", [("ce", 3), ("mse", 3), ("logistic", 1), ("exponential", 1)])
@pytest.mark.parametrize("kind", ["standard", "ufm"])
def test_lbfgs_reaches_stationary_points(loss_name, outputs, kind):
    data = DATA if outputs == 3 else Data.separable(10, 5, rng=0)
    decay = Decay("standard", 1e-2) if kind == "standard" else Decay("ufm", 1e-2, H=1e-3, head=2)
    net = Network([5, 8, 8, outputs], "tanh")
    run = train(net, data, loss_name, "lbfgs", decay, rng=0, tol=1e-6, max_steps=4000)
    assert run.ok and run.grad_norm <= 1e-6 and run.fun < np.log(3), run
    head = net.L if kind == "standard" else 2
    for A, B in itertools.pairwise(run.weights[-head:]):
        assert A.shape[0] == B.shape[1]


def test_linear_layers_balance_at_stationary_points_with_decay():
    run = train(Network([5, 6, 6, 3], "linear"), DATA, "ce", "lbfgs", 1e-2, rng=0, tol=1e-7, trace=1000)
    assert run.ok and np.max(run.trace.balance[-1]) < 1e-4 < np.min(run.trace.balance[0])


def test_flow_keeps_the_balance_and_steps_do_not():
    net = Network([5, 6, 6, 3], "linear")
    flow = train(net, DATA, "ce", "flow", rng=0, time=5, rtol=1e-9, atol=1e-12, trace=50)
    before, after = (balancedness(net, p) for p in (net.init(rng=0), flow.params))
    drift = max(np.max(np.abs(a - b)) for a, b in zip(before, after, strict=True))
    steps = train(net, DATA, "ce", rng=0, lr=0.5, steps=10)
    moved = max(np.max(np.abs(a - b)) for a, b in zip(before, balancedness(net, steps.params), strict=True))
    assert drift < 1e-7 and moved > 1e-3 and flow.ok and flow.trace.time[-1] == 5


@pytest.mark.parametrize("activation", ["linear", "relu/linear"])
def test_log_flow_goes_on_below_underflow(activation):
    """Separable data: log-loss -> -infinity; tails and 1 - s_1^2/|W|^2 obey the bound of conserved balance (lj22), C
    stays within 1e-6."""
    data = Data.separable(6, 3, margin=0.5, rng=0)
    net = Network([3, 6, 6, 6, 1], [*activation.split("/"), "linear", "linear"][-3:])
    run = train(
        net,
        data,
        "logistic",
        "log_flow",
        rng=0,
        scale=0.8,
        trace=20,
        floor=-1e4,
        keep=True,
        integrator="DOP853",
        rtol=1e-9,
        atol=1e-11,
    )
    assert run.ok and run.message.startswith("reached log-loss") and run.loss == 0.0 and run.accuracy == 1
    assert np.all(np.diff(run.trace.log_loss) < 0) and run.trace.log_loss[-1] <= -1e4
    first = 1 if activation == "linear" else 2  # C_l is conserved between linear layers
    C0, C1 = balancedness(net, net.init(rng=0, scale=0.8)), balancedness(net, run.params)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(C0[first - 1 :], C1[first - 1 :], strict=True))
    positive = [np.sum(np.maximum(-np.linalg.eigvalsh(C), 0)) for C in C0]
    for l in range(first, net.L + 1):
        for x in run.trace.x:
            s = np.linalg.svd(net.unpack(x)[l - 1], compute_uv=False)
            assert np.sum(s[1:] ** 2) <= sum(positive[l - 1 :]) + 1e-6
    s = spectra(net, run.params)[-2]
    assert s[1] < 0.3 * s[0] and np.sum(s[1:] ** 2) > 1e-6


def test_divergence_is_a_result():
    run = train(NET, DATA, "mse", rng=0, lr=1e3, steps=500, trace=1)
    linear = train(Network([5, 6, 3], "linear"), DATA, "mse", rng=0, lr=1e3, steps=500)
    for r in (linear,):
        assert (
            not r.ok
            and "diverged at step" in r.message
            and "lr=1000 is too large" in r.message
            and np.all(np.isfinite(r.params[0]))
        )
    assert not run.ok
    with pytest.raises(RuntimeError, match="diverged"):
        linear.require()


def test_trace_and_files(tmp_path):
    run = run_of("sgd batch", keep=True)
    run.save(tmp_path / "run.npz")
    again = load(tmp_path / "run.npz")
    assert (
        repr(again) == repr(run)
        and again.network == run.network
        and again.decay == run.decay
        and again.loss == run.loss
    )
    assert all(np.array_equal(a, b) for a, b in zip(again.params, run.params, strict=True))
    for name in ("step", "fun", "tcv", "balance", "x", "lr_sum", "accuracy"):
        assert np.array_equal(getattr(again.trace, name), getattr(run.trace, name)), name
    assert all(np.array_equal(a, b) for a, b in zip(again.trace.spectra, run.trace.spectra, strict=True))
    assert (
        run.trace.step.tolist() == [0, 10, 20, 30, 40, 50, 60]
        and run.trace.tcv.shape == (7, 4)
        and run.trace.balance.shape == (7, 2)
    )
    assert run.trace.spectra[0].shape == (7, 5) and np.allclose(
        run.trace.spectra[2][-1], np.linalg.svd(run.params[2])[1]
    )
    assert run.trace.fun[-1] == run.fun and run.trace.tcv[-1, 1] == tcv(run.features()[1], DATA.y)
    assert run.trace.per_layer(lambda s: s[0]).shape == (7, 3) and np.isnan(run.trace.moved[0])
    assert run.trace.moved[-1] == pytest.approx(
        np.linalg.norm(run.trace.x[-1] - run.trace.x[-2]) / np.linalg.norm(run.trace.x[-1])
    )
    with pytest.raises(ValueError, match="data must be given"):
        again.features()
    assert np.array_equal(again.logits(DATA), run.logits()) and again.test_accuracy(DATA) == run.accuracy
    with pytest.raises(AttributeError, match="spectra and x; not 'funn'"):
        _ = run.trace.funn
    with pytest.raises(ValueError, match="does not hold a training run"):
        np.savez(tmp_path / "other.npz", a=1)
        load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"lr": 0}, "lr must be positive"),
        ({"lr": "fast"}, "lr must be a finite real number"),
        ({"batch": 25}, "at most the number of samples 24"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
        ({"schedule": "linear"}, "schedule must be one of"),
        ({"schedule": lambda epoch: -1.0}, "finite factors >= 0"),
        ({"steps": 5, "epochs": 5}, "give one"),
        ({"rate": 0.1}, "rate is not a setting of method 'sgd'"),
        ({"method": "adam"}, "method must be one of"),
        ({"method": "flow", "integrator": "euler"}, "integrator must be one of"),
        ({"method": "log_flow", "decay": 0.1}, "takes no decay"),
        ({"method": "log_flow", "loss": "mse"}, "needs loss ce, logistic or exponential"),
        ({"start": [np.eye(2)]}, "params must be 6 arrays"),
        ({"data": 3}, "data must be a Data"),
    ],
)
def test_mistakes_in_training_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        train(**{"net": NET, "data": DATA, "rng": 0, **change})


def test_result_replays_from_its_seed():
    run = train(NET, DATA, rng=None, batch=6, epochs=2)
    again = train(NET, DATA, rng=run.rng, batch=6, epochs=2)
    assert all(np.array_equal(a, b) for a, b in zip(again.params, run.params, strict=True))
    with contextlib.suppress(ValueError):
        run.E  # noqa: B018
    with pytest.raises(ValueError, match="one decay for all"):
        _ = train(NET, DATA, rng=0, decay=[0.1, 0.2, 0.3], epochs=1).E


# ---------------------------------------------------------------------------------------------- what layers obey


@pytest.mark.parametrize("kind", ["trainable", "diagonal", "identity"])
@pytest.mark.parametrize("i", range(6))
def test_instantaneous_identities(kind, i):
    """W_3'G_3 = G_2 W_2' across linear layers, its diagonal across a ReLU, and their residual forms (lj22), at random
    parameters."""
    draw = np.random.default_rng(i)
    m, w = int(draw.integers(2, 6)), int(draw.integers(2, 6))
    net = Network([4, m, w, m, 5, 1], ["linear", "relu", "linear", "linear"], skip=[Skip(1, 3, kind)])
    objective = Objective(net, Data.mixture(2, 7, 4, 1.0, rng=i), ["logistic", "exponential", "mse"][i % 3])
    params = [0.8 * draw.standard_normal(shape) for shape in net.shapes]
    G = objective.fit_gradients(params)
    W0, Wa, Wb, W3, W4 = net.weights(params)
    G0, Ga, Gb, G3, G4 = net.weights(G)
    S, GS = (
        (np.eye(m), None)
        if kind == "identity"
        else (np.diag(params[5]), np.diag(G[5]))
        if kind == "diagonal"
        else (params[5], G[5])
    )
    close = {"rtol": 1e-11, "atol": 1e-12}
    assert np.allclose(W4.T @ G4, G3 @ W3.T, **close)
    assert np.allclose(np.diag(Wb.T @ Gb), np.diag(Ga @ Wa.T), **close)
    below, above = G0 @ W0.T - Wa.T @ Ga, W3.T @ G3 - Gb @ Wb.T
    if kind == "trainable":
        assert np.allclose(below, S.T @ GS, **close) and np.allclose(above, GS @ S.T, **close)
    elif kind == "diagonal":
        assert np.allclose(np.diag(below), np.diag(S.T @ GS), **close) and np.allclose(
            np.diag(above), np.diag(GS @ S.T), **close
        )
    else:
        assert np.allclose(below, above, **close) and not np.allclose(below, 0, atol=1e-6)


@pytest.mark.parametrize("i", range(40))
def test_distance_to_rank_k_is_bounded_by_within_class_variation(i):
    """dist_K(W_l) <= |sum_i dt_i zt_i'|/(lam N) + |grad_l F|/lam <= sqrt(TCV(delta) TCV(z))/lam + ... at any point and
    layer (zang24)."""
    draw = np.random.default_rng(i)
    K, lam = int(draw.integers(2, 5)), 10.0 ** draw.uniform(-4, 0)
    net = Network(
        [6, 9, 8, K], str(draw.choice(list(ENTRYWISE))), bool(draw.integers(2)), skip=[None, "trainable"][i % 2]
    )
    objective = Objective(net, Data.mixture(K, 6, 6, draw.uniform(0, 2), rng=i), ["ce", "mse"][i % 2], lam)
    params = net.init(rng=i)
    y, N = objective.data.y, objective.data.N
    z, deltas, grads = net.features(params, objective.data), objective.deltas(params), objective.gradients(params)
    for l in range(net.L):
        rest = np.linalg.norm(grads[l]) / lam
        inner = np.linalg.norm(centred(deltas[l], y) @ centred(z[l], y).T) / (lam * N)
        second = np.sqrt(tcv(deltas[l], y) * tcv(z[l], y)) / lam
        first = np.sqrt(np.mean(np.sum(deltas[l] ** 2, axis=0)) * tcv(z[l], y)) / lam
        distance = tail(np.linalg.svd(params[l])[1], K)
        for small, large in itertools.pairwise([distance, inner + rest, second + rest, first + rest]):
            assert small <= large * (1 + 1e-9) + 1e-12


# ---------------------------------------------------------------------------------------------- diagnostics


def test_layers_of_a_run_and_of_exported_arrays(tmp_path):
    run = run_of("lbfgs")
    table = diagnose(run)
    Z = run.features()
    for l, row in enumerate(table.rows):
        direct = (
            sum(
                np.sum((Z[l][:, DATA.y == c] - Z[l][:, DATA.y == c].mean(axis=1, keepdims=True)) ** 2) for c in range(3)
            )
            / DATA.N
        )
        assert row.tcv == pytest.approx(direct, rel=1e-12) and row.d == NET.widths[l]
        if l < NET.L:
            s = np.linalg.svd(run.weights[l], compute_uv=False)
            assert row.tail == pytest.approx(np.sqrt(np.sum(s[3:] ** 2)), abs=1e-14) and row.weight[
                "stable"
            ] == pytest.approx(np.sum(s**2) / s[0] ** 2)
    assert table[3].weight is None and "tail > K" in repr(table) and len(repr(table).splitlines()) == 5
    export(tmp_path / "run.npz", run.network, run.params, DATA)
    with np.load(tmp_path / "run.npz") as file:
        again = layers(
            [file[f"features_{l}"].T for l in range(4)], file["labels"], [file[f"weight_{l}"] for l in (1, 2, 3)]
        )
    assert repr(again) == repr(table)
    assert Data.load(tmp_path / "run.npz", features="features_2").tcv() == pytest.approx(table[2].tcv, rel=1e-12)
    for bad in (
        lambda: layers([np.eye(3)], [0, 1]),
        lambda: layers([np.eye(3)], [0, 2, 2]),
        lambda: layers([np.eye(3)], [0, 1, 1], [np.eye(4)]),
    ):
        with pytest.raises(ValueError):
            bad()


def test_tcv_does_not_see_shifts_and_scales_as_a_square():
    draw = np.random.default_rng(0)
    for i in range(20):
        data = Data.mixture(3, [2 + i % 3, 4, 5], 4, sigma=10.0**-i if i < 12 else 1.0, rng=i)
        shift = 1e3 * draw.standard_normal((4, 3))[:, data.y]
        scale = np.sqrt(data.tcv())
        assert tcv(3 * data.X, data.y) == pytest.approx(9 * data.tcv(), rel=1e-10)
        assert abs(np.sqrt(tcv(data.X + shift, data.y)) - scale) < 1e-12
        merged = tcv(data.X, np.minimum(data.y, 1))
        assert merged >= data.tcv()


def test_a_network_is_diagnosed_at_parameters():
    with pytest.raises(ValueError, match=r"^params must be given with a network.*params=None"):
        diagnose(Network([4, 6, 3]), data=Data.mixture(K=3, n=2, d=4, rng=0))
