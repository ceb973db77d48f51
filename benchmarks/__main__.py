"""The command: one table of ratios, taken in one run, and where it was taken."""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.child import worker
from benchmarks.jobs import JOBS, QUICK
from benchmarks.machine import QUIET, clocks, cpu, load, machine, others, told, versions
from benchmarks.measure import header, line, rows, table
from benchmarks.solves import F1

__all__ = ["cpu", "main", "versions"]

RESULTS = Path(__file__).parent / "results"
"""Where tables of record are."""
DESCRIPTION = (
    "Measure ufm and today's tools side by side and print one table of ratios. A tool whose package is missing is"
    " skipped with a word."
)
EXAMPLE = """examples:
  python -m benchmarks --quick
  python -m benchmarks --only solve --only gradient
  python -m benchmarks --out /tmp/tables --only relu
  python -m benchmarks --record

Seconds are medians; the ratio is to the first row of each job, which is ours. See benchmarks/README.md."""


def main(argv=None) -> int:
    """Measure the jobs, print their rows as they come, and where they were measured; 1 if a tool failed."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="most jobs at a small size and once, within a minute: shows that they run, not how fast",
    )
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="jobs whose name begins with NAME; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="print the jobs' names and leave")
    parser.add_argument("--out", metavar="FOLDER", help="write the dated table there, as Markdown and JSON")
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"the table of record: every job at full size, written to benchmarks/results; refused (exit 2) while the"
        f" load average is above {QUIET}",
    )
    options = parser.parse_args(argv)
    if options.record and (options.quick or options.only or options.out):
        parser.error("--record is every job at full size in one place; it takes no --quick, --only or --out.")
    names = (
        list(QUICK if options.quick else JOBS)
        if options.only is None
        else [name for name in JOBS if name.startswith(tuple(options.only))]
    )
    if not names:
        parser.error(f"--only must begin one of {', '.join(JOBS)}; got {', '.join(options.only)}.")
    if options.list:
        print("\n".join(f"{name:<20}{JOBS[name](options.quick).what}" for name in names))
        return 0
    began, before, start, found, loads = time.perf_counter(), load(), clocks(), [], {}
    if before is not None and before > QUIET and not options.quick:
        busy = f"the load average is {before:.2f}, above {QUIET}: seconds of a busy machine are no record"
        if options.record:
            parser.error(f"{busy}. Wait until the machine is quiet, or use --out FOLDER.")
        print(f"warning: {busy}", file=sys.stderr)
    if options.record:
        options.out = RESULTS
    print(f"F1: {F1!r}\n\n{header()}")
    for name in names:
        job = JOBS[name](options.quick)
        print(f"\n[{name}] {job.what}", flush=True)
        loads[name] = load()
        for row in rows(name, job, functools.partial(worker, name, quick=options.quick)):
            found.append(row)
            print(line(row), flush=True)
        times = {
            "seconds": round(time.perf_counter() - began, 1),
            "load_before": before,
            "load_after": load(),
            "loads": loads,
            "others": others(start, clocks()),
        }
        where = {
            **machine(),
            "quick": options.quick,
            "jobs": list(loads),
            "left_out": [other for other in JOBS if other not in loads],
            **times,
        }
        if options.out:  # after every job, so that an interrupted run is not lost
            written = write(Path(options.out), where, found)
    print(f"\n{summary(where)}")
    if options.out:
        print(f"written to {written}")
    return int(any(row.note.startswith("failed") for row in found))


def summary(where: dict) -> str:
    """The machine, how long the run took and how busy the machine was meanwhile."""
    busy = [value for value in (*where["loads"].values(), where["load_after"]) if value is not None]
    said = (
        f", load average {min(busy):.1f} to {max(busy):.1f} (1 is this run alone, where it uses one thread)"
        if busy
        else ""
    )
    beside = where.get("others")
    said += "" if beside is None else f"; other processes kept {beside:.2f} cores busy on average"
    return f"{told(where)}; {where['seconds']:.0f} s in all{said}."


def write(folder: Path, where: dict, found, day: str | None = None) -> Path:
    """Write DATE.md and DATE.json; the path of the first."""
    day = day or datetime.date.today().isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    kind = "quick run, sizes are small" if where["quick"] else "full run"
    some = f"; not run: {', '.join(where['left_out'])}" if where["left_out"] else ""
    head = (
        f"# Benchmarks, {day}\n\n{kind.capitalize()}; columns and jobs are explained in [the"
        f" README](../README.md){some}."
    )
    text = f"{head}\n\n```text\n{table(found)}\n\n{summary(where)}\n```\n"
    (folder / f"{day}.md").write_text(text, encoding="utf-8")
    data = {"date": day, "problem": F1.to_dict(), **where, "rows": [asdict(row) for row in found]}
    (folder / f"{day}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return folder / f"{day}.md"


if __name__ == "__main__":
    raise SystemExit(main())
