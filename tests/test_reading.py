"""What users hand over: arrays of every kind and library, labels, files of arrays; read as meant, or refused in one
sentence."""

import json
import pickle

import numpy as np
import pytest

import ufm
from ufm import cli, structures
from ufm.numerics import arguments
from ufm.numerics.files import load_arrays, save_arrays
from ufm.points import load

# arrays ----------------------------------------------------------------------------------------

FIELDS = np.array([(1.0, 2)], dtype=[("a", float), ("b", int)])


class Sparse:
    def toarray(self):
        return np.eye(2)


@pytest.mark.parametrize(
    "value, words",
    [
        (np.ma.masked_array(np.eye(2), mask=np.eye(2)), "masked array"),
        (np.ma.masked_array(np.eye(2)), "masked array"),
        ([np.ma.masked_array([1.0, 2.0], mask=[0, 1])], "masked array"),
        ([1.0, np.ma.masked], "masked array"),
        (np.eye(2) + 0j, "complex numbers"),
        ([1.0, 2j], "complex numbers"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "dates"),
        (np.array([1], dtype="m8[s]"), "time differences"),
        (FIELDS, "named fields"),
        (np.zeros(2, dtype="V8"), "raw bytes"),
        (np.array([1.0, None]), "such as NoneType"),
        ([1.0, None], "such as NoneType"),
        (np.array([1.0, 2.0], dtype=object), "objects"),
        (np.array(["1", "2"]), "text"),
        (["1", "2"], "text"),
        (np.array([b"1"]), "text"),
        (Sparse(), r"a sparse Sparse: give its toarray\(\)"),
        (object(), "objects, such as object"),
        ([[1.0], [1.0, 2.0]], "got list: .*inhomogeneous"),
        ({1.0}, "objects, such as set"),
        ([1.0, np.inf], "must be finite"),
        (np.longdouble("1e400") * np.ones(2), "must be finite"),
    ],
)
def test_arrays_that_would_lose_their_meaning_are_refused(value, words):
    with pytest.raises(ValueError, match=f"^X must be .*{words}|^X {words}"):
        arguments.array("X", value)


@pytest.mark.parametrize("kind", ["?", "i1", "u2", "i8", ">i4", "f2", "f4", ">f8", "g"])
def test_arrays_of_every_kind_of_number_are_read(kind):
    found = arguments.array("X", np.array([[0, 1]], dtype=kind))
    assert found.dtype == np.dtype(float) and found.tolist() == [[0.0, 1.0]]


class Tensor:
    """What a tensor of another library looks like from here: its own kind, device and gradient."""

    def __init__(self, values, kind="float32", device="cpu", grad=False):
        self.values, self.kind, self.device, self.grad = np.asarray(values), kind, device, grad

    def detach(self):
        return Tensor(self.values, self.kind, self.device)

    def cpu(self):
        if self.device == "meta":
            raise NotImplementedError("Cannot copy out of meta tensor; no data!\nmore lines")
        return Tensor(self.values, self.kind, "cpu", self.grad)

    def float(self):
        return Tensor(self.values.real.astype(np.float32), "float32", self.device, self.grad)

    def is_complex(self):
        return self.kind == "complex32"

    def __len__(self):
        return len(self.values)

    def __getitem__(self, i):
        return Tensor(self.values[i], self.kind, self.device, self.grad)

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self.device != "cpu":
            raise TypeError(f"can't convert {self.device} device type tensor to numpy.")
        if self.kind in ("bfloat16", "complex32"):
            raise TypeError(f"Got unsupported ScalarType {self.kind}")
        return self.values if dtype is None else self.values.astype(dtype)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"grad": True},
        {"device": "cuda"},
        {"kind": "bfloat16"},
        {"kind": "bfloat16", "device": "cuda", "grad": True},
    ],
)
def test_tensors_are_read_wherever_they_are(how):
    X = np.arange(12.0).reshape(4, 3) / 8
    y = [0, 1, 0, 1]
    assert np.array_equal(arguments.array("X", Tensor(X, **how)), X)
    assert np.array_equal(arguments.array("X", [Tensor(row, **how) for row in X]), X)
    found, plain = ufm.collapse(Tensor(X, **how), Tensor(y), Tensor(X[:2], **how)), ufm.collapse(X, y, X[:2])
    assert found == plain
    named = ufm.identify(features=Tensor(X, **how), weights=Tensor(X[:2], **how), labels=Tensor(y))
    assert named == ufm.identify(features=X, weights=X[:2], labels=y)


