"""How the cost of each verb grows, stated and measured: `python -m benchmarks.costs`.

Each row varies one size over a grid, fits the exponent of the time by least squares, and prints it beside the exponent
derived in docs/costs.md. A stated exponent is an upper bound: overheads and smaller terms lower what is measured. Time
is the processor's, and grids stay on one side of the caches where they can: leaving them costs up to half a power.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from scipy import linalg

from benchmarks.__main__ import cpu, versions
from ufm import structures
from ufm.critical.classify import classify
from ufm.critical.spectrum import Split
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.points import from_matrix
from ufm.problem import Problem

SLACK = 0.4
"""How far above the stated exponent a measured one may lie: caches and neighbours."""


@dataclass(frozen=True)
class Growth:
    """The cost of `what` grows at most like size^stated in `size`; `run(size)` returns a function to be timed."""

    what: str
    size: str
    grid: tuple[int, ...]
    stated: float
    run: Callable[[int], Callable]


@dataclass(frozen=True)
class Measured:
    """Seconds at the grid's sizes, the fitted exponent, and whether it keeps to the stated one."""

    what: str
    size: str
    grid: tuple[int, ...]
    seconds: tuple[float, ...]
    stated: float
    measured: float

    @property
    def within(self) -> bool:
        return self.measured <= self.stated + SLACK

    def __str__(self) -> str:
        sizes = f"{self.size}={self.grid[0]}..{self.grid[-1]}"
        said = "within" if self.within else "ABOVE"
        return (
            f"{self.what:<50}{sizes:<20}{self.stated:>7.0f}{self.measured:>10.2f}  {said:<8}{self.seconds[-1]:>10.2e}"
        )


def gradient(K: int, n: int, d: int, L: int) -> Callable:
    """One value and gradient at full width on all samples."""
    objective = FactorObjective(Problem(K=K, n=n, d=d, L=L, lam=1e-3))
    x = np.random.default_rng(0).standard_normal(objective.size) / np.sqrt(d)
    return lambda: objective.value_grad(x)


def narrow_gradient(K: int, r: int = 16) -> Callable:
    """The same on class columns at widths r."""
    objective = FactorObjective(Problem(K=K, L=3, lam=1e-3), True, (r,) * 3)
    x = np.random.default_rng(0).standard_normal(objective.size) / r
    return lambda: objective.value_grad(x)


def product_on_stratum(K: int, r: int = 16) -> Callable:
    """One Hessian-vector product on the rank stratum."""
    rng = np.random.default_rng(0)
    stratum = Stratum(
        from_matrix(Problem(K=K, L=3, lam=1e-3), rng.standard_normal((K, r)) @ rng.standard_normal((r, K)), r)
    )
    v = rng.standard_normal(stratum.size)
    return lambda: stratum.hvp(v)


def dense_inertia(K: int) -> Callable:
    """Hessian and eigenvalues on the stratum of rank K/2, without symmetry."""
    rng = np.random.default_rng(0)
    point = from_matrix(Problem(K=K, L=2, lam=1e-3), rng.standard_normal((K, K)), K // 2)
    return lambda: linalg.eigvalsh(Stratum(point).scaled_hessian())


def signature(K: int, n: int, d: int, L: int, name: str = "pairs") -> Callable:
    """`classify` of a structure, its symmetry being found anew."""
    point = getattr(structures, name)(Problem(K=K, n=n, d=d, L=L, lam=1e-6))
    return lambda: classify(point)


def blocks(K: int) -> Callable:
    """The core's spectrum once the symmetry is known."""
    split = Split.of(structures.pairs(Problem(K=K, L=3, lam=1e-6)))
    return split.core


GROWTHS = (
    Growth("gradient in factors", "d", (512, 1024, 2048), 2, lambda d: gradient(10, 2, d, 3)),
    Growth("gradient in factors", "n", (4000, 8000, 16_000), 1, lambda n: gradient(10, n, 64, 2)),
    Growth("gradient in factors", "L", (8, 16, 32), 1, lambda L: gradient(10, 2, 700, L)),
    Growth("gradient through the reduction, widths K", "K", (256, 512, 1024), 3, lambda K: gradient(K, 1, K, 3)),
    Growth("gradient at width r = 16", "K", (120, 180, 270), 2, narrow_gradient),
    Growth("Hessian-vector product on rank 16", "K", (120, 180, 270), 2, product_on_stratum),
    Growth("dense signature, rank K/2", "K", (16, 24, 36), 6, dense_inertia),
    Growth("signature of pairs, symmetry and all", "K", (400, 800, 1600), 3, lambda K: signature(K, 1, K, 3)),
    Growth("signature of dnc", "d", (300, 3000, 30_000), 0, lambda d: signature(300, 1, d, 3, "dnc")),
    Growth("signature of dnc", "n", (10, 100, 1000), 0, lambda n: signature(300, n, 300, 3, "dnc")),
    Growth("signature of dnc", "L", (4, 8, 16), 2, lambda L: signature(300, 1, 300, L, "dnc")),
    Growth("spectrum of pairs, symmetry known", "K", (400, 800, 1600), 1, blocks),
)


def measure(growth: Growth, seconds: float = 0.25, least: int = 3) -> Measured:
    """The fastest of repeats at each size, and the least-squares slope in logarithms."""
    times = [fastest(growth.run(size), seconds, least) for size in growth.grid]
    slope = float(np.polyfit(np.log(growth.grid), np.log(times), 1)[0])
    return Measured(growth.what, growth.size, growth.grid, tuple(times), growth.stated, slope)


def fastest(run: Callable, seconds: float, least: int) -> float:
    run()  # caches and first touches
    best, spent, count = np.inf, 0.0, 0
    while spent < seconds or count < least:
        began = time.process_time()
        run()
        took = time.process_time() - began
        best, spent, count = min(best, took), spent + took, count + 1
    return best


def table(growths=GROWTHS) -> Iterator[Measured]:
    """Measured rows, one after another."""
    return map(measure, growths)


def main(argv=None) -> int:
    """Print the table; 1 if some exponent lies above what is stated."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.costs",
        description="Exponents of cost, stated in docs/costs.md and measured here, on one thread.",
    )
    parser.add_argument("--json", metavar="FILE", help="write the rows, versions and CPU model to FILE")
    options = parser.parse_args(argv)
    print(f"{'what':<50}{'size':<20}{'stated':>7}{'measured':>10}  {'':<8}{'seconds':>10}")
    began, rows = time.perf_counter(), []
    for row in table():
        print(row, flush=True)
        rows.append(row)
    print(f"\n{cpu()}, one thread; {time.perf_counter() - began:.0f} s in all.")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {"versions": versions(), "cpu": cpu(), "rows": [asdict(row) | {"within": row.within} for row in rows]},
                file,
                indent=1,
            )
            file.write("\n")
    return int(not all(row.within for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
