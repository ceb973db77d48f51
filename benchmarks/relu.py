"""ReLU models: a run beside today's tools, every structure with a search, and codes below neural collapse."""

from __future__ import annotations

import numpy as np

import ufm
from benchmarks import peers
from benchmarks.measure import End, Job, Tool
from benchmarks.referee import judge
from benchmarks.solves import jax_peer, ours, peer
from ufm.landscapes.sources.relu_search import low_rank_search
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.solvers import starts

FOUR = ufm.Problem(K=4, L=2, lam=0.02, activation="relu")
TEN = ufm.Problem(K=10, L=4, lam=0.004, loss="mse", activation="relu")
"""MSE, where the code of the complete graph on five vertices lies below neural collapse."""
SMALL = ufm.Problem(K=6, L=3, lam=0.004, loss="mse", activation="relu")


def solve(quick: bool) -> Job:
    """One run from N(0, 1/d); ends differ, being local minima and stationary points at kinks."""
    steps = 100 if quick else 5000
    tools = (
        ours("ufm lbfgs, kinks resolved", FOUR),
        peer("scipy L-BFGS-B, our gradient", FOUR, peers.scipy_lbfgsb),
        peer("scipy L-BFGS-B, autograd's gradient", FOUR, peers.autograd_lbfgsb, ("autograd",)),
        jax_peer("scipy L-BFGS-B, JAX's compiled gradient", FOUR),
        peer("PyTorch LBFGS", FOUR, peers.torch_lbfgs, ("PyTorch",)),
        peer(f"PyTorch Adam, {steps} steps", FOUR, peers.torch_adam, ("PyTorch",), steps=steps),
    )
    return Job(
        "one solve to gradient norm 1e-12, ReLU, K=4, L=2, lam=0.02",
        tools,
        range(1 if quick else 9),
        1 if quick else 3,
        warm=not quick,
    )


def compare(quick: bool) -> Job:
    """Every ReLU structure with what it is, and a search."""
    count = 1 if quick else 10

    def read(found) -> End:
        notes = f"{len(found.points)} points, lowest {found.winner.name}"
        return End(found.winner.fun, max(p.grad_norm for p in found.points), note=notes)

    def prepare(seed: int):
        return lambda: ufm.compare(FOUR, starts=count, rng=seed)

    return Job(f"compare, {count} starts, ReLU, K=4, L=2, lam=0.02", (Tool("ufm compare", prepare, read),), repeats=3)


def codes(quick: bool) -> Job:
    """The lowest value found of a deep ReLU model under MSE, whose global minimum is not neural collapse."""
    problem, few, many = (SMALL, 1, 1) if quick else (TEN, 4, 10)

    def search(seed: int):
        return lambda: low_rank_search(problem, starts=few, rng=seed, progress=False)

    def read(found) -> End:
        lowest = min(found, key=lambda row: row.fun)
        return End(float(lowest.fun), name=lowest.name, note=f"{len(found)} points from {few} starts")

    tools = (
        Tool("ufm low_rank_search", search, read),
        _best_of(problem, "scipy L-BFGS-B, our gradient", peers.scipy_lbfgsb, many),
        _best_of(problem, "PyTorch LBFGS", peers.torch_lbfgs, many, ("PyTorch",)),
    )
    return Job(f"search below neural collapse, ReLU, MSE, K={problem.K}, L={problem.L}", tools, repeats=1, warm=False)


def _best_of(problem: ufm.Problem, name: str, function, count: int, needs: tuple[str, ...] = ()) -> Tool:
    """The lowest of so many starts at full width."""

    def prepare(seed: int):
        objective, root = FactorObjective(problem), seed_sequence(seed)
        each = [starts.gaussian()(objective, generator(child(root, i))) for i in range(count)]
        return lambda: [function(problem, x0, tol=1e-9) for x0 in each]

    def read(answers) -> End:
        ends = [judge(problem, answer) for answer in answers]
        lowest = min(ends, key=lambda end: end.fun)
        met = int(np.sum([end.fun < lowest.fun + 1e-6 for end in ends]))
        return End(lowest.fun, lowest.grad_norm, name=lowest.name, note=f"lowest of {count}, met {met} times")

    return Tool(f"{name}, best of {count}", prepare, read, needs)


JOBS = {"relu": solve, "relu-compare": compare, "relu-codes": codes}
