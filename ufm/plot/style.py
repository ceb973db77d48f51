"""One look everywhere: one colour per structure, publication fonts, files that can be reproduced."""

from __future__ import annotations

import contextlib
from typing import Any

from ufm.numerics.files import check_writable, write_atomically
from ufm.numerics.hints import FileName
from ufm.numerics.state import numpy_defaults
from ufm.structures.structure import STRUCTURES, structure_of

UNNAMED = "#000000"
"""The colour of what has no name."""

RC: dict[Any, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "ufm",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.dpi": 120,
}


def colours() -> dict[str, str]:
    """The colour of every structure, everywhere, and of what is unnamed. The package's own are Okabe and Ito's and some
    of Tol's, safe for colour-blind readers; each is stated by its structure."""
    return {name: structure.colour for name, structure in STRUCTURES.members().items()} | {"unnamed": UNNAMED}


def colour(name: str | None) -> str:
    """The colour of a structure's name; `blocks(6,2,2)`, `dnc(small)` and `pairs#2` take that of their structure."""
    structure = structure_of(name)
    return (structure and structure.colour) or UNNAMED


def __getattr__(name: str):
    if name == "COLOURS":
        return colours()
    raise AttributeError(f"module 'ufm.plot.style' has no attribute {name!r}", name=name)


@contextlib.contextmanager
def house_style():
    """Within: matplotlib's defaults with our fonts and frames, and numpy's own error state; the reader's settings
    neither count inside (a matplotlibrc with usetex, another font size) nor change outside."""
    import matplotlib as mpl

    with numpy_defaults(), mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def new_axes(ax, **size):
    """`ax`, or the axes of a new figure made without touching pyplot's state."""
    if ax is not None:
        return ax
    from ufm.plot.sheet import Sheet

    return Sheet(**size).add_subplot()


def tints(names) -> list:
    """The colours of structures' names; where several share one, the later ones are lighter."""
    from matplotlib.colors import to_rgb

    seen: dict[str, int] = {}
    found = []
    for name in names:
        times = seen[colour(name)] = seen.get(colour(name), -1) + 1
        found.append(tuple(1 - 0.65**times * (1 - c) for c in to_rgb(colour(name))))
    return found


def beside(ax, text: str, at, by=(0, 0), **look) -> None:
    """A small text beside a place, `by` points from it, in the colour of the structure that it names."""
    usual = {"textcoords": "offset points", "fontsize": 8, "color": colour(text), "annotation_clip": False}
    ax.annotate(text, at, xytext=by, **usual | look)


def apart(values, step: float):
    """Ascending values, each at least a step above the one before: places for labels that do not overlap."""
    import numpy as np

    places = np.array(values, dtype=float)
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + step)
    return places


def legend_beside(ax, handles=None, **more) -> None:
    """A legend to the right of the axes, where it covers nothing."""
    ax.legend(handles=handles, fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5), **more)


def check_file(path) -> None:
    """ValueError naming the path when no picture could be written there."""
    from pathlib import Path

    from matplotlib.backend_bases import FigureCanvasBase

    path, known = Path(path), FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in known:
        listed = ", ".join("." + k for k in sorted(known))
        raise ValueError(f"plot file must end in one of {listed}; got {str(path)!r}.")
    check_writable(path, "plot file")


def save(figure: Any, path: FileName) -> None:
    """Write a figure to a file by its suffix (png, pdf, svg, ...), atomically and without dates in it.

    Raises ValueError naming the path when the format is unknown or the folder does not exist.
    """
    from pathlib import Path

    from ufm.plot.sheet import Sheet

    check_file(path)
    suffix = Path(path).suffix.lstrip(".").lower()
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
    look = {"format": suffix, "dpi": 200, "metadata": dates.get(suffix)}
    with contextlib.nullcontext() if isinstance(figure, Sheet) else house_style():
        write_atomically(path, lambda stream: figure.savefig(stream, **look))