@pytest.mark.parametrize(
    "tensor, words",
    [
        (Tensor(np.eye(2), device="meta"), r"^X cannot be read as an array: Cannot copy out of meta tensor; no data!$"),
        (Tensor(np.eye(2) + 1j, kind="complex32"), "unsupported ScalarType complex32"),
        (Tensor(np.eye(2) + 1j, kind="complex64"), "complex numbers"),
    ],
)
def test_a_tensor_that_cannot_be_read_says_why(tensor, words):
    with pytest.raises(ValueError, match=words):
        arguments.array("X", tensor)


def test_tensors_of_torch_itself():
    torch = pytest.importorskip("torch")
    X = torch.arange(12, dtype=torch.float32).reshape(4, 3) / 8
    for tensor in (
        X,
        X.clone().requires_grad_(),
        X.bfloat16(),
        X.bfloat16().requires_grad_(),
        X.half(),
        X.double(),
        torch.nn.Parameter(X),
    ):
        assert np.array_equal(arguments.array("X", tensor), X.numpy())
    assert np.array_equal(arguments.array("X", list(X.bfloat16())), X.numpy())
    for tensor in (X.to("meta"), X.to(torch.complex64), X.to_sparse()):
        with pytest.raises(ValueError, match=r"^X "):
            arguments.array("X", tensor)
    assert ufm.collapse(X, torch.tensor([0, 1, 0, 1]), X[:2].requires_grad_()) == ufm.collapse(
        X.numpy(), [0, 1, 0, 1], X[:2].detach().numpy()
    )


# labels ----------------------------------------------------------------------------------------

X6, W3 = np.vander(np.arange(6.0), 4), np.eye(3, 4)


@pytest.mark.parametrize(
    "y, words",
    [
        (["cat", "dog", "cat", "dog", "cat", "dog"], r"text like 'cat'\. np\.unique\(y, return_inverse=True\)"),
        (np.array(["a", "b"] * 3, dtype=object), r"text like 'a'\. np\.unique\(y, return_inverse=True\)"),
        (
            [0, 1, 2, 0, 1, 10**9],
            (
                r"there are none of 3, 4, 5, 6, 7, \.\.\.; means of 1000000001 classes in d=4 would take 29\.8 GiB\."
                r" np\.unique"
            ),
        ),
        ([0, 1, 2, 0, 1, 1e300], r"must hold integers .* from 0 to 1e\+300\. np\.unique"),
        ([1, 2, 3, 1, 2, 3], r"none of 0\. np\.unique\(y, return_inverse=True\)\[1\] numbers"),
        ([0, 0.5, 1, 0, 1, 1], r"must hold integers 0\.\.K-1; got values from 0 to 1\. np\.unique"),
        ([-1, 1, -1, 1, -1, 1], r"must hold integers .* from -1 to 1\. np\.unique"),
        (
            np.eye(3)[[0, 1, 2, 0, 1, 2]],
            r"must have shape \(6,\).* got \(6, 3\): take of one-hot rows Y\.argmax\(axis=1\)",
        ),
        (np.zeros((6, 1)), r"must have shape \(6,\).* its column, y\[:, 0\]"),
        (np.ma.masked_array([0, 1, 2, 0, 1, 2], mask=[0, 0, 0, 0, 0, 1]), "masked array"),
        ([0, 1, 2, None, 1, 2], "such as NoneType"),
    ],
)
def test_labels_that_are_no_classes_are_refused_with_what_to_do(y, words):
    with pytest.raises(ValueError, match=f"^y .*{words}"):
        ufm.collapse(X6, y)
    with pytest.raises(ValueError, match=r"^labels "):
        ufm.identify(features=X6, weights=W3, labels=y)


