"""The first second: cold imports, and a name for the end of somebody's run."""

from __future__ import annotations

import json
import subprocess
import sys

import ufm
from benchmarks.measure import End, Job, Tool
from benchmarks.solves import F1

WATCHED = ("cvxpy", "matplotlib", "torch", "autograd")
"""What `import ufm` should not load."""
SCRIPT = """
import json, sys, time
began = time.perf_counter()
{statement}
seconds = time.perf_counter() - began
from benchmarks.child import peak_mib
print(json.dumps([seconds, [name for name in {watched} if name in sys.modules], peak_mib()]))
"""


def imports(quick: bool) -> Job:
    """Fresh interpreters; `import ufm` alone puts off nearly all of its work."""
    tools = (
        _importing(
            "from ufm import compare, minimize, ...",
            "from ufm import Problem, minimize, multistart, compare, classify, identify",
        ),
        _importing("import ufm", "import ufm"),
        _importing("import scipy.linalg", "import scipy.linalg"),
        _importing("import torch (PyTorch)", "import torch", ("PyTorch",)),
    )
    return Job("imports in a fresh interpreter", tools, repeats=1 if quick else 9)


def _importing(name: str, statement: str, needs=()) -> Tool:
    def work():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(statement=statement, watched=WATCHED)],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    def read(answer) -> End:
        seconds, loaded, peak = answer
        note = f"loads {', '.join(loaded) or 'none of ' + ', '.join(WATCHED)}" if "ufm" in statement else ""
        return End(seconds=seconds, peak_mib=peak, note=note)

    return Tool(name, lambda seed: work, read, needs)


def naming(quick: bool) -> Job:
    """A name and a signature for the end of one run in factor space."""

    def prepare(seed: int):
        end = ufm.minimize(F1, rng=seed, space="factors")
        return lambda: (ufm.classify(end), ufm.identify(end))

    def read(answer) -> End:
        signature, identity = answer
        return End(signature.fun, signature.grad_norm, note=f"{identity.name}, {signature.status}")

    return Job("name an end point, F1", (Tool("ufm classify + identify", prepare, read),), repeats=1 if quick else 9)
