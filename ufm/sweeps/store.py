"""The files of a sweep's shards, and the specs that they say they were written for."""

from __future__ import annotations

from pathlib import Path

from ufm.numerics import rows as files
from ufm.numerics.arguments import integer
from ufm.numerics.documents import Fields
from ufm.numerics.records import fingerprint
from ufm.sweeps.spec import Spec


def shard_of(text: str) -> tuple[int, int]:
    """(i, n) of `i/n`, 1 <= i <= n.

    >>> shard_of("2/8")
    (2, 8)
    """
    parts = str(text).split("/")
    if len(parts) != 2 or not all(p.strip().isdecimal() and len(p) < 10 for p in parts):
        raise ValueError(f"shard must be i/n with 1 <= i <= n, for example 2/8; got shard={text!r}.")
    i, n = int(parts[0]), integer("n of shard i/n", int(parts[1]), 1)
    if not 1 <= i <= n:
        raise ValueError(f"shard must be i/n with 1 <= i <= n; got shard={text!r}.")
    return i, n


def shard_path(path, shard: tuple[int, int]) -> Path:
    """`runs.jsonl` -> `runs.2of8.jsonl`; one shard of one keeps the name."""
    path, (i, n) = Path(path), shard
    return path if n == 1 else path.with_name(f"{path.stem}.{i}of{n}{path.suffix}")


def mark(store, spec, share: tuple[int, int]) -> dict[str, dict]:
    """Note in the store for which spec and which share of its cells rows will come; the specs of others, by key."""
    known = {key: row for key, row in store.rows.items() if "spec" in row}
    noted = {"spec": spec.to_dict(), "shard": list(share)}
    key = f"spec:{fingerprint(noted)[:16]}"
    if key not in known:
        store.add({"key": key, **noted})
    return {other: row for other, row in known.items() if other != key}


def others(rows, cells, specs: dict[str, dict], path) -> list[str]:
    """A sentence about the rows in a store that belong to none of these cells."""
    own = {cell.key for cell in cells}
    left = sum(row["key"] not in own and "spec" not in row for row in rows)
    if not left:
        return []
    made = f" of {len(specs)} other spec{'s' * (len(specs) > 1)}" if specs else ""
    also = f"also in {path}: {left} row{'s' * (left > 1)}{made}, not shown here"
    return [f"{also}; --fresh (fresh=True) begins a store anew."]


def parted(rows: dict[str, dict], path) -> tuple[list[tuple[dict, tuple[int, int]]], dict[str, dict]]:
    """((spec, shard) of every note, the rows proper by key)."""
    notes = [files.fields(row, path, spec=dict, shard=list) for row in rows.values() if "spec" in row]
    for row in notes:
        whole = len(row["shard"]) == 2 and all(type(part) is int for part in row["shard"])
        if not whole or not 1 <= row["shard"][0] <= row["shard"][1]:
            why = f"must be [i, n] with 1 <= i <= n; got {row['shard']!r:.60}"
            raise ValueError(f"store {str(path)!r}: row {row['key']!r}: field 'shard' {why}.")
    proper = {key: row for key, row in rows.items() if "spec" not in row}
    return [(row["spec"], tuple(row["shard"])) for row in notes], proper


def spec_of(noted: dict, path) -> Spec:
    """The spec noted in a store; ValueError naming the file where it is none."""
    return Fields(f"store {str(path)!r}", {"spec": noted}).take("spec", Spec.read)