def test_labels_far_too_large_are_refused_before_anything_is_made():
    for call in (
        lambda: ufm.collapse(X6, [0, 1, 2, 0, 1, 10**9], W3),
        lambda: ufm.identify(features=X6, weights=W3, labels=[0, 1, 2, 0, 1, 10**9]),
        lambda: ufm.identify(np.ones((3, 6)), labels=[0, 1, 2, 0, 1, 10**15]),
    ):
        with pytest.raises(ValueError, match=r"must lie in 0\.\.2 for K=3 classes; got 10000000*"):
            call()
    y, K = arguments.labels("y", np.array([2.0, 0.0, 1.0], dtype=np.float32), 3)
    assert K == 3 and y.tolist() == [2, 0, 1] and y.dtype.kind == "i"


# files -----------------------------------------------------------------------------------------


def text(path):
    path.write_text("a,b\n1,2\n")


def torch_file(path):
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")


def pickled(path):
    path.write_bytes(pickle.dumps({"Z": [1.0]}))


def objects(path):
    np.savez(path, Z=np.array([{}], dtype=object))


def cut(path):
    save_arrays(path, Z=np.random.default_rng(0).standard_normal((50, 50)))
    path.write_bytes(path.read_bytes()[:5000])


def rotten(path):
    save_arrays(path, Z=np.random.default_rng(0).standard_normal((50, 50)))
    content = bytearray(path.read_bytes())
    content[5000] ^= 255
    path.write_bytes(bytes(content))


def save_single(path):
    with path.open("wb") as stream:
        np.save(stream, np.eye(9))


def cut_single(path):
    save_single(path)
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.touch(), "not an .npz of arrays but empty"),
        (text, "it is not an .npz of arrays; numpy.savez"),
        (pickled, "it is not an .npz of arrays; numpy.savez"),
        (torch_file, "it is not an .npz of arrays, 'archive/data.pkl' is none"),
        (objects, "at 'Z': it holds Python objects"),
        (cut, "a damaged .npz of arrays"),
        (rotten, "at 'Z': it is damaged"),
        (cut_single, "at the array: it is damaged"),
    ],
)
def test_a_foreign_or_damaged_file_says_what_it_is(tmp_path, capsys, spoil, words):
    path = tmp_path / "run.npz"
    spoil(path)
    assert cli.main(["identify", str(path)]) == 2
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1
        and f"file {str(path)!r} cannot be read" in said
        and words in said
        and "pickle" not in said
    )


