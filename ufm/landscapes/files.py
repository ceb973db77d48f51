"""Tables as JSON files: the verb's own shape, and beside it every row in full, from which the table is read again."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np

from ufm.critical.point import CriticalPoint
from ufm.landscapes.row import Row
from ufm.numerics import arguments
from ufm.numerics.documents import read_json
from ufm.numerics.files import write_atomically
from ufm.numerics.records import plain
from ufm.points import FactorPoint, LogitPoint, class_logits
from ufm.problem import Problem

VIEWS = {
    "landscape": "ufm.landscapes.landscape:ATLAS",
    "compare": "ufm.landscapes.compare:DUEL",
    "profile": "ufm.landscapes.profile:PROFILE",
    "basins": "ufm.landscapes.basins:BASINS",
    "low_rank_search": "ufm.landscapes.sources.relu_search:ENDS",
}
"""Where the view of a verb is."""
RUNS = ("ufm.landscapes.basins:Runs", "ufm.landscapes.sources.relu_search:Searched")
"""Records of runs that a file keeps."""
PLAIN = {int: (int,), float: (int, float), str: (str,), dict: (dict,)}
"""What a field of a record of this type may be in a file."""


def write(path, verb: str, shape: dict, listed: str, rows: Sequence[Row], said: dict, runs) -> None:
    """A table as JSON, atomically: the verb's shape with the class logits of every row, and the rows in full."""
    data = {**shape, "verb": verb, "rows": [_row(row) for row in rows], "said": said, "runs": _runs(runs)}
    for entry, row in zip(data[listed], rows, strict=True):
        entry["class_logits"] = class_logits(row.point).tolist()
    text = json.dumps(plain(data), allow_nan=False)
    write_atomically(path, lambda stream: stream.write(text.encode()))


def read(path, said: Mapping[str, tuple]) -> tuple:
    """(view, problem, rows, what was said, runs) of a file; else a ValueError naming the file and the field."""
    data = read_json(path, "a table of points")
    problem = data.take("problem", Problem.from_dict)
    view = data.take("verb", view_of)
    rows = data.take("rows", lambda rows: tuple(_read_row(problem, row) for row in rows))
    facts = data.take("said", lambda facts: {name: _fact(name, facts[name], kinds) for name, kinds in said.items()})
    runs = data.take("runs", lambda runs: _read_runs(runs, len(rows)))
    if view.counts and runs is None:
        data.refuse("runs", f"must hold the runs that a table of {view.verb} counts")
    return view, problem, rows, facts, runs


def _fact(name: str, value, kinds: tuple):
    if not isinstance(value, kinds):
        raise ValueError(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}; got {value!r}.")
    return value


def view_of(verb: str):
    """The view of a verb; ValueError for others."""
    if verb not in VIEWS:
        raise ValueError(f"field 'verb' must be one of {', '.join(VIEWS)}; got {verb!r}.")
    return _found(VIEWS[verb])


def _row(row: Row) -> dict:
    own = {f.name: getattr(row.critical, f.name) for f in fields(CriticalPoint) if f.name != "point"}
    more = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.more.items()}
    arrays = [name for name, value in row.more.items() if isinstance(value, np.ndarray)]
    point = _point(row.critical.point)
    return {"critical": own, "point": point, "hits": row.hits, "how": row.how, "more": more, "arrays": arrays}


def _point(point: LogitPoint | FactorPoint) -> dict:
    b = None if point.b is None else point.b.tolist()
    if isinstance(point, FactorPoint):
        return {"factors": [A.tolist() for A in point.factors], "b": b}
    arrays = {"U": point.U.tolist(), "s": point.s.tolist(), "right": point.right.tolist()}
    return {**arrays, "b": b, "name": point.name, "scales": list(point.scales)}


def _read_row(problem: Problem, data: dict) -> Row:
    own: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data["critical"].items()
    }
    own["grad_norm"] = float("nan") if own["grad_norm"] is None else own["grad_norm"]
    critical = CriticalPoint(point=_read_point(problem, data["point"]), **own)
    more = {name: tuple(value) if isinstance(value, list) else value for name, value in data["more"].items()}
    more |= {name: np.array(data["more"][name]) for name in data["arrays"]}
    return Row(critical, data["hits"], arguments.instance("how", data["how"], dict), more)


def _read_point(problem: Problem, data: dict) -> LogitPoint | FactorPoint:
    b = None if data["b"] is None else np.array(data["b"])
    if "factors" in data:
        return FactorPoint(problem, tuple(np.array(A) for A in data["factors"]), b)
    U, right = (np.array(data[name], dtype=float).reshape(len(data[name]), len(data["s"])) for name in ("U", "right"))
    return LogitPoint(problem, U, np.array(data["s"]), right, b, data["name"], tuple(data["scales"]))


def _runs(runs) -> dict | None:
    """What a table's runs say of themselves, under the name of their record; None for those that no file keeps."""
    kind = next((kind for kind in RUNS if kind.endswith(f":{type(runs).__name__}")), None)
    if kind is None:
        return None
    ends = {"ends": runs.ends.tolist()} if hasattr(runs, "ends") else {}
    return {"record": kind, **{f.name: getattr(runs, f.name) for f in fields(runs)}, **ends}


def _read_runs(data: dict | None, rows: int):
    if data is None:
        return None
    if data["record"] not in RUNS:
        raise ValueError(f"record must be one of {', '.join(RUNS)}; got {data['record']!r}")
    own = {name: tuple(value) if name == "missing" else value for name, value in data.items() if name != "record"}
    if "ends" in own:
        own["ends"] = _places(own["ends"], rows)
    kind = _found(data["record"])
    for name, hint in get_type_hints(kind).items():
        if hint in PLAIN and name in own:
            _fact(name, own[name], PLAIN[hint])
    return kind(**own)


def _places(ends, rows: int) -> np.ndarray:
    """Rows in which starts ended, -1 for none."""
    ends = arguments.array("ends", ends, shape=(None,))
    if np.any(ends != np.round(ends)) or np.any(ends < -1) or np.any(ends >= rows):
        raise ValueError(f"ends must hold places of rows, -1 to {rows - 1}")
    return ends.astype(int)


def _found(place: str):
    """The object of `module:name`."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
