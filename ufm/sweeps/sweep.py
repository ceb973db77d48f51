"""The verb `sweep`: run the cells that are not in the store yet."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from ufm.numerics import arguments
from ufm.numerics import rows as files
from ufm.numerics.bars import progress_bar
from ufm.numerics.records import columns, csv_text
from ufm.numerics.words import named_arguments
from ufm.sweeps import store as stores
from ufm.sweeps.spec import Cell, Spec
from ufm.sweeps.tasks import row


@dataclass(frozen=True, eq=False)
class Sweep:
    """Rows in the spec's order, done ones only. `complete` when every cell (of this shard) is there."""

    spec: Spec | None
    rows: tuple[dict, ...]
    missing: int
    path: Path | None
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        return self.missing == 0

    @property
    def failed(self) -> tuple[dict, ...]:
        """Rows of cells that ended with a message instead of a result."""
        return tuple(r for r in self.rows if not r["ok"])

    def table(self) -> list[dict]:
        """Flat rows: problem and settings by name, results by name, nested ones as `F.dnc`."""
        return [_flat(r) for r in self.rows]

    def column(self, name: str) -> list:
        """One column of the table; None where a row lacks it. ValueError for a name no row has."""
        table = self.table()
        arguments.choice("column", name, {key for line in table for key in line})
        return [line.get(name) for line in table]

    def to_csv(self, path) -> None:
        """Write the table as CSV, one header line, atomically."""
        _write(path, csv_text(self.table()).encode())

    def to_parquet(self, path) -> None:
        """Write the table as parquet. ImportError naming pyarrow where it is missing."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise ImportError("parquet needs pyarrow: pip install pyarrow.") from None
        from ufm.numerics.files import write_atomically

        table = self.table()
        typed = {name: _typed([line.get(name) for line in table]) for name in columns(table)}
        write_atomically(path, lambda stream: pyarrow.parquet.write_table(pyarrow.table(typed), stream))

    def to_xarray(self):
        """An xarray.Dataset with the grid's names (and repeat, if there are several) as dimensions.

        ImportError naming xarray where it is missing; ValueError for rows read without their spec.
        """
        try:
            import xarray
        except ImportError:
            raise ImportError("to_xarray needs xarray: pip install xarray.") from None
        import numpy as np

        if self.spec is None:
            raise ValueError("to_xarray needs the spec; read the store through sweep(spec, out).")
        axes = {name: [_label(v) for v in values] for name, values in self.spec.grid.items()}
        if self.spec.repeats > 1:
            axes["repeat"] = list(range(self.spec.repeats))
        shape, table = tuple(map(len, axes.values())), self.table()
        names = [k for k in dict.fromkeys(key for line in table for key in line) if k not in axes and k not in ("key", "verb")]
        arrays = {name: np.full(shape, None, dtype=object) for name in names}
        for line in table:
            place = tuple(values.index(_label(line[name])) for name, values in axes.items())
            for name in names:
                arrays[name][place] = line.get(name)
        return xarray.Dataset({name: (tuple(axes), _numeric(a)) for name, a in arrays.items()}, coords=axes)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self):
        return iter(self.rows)

    def __repr__(self) -> str:
        state = "complete" if self.complete else f"{self.missing} cells to do" + (", interrupted" if self.interrupted else "")
        where = f" in {self.path}" if self.path else ""
        return f"Sweep: {len(self.rows)} rows, {len(self.failed)} failed; {state}{where}"


@named_arguments
def sweep(spec, out=None, *, shard: str = "1/1", jobs: int | None = None, progress: bool | None = None) -> Sweep:
    """Run every cell of a spec that the store does not hold yet, in parallel; rows are on disk as they come.

    spec: a dict, a TOML file or a Spec. out: a JSON-lines file (None: nothing is kept on disk). shard `i/n`: cells i, i+n, ...
    into a file of their own, `runs.2of8.jsonl`; `load` joins them. jobs: worker processes (default: the cores); inside
    `joblib.parallel_config(backend="dask")` the cluster's. progress: a bar with the remaining time after two seconds.

    A row depends on its cell alone, so backend, shard, order and interruptions leave no trace in it. A cell that fails is
    a row with its message. Ctrl-C returns what is done; calling again does the rest.

    >>> done = sweep({"grid": {"K": [4, 6], "lam": [0.01, 0.001]}, "fixed": {"L": 3}}, jobs=1)
    >>> done, done.column("winner")
    (Sweep: 4 rows, 0 failed; complete, ['pairs', 'pairs', 'pairs', 'pairs'])

    Raises ValueError before any work for a spec, shard or file that cannot be used.
    """
    share, jobs = stores.shard_of(shard), None if jobs is None else arguments.workers(jobs)
    spec = Spec.read(spec)
    cells = spec.cells()[share[0] - 1 :: share[1]]
    path = None if out is None else stores.shard_path(out, share)
    with contextlib.nullcontext(_Memory()) if path is None else files.Store(path) as store:
        todo = [cell for cell in cells if cell.key not in store.rows]
        interrupted = _run(todo, store, jobs, progress)
        rows = tuple(store.rows[cell.key] for cell in cells if cell.key in store.rows)
    return Sweep(spec, rows, len(cells) - len(rows), path, interrupted)


def load(*paths) -> Sweep:
    """The rows of one or several stores (shards), as they were written; equal keys once."""
    rows = {r["key"]: r for path in paths for r in files.read(path)}
    return Sweep(None, tuple(rows.values()), 0, Path(paths[0]) if len(paths) == 1 else None)


class _Memory:
    """A store that keeps nothing on disk."""

    def __init__(self):
        self.rows: dict[str, dict] = {}

    def add(self, row: dict) -> None:
        import json

        self.rows[row["key"]] = json.loads(files.line(row))


def _run(todo: list[Cell], store, jobs: int | None, progress: bool | None) -> bool:
    """Whether Ctrl-C ended it."""
    import joblib

    with progress_bar(total=len(todo), desc="cells", progress=progress) as bar:
        try:
            if jobs == 1 or len(todo) <= 1:
                for cell in todo:
                    store.add(row(cell))
                    bar.update()
                return False
            with _backend(jobs) as parallel:
                for finished in parallel(joblib.delayed(row)(cell) for cell in todo):
                    store.add(finished)
                    bar.update()
        except KeyboardInterrupt:
            return True
    return False


@contextlib.contextmanager
def _backend(jobs: int | None):
    """joblib with the backend set from outside, or processes of one BLAS thread each."""
    import joblib
    from joblib.parallel import get_active_backend

    backend, outside = get_active_backend()
    chosen = type(backend).__name__ not in ("LokyBackend", "SequentialBackend", "ThreadingBackend") or (outside or 1) != 1
    if chosen:
        yield joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    else:
        with joblib.parallel_config("loky", n_jobs=jobs or os.cpu_count() or 1, inner_max_num_threads=1):
            yield joblib.Parallel(return_as="generator_unordered")


def _flat(r: dict) -> dict:
    line = {"key": r["key"], "verb": r["verb"], **r["problem"], **r["settings"], "repeat": r["repeat"], "ok": r["ok"], "error": r.get("error")}
    for name, value in r.get("result", {}).items():
        line.update({f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value})
    return {name: " ".join(map(str, v)) if isinstance(v, list) else v for name, v in line.items()}


def _label(value):
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _typed(values: list) -> list:
    """One type per column: mixed ones become texts."""
    kinds = {type(v) for v in values if v is not None}
    if kinds <= {int, float} or len(kinds) <= 1:
        return [float(v) if kinds == {int, float} and v is not None else v for v in values]
    return [None if v is None else str(v) for v in values]


def _numeric(values):
    """Floats where all entries are numbers or missing, else the objects."""
    import numpy as np

    if all(v is None or (isinstance(v, (int, float)) and not isinstance(v, bool)) for v in values.ravel()):
        return np.array([np.nan if v is None else float(v) for v in values.ravel()]).reshape(values.shape)
    return values


def _write(path, content: bytes) -> None:
    from ufm.numerics.files import write_atomically

    write_atomically(path, lambda stream: stream.write(content))
