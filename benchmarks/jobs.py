"""The jobs, in the order of the table. Each is `fast -> list[Row]`, ours first."""

from __future__ import annotations

import importlib.util

import numpy as np

import ufm
from benchmarks import child, peers
from benchmarks.measure import End, Row, clock, rows
from ufm.numerics.seeds import generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.points import LogitPoint
from ufm.solvers import starts

F1 = ufm.Problem(K=10, n=5, d=70, L=2, lam=2**-10)
"""Figure 1 of gk25."""
OBJECTIVE = FactorObjective(F1)


def solve(fast: bool) -> list[Row]:
    """One solve to gradient norm 1e-12 from N(0, 1/d)."""
    tools = {
        "ufm lbfgs, factor space": lambda seed: _ours(seed, space="factors"),
        "ufm lbfgs, through the reduction": lambda seed: _ours(seed, space="reduced"),
        "scipy L-BFGS-B, our gradient": _peer(peers.scipy_lbfgsb),
        "scipy L-BFGS-B, autograd's gradient": _peer(peers.autograd_lbfgsb, needs="autograd"),
        "PyTorch LBFGS": _peer(peers.torch_lbfgs, needs="torch"),
    }
    return rows("one solve to gradient norm 1e-12, F1", tools, range(3 if fast else 9), 2 if fast else 5, notes=_missing(tools))


def descend(fast: bool) -> list[Row]:
    """Full-batch gradient descent, the same number of steps for everyone."""
    steps = 2000 if fast else 20_000
    tools = {
        "ufm gd": lambda seed: _ours(seed, method="gd", lr=0.5, steps=steps),
        "PyTorch SGD, autograd loop": _peer(peers.torch_sgd, needs="torch", steps=steps),
        "PyTorch, gradient by hand, no values": _peer(peers.torch_by_hand, needs="torch", steps=steps),
    }
    return rows(f"gradient descent, lr 0.5, {steps} steps, F1", tools, [0], 2 if fast else 5, warm=False, notes=_missing(tools))


def _ours(seed: int, **options):
    seconds, result = clock(lambda: ufm.minimize(F1, rng=seed, **options))
    return seconds, _end(result.point, result.nfev)


def _peer(function, needs: str | None = None, **options):
    """seed -> (seconds, End) of a peer, or None if what it needs is not installed."""
    if needs and not importlib.util.find_spec(needs):
        return None

    def tool(seed: int):
        x0 = starts.gaussian()(OBJECTIVE, generator(seed_sequence(seed)))
        seconds, (x, evaluations) = clock(lambda: function(F1, x0, **options))
        return seconds, _end(x, evaluations)

    return tool


def _end(point, evaluations: int) -> End:
    """One referee for all: value and gradient norm by `FactorObjective` at full width on all samples."""
    if isinstance(point, LogitPoint):
        x = OBJECTIVE.lift(point)
    else:
        x = point if isinstance(point, np.ndarray) else OBJECTIVE.pack(point.factors, point.b)
    fun, grad = OBJECTIVE.value_grad(x)
    return End(float(fun), float(np.linalg.norm(grad)), evaluations)


def _missing(tools) -> dict[str, str]:
    return {name: f"{'torch' if 'PyTorch' in name else 'autograd'} is not installed" for name, tool in tools.items() if tool is None}


def compare_small(fast: bool) -> list[Row]:
    """Every structure of F1 with its signature, no search."""
    return _compare("compare, F1, no search", F1.to_dict(), 3 if fast else 9)


def compare_large(fast: bool) -> list[Row]:
    """The same where the factors would have 1.1e9 entries."""
    told = ", ".join(f"{name}={value:g}" for name, value in child.LARGE.items())
    return _compare(f"compare, {told}", child.LARGE, 1 if fast else 3)


def _compare(what: str, problem: dict, repeats: int) -> list[Row]:
    notes = {}

    def tool(seed: int):
        answer = child.run("compare", problem=problem, starts=0)
        notes["ufm"] = f"{answer['points']} points, lowest {answer['winner']}"
        return answer["seconds"], End(answer["fun"], answer["grad_norm"], peak_mib=answer["peak_mib"])

    return rows(what, {"ufm": tool}, [0], repeats, warm=False, notes=notes)


def imports(fast: bool) -> list[Row]:
    """Cold imports, each in a fresh interpreter; `import ufm` alone puts off nearly all of its work."""
    torch = "import torch" if importlib.util.find_spec("torch") else None
    statements = {
        "from ufm import compare, minimize, ...": "from ufm import Problem, minimize, multistart, compare, classify, identify",
        "import ufm": "import ufm",
        "import scipy.linalg": "import scipy.linalg",
        "import torch (PyTorch)": torch,
    }
    notes = {}

    def tool(name: str, statement: str):
        answer = child.run("load", statement=statement)
        if "ufm" in statement:
            notes[name] = f"loads {', '.join(answer['loaded']) or 'none of ' + ', '.join(child.WATCHED)}"
        return answer["seconds"], End(peak_mib=answer["peak_mib"])

    tools = {name: statement and (lambda seed, n=name, s=statement: tool(n, s)) for name, statement in statements.items()}
    notes |= _missing(tools)
    return rows("imports in a fresh interpreter", tools, [0], 5 if fast else 11, notes=notes)


def naming(fast: bool) -> list[Row]:
    """A name and a signature for the end of one run in factor space."""
    end, notes = ufm.minimize(F1, rng=0, space="factors"), {}

    def tool(seed: int):
        seconds, (signature, identity) = clock(lambda: (ufm.classify(end), ufm.identify(end)))
        notes["ufm classify + identify"] = f"{identity.name}, {signature.status}"
        return seconds, End(signature.fun, signature.grad_norm)

    return rows("name an end point, F1", {"ufm classify + identify": tool}, [0], 5 if fast else 21, notes=notes)


JOBS = (solve, descend, compare_small, compare_large, imports, naming)
