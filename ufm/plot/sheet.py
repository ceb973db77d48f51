"""The figures of this package: they are drawn in the settings in which they were made, whatever the caller's are by
then, and a notebook shows them without being told how."""

from __future__ import annotations

import io
from typing import Literal

import matplotlib as mpl
from matplotlib.figure import Figure


class Sheet(Figure):
    """A Figure apart from pyplot's state, without overlaps, that remembers matplotlib's settings at its making.

    Ticks and labels are made when a figure is drawn, and take fonts, colours and `text.usetex` from the settings of
    that moment. Notebooks ask what a cell returns for `_repr_png_`: the figure, each of its axes and a `Column` of them
    answer with the same picture.
    """

    def __init__(self, *args, layout: Literal["constrained", "compressed", "tight"] | None = "constrained", **options):
        self._settings = {
            name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"
        }  # which says where to show, not how to draw
        super().__init__(*args, layout=layout, **options)

    def draw(self, renderer):
        with mpl.rc_context(self._settings):  # pyright: ignore[reportArgumentType] keys of rcParams itself
            super().draw(renderer)

    def draw_without_rendering(self):
        with mpl.rc_context(self._settings):  # pyright: ignore[reportArgumentType] keys of rcParams itself
            super().draw_without_rendering()

    def savefig(self, fname, **options):
        with mpl.rc_context(self._settings):  # pyright: ignore[reportArgumentType] keys of rcParams itself
            super().savefig(fname, **options)

    def add_subplot(self, *args, **options):
        ax = super().add_subplot(*args, **options)
        ax._repr_png_ = self._repr_png_
        return ax

    def __repr__(self) -> str:
        return super().__repr__().replace("<Sheet", "<Figure", 1)

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", bbox_inches="tight", metadata={"Software": None})
        return stream.getvalue()


class Column(list):
    """The axes of one Sheet, one below the other."""

    def _repr_png_(self) -> bytes:
        return self[0]._repr_png_()
