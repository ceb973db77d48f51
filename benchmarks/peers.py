"""What people use today, on the same objective and from the same start x0.

Every function is (problem, x0, ...) -> (x, evaluations) on flat vectors x = (H_1, W_1, W_2) of `FactorObjective`.
PyTorch and autograd are imported where they are used: one of them may be absent.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize

from ufm.objectives.factors import FactorObjective


def scipy_lbfgsb(problem, x0):
    """scipy L-BFGS-B on our analytic gradient, asked for all it can give."""
    return _lbfgsb(FactorObjective(problem).value_grad, x0)


def autograd_lbfgsb(problem, x0):
    """scipy L-BFGS-B on the gradient autograd makes of the formula as written."""
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import logsumexp

    objective, Y = FactorObjective(problem), problem.samples.Y

    def value(x):
        H, W1, W2 = objective.unpack(x)[0]
        Z = anp.dot(W2, anp.dot(W1, H))
        return anp.mean(logsumexp(Z, axis=0) - anp.sum(Y * Z, axis=0)) + 0.5 * problem.lam * anp.dot(x, x)

    return _lbfgsb(value_and_grad(value), x0)


def _lbfgsb(value_grad, x0):
    end = optimize.minimize(value_grad, x0, jac=True, method="L-BFGS-B", options={"maxiter": 10**5, "maxfun": 10**5, "ftol": 0.0, "gtol": 1e-12})
    return end.x, end.nfev


def torch_lbfgs(problem, x0):
    """torch.optim.LBFGS with its strong Wolfe line search, asked for all it can give."""
    torch, factors, loss = _torch(problem, x0)
    settings = {"max_iter": 10**4, "max_eval": 10**5, "tolerance_grad": 1e-12, "tolerance_change": 0.0, "history_size": 10}
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
    """The same steps with the gradient written by hand and no graph; unlike the others it never forms the value."""
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
    """(torch on one thread, factors as parameters, the mean cross-entropy of their product)."""
    import torch

    torch.set_num_threads(1)
    factors = [torch.tensor(np.array(A), requires_grad=True) for A in FactorObjective(problem).unpack(x0)[0]]
    labels = torch.from_numpy(problem.labels)

    def loss():
        H, W1, W2 = factors
        return torch.nn.functional.cross_entropy((W2 @ (W1 @ H)).T, labels)

    return torch, factors, loss


def _flat(factors) -> np.ndarray:
    return np.concatenate([A.detach().numpy().ravel() for A in factors])
