"""Sweeps: rows depend on their cell alone, survive any death, and come back the same from every backend."""

import json
import os
import signal
import subprocess
import sys
import time

import joblib
import pytest

from ufm.cli import main
from ufm.numerics.rows import Store
from ufm.sweeps.spec import Spec
from ufm.sweeps.store import shard_of
from ufm.sweeps.sweep import load, sweep

GRID = {"grid": {"K": [4, 5, 6], "lam": ["2**-8", 1e-3, 5.0], "L": [1, 2, 0]}, "fixed": {"n": 2}}


def _lines(path):
    """The rows as they stand in the file, without its head and the specs it was written for."""
    return sorted(line for line in path.read_bytes().splitlines() if b'"verb"' in line and b'"spec"' not in line)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "all.jsonl"
    sweep(GRID, path, jobs=1)
    return path


def test_failing_cells_are_rows_with_their_message(reference):
    done = load(reference)
    assert len(done) == 27 and len(done.failed) == 9
    assert all("L must be an integer of at least 1" in row["error"] for row in done.failed)
    assert {row["result"]["winner"] for row in done if row["ok"] and row["problem"]["lam"] == 5.0} == {"zero"}


def test_processes_give_the_same_bytes(reference, tmp_path):
    done = sweep(GRID, tmp_path / "two.jsonl", jobs=2)
    assert done.complete and _lines(tmp_path / "two.jsonl") == _lines(reference)


def test_shards_partition_the_cells(reference, tmp_path):
    parts = [sweep(GRID, tmp_path / "runs.jsonl", shard=f"{i}/4", jobs=1) for i in (3, 1, 4, 2)]
    assert {p.path.name for p in parts} == {f"runs.{i}of4.jsonl" for i in (1, 2, 3, 4)} and sum(map(len, parts)) == 27
    joined = load(*(p.path for p in parts))
    assert sorted(json.dumps(r, sort_keys=True).encode() for r in joined) == _lines(reference)


def test_a_row_does_not_depend_on_the_grid_around_it():
    spec = {"verb": "solve", "grid": {"K": [4, 5]}, "fixed": {"L": 2, "lam": 0.01, "starts": 2}}
    alone = sweep({**spec, "grid": {"K": [5]}}, jobs=1).rows
    assert alone[0] == sweep(spec, jobs=1).rows[1]
    other = sweep({**spec, "grid": {"K": [5]}, "rng": 1}, jobs=1).rows
    assert other[0]["key"] != alone[0]["key"]
    repeats = sweep({**spec, "grid": {"K": [5]}, "repeats": 3}, jobs=1)
    assert repeats.rows[0] == alone[0] and len({r["key"] for r in repeats}) == 3


SIXTY = {"verb": "solve", "grid": {"K": [3, 4], "lam": [10 ** -(1 + i / 10) for i in range(15)], "L": [1, 2]}}
SCRIPT = f"""
import sys
from ufm.sweeps.sweep import sweep
if __name__ == "__main__":
    sweep({SIXTY!r}, sys.argv[1], jobs=int(sys.argv[2]))
"""


def test_killed_sweeps_resume_with_nothing_lost_or_repeated(tmp_path):
    script, out = tmp_path / "run.py", tmp_path / "killed.jsonl"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    for least in (1, 30):
        process = subprocess.Popen([sys.executable, str(script), str(out), "1"], env=environment)
        limit = time.monotonic() + 60
        while (not out.exists() or len(_lines(out)) < least) and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = len(load(out))
        assert least <= kept < 60, "the kill must fall in the middle"
        with open(out, "ab") as file:
            file.write(b'{"key": "torn')
    subprocess.run([sys.executable, str(script), str(out), "2"], env=environment, check=True)
    whole = tmp_path / "whole.jsonl"
    sweep(SIXTY, whole, jobs=1)
    assert len(_lines(out)) == 60 and _lines(out) == _lines(whole)


