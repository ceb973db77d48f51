"""Certificates: seconds to make one, and to check it again from its data alone. No peer makes them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import ufm
from benchmarks.measure import End, Job, Tool, clock
from benchmarks.solves import F1

NEEDS = ("python-flint",)
FOUR = ufm.Problem(K=4, L=2, lam=0.02)
THREE = ufm.Problem(K=3, n=2, L=2, lam=0.001)


def _complete(group: str):
    from ufm.certificates.completeness import complete

    return complete(FOUR, group, progress=False)


def _order():
    from ufm.certificates.orders import order

    return order("pairs", "dnc", F1)


def _global():
    from ufm.certificates.three_classes import three_classes

    return three_classes(THREE, progress=False)


def _critical():
    from ufm import structures
    from ufm.certificates.critical_points import critical

    return critical(structures.dnc(F1))


MADE: dict[str, tuple[str, Callable]] = {
    "complete-V4": ("all critical points with symmetry V_4, K=4, L=2, lam=0.02", functools.partial(_complete, "V_4")),
    "complete-S2wrS2": (
        "all critical points with symmetry S_2wrS_2, K=4, L=2, lam=0.02",
        functools.partial(_complete, "S_2wrS_2"),
    ),
    "order": ("pairs < dnc, F1", _order),
    "global-K3": ("dnc is a global minimum, K=3, n=2, L=2, lam=0.001, branch and bound", _global),
    "critical-K10": ("dnc is a local minimum, F1", _critical),
}


def certificate(name: str, quick: bool) -> Job:
    """Made in a fresh process, then checked in the same."""
    what, make = MADE[name]

    def prepare(seed: int):
        from ufm.numerics.balls import flint

        flint()
        return make

    return Job(
        f"certificate: {what}",
        (Tool("ufm certify", prepare, _end, NEEDS),),
        repeats=1 if quick else 3,
        warm=False,
        cold=True,
    )


def _end(made) -> End:
    seconds, checked = clock(made.check) if made.holds else (0.0, False)
    if not made.holds:
        return End(note=f"not proved: {made.statement}")
    return End(note=f"proved; checked again in {seconds:.3g} s" if checked else "proved, but the checker refuses it")


def enclosures(quick: bool) -> Job:
    """Closed values of F1 in Arb's balls; F - F* is the largest difference of our floats to them."""
    return Job(
        "enclosures of F(dnc) and F(pairs), F1",
        (Tool("ufm certificates", lambda seed: _enclosed, _enclosed_end, NEEDS),),
        repeats=1 if quick else 3,
    )


def _enclosed():
    from ufm.certificates.check.scales import enclose
    from ufm.certificates.models import model
    from ufm.numerics import balls

    exact = model(F1, None)
    with balls.precision(256):
        return {name: balls.to_float(enclose(exact, name).loss) for name in ("dnc", "pairs")}


def _enclosed_end(found) -> End:
    from benchmarks.referee import closed

    known = closed(F1)
    return End(found["pairs"], off=max(abs(known[name] - value) for name, value in found.items()))


JOBS = {**{name: functools.partial(certificate, name) for name in MADE}, "enclosures": enclosures}
