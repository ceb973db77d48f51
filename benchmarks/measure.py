"""Rows of the table: medians over seeds and repeats, and the spread that says how quiet the machine was."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class End:
    """What one run reached: value, gradient norm in the full factor space, evaluations; None where it does not apply."""

    fun: float | None = None
    grad_norm: float | None = None
    evaluations: int | None = None
    peak_mib: float | None = None


@dataclass(frozen=True)
class Row:
    """One tool on one job.

    seconds: median over seeds of the median over repeats; slowest: the largest over seeds of the same.
    ratio: of seconds, to the first row of the job. spread: median over seeds of slowest/fastest repeat.
    grad_norm: the largest over seeds. fun: from the first seed. agrees: seeds whose value is that of the first
    row to 1e-9. evaluations: median over seeds. peak_mib: the largest, where the tool has a process of its own.
    by_seed: seconds of every seed, in JSON only.
    """

    what: str
    tool: str
    seconds: float | None = None
    slowest: float | None = None
    ratio: float | None = None
    spread: float | None = None
    grad_norm: float | None = None
    fun: float | None = None
    agrees: str = ""
    evaluations: float | None = None
    peak_mib: float | None = None
    note: str = ""
    by_seed: tuple[float, ...] = ()


def rows(what: str, tools: dict[str, Callable | None], seeds: Sequence[int], repeats: int, warm: bool = True, notes=None) -> list[Row]:
    """One Row per tool; `tool(seed)` returns (seconds, End). The tools take turns, so that noise falls on all of them alike.

    None stands for a tool that is not installed. warm: run each tool once, uncounted, before. notes: by tool, read at the end.
    """
    present = {name: tool for name, tool in tools.items() if tool is not None}
    if warm:
        for tool in present.values():
            tool(seeds[0])
    runs = {name: {seed: [] for seed in seeds} for name in present}
    for _ in range(repeats):
        for seed in seeds:
            for name, tool in present.items():
                runs[name][seed].append(tool(seed))
    ours = next(iter(runs.values()))
    return [_row(what, name, runs.get(name), ours, (notes or {}).get(name, "")) for name in tools]


def _row(what, name, runs, ours, note) -> Row:
    if runs is None:
        return Row(what, name, note=note)
    ends = {seed: repeated[-1][1] for seed, repeated in runs.items()}
    first, norms = next(iter(ends.values())), [e.grad_norm for e in ends.values() if e.grad_norm is not None]
    agrees = ""
    if first.fun is not None:
        same = sum(abs(e.fun - ours[seed][-1][1].fun) <= 1e-9 * (1 + abs(e.fun)) for seed, e in ends.items())
        agrees = f"{same}/{len(ends)}"
    return Row(
        what,
        name,
        seconds=median(_by_seed(runs)),
        slowest=max(_by_seed(runs)),
        ratio=median(_by_seed(runs)) / median(_by_seed(ours)),
        spread=median(max(t for t, _ in r) / min(t for t, _ in r) for r in runs.values()),
        grad_norm=max(norms, default=None),
        fun=first.fun,
        agrees=agrees,
        evaluations=None if first.evaluations is None else median(e.evaluations for e in ends.values()),
        peak_mib=None if first.peak_mib is None else max(e.peak_mib for r in runs.values() for _, e in r),
        note=note,
        by_seed=_by_seed(runs),
    )


def _by_seed(runs) -> tuple[float, ...]:
    return tuple(median(t for t, _ in repeated) for repeated in runs.values())


def clock(run: Callable):
    """(seconds, what it returned)."""
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


WIDTHS = {"tool": -38, "seconds": 8, "slowest": 8, "ratio": 7, "spread": 6, "|grad|": 8, "F": 14, "agrees": 6, "evals": 6, "MiB": 5}


def _columns(cells) -> str:
    return "  ".join(f"{cell:<{-w}}" if w < 0 else f"{cell:>{w}}" for cell, w in zip(cells, WIDTHS.values(), strict=True))


def header() -> str:
    """The names of the columns, underlined."""
    names = _columns(WIDTHS)
    return f"{names}\n{'-' * len(names)}"


def line(row: Row) -> str:
    """One row of the table; a dash where a column does not apply."""
    cells = [
        "  " + row.tool,
        _number(row.seconds, ".3g"),
        _number(row.slowest, ".3g"),
        _number(row.ratio, ".3g"),
        _number(row.spread, ".2f"),
        _number(row.grad_norm, ".1e"),
        _number(row.fun, ".10f"),
        row.agrees or "-",
        _number(row.evaluations, ".0f"),
        _number(row.peak_mib, ".0f"),
    ]
    return f"{_columns(cells)}  {row.note}".rstrip()


def _number(value, form: str) -> str:
    return "-" if value is None else format(value, form)
