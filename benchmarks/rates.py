"""The batched gradient: seconds beside PyTorch's, and flops beside the machine's own matrix products of the same
shapes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from statistics import median

import numpy as np

import ufm
from benchmarks import batched
from benchmarks.measure import End, Job, Tool
from benchmarks.solves import F1, batch_factors
from ufm.objectives.factors import FactorObjective

SLICE = 0.2
"""Seconds of calls in one run, whose median counts."""
PRODUCTS = "its matrix products alone, numpy"
SHAPES = {
    "gradient-reduced": (F1, True, 500, "F1 through the reduction"),
    "gradient-full": (F1, False, 10, "F1 at full width"),
    "gradient-full-100": (F1, False, 100, "F1 at full width"),
    "gradient-six": (ufm.Problem(K=6, L=3, lam=1e-3), True, 500, "K=6, L=3"),
    "gradient-fifty": (ufm.Problem(K=50, L=3, lam=1e-3), True, 50, "K=50, L=3"),
    "gradient-deep": (ufm.Problem(K=10, n=5, d=70, L=4, lam=1e-3), False, 50, "K=10, n=5, d=70, L=4 at full width"),
}


def gradient(name: str, quick: bool) -> Job:
    """One value and gradient of every start; the products alone are numpy's matmul and torch.bmm into arrays made
    before."""
    problem, reduced, count, what = SHAPES[name]
    count = min(count, 20) if quick else count
    objective = objective_of(problem, reduced)
    work = count * batched.flops(objective.shapes)

    def tool(title: str, run: Callable, needs=(), compared: bool = True) -> Tool:
        def prepare(seed: int):
            call = run(batch_factors(problem, seed, count, objective), objective.fit.columns)
            return lambda: _slice(call, SLICE / 10 if quick else SLICE)

        return Tool(title, prepare, lambda answer: _end(objective, answer, work, compared), needs)

    tools = (
        tool("ufm batched gradient", functools.partial(our_gradient, objective)),
        tool(
            "PyTorch, batched autograd",
            lambda blocks, columns: batched.torch_autograd(blocks, columns, problem.lam),
            ("PyTorch",),
        ),
        tool(
            "PyTorch, batched by hand",
            lambda blocks, columns: batched.torch_by_hand(blocks, columns, problem.lam),
            ("PyTorch",),
        ),
        tool(PRODUCTS, lambda blocks, columns: batched.numpy_products(blocks), compared=False),
        tool(
            "its matrix products alone, torch.bmm",
            lambda blocks, columns: batched.torch_products(blocks),
            ("PyTorch",),
            compared=False,
        ),
    )
    return Job(
        f"batched value and gradient, {what}, {count} starts, one thread",
        tools,
        repeats=1 if quick else 5,
        yardstick=PRODUCTS,
    )


def objective_of(problem: ufm.Problem, reduced: bool) -> FactorObjective:
    """On all samples at full width, or on class columns at widths min(d, K)."""
    return (
        FactorObjective(problem, True, tuple(min(d, problem.K) for d in problem.widths))
        if reduced
        else FactorObjective(problem)
    )


def our_gradient(objective: FactorObjective, blocks, columns):
    X = np.concatenate([A.reshape(len(A), -1) for A in blocks], axis=1)
    buffers = np.empty_like(X), np.empty_like(X)  # written into again and again, as the solvers do

    def run():
        value, grad = objective.value_grad(X, None, buffers)
        return value, [grad]

    return run


def _slice(call: Callable, seconds: float):
    """(median seconds of a call, what the last returned)."""
    times, spent = [], 0.0
    while spent < seconds or len(times) < 3:
        began = time.perf_counter()
        answer = call()
        times.append(time.perf_counter() - began)
        spent += times[-1]
    return median(times), answer


def _end(objective: FactorObjective, answer, work: float, compared: bool) -> End:
    """F is the mean over starts, |grad| the norm over all of them: what the tools must agree on."""
    seconds, found = answer
    if not compared:
        return End(seconds=seconds, flops=work)
    value, parts = found
    norm = float(np.sqrt(sum(np.sum(np.square(part)) for part in parts)))
    return End(float(np.mean(value)), norm, seconds=seconds, flops=work)


def peak(quick: bool) -> Job:
    """The machine's best rate: one large square product."""
    size = 256 if quick else 1024

    def product(seed: int):
        draw = np.random.default_rng(seed)
        A, B, out = draw.standard_normal((size, size)), draw.standard_normal((size, size)), np.empty((size, size))
        return lambda: _slice(lambda: np.matmul(A, B, out=out), SLICE)

    tool = Tool(f"numpy, {size} x {size}", product, lambda answer: End(seconds=answer[0], flops=2 * size**3))
    return Job("one large matrix product, one thread", (tool,), repeats=1 if quick else 5)


JOBS = {"gemm": peak, **{name: functools.partial(gradient, name) for name in SHAPES}}
