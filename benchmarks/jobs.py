"""All jobs, in the order of the table. Each is `quick -> Job`, its first tool ours, and costs nothing to build."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import before, landscapes, proofs, rates, relu, scale, solves, startup
from benchmarks.measure import Job

JOBS: dict[str, Callable[[bool], Job]] = {
    "solve": solves.solve,
    "convex": solves.convex,
    "descend": solves.descend,
    "descend-batch": solves.descend_batch,
    "descend-cores": solves.descend_cores,
    "figure-2": solves.figure,
    "census": scale.census,
    **rates.JOBS,
    "many": scale.many,
    "compare": scale.compare,
    "compare-1000": scale.compare_thousand,
    "compare-wide": scale.compare_wide,
    **landscapes.JOBS,
    **relu.JOBS,
    "random-200": scale.random_start,
    **before.JOBS,
    "gpu": scale.on_gpu,
    **proofs.JOBS,
    "imports": startup.imports,
    "naming": startup.naming,
}

QUICK = tuple(
    name
    for name in JOBS
    if name
    not in (
        "descend",
        "descend-cores",
        "figure-2",
        "gradient-full",
        "gradient-full-100",
        "gradient-six",
        "gradient-fifty",
        "gradient-deep",
        "compare-wide",
        "complete-V4",
        "critical-K10",
        "single-vs-batch-F1",
        "single-vs-batch-K50",
        "single-vs-batch-census",
    )
)
"""What `--quick` runs unless `--only` asks for others."""
