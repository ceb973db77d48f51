"""What people use today, on the same objective and from the same start x0, one start at a time.

Every function is (problem, x0, ...) -> (x, evaluations) on flat vectors x = (H_1, W_1, ..., W_L) of `FactorObjective`:
linear or ReLU layers, cross-entropy or MSE, one lam. PyTorch, JAX, autograd and pymanopt are imported where they are
used: one of them may be absent.
"""

from __future__ import annotations

import functools
import os

import numpy as np
from scipy import optimize

from ufm.objectives.factors import FactorObjective


def scipy_lbfgsb(problem, x0, tol: float = 1e-12):
    """scipy L-BFGS-B on our analytic gradient, asked for all it can give."""
    return _lbfgsb(FactorObjective(problem).value_grad, x0, tol)


def autograd_lbfgsb(problem, x0, tol: float = 1e-12):
    """scipy L-BFGS-B on the gradient autograd makes of the formula as written."""
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import logsumexp

    loss, unpack = formula(problem, anp, logsumexp), FactorObjective(problem).unpack
    return _lbfgsb(value_and_grad(lambda x: loss(*unpack(x)[0])), x0, tol)


def _lbfgsb(value_grad, x0, tol: float):
    end = optimize.minimize(
        value_grad,
        x0,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 10**5, "maxfun": 10**5, "ftol": 0.0, "gtol": tol},
    )
    return end.x, end.nfev


def formula(problem, xp, logsumexp):
    """F(H_1, W_1, ..., W_L) in the numpy of a tool, as one would write it."""
    Y, relu, squares = problem.samples.Y, not problem.linear, problem.loss.quadratic
    if problem.activation.name not in ("linear", "relu"):
        raise ValueError(f"activation must be linear or relu for the peers; got {problem.activation.name!r}.")

    def value(*factors):  # pymanopt takes no other signature
        H, *W = factors
        Z = xp.dot(W[0], H)
        for A in W[1:]:
            Z = xp.dot(A, xp.maximum(Z, 0.0) if relu else Z)
        each = 0.5 * xp.sum((Z - Y) ** 2, axis=0) if squares else logsumexp(Z, axis=0) - xp.sum(Y * Z, axis=0)
        return xp.mean(each) + 0.5 * problem.lam * sum(xp.sum(A * A) for A in (H, *W))

    return value


@functools.cache
def jax_gradient(problem):
    """x -> (F, gradient) on flat vectors, compiled by JAX for one thread, in double precision."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    import jax
    import jax.numpy as jnp
    from jax.scipy.special import logsumexp

    jax.config.update("jax_enable_x64", True)
    loss, shapes = formula(problem, jnp, logsumexp), FactorObjective(problem).shapes
    ends = np.cumsum([0, *(a * b for a, b in shapes)])

    def value(x):
        return loss(*(x[i:j].reshape(s) for i, j, s in zip(ends[:-1], ends[1:], shapes, strict=True)))

    compiled = jax.jit(jax.value_and_grad(value))

    def value_grad(x):
        fun, grad = compiled(x)
        return float(fun), np.asarray(grad)

    value_grad(np.zeros(ends[-1]))
    return value_grad


def jax_lbfgsb(problem, x0, tol: float = 1e-12):
    """scipy L-BFGS-B on the gradient that JAX makes of the formula and compiles."""
    return _lbfgsb(jax_gradient(problem), x0, tol)


def pymanopt_product(problem, x0, tol: float = 1e-12):
    """pymanopt's trust regions on the product of Euclidean spaces of factors, Hessian-vector products by autograd."""
    import autograd.numpy as anp
    import pymanopt
    from autograd.scipy.special import logsumexp
    from pymanopt.manifolds import Euclidean, Product

    objective = FactorObjective(problem)
    manifold = Product([Euclidean(*shape) for shape in objective.shapes])
    cost = pymanopt.function.autograd(manifold)(formula(problem, anp, logsumexp))
    optimizer = pymanopt.optimizers.TrustRegions(min_gradient_norm=tol, max_iterations=1000, verbosity=0)
    end = optimizer.run(pymanopt.Problem(manifold, cost), initial_point=[np.array(A) for A in objective.unpack(x0)[0]])
    return objective.pack([np.asarray(A) for A in end.point]), end.iterations


