"""Descents beside today's tools: one solve, the convex plain model, and gradient descent alone and for ten starts at
once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import ufm
from benchmarks import batched, peers
from benchmarks.machine import cores
from benchmarks.measure import End, Job, Tool
from benchmarks.referee import judge
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.solvers import starts
from ufm.solvers.batch import run_batch

F1 = ufm.Problem(K=10, n=5, d=70, L=2, lam=2**-10)
"""Figure 1 of gk25."""
PLAIN = ufm.Problem(K=10, n=5, d=70, L=1, lam=2**-10)
"""The plain model with F1's sizes: convex in Z."""


def solve(quick: bool) -> Job:
    """One solve to gradient norm 1e-12 from N(0, 1/d)."""
    tools = (
        ours("ufm lbfgs, through the reduction", F1, space="reduced"),
        ours("ufm lbfgs, factor space", F1, space="factors"),
        peer("scipy L-BFGS-B, our gradient", F1, peers.scipy_lbfgsb),
        peer("scipy L-BFGS-B, autograd's gradient", F1, peers.autograd_lbfgsb, ("autograd",)),
        jax_peer("scipy L-BFGS-B, JAX's compiled gradient", F1),
        peer("PyTorch LBFGS", F1, peers.torch_lbfgs, ("PyTorch",)),
        peer("pymanopt trust regions, product of factors", F1, peers.pymanopt_product, ("pymanopt", "autograd")),
        peer(
            "pymanopt CG, rank 5 given, through reduction",
            F1,
            peers.pymanopt_fixed_rank,
            ("pymanopt", "autograd"),
            rank=5,
        ),
    )
    return Job(
        "one solve to gradient norm 1e-12, F1", tools, range(1 if quick else 9), 1 if quick else 3, warm=not quick
    )


def convex(quick: bool) -> Job:
    """L = 1, where the problem is convex in Z: F* is the value of dnc, a certified global minimum."""
    tools = (
        ours("ufm lbfgs, through the reduction", PLAIN, space="reduced"),
        ours("ufm lbfgs, factor space", PLAIN, space="factors"),
        peer("scipy L-BFGS-B, autograd's gradient", PLAIN, peers.autograd_lbfgsb, ("autograd",)),
        peer("PyTorch LBFGS", PLAIN, peers.torch_lbfgs, ("PyTorch",)),
        peer("pymanopt trust regions, product of factors", PLAIN, peers.pymanopt_product, ("pymanopt", "autograd")),
        Tool("cvxpy Clarabel, one column per class", lambda seed: _convex_classes, _convex_end, ("cvxpy",)),
        Tool("cvxpy SCS, all samples", lambda seed: _convex_samples, _convex_end, ("cvxpy",)),
    )
    return Job(
        "the plain model (L=1), K=10, n=5, lam=2^-10: convex",
        tools,
        range(1 if quick else 3),
        1 if quick else 3,
        warm=not quick,
    )


def _convex_classes() -> tuple[float, str]:
    from ufm.certificates.convex import convex_minimum

    return convex_minimum(PLAIN, "CLARABEL")[0], ""


def _convex_samples() -> tuple[float, str]:
    """The programme as one writes it down: all N columns, cross-entropy and nuclear norm."""
    import cvxpy as cp

    Z = cp.Variable((PLAIN.K, PLAIN.N))
    fit = sum(cp.log_sum_exp(Z[:, j]) - Z[y, j] for j, y in enumerate(PLAIN.labels)) / PLAIN.N
    programme = cp.Problem(cp.Minimize(fit + PLAIN.lam * cp.normNuc(Z)))
    value = programme.solve(solver="SCS")
    return float(value), "" if programme.status == "optimal" else programme.status


def _convex_end(answer) -> End:
    from benchmarks.referee import closed

    value, note = answer
    return End(value, off=value - closed(PLAIN)["dnc"], name="dnc", note=note)


def descend(quick: bool) -> Job:
    """Full-batch gradient descent from one start, the same number of steps for everyone."""
    steps = 200 if quick else 2000
    tools = (
        ours("ufm gd", F1, method="gd", lr=0.5, steps=steps),
        peer("PyTorch SGD, autograd loop", F1, peers.torch_sgd, ("PyTorch",), steps=steps),
        peer("PyTorch, gradient by hand, no values", F1, peers.torch_by_hand, ("PyTorch",), steps=steps),
    )
    return Job(f"gradient descent, lr 0.5, {steps} steps, 1 start, F1", tools, repeats=1 if quick else 5, warm=False)


