"""The cells that gk25-2, gk25-5 and ufm-ends share, and how named ends look. A helper of figures, not one."""

from __future__ import annotations

from collections import Counter
from math import frexp

from theory.figures.descents import cell, named_ends
from ufm.plot.style import colour

MEMORY = "gk25-descents"
PAPER = {"K": 10, "n": 5, "L": 2, "tol": 1e-7, "steps": 2_000_000}
SMALL = {"K": 6, "n": 2, "L": 2, "tol": 1e-7, "steps": 400_000}
WIDTHS, LAMS = (20, 40, 60, 70, 80, 100, 120, 140, 170, 200), tuple(2.0**-e for e in (12, 11, 10, 9, 8, 7, 6, 5))
SMALL_WIDTHS, SMALL_LAMS = (6, 12, 16, 20, 24, 30, 40), tuple(2.0**-e for e in (7, 6, 5, 4, 3))
SCALES, SMALL_SCALES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0), (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Of the start, in units of 1/sqrt(d)."""
HATCHES = ("", "////", "....", "xxxx", "++++", "oooo")


def centre(fast: bool) -> tuple[int, float]:
    """(d, lam) where the cuts meet: the paper's, or the small version's."""
    return (20, 2.0**-6) if fast else (70, 2.0**-10)


CUTS = ("width", "lam", "lam_wide")


def wider(fast: bool) -> int:
    """A width at which collapse is common, for a second cut along lam."""
    return 30 if fast else 140


def common(work) -> dict:
    return {**SMALL, "starts": 10, "rng": work.rng} if work.fast else {**PAPER, "starts": 20, "rng": work.rng}


def cuts(work) -> dict:
    """The ends along d at the centre's lam (`width`), and along lam at the centre's d (`lam`) and at twice that width
    or so (`lam_wide`)."""
    d0, lam0 = centre(work.fast)
    widths, lams = (SMALL_WIDTHS, SMALL_LAMS) if work.fast else (WIDTHS, LAMS)
    cells = [cell(d=d, lam=lam0, **common(work)) for d in widths]
    cells += [cell(d=d, lam=lam, **common(work)) for d in (d0, wider(work.fast)) for lam in lams]
    return joined(work, cells, {"width": len(widths), "lam": len(lams), "lam_wide": len(lams)})


def joined(work, cells: list[dict], lengths: dict[str, int]) -> dict:
    """{name: [cell with its ends]} for consecutive runs of cells; a cell asked for twice is computed once."""
    distinct = sorted({repr(c): c for c in cells}.values(), key=lambda c: -c["d"] / c["lam"])  # the longest first
    found = dict(zip(map(repr, distinct), work.map(named_ends, distinct, "descents"), strict=True))
    points, result = [{**c, "ends": found[repr(c)]} for c in cells], {}
    for name, length in lengths.items():
        result[name], points = points[:length], points[length:]
    return result


def shares(point: dict) -> Counter:
    """Name -> how many runs ended there."""
    return Counter(end["name"] for end in point["ends"])


def ranks(points: list[dict]) -> dict[str, int]:
    """Name -> rank of all ends of some points, ascending in rank; the finest blocks last in their rank."""
    found = {end["name"]: end["rank"] for point in points for end in point["ends"]}
    return dict(sorted(found.items(), key=lambda item: (item[1], _parts(item[0]), item[0])))


def _parts(name: str) -> tuple[int, ...]:
    return tuple(int(k) for k in name[7:-1].split(",")) if name.startswith("blocks(") else ()


def short(name: str) -> str:
    """`blocks(6,2,2)` as 6+2+2, collapse as DNC, codes by what they hold, points without a name by the order of their
    group.

    >>> short("blocks(6,2,2)"), short("dnc"), short("code(antiprism(4)+pair)"), short("unnamed(rank=5, group order=80)")
    ('6+2+2', 'DNC', 'antiprism(4)+pair', 'unnamed, $|G| = 80$')
    """
    if name.startswith("blocks("):
        return "+".join(map(str, _parts(name)))
    if name.startswith("unnamed("):
        return f"unnamed, $|G| = {name.split('order=')[1].rstrip(')')}$" if "order=" in name else "unnamed"
    if name.startswith("code("):
        base, mark, number = name.partition("#")
        return base[5:-1] + mark + number
    return {"dnc": "DNC", "petersen": "Petersen"}.get(name, name)


def look(names: dict[str, int]) -> dict[str, dict]:
    """Name -> face colour and hatch of bars: the house colours, block mixtures darker with rank; names of one colour
    are hatched apart."""
    levels = sorted({rank for name, rank in names.items() if name.startswith("blocks(")})
    result: dict[str, dict] = {}
    for name, rank in names.items():
        face = (
            _shade(0.25 + 0.75 * (levels.index(rank) + 1) / len(levels)) if name.startswith("blocks(") else colour(name)
        )
        peers = sum(style["facecolor"] == face for style in result.values())
        result[name] = {
            "facecolor": face,
            "edgecolor": "white",
            "linewidth": 0.4,
            "hatch": HATCHES[peers % len(HATCHES)],
        }
    return result


def _shade(weight: float):
    """The blocks' colour, from nearly white to itself."""
    from matplotlib.colors import to_rgb

    return tuple(1 - weight * (1 - c) for c in to_rgb(colour("blocks")))


def power_of_two(lam: float) -> str:
    """2^-10 as mathematics, other numbers as they are.

    >>> power_of_two(2**-10), power_of_two(0.3)
    ('$2^{-10}$', '$0.3$')
    """
    mantissa, exponent = frexp(lam)
    return f"$2^{{{exponent - 1}}}$" if mantissa == 0.5 else f"${lam:g}$"


def model(point: dict, *names: str) -> str:
    """`$K = 10$, $n = 5$` for the named entries of a cell."""
    said = {
        "K": f"$K = {point['K']}$",
        "n": f"$n = {point['n']}$",
        "L": f"$L = {point['L']}$",
        "d": f"$d = {point['d']}$",
    }
    said["lam"] = f"$\\lambda = {power_of_two(point['lam']).strip('$')}$"
    return ", ".join(said[name] for name in names)