def pymanopt_fixed_rank(problem, x0, rank: int, tol: float = 1e-12):
    """pymanopt's conjugate gradients on the manifold of K x K logits of a rank given beforehand, from the start's best
    approximation.

    It minimises g(Z) + (D/2) Lam sum_i s_i^(2/D): the reduction, written out for it. It has no trust regions on this
    manifold.
    """
    import autograd.numpy as anp
    import pymanopt
    from autograd.scipy.special import logsumexp
    from pymanopt.manifolds import FixedRankEmbedded

    from ufm.points import LogitPoint

    columns, D, K = problem.classes, problem.D, problem.K
    manifold = FixedRankEmbedded(K, K, rank)

    @pymanopt.function.autograd(manifold)
    def cost(u, s, vt):
        Z = anp.dot(u * s, vt) * columns.scale
        nll = logsumexp(Z, axis=0) - anp.sum(columns.Y * Z, axis=0)
        return anp.sum(columns.weight * nll) + 0.5 * D * problem.Lam * anp.sum(s ** (2.0 / D))

    start = FactorObjective(problem).to_logits(x0, rank=rank, collapse=True)
    point = manifold.random_point()
    point = type(point)(start.U, start.s, start.right.T)
    optimizer = pymanopt.optimizers.ConjugateGradient(
        min_gradient_norm=tol, max_iterations=2000, max_time=20, verbosity=0
    )
    with np.errstate(all="ignore"):
        end = optimizer.run(pymanopt.Problem(manifold, cost), initial_point=point)
    u, s, vt = end.point
    order = np.argsort(-s)
    return LogitPoint(problem, u[:, order], s[order], vt[order].T), end.iterations


def torch_lbfgs(problem, x0, tol: float = 1e-12, most: int = 10**4):
    """torch.optim.LBFGS with its strong Wolfe line search, asked for all it can give."""
    torch, factors, loss = _torch(problem, x0)
    settings = {
        "max_iter": most,
        "max_eval": 10 * most,
        "tolerance_grad": tol,
        "tolerance_change": 0.0,
        "history_size": 10,
    }
    optimizer, evaluations = torch.optim.LBFGS(factors, line_search_fn="strong_wolfe", **settings), 0

    def closure():
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        value = loss() + 0.5 * problem.lam * sum((A * A).sum() for A in factors)
        value.backward()
        return value

    optimizer.step(closure)
    return _flat(factors), evaluations


def torch_adam(problem, x0, steps: int, lr: float = 1e-2):
    """torch.optim.Adam on F, the ridge in the loss; lr falls to zero along a cosine."""
    torch, factors, loss = _torch(problem, x0)
    optimizer = torch.optim.Adam(factors, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        (loss() + 0.5 * problem.lam * sum((A * A).sum() for A in factors)).backward()
        optimizer.step()
        schedule.step()
    return _flat(factors), steps


def torch_sgd(problem, x0, steps: int, lr: float = 0.5):
    """The training loop of a tutorial: cross-entropy, backward, torch.optim.SGD with weight decay lam."""
    torch, factors, loss = _torch(problem, x0)
    optimizer = torch.optim.SGD(factors, lr=lr, weight_decay=problem.lam)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return _flat(factors), steps


def torch_by_hand(problem, x0, steps: int, lr: float = 0.5):
    """The same steps at L = 2 with the gradient written by hand and no graph; unlike the others it never forms the
    value."""
    torch, (H, W1, W2), _ = _torch(problem, x0)
    Y, keep = torch.from_numpy(problem.samples.Y), 1.0 - lr * problem.lam
    with torch.no_grad():
        for _ in range(steps):
            P = W2 @ W1
            G = (torch.softmax(P @ H, 0) - Y).mul_(-lr / problem.N)
            R = G @ H.T
            step_H, step_W1, step_W2 = P.T @ G, W2.T @ R, R @ W1.T
            H.mul_(keep).add_(step_H)
            W1.mul_(keep).add_(step_W1)
            W2.mul_(keep).add_(step_W2)
    return _flat((H, W1, W2)), steps


def _torch(problem, x0):
    """(torch on one thread, factors as parameters, the mean loss of the network they are)."""
    import torch

    torch.set_num_threads(1)
    factors = [torch.tensor(np.array(A), requires_grad=True) for A in FactorObjective(problem).unpack(x0)[0]]
    labels, Y = torch.from_numpy(problem.labels), torch.from_numpy(np.array(problem.samples.Y))

    def loss():
        H, *W = factors
        Z = W[0] @ H
        for A in W[1:]:
            Z = A @ (Z if problem.linear else torch.relu(Z))
        if problem.loss.quadratic:
            return 0.5 * ((Z - Y) ** 2).sum() / problem.N
        return torch.nn.functional.cross_entropy(Z.T, labels)

    return torch, factors, loss


def _flat(factors) -> np.ndarray:
    return np.concatenate([A.detach().numpy().ravel() for A in factors])
