"""This version beside an older one of ufm: single runs, which are batches of one, and a census.

The older one is a commit of this repository (`BASELINE`, or the revision in UFM_BASELINE), unpacked into a temporary
folder. Both run the same script, each in a process of its own, and take turns.
"""

from __future__ import annotations

import atexit
import functools
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import ufm
from benchmarks.measure import End, Job, Tool
from benchmarks.scale import SIX
from benchmarks.solves import F1

ROOT = Path(__file__).resolve().parents[1]
BASELINE = os.environ.get("UFM_BASELINE", "dab57377b602cfa68b8bcde04b5ffa6208b5fe2e")
"""The last version in which one run and many runs were written apart."""
FIFTY = ufm.Problem(K=50, L=3, lam=1e-3)
PROBLEMS = {"F1": F1, "K6": SIX, "K50": FIFTY}
SCRIPT = """
import json, sys, time
import ufm
assert ufm.__file__.startswith(sys.argv[1]), ufm.__file__
problem = ufm.Problem.from_dict(json.loads(sys.argv[2]))
count = int(sys.argv[3])
answers, sys.stdout = sys.stdout, sys.stderr
for seed in sys.stdin:
    began = time.perf_counter()
    if count == 1:
        found = ufm.minimize(problem, rng=int(seed))
    else:
        found = ufm.basins(problem, count, rng=int(seed), threads=1, progress=False)
    seconds = time.perf_counter() - began
    if count == 1:
        end = {"fun": found.fun, "grad_norm": found.grad_norm, "evaluations": found.nfev, "note": found.message}
    else:
        end = {"fun": found.lowest.fun, "note": f"{found.converged}/{count} converged to {len(found)} points"}
    try:
        peak = next(int(row.split()[1]) for row in open("/proc/self/status") if row.startswith("VmHWM")) / 1024
    except OSError:
        peak = None
    print(json.dumps({"seconds": seconds, "peak_mib": peak, **end}), file=answers, flush=True)
"""


def single(name: str, quick: bool) -> Job:
    """One run of `minimize` from N(0, 1/d)."""
    problem = PROBLEMS[name]
    return Job(
        f"one run of minimize, K={problem.K}, L={problem.L}, this version and the one before the runs became one",
        _tools(problem, 1),
        range(1 if quick else 5),
        1 if quick else 9,
        budget=60,
    )


def census(quick: bool) -> Job:
    """A census on one thread."""
    count = 50 if quick else 1000
    return Job(
        f"census of {count} starts, F1, one thread, this version and the one before", _tools(F1, count), budget=60
    )


def _tools(problem: ufm.Problem, count: int) -> tuple[Tool, ...]:
    return (
        Tool("ufm, this version", _runs(lambda: ROOT, problem, count), _end),
        Tool(f"ufm at {BASELINE[:7]}", _runs(unpacked, problem, count), _end, ("baseline",)),
    )


def _runs(folder, problem: ufm.Problem, count: int):
    """prepare of a Tool: the script's process is started once and asked for every seed."""
    process = functools.cache(lambda: _started(folder(), problem, count))

    def prepare(seed: int):
        script = process()

        def work():
            script.stdin.write(f"{seed}\n")
            script.stdin.flush()
            answer = script.stdout.readline()
            if not answer:
                raise RuntimeError(f"the script ended with code {script.wait()}")
            return json.loads(answer)

        return work

    return prepare


def _started(folder: Path, problem: ufm.Problem, count: int) -> subprocess.Popen:
    words = [sys.executable, "-c", SCRIPT, str(folder), json.dumps(problem.to_dict()), str(count)]
    env = {**os.environ, "PYTHONPATH": str(folder)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(words, cwd=folder, env=env, text=True, **pipes)

    def ended():
        process.stdin.close()
        process.wait()

    atexit.register(ended)
    return process


def _end(answer: dict) -> End:
    return End(**answer)


@functools.cache
def unpacked() -> Path:
    """The package at BASELINE, in a folder that goes with this process."""
    done = subprocess.run(["git", "archive", BASELINE, "ufm"], cwd=ROOT, capture_output=True, check=True)
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder.name, filter="data")
    return Path(folder.name)


def absent() -> str:
    """Why the older version cannot be had; empty if it can."""
    try:
        done = subprocess.run(["git", "cat-file", "-e", f"{BASELINE}^{{commit}}"], cwd=ROOT, capture_output=True)
    except OSError:
        return "skipped: git is not installed"
    return "" if done.returncode == 0 else f"skipped: commit {BASELINE[:7]} is not in the history of this checkout"


JOBS = {f"single-vs-batch-{name}": functools.partial(single, name) for name in PROBLEMS}
JOBS["single-vs-batch-census"] = census