def test_an_array_without_a_name_is_read_as_logits_or_refused_with_how_to_name_it(tmp_path, capsys):
    path = tmp_path / "Z.npy"
    np.save(path, np.kron(np.eye(3), [[1.0, -1.0], [-1.0, 1.0]]))
    assert cli.main(["identify", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "pairs"
    with pytest.raises(ValueError, match=r"one array without a name .*numpy\.savez\('Z\.npz', name=numpy\.load\("):
        load(path)
    np.save(path, np.eye(3) + 0j)
    assert cli.main(["identify", str(path)]) == 2
    said = capsys.readouterr().err
    assert str(path) in said and "Z must be an array of real numbers; got complex" in said


def test_arrays_of_a_file_that_do_not_fit_are_named_with_it(tmp_path, capsys):
    path = tmp_path / "run.npz"
    for arrays, words in (
        ({"x": np.eye(2)}, "must hold Z, or features and weights; it has x"),
        ({}, "it has nothing"),
        ({"features": X6}, "features need weights"),
        ({"features": X6, "weights": W3, "labels": np.array(["a"] * 6)}, "np.unique(y, return_inverse=True)"),
        ({"Z": np.eye(3), "labels": np.array([0, 1, 10**9])}, "labels must lie in 0..2"),
    ):
        np.savez(path, **arrays)
        assert cli.main(["identify", str(path)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and str(path) in said and words in said


def test_asking_a_file_for_what_it_lacks_names_the_file_and_what_it_has(tmp_path):
    path = tmp_path / "run.npz"
    save_arrays(path, x=np.eye(2), head=np.array("[1"), rows=np.array("[1]"))
    data = load_arrays(path)
    with pytest.raises(ValueError, match=r"run\.npz' lacks 'y'; it has 'head', 'rows', 'x'\."):
        data["y"]
    with pytest.raises(ValueError, match=r"run\.npz', head must be JSON"):
        data.header("head")
    with pytest.raises(ValueError, match=r"run\.npz', rows must be a JSON object; got list"):
        data.header("rows")
    assert data.get("y") is None and pickle.loads(pickle.dumps(data)).keys() == data.keys()


STRANGE = (
    None,
    True,
    3,
    -1,
    0,
    1.5,
    "x",
    "",
    [],
    [1, 2],
    {},
    {"a": 1},
    10**400,
    10**12,
    float("inf"),
    float("nan"),
    [[1]],
    [None],
)


@pytest.mark.parametrize("lifted", [False, True])
def test_points_whose_file_was_changed_are_refused_by_file_and_field(tmp_path, lifted):
    point = structures.dnc(ufm.Problem(K=3, n=2, d=4, L=2, lam=1e-3, bias=0.1))
    path = tmp_path / "point.npz"
    (point.lift(rng=0) if lifted else point).save(path)
    arrays = dict(load_arrays(path))
    header = json.loads(str(arrays["ufm"]))
    problem = header["problem"]
    changed = [(key, {**arrays, "ufm": _without(header, key)}) for key in ("kind", "problem")]
    changed += [(key, {**arrays, "ufm": _without(header, "problem", key)}) for key in ("K", "lam")]
    changed += [(key, {k: A for k, A in arrays.items() if k != key}) for key in arrays if key != "b"]
    changed += [
        (key, {**arrays, "ufm": _changed(header, key, value)}) for key in ("kind", "problem") for value in STRANGE
    ]
    changed += [
        ("", {**arrays, "ufm": _changed(header, "problem", {**problem, key: value})})
        for key in problem
        for value in STRANGE
    ]
    arrays_of = {key.replace("factor_0", "H_1").replace("factor_", "W_"): key for key in arrays if key != "ufm"}
    for name, key in arrays_of.items():
        for A in (
            np.zeros(0),
            np.zeros((9, 9)),
            np.array("x"),
            arrays[key] + 1j,
            np.full(arrays[key].shape, np.nan),
            arrays[key].astype("U"),
        ):
            changed.append((name, {**arrays, key: A}))
    for field, content in changed:
        np.savez(path, **content)
        try:
            load(path)
        except ValueError as error:
            said = str(error)
            assert said.startswith(f"file {str(path)!r} ") and said.count("point.npz") == 1 and field in said, (
                field,
                said,
            )
        else:
            assert field == "", field  # some values of a problem's fields are other problems that fit


def _changed(header, key, value):
    return np.array(json.dumps({**header, key: value}))


def _without(header, key, inner=None):
    kept = {k: v for k, v in (header if inner is None else header[key]).items() if k != (inner or key)}
    return np.array(json.dumps(kept if inner is None else {**header, key: kept}))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_points_whose_bytes_were_changed_are_read_or_refused(tmp_path, seed):
    path = tmp_path / "point.npz"
    structures.dnc(ufm.Problem(K=3, n=2, d=4, L=2, lam=1e-3)).save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(seed)
    for _ in range(60 if seed == 0 else 3000):
        content = bytearray(whole)
        for i in rng.integers(0, len(whole), rng.integers(1, 4)):
            content[i] = rng.integers(0, 256)
        path.write_bytes(bytes(content[: rng.integers(0, len(whole) + 1)] if rng.random() < 0.3 else content))
        try:
            load(path)
        except ValueError as error:
            assert str(error).startswith(f"file {str(path)!r} ")
