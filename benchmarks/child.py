"""One process per tool, so that peak memory is its own: `python -m benchmarks.child JOB TOOL QUICK` answers seeds on
standard input.

Every line in is a seed, every line out one JSON object. Peak memory is the largest resident size up to the end of the
work, before the
referee: VmHWM on Linux, because ru_maxrss would carry over the size of the parent; ru_maxrss elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from benchmarks.measure import End, Tool, clock


@contextmanager
def worker(job: str, tool: int, limit: float, quick: bool) -> Iterator[Callable]:
    """seed -> (seconds, peak MiB, End) of one tool, in a process that lives as long as the context.

    RuntimeError with its last words if it fails, and if a run takes longer than `limit` seconds.
    """
    command = [sys.executable, "-m", "benchmarks.child", job, str(tool), str(int(quick))]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)

        def run(seed: int):
            stopped = threading.Timer(limit, process.kill)
            stopped.start()
            try:
                process.stdin.write(f"{seed}\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            late = stopped.finished.is_set()
            stopped.cancel()
            if not answer:
                process.wait()
                said.seek(0)
                raise RuntimeError(
                    f"stopped after {limit:g} s"
                    if late
                    else said.read() or f"the process ended with code {process.returncode}"
                )
            seconds, peak, end = json.loads(answer)
            return seconds, peak, End(**end)

        try:
            yield run
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()  # its answers end, and it clears up
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def measured(tool: Tool, seed: int) -> tuple[float, float | None, End]:
    """(seconds, peak MiB, End) of one run in this process; what the End says itself goes before."""
    for module in tool.packages.values():  # importing is a job of its own
        importlib.import_module(module)
    seconds, answer = clock(tool.prepare(seed))
    peak = peak_mib()
    end = tool.judge(answer)
    return seconds if end.seconds is None else end.seconds, peak if end.peak_mib is None else end.peak_mib, end


def peak_mib() -> float | None:
    """Largest resident size of this process so far."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            return next(int(row.split()[1]) for row in file if row.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main(job: str, tool: int, quick: bool) -> None:
    """Answer seeds until standard input ends."""
    from benchmarks.jobs import JOBS

    chosen, answers = JOBS[job](quick).tools[tool], sys.stdout
    sys.stdout = sys.stderr  # what tools print is not an answer
    for seed in sys.stdin:
        seconds, peak, end = measured(chosen, int(seed))
        print(json.dumps([seconds, peak, asdict(end)]), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1")
