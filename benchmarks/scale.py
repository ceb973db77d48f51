"""Many starts and many classes: censuses with their ends named, large problems, and a GPU where there is one."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

import ufm
from benchmarks import peers
from benchmarks.machine import cores
from benchmarks.measure import End, Job, Tool, clock
from benchmarks.referee import closed, judge
from benchmarks.solves import F1, ours, peer
from ufm.landscapes.basins import basins
from ufm.landscapes.table import Landscape
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.solvers import starts
from ufm.solvers.batch import run_batch

SIX = ufm.Problem(K=6, L=3, lam=1e-3)
THOUSAND = ufm.Problem(K=1000, L=3, lam=1e-7)
WIDE = ufm.Problem(K=1000, d=10_000, n=100, L=2, lam=1e-7)
TWO_HUNDRED = ufm.Problem(K=200, L=3, lam=1e-4)


def census(quick: bool) -> Job:
    """Random starts to gradient norm 1e-9 with named ends; peers one start after another, a few and in proportion."""
    count, few = (50, 1) if quick else (1000, 20)
    tools = [
        Tool(f"ufm basins, {threads} thread{'s' * (threads > 1)}", _basins(count, threads), _census_end)
        for threads in dict.fromkeys((cores(), 1))
    ]
    loops = {
        "scipy L-BFGS-B on autograd, one by one": (peers.autograd_lbfgsb, "autograd"),
        "PyTorch LBFGS, one by one": (peers.torch_lbfgs, "PyTorch"),
    }
    tools += [Tool(f"{name}", _loop(run, few), _loop_end(count, few), (needs,)) for name, (run, needs) in loops.items()]
    return Job(
        f"census of {count} starts to gradient norm 1e-9, ends named, F1",
        tuple(tools),
        repeats=1 if quick else 5,
        warm=not quick,
    )


def _basins(count: int, threads: int):
    return lambda seed: lambda: basins(F1, count, rng=seed, threads=threads, progress=False)


def _census_end(found: Landscape) -> End:
    known = closed(found.problem)
    off = max((abs(b.fun - known[b.name]) for b in found if b.name in known), default=None)
    counts = ", ".join(f"{b.name} {b.count}" for b in list(found)[:4])
    rest = f", {len(found) - 4} more" if len(found) > 4 else ""
    return End(found.lowest.fun, off=off, note=f"{found.converged}/{found.requested} converged: {counts}{rest}")


def _loop(run, few: int):
    def prepare(seed: int):
        objective, root = FactorObjective(F1), seed_sequence(seed)
        each = [starts.gaussian()(objective, generator(child(root, i))) for i in range(few)]

        def work():
            seconds, answers = clock(lambda: [run(F1, x0, tol=1e-9) for x0 in each])
            return seconds, answers

        return work

    return prepare


def _loop_end(count: int, few: int):
    """Seconds in proportion: `few` starts were run, `count` are wanted."""

    def read(answer) -> End:
        seconds, answers = answer
        ends = [judge(F1, one) for one in answers]
        names = ", ".join(f"{name} {hits}" for name, hits in Counter(end.name for end in ends).most_common())
        off = max((abs(end.off) for end in ends if end.off is not None), default=None)
        norm = max(end.grad_norm for end in ends)
        return End(
            min(end.fun for end in ends),
            norm,
            off=off,
            seconds=seconds * count / few,
            note=f"{few} run, times {count // few}: {names}",
        )

    return read


def many(quick: bool) -> Job:
    """A census stopped halfway and resumed from its file, in bounded memory."""
    count = 500 if quick else 100_000
    tool = Tool("ufm basins, half, then resumed from the file", lambda seed: lambda: _resumed(count, seed), _census_end)
    return Job(f"census of {count} starts, K=6, L=3, lam=1e-3", (tool,), repeats=1, warm=False, limit=1800)


def _resumed(count: int, seed: int) -> Landscape:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "starts.jsonl"
        basins(SIX, count // 2, rng=seed, out=out, progress=False)
        return basins(SIX, count, rng=seed, out=out, progress=False)


def compare(quick: bool) -> Job:
    """Every structure of F1 with its signature, no search."""
    return Job(
        "compare with signatures, F1, no search", (_compare(F1),), repeats=1 if quick else 5, warm=False, cold=True
    )


def compare_thousand(quick: bool) -> Job:
    """The same at K = 1000, three layers."""
    return Job(
        "compare with signatures, K=1000, L=3, lam=1e-7",
        (_compare(THOUSAND),),
        repeats=1 if quick else 5,
        warm=False,
        cold=True,
    )


def compare_wide(quick: bool) -> Job:
    """The same where the factors would have 1.1e9 entries."""
    return Job(
        "compare with signatures, K=1000, d=10000, n=100, L=2, lam=1e-7",
        (_compare(WIDE),),
        repeats=1 if quick else 5,
        warm=False,
        cold=True,
    )


def _compare(problem: ufm.Problem) -> Tool:
    def prepare(seed: int):
        ufm.compare(ufm.Problem(K=4, L=2, lam=1e-3), starts=0)  # imports and first calls
        return lambda: ufm.compare(problem, starts=0)

    def read(found) -> End:
        signed = sum(p.index is not None for p in found.points)
        worst = max(p.grad_norm for p in found.points)
        return End(
            found.winner.fun, worst, note=f"{len(found.points)} points, {signed} signatures, lowest {found.winner.name}"
        )

    return Tool("ufm compare", prepare, read)


def random_start(quick: bool) -> Job:
    """One random start at K = 200 to gradient norm 1e-10."""
    problem = ufm.Problem(K=20, L=3, lam=1e-4) if quick else TWO_HUNDRED
    tools = (
        ours("ufm lbfgs", problem, tol=1e-10),
        peer("scipy L-BFGS-B, our gradient", problem, peers.scipy_lbfgsb, tol=1e-10),
        peer("PyTorch LBFGS", problem, peers.torch_lbfgs, ("PyTorch",), tol=1e-10),
    )
    return Job(
        f"random start to gradient norm 1e-10, K={problem.K}, L=3, lam=1e-4",
        tools,
        repeats=1 if quick else 3,
        warm=False,
        limit=180,
    )


def on_gpu(quick: bool) -> Job:
    """A hundred thousand starts of F1 on all cores and on a GPU; only where there is one."""
    count = 2000 if quick else 100_000
    needs = ("PyTorch", "array-api-compat", "gpu")
    tools = (
        Tool(f"ufm run_batch, numpy, {cores()} threads", lambda seed: lambda: _batch(count, seed), _batch_end, needs),
        Tool(
            "ufm run_batch, PyTorch on the GPU",
            lambda seed: lambda: _batch(count, seed, device="torch:cuda"),
            _agreeing_end,
            needs,
        ),
    )
    return Job(f"{count} starts of F1 through the reduction", tools, repeats=1)


def _batch(count: int, seed: int, **options):
    return run_batch(F1, count, seed, tol=1e-9, keep="numbers", progress=False, **options)


def _batch_end(found) -> End:
    good = found.success
    return End(
        float(np.min(found.fun[good])),
        float(np.max(found.grad_norm[good])),
        note=f"{good.sum()}/{len(found)} converged",
    )


def _agreeing_end(found) -> End:
    """The same, with the largest difference of values to numpy over the first thousand starts."""
    few = min(1000, len(found))
    other = run_batch(F1, few, found.rng, tol=1e-9, keep="numbers", progress=False)
    both = other.success & found.success[:few]
    far = float(np.max(np.abs(other.fun - found.fun[:few])[both]))
    return End(
        **{
            **vars(_batch_end(found)),
            "off": far,
            "note": f"{found.success.sum()}/{len(found)} converged; F - F* is to numpy, start by start",
        }
    )
