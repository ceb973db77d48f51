"""Rows of the table: medians over seeds and repeats, and the spread that says how quiet the machine was."""

from __future__ import annotations

import importlib.util
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

AGREE = 1e-9
"""Values are one if they differ by at most this, relative to 1 + F."""


@dataclass(frozen=True)
class End:
    """What one run reached; None where it does not apply.

    fun, grad_norm: at full width on all samples, by one referee. name: of the critical point the run went to; off: F
    minus the value of that point. flops: multiplications and additions of the run. seconds, peak_mib: replace what the
    worker process measured.
    """

    fun: float | None = None
    grad_norm: float | None = None
    evaluations: int | None = None
    off: float | None = None
    name: str = ""
    flops: float | None = None
    seconds: float | None = None
    peak_mib: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Tool:
    """One way of doing a job: `prepare(seed)` gives the work that is timed, `judge` reads its answer.

    needs: packages, `gpu`, or `baseline` (an older version of ufm) without which the tool is skipped with a word.
    """

    name: str
    prepare: Callable[[int], Callable]
    judge: Callable[[object], End]
    needs: tuple[str, ...] = ()

    def absent(self) -> str:
        """Why the tool cannot run here; empty if it can."""
        missing = [name for name, module in self.packages.items() if importlib.util.find_spec(module) is None]
        if missing:
            return f"skipped: {' and '.join(missing)} not installed"
        if "baseline" in self.needs:
            from benchmarks.before import absent

            return absent()
        return "not measured: no GPU at hand" if "gpu" in self.needs and not gpu() else ""

    @property
    def packages(self) -> dict[str, str]:
        """Name -> module of the packages it needs."""
        return {name: MODULES.get(name, name) for name in self.needs if name not in ("gpu", "baseline")}


MODULES = {"python-flint": "flint", "PyTorch": "torch", "JAX": "jax", "array-api-compat": "array_api_compat"}