def test_interruptions_keep_finished_cells(tmp_path, monkeypatch):
    from ufm.sweeps import sweep as module

    seen = []

    def stop_at_third(cell):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(cell)
        return rows(cell)

    rows = module.row
    monkeypatch.setattr(module, "row", stop_at_third)
    half = sweep(GRID, tmp_path / "half.jsonl", jobs=1)
    assert half.interrupted and len(half) == 3 and half.missing == 24 and "interrupted" in repr(half)
    monkeypatch.setattr(module, "row", rows)
    assert sweep(GRID, tmp_path / "half.jsonl", jobs=1).complete


def test_dask_gives_the_same_bytes(reference, tmp_path):
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=False) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert sweep(GRID, tmp_path / "dask.jsonl").complete
    assert _lines(tmp_path / "dask.jsonl") == _lines(reference)


def test_two_writers_are_refused(tmp_path):
    with Store(tmp_path / "one.jsonl", "sweep"), pytest.raises(ValueError, match="another process"):
        Store(tmp_path / "one.jsonl", "sweep")


def test_exports(reference, tmp_path):
    done = sweep(GRID, reference, jobs=1)
    done.to_csv(tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert len(lines) == 28 and lines[0].startswith("key,verb,K,L,lam,n,repeat,ok,error")
    assert done.column("F.dnc")[0] == pytest.approx(done.rows[0]["result"]["F"]["dnc"], abs=0)
    pytest.importorskip("pyarrow")
    done.to_parquet(tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size > 1000
    pytest.importorskip("xarray")
    data = done.to_xarray()
    assert data["F.dnc"].shape == (3, 3, 3) and float(data["F.dnc"].sel(K=4, lam=1e-3, L=1)) == done.column("F.dnc")[3]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"verb": "compere"}, "compare"),
        ({"grid": {"K": [1, 0], "lam": [0.1]}}, "no cell of the grid is a problem"),
        ({"grid": {"K": 4}}, "must be a list"),
        ({"grid": {"K": []}}, "must not be empty"),
        ({"grid": {"width": [4]}}, "sweep argument"),
        ({"grid": {"K": [4]}, "fixed": {"K": 4}}, "both"),
        ({"cells": {}}, "spec field"),
        ({"rng": -1}, "rng must"),
        ("nowhere.toml", "nowhere.toml"),
    ],
)
def test_bad_specs_are_refused_before_any_work(spec, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        sweep(spec, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_bad_shards_are_refused(shard):
    with pytest.raises(ValueError, match="shard"):
        shard_of(shard)


def test_a_store_that_is_not_one_is_refused(tmp_path):
    (tmp_path / "x.jsonl").write_text("hello\n")
    with pytest.raises(ValueError, match="not a store of 'sweep'"):
        sweep(GRID, tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_text() == "hello\n"


def test_command_line(tmp_path, capsys):
    (tmp_path / "grid.toml").write_text(
        'verb = "compare"\n[grid]\nK = [4, 6]\nlam = ["2**-8"]\n[fixed]\nL = 2\nstarts = 0\n'
    )
    assert main(["sweep", str(tmp_path / "grid.toml"), "--jobs", "1", "--csv", str(tmp_path / "t.csv"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["rows"]) == 2 and printed["missing"] == 0 and (tmp_path / "grid.jsonl").exists()
    assert main(["sweep", str(tmp_path / "grid.toml"), "--shard", "5/2"]) == 2
    assert "shard" in capsys.readouterr().err
    assert main(["sweep", str(tmp_path / "none.toml")]) == 2


def test_specs_read_texts_as_numbers_and_print():
    spec = Spec.read({"grid": {"K": [4], "lam": ["2**-10", [1e-3, "2**-9"]]}, "fixed": {"L": "1"}})
    assert spec.grid["lam"] == [2**-10, [1e-3, 2**-9]] and spec.fixed["L"] == 1
    assert repr(spec) == "Spec(compare; K x lam = 1 x 2, 2 cells, rng=0)"
