"""D2. What W_T still remembers after n steps: nothing but n batches and a fading W_{T-n}."""

from __future__ import annotations

import functools

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from theory.gsgp22.gradient_rank import objective_of, relative, start_of, tail
from ufm.networks.objective import Objective
from ufm.networks.train import train
from ufm.networks.training import Training

ROUNDING = 1e-11
"""Of |W_T|: rounding of the products and sums of a few hundred steps."""


def run_of(objective: Objective, x, rng: int, keep=lambda x: x, **settings) -> tuple[Training, list, list]:
    """(the end, [keep(x_0), ..., keep(x_T)], [lr_1, ..., lr_T]) of SGD from the flat x. RuntimeError where it
    diverges."""
    points, sums = [], []

    def record(progress):
        points.append(keep(progress.x))
        sums.append(progress.memory.get("lr_sum", 0.0))

    start = objective.net.unpack(x)
    end = train(
        objective.net,
        objective.data,
        objective.loss,
        "sgd",
        objective.decay,
        rng,
        start=start,
        callback=record,
        progress=False,
        **settings,
    )
    if not end.ok:
        raise RuntimeError(end.message)
    return end, points, np.diff(sums).tolist()


def check(case):
    """In every layer and for n from 1 to what still leaves singular values: the rank of W_T - f W_{T-n}, and the two
    distances."""
    objective = objective_of(case)
    x = start_of(objective, case.rng)
    _, points, lrs = run_of(
        objective,
        x,
        case.rng,
        lr=case.lr,
        batch=case.B,
        steps=case.steps,
        momentum=case.get("momentum", 0.0),
        schedule=fading(case),
    )
    end = objective.net.unpack(points[-1])
    for l, W in enumerate(end[: case.L]):
        size, most = float(np.linalg.norm(W)), min((min(W.shape) - 1) // case.B, case.steps)
        if not most or not size:
            yield Evidence(
                min(W.shape), "<=", max(case.B, min(W.shape)), strength="exact", note=f"layer {l + 1}: nothing to bound"
            )
        for n in sorted({1, most // 3, most} - {0}) if most and size else ():
            before = objective.net.unpack(points[-1 - n])[l]
            f = float(np.prod([1 - h * case.lam for h in lrs[-n:]])) ** case.get("power", 1)
            r = n * case.B
            yield Evidence(
                relative(tail(W - f * before, r), size),
                "==",
                0.0,
                ROUNDING,
                note=f"layer {l + 1}, n = {n}: dist_{r}(W_T - f W_T-n)/|W_T|",
            )
            yield from distances(W, f * before, r, f"layer {l + 1}, n = {n}")


def distances(W, faded, r: int, where: str):
    """dist_r in the Frobenius and in the operator norm against that norm of what is left of W_{T-n}, all over |W_T|."""
    size, s, left = np.linalg.norm(W), np.linalg.svd(W, compute_uv=False), np.linalg.svd(faded, compute_uv=False)
    yield Evidence(
        np.linalg.norm(s[r:]) / size, "<=", np.linalg.norm(left) / size + ROUNDING, 1e-12, note=f"{where}: Frobenius"
    )
    yield Evidence(s[r] / size, "<=", left[0] / size + ROUNDING, 1e-12, note=f"{where}: operator norm")


def fading(case):
    """A constant learning rate, or (`schedule="halving"`) half of it from the second epoch on, and so forth."""
    return functools.partial(pow, 0.5) if case.get("schedule") == "halving" else "constant"


def settings(count: int) -> list[Case]:
    """So many drawn cases."""
    draw, found = np.random.default_rng(2206), []
    for rng in range(count):
        words = {"activation": str(draw.choice(["relu", "tanh", "linear"])), "loss": str(draw.choice(["ce", "mse"]))}
        words |= {
            "schedule": str(draw.choice(["constant", "halving"])),
            "lr": float(draw.choice([0.02, 0.1, 0.3])),
            "lam": float(draw.choice([0, 1e-3, 0.03, 0.3])),
        }
        K, d, width = int(draw.integers(2, 7)), int(draw.integers(10, 41)), int(draw.integers(10, 41))
        found.append(
            Case(
                K=K,
                d=d,
                n=20,
                width=width,
                L=int(draw.integers(2, 5)),
                B=int(draw.integers(1, 6)),
                steps=60,
                sigma=0.7,
                rng=rng,
                **words,
            )
        )
    return found


WIDE = {"K": 4, "n": 10, "d": 40, "width": 40, "L": 3, "lr": 0.1, "B": 3, "steps": 60, "sigma": 0.7}

CLAIM = Claim(
    id="gsgp22:memory",
    title="After n steps all but n batches of rank has faded by (1 - lr lam)^n",
    statement=(
        "For SGD W <- (1 - lr_t lam) W - lr_t G_t with batches of B: W_T - f W_{T-n} has rank at most n m B, f = prod"
        " (1 - lr_t lam) over the last n steps. So in any norm W_T/|W_T| is within f |W_{T-n}|/|W_T| of rank n m B, for"
        " every n, T, loss and schedule, with no assumption on convergence."
    ),
    source="gsgp22, the memory bound at finite n",
    hypotheses={
        "no momentum": lambda c: not c.get("momentum", 0.0),
        "B <= N": lambda c: c.B <= c.K * c.n,
        "no run diverges: lr <= 0.3": lambda c: c.lr <= 0.3,
    },
    check=check,
    cases=settings(40),
    controls=[
        Case(**WIDE, lam=0.03, momentum=0.5, rng=0),
        planted("the start fades twice as fast (lam is read as the paper's, 2 lam)", **WIDE, lam=0.03, rng=0, power=2),
        planted("the start does not fade", **WIDE, lam=0.03, rng=0, power=0),
    ],
    uses=("gsgp22:gradient-rank",),
    scope=(
        "fully connected layers (m = 1), Frobenius and operator norm; the layers in which n B leaves singular values;"
        " lam = 0 included, where the bound says nothing"
    ),
)