def gpu() -> bool:
    """Whether PyTorch sees one."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


@dataclass(frozen=True)
class Job:
    """Tools side by side, ours first, each in a process of its own and taking turns, so that noise falls on all alike.

    warm: run each tool once, uncounted, before. cold: a fresh process for every run. budget: seconds after which no
    further repeat begins.
    limit: seconds after which a run is stopped. yardstick: name of the tool whose flops per second are the machine's
    own.
    """

    what: str
    tools: tuple[Tool, ...]
    seeds: Sequence[int] = (0,)
    repeats: int = 3
    warm: bool = True
    cold: bool = False
    budget: float = 30.0
    limit: float = 300.0
    yardstick: str = ""


@dataclass(frozen=True)
class Row:
    """One tool on one job.

    seconds: median over seeds of the median over repeats; slowest: the largest over seeds of the same; by_seed: of
    every seed.
    ratio: of seconds, to the first row of the job that ran. spread: median over seeds of slowest/fastest repeat.
    repeats: of every seed.
    grad_norm, off: the largest over seeds. fun: from the first seed. agrees: seeds whose value is that of the first row
    to 1e-9.
    evaluations: median over seeds. gflops: flops / seconds / 1e9. of_gemm: the yardstick's seconds over these.
    peak_mib: the largest resident memory of the tool's process. note: the names reached and what else is to be said, or
    why it did not run.
    """

    job: str
    what: str
    tool: str
    seconds: float | None = None
    slowest: float | None = None
    ratio: float | None = None
    spread: float | None = None
    grad_norm: float | None = None
    fun: float | None = None
    off: float | None = None
    agrees: str = ""
    evaluations: float | None = None
    gflops: float | None = None
    of_gemm: float | None = None
    peak_mib: float | None = None
    note: str = ""
    repeats: int = 0
    by_seed: tuple[float, ...] = ()


def rows(name: str, job: Job, worker: Callable) -> list[Row]:
    """One Row per tool. `worker(i, limit)` opens the process of tool i: a context manager whose value maps a seed to
    (seconds, peak MiB, End).

    A tool that fails is a row with its message.
    """
    why = {i: tool.absent() for i, tool in enumerate(job.tools)}
    runs = {i: {seed: [] for seed in job.seeds} for i in why if not why[i]}
    with ExitStack() as stack:
        workers = {} if job.cold else {i: stack.enter_context(worker(i, job.limit)) for i in runs}
        for i, seed, counts in _turns(job, runs):
            if why[i]:
                continue
            try:
                if job.cold:
                    with worker(i, job.limit) as run:
                        found = run(seed)
                else:
                    found = workers[i](seed)
            except RuntimeError as error:
                why[i] = f"failed: {str(error).strip().splitlines()[-1]}"
                continue
            if counts:
                runs[i][seed].append(found)
    measured = {i: r for i, r in runs.items() if not why[i]}
    ours = next(iter(measured.values()), None)
    rate = next((r for i, r in measured.items() if job.tools[i].name == job.yardstick), None)
    return [
        _row(name, job.what, tool.name, measured[i], ours, rate)
        if i in measured
        else Row(name, job.what, tool.name, note=why[i])
        for i, tool in enumerate(job.tools)
    ]


def _turns(job: Job, present) -> Iterator[tuple[int, int, bool]]:
    """(tool, seed, whether it counts) in the order of running."""
    if job.warm:
        yield from ((i, job.seeds[0], False) for i in present)
    began = time.perf_counter()
    for repeat in range(job.repeats):
        if repeat and time.perf_counter() - began > job.budget:
            return
        for seed in job.seeds:
            yield from ((i, seed, True) for i in present)


def _row(name, what, tool, runs, ours, rate) -> Row:
    ends = {seed: repeated[-1][2] for seed, repeated in runs.items()}
    first, seconds = next(iter(ends.values())), median(_by_seed(runs))
    agrees = ""
    if first.fun is not None:
        same = sum(abs(e.fun - ours[seed][-1][2].fun) <= AGREE * (1 + abs(e.fun)) for seed, e in ends.items())
        agrees = f"{same}/{len(ends)}"
    names = Counter(e.name for e in ends.values() if e.name)
    told = ", ".join(name if len(ends) == 1 else f"{name} {count}" for name, count in names.most_common())
    return Row(
        name,
        what,
        tool,
        seconds=seconds,
        slowest=max(_by_seed(runs)),
        ratio=seconds / median(_by_seed(ours)),
        spread=median(max(t for t, _, _ in r) / min(t for t, _, _ in r) for r in runs.values()),
        grad_norm=max((e.grad_norm for e in ends.values() if e.grad_norm is not None), default=None),
        fun=first.fun,
        off=max((abs(e.off) for e in ends.values() if e.off is not None), default=None),
        agrees=agrees,
        evaluations=None if first.evaluations is None else median(e.evaluations for e in ends.values()),
        gflops=None if first.flops is None else first.flops / seconds / 1e9,
        of_gemm=None if rate is None else median(_by_seed(rate)) / seconds,
        peak_mib=max((peak for r in runs.values() for _, peak, _ in r if peak is not None), default=None),
        note="; ".join(filter(None, (told, first.note))),
        repeats=min(map(len, runs.values())),
        by_seed=_by_seed(runs),
    )


def _by_seed(runs) -> tuple[float, ...]:
    return tuple(median(t for t, _, _ in repeated) for repeated in runs.values())


def clock(run: Callable):
    """(seconds, what it returned)."""
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


WIDTHS = {
    "tool": -46,
    "seconds": 8,
    "ratio": 7,
    "spread": 6,
    "|grad|": 8,
    "F": 14,
    "F - F*": 8,
    "agrees": 6,
    "evals": 6,
    "GF/s": 6,
    "GEMM": 5,
    "MiB": 5,
}


def _columns(cells) -> str:
    return "  ".join(
        f"{cell:<{-w}}" if w < 0 else f"{cell:>{w}}" for cell, w in zip(cells, WIDTHS.values(), strict=True)
    )


def header() -> str:
    """The names of the columns, underlined."""
    names = _columns(WIDTHS)
    return f"{names}\n{'-' * len(names)}"


def line(row: Row) -> str:
    """One row of the table; a dash where a column does not apply."""
    cells = [
        "  " + row.tool,
        _number(row.seconds, ".3g"),
        _number(row.ratio, ".3g"),
        _number(row.spread, ".2f"),
        _number(row.grad_norm, ".1e"),
        _number(row.fun, ".10f"),
        _number(row.off, ".1e"),
        row.agrees or "-",
        _number(row.evaluations, ".0f"),
        _number(row.gflops, ".2f"),
        _number(row.of_gemm, ".0%"),
        _number(row.peak_mib, ".0f"),
    ]
    return f"{_columns(cells)}  {row.note}".rstrip()


def table(found: Sequence[Row]) -> str:
    """The whole table as text, a heading over every job."""
    lines, job = [header()], None
    for row in found:
        if row.job != job:
            lines += ["", f"[{row.job}] {row.what}"]
        job = row.job
        lines.append(line(row))
    return "\n".join(lines)


def _number(value, form: str) -> str:
    return "-" if value is None else format(value, form)