def descend_batch(quick: bool, threads: int = 1) -> Job:
    """The same for ten starts at once; start i draws from child i of the seed."""
    steps, count, said = 100 if quick else 2000, 10, f"{threads} thread{'s' * (threads > 1)}"
    tools = (
        Tool("ufm run_batch gd", lambda seed: _descents(seed, count, steps, threads), _batch_end),
        _torch_descents("PyTorch SGD, batched autograd", batched.torch_sgd, count, steps, threads),
        _torch_descents("PyTorch, batched by hand, no F", batched.torch_descend_by_hand, count, steps, threads),
    )
    return Job(
        f"gradient descent, lr 0.5, {steps} steps, {count} starts at once, {said}, F1",
        tools,
        repeats=1 if quick else 5,
        warm=False,
    )


def descend_cores(quick: bool) -> Job:
    """The same on all cores."""
    return descend_batch(quick, cores())


def figure(quick: bool) -> Job:
    """What Figure 2 of gk25 needs at one width: ten starts, twenty thousand steps."""
    steps, count = 500 if quick else 20_000, 10
    tools = tuple(
        Tool(
            f"ufm run_batch gd, {threads} thread{'s' * (threads > 1)}",
            lambda seed, threads=threads: _descents(seed, count, steps, threads),
            _batch_end,
        )
        for threads in dict.fromkeys((cores(), 1))
    )
    return Job(
        f"gradient descent, lr 0.5, {steps} steps, {count} starts at once, F1",
        tools,
        repeats=1 if quick else 5,
        warm=False,
    )


def _descents(seed: int, count: int, steps: int, threads: int):
    def work():
        return run_batch(F1, count, seed, "gd", lr=0.5, steps=steps, threads=threads, progress=False)

    return lambda: _flat_batch(work())


def _flat_batch(batch):
    return np.stack([FactorObjective(F1).pack(batch.point(j).factors) for j in range(len(batch))]), int(batch.nfev[0])


def _torch_descents(name: str, run, count: int, steps: int, threads: int) -> Tool:
    def prepare(seed: int):
        blocks = batch_factors(F1, seed, count)

        def work():
            parts = run(blocks, F1.samples, F1.lam, steps, 0.5, threads)
            return np.concatenate([A.reshape(count, -1) for A in parts], axis=1), steps

        return work

    return Tool(name, prepare, _batch_end, ("PyTorch",))


def batch_factors(
    problem: ufm.Problem, seed: int, count: int, objective: FactorObjective | None = None
) -> list[np.ndarray]:
    """The starts of `run_batch` as factors with a leading axis."""
    objective = objective or FactorObjective(problem)
    root = seed_sequence(seed)
    X = np.stack([starts.gaussian()(objective, generator(child(root, i))) for i in range(count)])
    return objective.unpack(X)[0]


def _batch_end(answer) -> End:
    """Mean value and largest gradient norm over the starts; nobody is converged, so ends have no names."""
    X, evaluations = answer
    fun, grad = FactorObjective(F1).value_grad(np.ascontiguousarray(X))
    return End(
        float(np.mean(fun)),
        float(np.max(np.linalg.norm(grad, axis=1))),
        evaluations,
        name="not converged",
        note="F is the mean over starts",
    )


def ours(name: str, problem: ufm.Problem, **options) -> Tool:
    """`ufm.minimize` from start `seed`."""

    def prepare(seed: int):
        return lambda: ufm.minimize(problem, rng=seed, **options)

    return Tool(name, prepare, lambda result: judge(problem, (result.point, result.nfev)))


def peer(name: str, problem: ufm.Problem, function, needs: tuple[str, ...] = (), **options) -> Tool:
    """A peer from the start that `minimize` draws at full width."""

    def prepare(seed: int):
        x0 = starts.gaussian()(FactorObjective(problem), generator(seed_sequence(seed)))
        return lambda: function(problem, x0, **options)

    return Tool(name, prepare, lambda answer: judge(problem, answer), needs)


def jax_peer(name: str, problem: ufm.Problem, **options) -> Tool:
    """scipy on JAX's gradient from the same start; compiling is not timed."""
    function = peer(name, problem, peers.jax_lbfgsb, ("JAX",), **options)

    def prepare(seed: int):
        peers.jax_gradient(problem)
        return function.prepare(seed)

    return replace(function, prepare=prepare)
