"""The figures of this package: they are drawn in the settings in which they were made, whatever the caller's are by then."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure


class Sheet(Figure):
    """A Figure apart from pyplot's state, laid out without overlaps, that remembers matplotlib's settings at its making.

    Ticks and labels are made when a figure is drawn, and take fonts, colours and `text.usetex` from the settings of that moment.
    """

    def __init__(self, *args, layout="constrained", **options):
        self._settings = {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}  # which says where to show, not how to draw
        super().__init__(*args, layout=layout, **options)

    def draw(self, renderer):
        with mpl.rc_context(self._settings):
            super().draw(renderer)

    def draw_without_rendering(self):
        with mpl.rc_context(self._settings):
            super().draw_without_rendering()

    def savefig(self, fname, **options):
        with mpl.rc_context(self._settings):
            super().savefig(fname, **options)
