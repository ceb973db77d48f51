"""Files from which a run goes on, bit for bit as if it had not stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ufm.networks.network import Network
from ufm.networks.steps import State
from ufm.networks.trace import Trace
from ufm.numerics.documents import Fields
from ufm.numerics.files import load_arrays, save_arrays

RENAMED = {"memory": "pairs"}
"""Settings under the names that they had in files of older versions."""
BUDGET = ("steps", "max_steps")
"""Settings that may differ when a run goes on: a longer run passes through the states of a shorter one."""


def save(path, task: dict, state: State, trace: Trace | None, traced, start) -> None:
    """Write what the run is (`task`, JSON-able), where it is, its trace, the last x recorded and the first x."""
    arrays = {"x": state.x, "start": start, **(trace.arrays() if trace is not None else {})}
    if traced is not None:
        arrays["traced"] = traced
    memory = {name: np.array(value) for name, value in state.memory.items()}
    header = {"task": task, "step": state.step, "memory": {name: value.shape for name, value in memory.items()}}
    save_arrays(
        path,
        ufm_checkpoint=np.array(json.dumps(header)),
        **arrays,
        **{f"memory_{name}": value for name, value in memory.items()},
    )


def load(path, task: dict, net: Network) -> tuple[State, Trace, np.ndarray | None, np.ndarray]:
    """(state, trace, last x recorded, first x) of the file; ValueError naming the first difference to `task` but for
    its budget, or what is damaged."""
    arrays = Fields(f"file {str(path)!r} is not a checkpoint of a training run", load_arrays(path))
    header = arrays.document("ufm_checkpoint")
    header.fields("task").table("settings")
    saved = header.table("task")
    saved["settings"] = {RENAMED.get(name, name): value for name, value in saved["settings"].items()}
    _same(path, saved, json.loads(json.dumps(task)))
    x, start = (arrays.array(name, (net.size,)) for name in ("x", "start"))
    traced = arrays.array("traced", (net.size,)) if "traced" in arrays.values else None
    remembered = header.fields("memory")
    for name in {f"memory_{name}" for name in remembered.values} ^ {
        name for name in arrays.values if name.startswith("memory_")
    }:
        arrays.refuse(name, "is missing" if name not in arrays.values else "is not noted in the file's own list")
    memory = {
        name: _value(arrays.array(f"memory_{name}", tuple(remembered.listed(name)))) for name in remembered.values
    }
    return State(header.whole("step"), x, memory), Trace.read(net, arrays), traced, start


def exists(path) -> bool:
    return path is not None and Path(path).exists()


def _same(path, saved: dict, wanted: dict) -> None:
    for key in sorted({*saved, *wanted}):
        a, b = saved.get(key), wanted.get(key)
        if isinstance(a, dict) and isinstance(b, dict) and key == "settings":
            budget = () if b.get("schedule") == "cosine" else BUDGET
            differ = [name for name in sorted({*a, *b}) if name not in budget and a.get(name) != b.get(name)]
            if differ:
                raise ValueError(
                    f"file {str(path)!r} belongs to another run: {differ[0]}={a.get(differ[0])!r} there,"
                    f" {b.get(differ[0])!r} here."
                )
        elif a != b:
            raise ValueError(f"file {str(path)!r} belongs to another run: its {key} is {a!r}, this one's is {b!r}.")


def _value(array: np.ndarray):
    """A number, an array, or the list of rows of a stack."""
    return array.item() if array.ndim == 0 else [np.array(row) for row in array] if array.ndim == 2 else array
