"""The command: one table, and the same as JSON if asked for."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import platform
import time
from dataclasses import asdict

from benchmarks import jobs
from benchmarks.measure import header, line

DESCRIPTION = "Measure ufm and today's tools side by side, on one thread, and print one table of ratios."
EXAMPLE = """example:
  python -m benchmarks --fast --json results.json

Seconds are medians; the ratio is to the first row of each job, which is ours. See benchmarks/README.md."""


def main(argv=None) -> int:
    """Measure every job, print its rows as they come, and where they were measured."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=DESCRIPTION, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="fewer seeds and repeats, 2000 steps of gradient descent instead of 20000")
    parser.add_argument("--json", metavar="FILE", help="write the rows, versions and CPU model to FILE")
    options = parser.parse_args(argv)
    print(f"F1: {jobs.F1!r}\n\n{header()}")
    began, rows = time.perf_counter(), []
    for job in jobs.JOBS:
        found = job(options.fast)
        print("", found[0].what, *map(line, found), sep="\n", flush=True)
        rows += found
    where = {"versions": versions(), "cpu": cpu(), "threads": 1, "fast": options.fast, "seconds": time.perf_counter() - began}
    told = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    print(f"\n{told}\n{where['cpu']}, one thread; {where['seconds']:.0f} s in all.")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"problem": jobs.F1.to_dict(), **where, "rows": [asdict(row) for row in rows]}, file, indent=1)
            file.write("\n")
    return 0


def versions() -> dict[str, str]:
    """Versions of Python and of what was measured, where installed."""
    from ufm import __version__

    names = [name for name in ("numpy", "scipy", "autograd", "torch") if importlib.util.find_spec(name)]
    return {"ufm": __version__, "python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}


def cpu() -> str:
    """The CPU's model name as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(row.split(":", 1)[1].strip() for row in file if row.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    raise SystemExit(main())
