"""Every file that is read back, damaged in every way: one ValueError that names the file and the field, or no harm
done."""

import copy
import itertools
import json
import math

import numpy as np
import pytest

import ufm
from theory import runs
from theory.registry import claims
from ufm.landscapes.table import Landscape
from ufm.networks import training
from ufm.networks.data import Data
from ufm.networks.network import Network
from ufm.networks.train import train
from ufm.numerics.files import load_arrays, save_arrays
from ufm.sweeps.sweep import load as load_rows

PROBLEM = ufm.Problem(K=3, L=2, lam=0.02)
SPEC = {"verb": "compare", "grid": {"K": [3, 4]}, "fixed": {"lam": 0.1}}
WRONG = (None, "words", -1, 1.5, math.nan, math.inf, True, [], {}, [[]], [None], {"a": {}}, 10**30)

OUTER = ("ufm", "fixed", "K", "lam")
"""Fields whose loss is told by another name: a store without its head is another file; a cell's problem is told as a
whole."""


def data():
    return Data.mixture(K=3, n=4, d=4, sigma=0.1, rng=0)


def trained(checkpoint=None):
    return train(
        Network([4, 5, 3], "tanh"),
        data(),
        "mse",
        "lbfgs",
        decay=1e-2,
        rng=0,
        trace=5,
        checkpoint=checkpoint,
        max_steps=20,
    )


def basins(path):
    ufm.basins(PROBLEM, 6, 0).save(path)


def proofs(path):
    pytest.importorskip("flint")
    ufm.certify(ufm.Problem(K=3, lam=0.1), ["order", "global"]).save(path)


def certificates(path):
    from ufm.certificates.certificate import load

    return [(repr(c), c.objection()) for c in load(path)]


READERS = {
    "basins.json": (
        basins,
        lambda path: (repr(found := Landscape.load(path)), found.to_dict(), found[found.winner].point),
    ),
    "proofs.json": (proofs, certificates),
    "training.npz": (
        lambda path: trained().save(path),
        lambda path: (repr(found := training.load(path)), found.trace and found.trace.fun),
    ),
    "checkpoint.npz": (trained, trained),
    "data.npz": (lambda path: data().save(path), lambda path: repr(Data.load(path))),
    "rows.jsonl": (
        lambda path: ufm.sweep(SPEC, path, jobs=1),
        lambda path: (repr(found := load_rows(path)), found.table()),
    ),
    "sweep.jsonl": (
        lambda path: ufm.sweep(SPEC, path, jobs=1),
        lambda path: (repr(found := ufm.sweep(SPEC, path, jobs=1)), found.table()),
    ),
    "blocks.jsonl": (
        lambda path: ufm.basins(PROBLEM, 6, 0, out=path),
        lambda path: repr(ufm.basins(PROBLEM, 6, 0, out=path)),
    ),
    "record.jsonl": (lambda path: verified(path), lambda path: verified(path).verdicts[0].verdict),
}


def verified(path):
    return runs.verify(claims(["gk25:lemma1"]), {"K": [3]}, jobs=1, resume=path)


@pytest.fixture(scope="module", params=READERS)
def reader(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / request.param
    make, use = READERS[request.param]
    make(path)
    use(path)
    return path, use, path.read_bytes()


def survives(path, use) -> str:
    """Reads the file; what the one ValueError says, or nothing."""
    try:
        use(path)
    except ValueError as mistake:
        assert str(path) in str(mistake), mistake
        return str(mistake)
    return ""


def test_files_of_other_kinds_are_told_by_name(reader):
    path, use, whole = reader
    kinds = [whole[: len(whole) * k // 7] for k in range(7)] + [
        b"\0" * 100,
        bytes(range(256)),
        b"\x89PNG\r\n\x1a\n",
        b"null",
        b"[]",
        b"[" * 10_000,
        b'"\xff"',
    ]
    other = path.with_name("other.npz")
    save_arrays(other, a=np.ones(3))
    for content in (*kinds, other.read_bytes(), b"{}", b'{"a": 1}\n', b"text\n"):
        path.write_bytes(content)
        survives(path, use)
    path.write_bytes(whole)


def test_a_folder_and_a_missing_file_are_told_by_name(reader, tmp_path):
    path, use, _ = reader
    (tmp_path / path.name).mkdir()
    assert survives(tmp_path / path.name, use)


def damaged(value):
    """(name of a field, the value with it dropped or wrong) for every field, three levels deep."""
    for at in _places(value, 3):
        for wrong in (*WRONG, ...):
            changed = copy.deepcopy(value)
            inner = changed
            for step in at[:-1]:
                inner = inner[step]
            if wrong is ...:
                del inner[at[-1]]
            else:
                inner[at[-1]] = wrong
            yield at[-1], wrong, changed


def _places(value, depth: int):
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        if depth > 1:
            yield from ((key, *rest) for rest in _places(inner, depth - 1))


def contents(path, whole: bytes):
    """(field, wrong value, a function that makes the file's content) of every damage to one field."""
    if path.suffix == ".json":
        for name, wrong, changed in damaged(json.loads(whole)):
            yield name, wrong, lambda changed=changed: json.dumps(changed).encode()
    elif path.suffix == ".jsonl":
        lines = whole.decode().splitlines()
        for i, text in enumerate(lines):
            for name, wrong, changed in damaged(json.loads(text)):
                yield (
                    name,
                    wrong,
                    lambda i=i, changed=changed: "\n".join(
                        [*lines[:i], json.dumps(changed), *lines[i + 1 :], ""]
                    ).encode(),
                )
    else:
        arrays = load_arrays(path)
        for name, array in arrays.items():
            changes = [
                None,
                np.array("words"),
                np.full(np.shape(array), np.nan),
                np.zeros((2, 0)),
                np.ones((7, 7)),
                np.array(3),
            ]
            if array.dtype.kind == "U":
                changes = [
                    None,
                    np.array("{"),
                    *(np.array(json.dumps(changed)) for _, _, changed in damaged(json.loads(str(array)))),
                ]
            for change in changes:
                rest = {key: A for key, A in arrays.items() if key != name} | ({} if change is None else {name: change})
                yield name, (... if change is None else change), lambda rest=rest: archive(path, rest)


def archive(path, arrays: dict) -> bytes:
    other = path.with_name("changed.npz")
    save_arrays(other, **arrays)
    return other.read_bytes()


@pytest.mark.parametrize("every", [101, pytest.param(1, marks=pytest.mark.slow)])
def test_damaged_fields_are_told_by_name(reader, every):
    path, use, whole = reader
    count = told = 0
    for name, wrong, content in itertools.islice(contents(path, whole), 0, None, every):
        path.write_bytes(content())
        said = survives(path, use)
        count, told = count + 1, told + bool(said)
        if said and wrong is ... and isinstance(name, str) and name not in OUTER:
            assert name in said, (name, said)
    path.write_bytes(whole)
    print(f"{path.name}: {told} of {count} damages refused")
    assert every > 1 or (count > 20 and (told > 10 or path.name == "record.jsonl"))
