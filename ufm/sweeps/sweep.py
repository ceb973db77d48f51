"""The verb `sweep`: run the cells that are not in the store yet."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufm.numerics import install
from ufm.numerics import rows as files
from ufm.numerics.arguments import choice, workers
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.numerics.hints import FileName
from ufm.numerics.records import columns, csv_text
from ufm.numerics.state import own_numpy_state
from ufm.numerics.tables import Listed
from ufm.numerics.words import named_arguments
from ufm.sweeps import store as stores
from ufm.sweeps.spec import Cell, Spec
from ufm.sweeps.tasks import row
from ufm.sweeps.workers import WorkerDied, unordered

KIND = "sweep"
"""What a store of rows says it is."""


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(ByContent, Listed):
    """Rows in the spec's order, of cells that ended. `complete` when every cell (of this shard) has a row that stays.

    missing: cells without one; a cell that failed for the machine's reasons (`again` in its row: no memory, no file, no
    extra) is among them, and the next call tries it again. notes: what else there is to say, in sentences: other rows
    in the store, a worker that died.
    """

    spec: Spec | None
    rows: tuple[dict, ...]
    missing: int
    path: Path | None
    interrupted: bool = False
    notes: tuple[str, ...] = ()

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
        choice("column", name, {key for line in table for key in line})
        return [line.get(name) for line in table]

    def to_csv(self, path: FileName) -> None:
        """Write the table as CSV, one header line, atomically."""
        from ufm.numerics.files import write_atomically

        write_atomically(path, lambda stream: stream.write(csv_text(self.table()).encode()))

    def to_parquet(self, path: FileName) -> None:
        """Write the table as parquet. ImportError naming pyarrow where it is missing."""
        try:
            import pyarrow  # pyright: ignore[reportMissingImports]
            import pyarrow.parquet  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise install.missing("parquet", "pyarrow") from None
        from ufm.numerics.files import write_atomically

        table = self.table()
        typed = {name: _typed([line.get(name) for line in table]) for name in columns(table)}
        write_atomically(path, lambda stream: pyarrow.parquet.write_table(pyarrow.table(typed), stream))

    def to_xarray(self) -> Any:
        """An xarray.Dataset with the grid's names (and repeat, if there are several) as dimensions.

        ImportError naming xarray where it is missing; ValueError for rows read without their spec.
        """
        try:
            import xarray  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise install.missing("to_xarray", "xarray") from None
        import numpy as np

        if self.spec is None:
            raise ValueError("to_xarray needs the spec; read the store through sweep(spec, out).")
        axes = {name: [_label(v) for v in values] for name, values in self.spec.grid.items()}
        if self.spec.repeats > 1:
            axes["repeat"] = list(range(self.spec.repeats))
        shape, table = tuple(map(len, axes.values())), self.table()
        names = [k for k in columns(table) if k not in axes and k not in ("key", "verb")]
        arrays = {name: np.full(shape, None, dtype=object) for name in names}
        for line in table:
            place = tuple(values.index(_label(line[name])) for name, values in axes.items())
            for name in names:
                arrays[name][place] = line.get(name)
        return xarray.Dataset({name: (tuple(axes), _numeric(a)) for name, a in arrays.items()}, coords=axes)

    def shown(self) -> list:
        total, again = len(self.rows) + self.missing, sum("again" in r for r in self.rows)
        state = "complete" if self.complete else f"{self.missing} cells to do"
        where, done = f" in {self.path}" if self.path else "", total - self.missing - again
        stopped = f"; interrupted after {done} of {total - again} cells" if self.interrupted else ""
        trying = f" ({again} for the machine's reasons, tried again by the next run)" if again else ""
        head = f"Sweep: {len(self.rows)} rows, {len(self.failed)} failed{trying}; {state}{where}{stopped}"
        return [head, *self.notes]


@named_arguments
@own_numpy_state
def sweep(
    spec: str | Spec | Mapping | FileName,
    out: FileName | None = None,
    *,
    over: dict | None = None,
    fixed: dict | None = None,
    rng: int = 0,
    shard: str = "1/1",
    jobs: int | None = None,
    progress: bool | None = None,
    fresh: bool = False,
) -> Sweep:
    """Run every cell of a spec that the store does not hold yet, in parallel; rows are on disk as they come.

    spec: a dict, a TOML file or a Spec; or the name of a verb, with over={"K": [4, 6], "lam": [...]}, fixed={"L": 3}
    and the seed rng.
    out: a JSON-lines file (None: nothing is kept on disk). shard `i/n`: cells i, i+n, ... into a file of their own,
    `runs.2of8.jsonl`; `load` joins them. jobs: worker processes (default: the cores); inside
    `joblib.parallel_config(backend="dask")` the cluster's.
    progress: a bar with the remaining time after two seconds.
    fresh: put a store that is there aside, as `runs.jsonl.bak`, and begin anew.

    A row depends on its cell and the version of the package alone, so backend, shard, order and interruptions leave no
    trace in it. A cell that fails is a row with its message; one that fails for the machine's reasons is tried again by
    the next call. Ctrl-C returns what is done; calling again does the rest. A store knows the version and the specs of
    its rows: one of another version is refused, and rows of other specs are mentioned in the result.

    >>> done = sweep({"grid": {"K": [4, 6], "lam": [0.01, 0.001]}, "fixed": {"L": 3}}, jobs=1)
    >>> done, done.column("winner")
    (Sweep: 4 rows, 0 failed; complete, ['pairs', 'pairs', 'pairs', 'pairs'])

    >>> sweep("compare", over={"lam": [0.01, 0.1]}, fixed={"K": 4, "L": 2}, jobs=1).column("winner")
    ['dnc', 'pairs']

    Raises ValueError before any work for a spec, shard or file that cannot be used.
    """
    share, jobs = stores.shard_of(shard), None if jobs is None else workers(jobs)
    if over is not None or fixed is not None:
        spec = {"verb": spec, "grid": over or {}, "fixed": fixed or {}, "rng": rng}
    spec = Spec.read(spec)
    cells = spec.cells()[share[0] - 1 :: share[1]]
    path = None if out is None else stores.shard_path(out, share)
    with files.Memory() if path is None else files.Store(path, KIND, fresh=fresh) as store:
        done = {cell.key: _checked(store.rows[cell.key], path, cell) for cell in cells if cell.key in store.rows}
        known = stores.mark(store, spec, share)
        rows, interrupted, died = _run([cell for cell in cells if cell.key not in done], store, jobs, progress)
    done |= rows
    rows = tuple(done[cell.key] for cell in cells if cell.key in done)
    missing = len(cells) - sum("again" not in r for r in rows)
    notes = [*stores.others(store.rows.values(), cells, known, path), *([died] if died else [])]
    notes += [f"{path} was deleted while it was being written; it has been written again."] if store.restored else []
    notes += [f"what was in {path} is kept in {store.backup}."] if store.backup else []
    return Sweep(spec, rows, missing, path, interrupted, tuple(notes))


def load(*paths: FileName) -> Sweep:
    """The rows of stores (shards), equal keys once; of one spec, in its order and with what it lacks.

    Rows of several specs or versions are joined and `notes` say so.
    """
    rows = {r["key"]: r for path in paths for r in files.read(path, KIND)}
    specs, rows = stores.parted(rows, paths[0] if paths else "")
    for r in rows.values():
        files.fields(r, paths[0], verb=str, problem=dict, settings=dict, repeat=int, **_outcome(r))
    spec = stores.spec_of(specs[0][0], paths[0]) if len({str(spec) for spec, _ in specs}) == 1 else None
    cells = {} if spec is None else {c.key: None for _, (i, n) in specs for c in spec.cells()[i - 1 :: n]}
    order = cells if spec is None else {c.key: None for c in spec.cells()}
    listed = [rows[key] for key in order if key in rows] + [r for key, r in rows.items() if key not in order]
    versions = sorted({str(files.version_of(path)) for path in paths})
    notes = [f"rows of {len(versions)} versions: {', '.join(versions)}"] if len(versions) > 1 else []
    notes += [f"rows of {len(specs)} specs"] if spec is None and len(specs) > 1 else []
    missing = sum(key not in rows for key in cells)
    return Sweep(spec, tuple(listed), missing, Path(paths[0]) if len(paths) == 1 else None, notes=tuple(notes))


def _run(todo: list[Cell], store, jobs: int | None, progress: bool | None) -> tuple[dict[str, dict], bool, str]:
    """(new rows by key, those that are not kept included; whether Ctrl-C came; the sentence of a worker that died)."""
    rows: dict[str, dict] = {}
    here = jobs == 1 or len(todo) <= 1
    with progress_bar(total=len(todo), desc="cells", progress=progress) as bar:
        try:
            with contextlib.closing((row(cell) for cell in todo) if here else unordered(row, todo, jobs)) as finished:
                for found in finished:
                    if "again" not in found:
                        store.add(found)
                    rows[found["key"]] = found if "again" in found else store.rows[found["key"]]
                    bar.update()
        except KeyboardInterrupt:
            return rows, True, ""
        except WorkerDied as died:
            return rows, False, str(died)
    return rows, False, ""


def _outcome(row: dict) -> dict:
    """The fields in which a row says how its cell ended."""
    return {"ok": bool, "result": dict} if row.get("ok") else {"ok": bool, "error": str}


def _checked(found: dict, path, cell: Cell) -> dict:
    """A stored row; ValueError naming the field where it is not one of this cell."""
    files.fields(found, path, **_outcome(found))
    for name, value in cell.to_dict().items():
        if found.get(name) != value:
            why = "is not that of the cell with this key; delete that line, or start anew"
            raise ValueError(f"store {str(path)!r}: row {cell.key!r}: field {name!r} {why}.")
    return found


def _flat(r: dict) -> dict:
    line = {"key": r["key"], "verb": r["verb"], **r["problem"], **r["settings"]}
    line |= {"repeat": r["repeat"], "ok": r["ok"], "error": r.get("error")}
    for name, value in r.get("result", {}).items():
        line.update({f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value})
    return {name: _label(v) for name, v in line.items()}


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
