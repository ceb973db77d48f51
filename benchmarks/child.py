"""Jobs that deserve a process of their own, so that imports are cold and peak memory is theirs.

`python -m benchmarks.child JOB` prints one line of JSON. Peak memory is the largest resident size: VmHWM
on Linux, because ru_maxrss would carry over the size of the parent; ru_maxrss elsewhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

LARGE = {"K": 1000, "d": 10_000, "n": 100, "L": 2, "lam": 1e-7}
WATCHED = ("cvxpy", "matplotlib", "torch", "autograd")
"""What `import ufm` should not load."""


def run(job: str, **options) -> dict:
    """The job's answer from a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.child", json.dumps({"job": job, **options})]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the job {job!r} failed in its process:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def load(statement: str) -> dict:
    """Seconds of an import statement, and which heavy modules came with it."""
    began = time.perf_counter()
    exec(statement, {})
    return {"seconds": time.perf_counter() - began, "loaded": [name for name in WATCHED if name in sys.modules]}


def compare(problem: dict, starts: int) -> dict:
    """Seconds of `compare`, after the imports and a small one, with its winner and the largest gradient norm."""
    import ufm

    ufm.compare(ufm.Problem(K=4, L=2, lam=1e-3), starts=0)
    problem = ufm.Problem(**problem)
    began = time.perf_counter()
    found = ufm.compare(problem, starts=starts)
    seconds = time.perf_counter() - began
    worst = max(p.grad_norm for p in found.points)
    return {"seconds": seconds, "fun": found.winner.fun, "grad_norm": worst, "points": len(found.points), "winner": found.winner.name}


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


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    answer = {"load": load, "compare": compare}[options.pop("job")](**options)
    print(json.dumps(answer | {"peak_mib": peak_mib()}))
