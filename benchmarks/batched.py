"""PyTorch with the starts as a leading axis, and the matrix products of a batched gradient alone.

Factors are (A_1, ..., A_D) = (H_1, W_1, ..., W_L) with A_l (B, d_{l+1}, d_l); columns is a `Columns` of the problem:
linear layers, cross-entropy, one lam. Sums over starts are what backward needs: rows do not mix, so each start's
gradient is its own.
"""

from __future__ import annotations

import numpy as np


def torch_factors(blocks, threads: int, requires_grad: bool = False):
    """(torch on so many threads, blocks as its tensors)."""
    import torch

    torch.set_num_threads(threads)
    return torch, [torch.tensor(np.array(A), requires_grad=requires_grad) for A in blocks]


def product(factors):
    """Z = A_D ... A_1, from the left, which is the cheap side."""
    Z = factors[-1]
    for A in reversed(factors[:-1]):
        Z = Z @ A
    return Z


def torch_losses(torch, columns):
    """factors -> mean cross-entropy of every start (B,)."""
    labels, weight, scale = (
        torch.from_numpy(np.array(a)) for a in (np.argmax(columns.Y, axis=0), columns.weight, columns.scale)
    )
    plain = bool(np.all(columns.scale == 1.0))

    def losses(factors):
        Z = product(factors)
        Z = Z if plain else Z * scale
        each = torch.nn.functional.cross_entropy(Z, labels.expand(Z.shape[0], -1), reduction="none")
        return each @ weight

    return losses


def torch_autograd(blocks, columns, lam: float, threads: int = 1):
    """One batched value and gradient by backward, as a function without arguments."""
    torch, factors = torch_factors(blocks, threads, requires_grad=True)
    losses = torch_losses(torch, columns)

    def run():
        for A in factors:
            A.grad = None
        value = losses(factors) + 0.5 * lam * sum((A * A).sum(dim=(1, 2)) for A in factors)
        value.sum().backward()
        return value.detach().numpy(), [A.grad.numpy() for A in factors]

    return run


def torch_by_hand(blocks, columns, lam: float, threads: int = 1):
    """The same with the gradient written out and no graph."""
    torch, factors = torch_factors(blocks, threads)
    gradient = _by_hand(torch, columns)

    def run():
        value, parts = gradient(factors, True)
        value = value + 0.5 * lam * sum((A * A).sum(dim=(1, 2)) for A in factors)
        return value.numpy(), [part.add_(A, alpha=lam).numpy() for part, A in zip(parts, factors, strict=True)]

    return run


def _by_hand(torch, columns):
    """(factors, whether the value is wanted) -> (g (B,) or None, dg/dA_l)."""
    Y, weight, scale = (torch.from_numpy(np.array(a)) for a in (columns.Y, columns.weight, columns.scale))
    plain, slope = bool(np.all(columns.scale == 1.0)), torch.from_numpy(columns.weight * columns.scale)

    def gradient(factors, value: bool):
        P = [factors[-1]]
        for A in reversed(factors[1:-1]):
            P.append(torch.bmm(P[-1], A))
        Z = torch.bmm(P[-1], factors[0])
        Z = Z if plain else Z * scale
        p = torch.softmax(Z, 1)
        fit = ((torch.logsumexp(Z, 1) - (Z * Y).sum(1)) @ weight) if value else None
        R, parts = p.sub_(Y).mul_(slope), []
        for A, left in zip(factors[:-1], reversed(P), strict=True):
            parts.append(torch.bmm(left.mT, R))
            R = torch.bmm(R, A.mT)
        return fit, [*parts, R]

    return gradient


def torch_sgd(blocks, columns, lam: float, steps: int, lr: float, threads: int):
    """Batched gradient descent: cross-entropy of every start, backward, torch.optim.SGD with weight decay lam. The
    factors reached."""
    torch, factors = torch_factors(blocks, threads, requires_grad=True)
    losses, optimizer = torch_losses(torch, columns), torch.optim.SGD(factors, lr=lr, weight_decay=lam)
    for _ in range(steps):
        optimizer.zero_grad()
        losses(factors).sum().backward()
        optimizer.step()
    return [A.detach().numpy() for A in factors]


def torch_descend_by_hand(blocks, columns, lam: float, steps: int, lr: float, threads: int):
    """The same steps without a graph and without the value."""
    torch, factors = torch_factors(blocks, threads)
    gradient, keep = _by_hand(torch, columns), 1.0 - lr * lam
    with torch.no_grad():
        for _ in range(steps):
            for A, part in zip(factors, gradient(factors, False)[1], strict=True):
                A.mul_(keep).add_(part, alpha=-lr)
    return [A.numpy() for A in factors]


def numpy_products(blocks):
    """The matrix products of one batched gradient alone, in numpy, into arrays made before."""
    return products(blocks, np.matmul, np.empty)


def torch_products(blocks, threads: int = 1):
    """The same by torch.bmm."""
    torch, factors = torch_factors(blocks, threads)
    return products(factors, torch.bmm, lambda shape: torch.empty(shape, dtype=torch.float64))


def products(factors, matmul, empty):
    """A_D ... A_2 and Z, then P_l' R_l and R_{l+1} = R_l A_l' for l = 1, ..., D-1."""
    calls, P = [], [factors[-1]]

    def call(a, b):
        out = empty((a.shape[0], a.shape[1], b.shape[2]))
        calls.append((a, b, out))
        return out

    for A in reversed(factors[1:-1]):
        P.append(call(P[-1], A))
    R = call(P[-1], factors[0])
    for A, left in zip(factors[:-1], reversed(P), strict=True):
        call(left.swapaxes(-1, -2), R)
        R = call(R, A.swapaxes(-1, -2))

    def run():
        for a, b, out in calls:
            matmul(a, b, out=out)

    return run


def flops(shapes) -> int:
    """Multiplications and additions of those products for one start with factors of these shapes (A_1, ..., A_D)."""
    (_, M), K = shapes[0], shapes[-1][0]
    inner = sum(a * b for a, b in shapes[1:-1])
    return 3 * 2 * K * (shapes[0][0] * M + inner)  # the product once, and each factor twice on the way back
