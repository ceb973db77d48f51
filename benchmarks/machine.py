"""Where the numbers were taken: versions, processor, BLAS, threads, and how busy the machine was."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import time

PACKAGES = ("numpy", "scipy", "autograd", "torch", "jax", "pymanopt", "cvxpy", "python-flint")


def versions() -> dict[str, str]:
    """Versions of Python and of what was measured, where installed."""
    from ufm import __version__

    found = {"ufm": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu() -> str:
    """The CPU's model name as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(row.split(":", 1)[1].strip() for row in file if row.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blas() -> str:
    """numpy's BLAS with its version and, if threadpoolctl is installed, the kernel chosen here."""
    import numpy as np

    built = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    name = f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()
    if importlib.util.find_spec("threadpoolctl"):
        import threadpoolctl

        kernels = {p["architecture"] for p in threadpoolctl.threadpool_info() if p.get("architecture")}
        name += "".join(f" ({kernel})" for kernel in sorted(kernels))
    return name


def load() -> float | None:
    """Mean number of running processes over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


QUIET = 1.2
"""The largest load at which a table of record is begun: what runs beside it takes at most a fifth of a core."""


def clocks() -> tuple[float, float, float] | None:
    """(seconds gone by, processor seconds of all processes and of what was taken from this machine, of this process and
    those it waited for); None where the system does not tell."""
    try:
        with open("/proc/stat", encoding="utf-8") as file:
            user, nice, system, _, _, irq, soft, steal, *_ = map(int, file.readline().split()[1:])
    except (OSError, ValueError):
        return None
    return (
        time.perf_counter(),
        (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK"),
        sum(os.times()[:4]),
    )


def others(before, after) -> float | None:
    """Mean number of cores that other processes kept busy between two `clocks`."""
    if before is None or after is None:
        return None
    gone, everybody, mine = (b - a for a, b in zip(before, after, strict=True))
    return round(max(0.0, everybody - mine) / gone, 2) if gone > 0 else None


def machine() -> dict:
    """All of it but the load."""
    memory = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {})
        else None
    )
    return {
        "versions": versions(),
        "cpu": cpu(),
        "cores": cores(),
        "memory_gib": None if memory is None else round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": blas(),
        "blas_threads": 1,
    }


def told(where: dict) -> str:
    """The machine in three lines."""
    named = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    memory = "" if where["memory_gib"] is None else f", {where['memory_gib']:g} GiB"
    return f"{named}\n{where['cpu']}, {where['cores']} cores{memory}, {where['system']}; {where['blas']}, one thread"
