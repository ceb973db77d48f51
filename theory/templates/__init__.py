"""Skeletons of claims and figures, for `ufm new`."""

from __future__ import annotations

from ufm.templates import Template

CLAIM = Template(
    "claim",
    "theory.templates.claim",
    "theory.registry:CLAIMS",
    ("ufm verify mine:{name} --from {file}", "ufm cite mine:{name} --from {file}"),
    called="mine:{name}",
)
FIGURE = Template(
    "figure",
    "theory.templates.figure",
    "theory.figures.figure:FIGURES",
    ("ufm figure {name} --fast --out {name}.pdf --from {file}",),
)
