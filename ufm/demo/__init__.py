"""The teaching page: one file without network, and a small server that lends it the real solver.

`page.html` holds the frame, `style.css` the looks, `physics.js` the model (no page in it), `draw.js` the pictures,
`tour.js` the lecture, `page.js` the controls; `assembly` puts them together, `server` serves them, `questions` asks the
solver, `commands` adds `ufm demo`.
"""

from __future__ import annotations

import importlib

_HOME = {"export": "ufm.demo.assembly", "serve": "ufm.demo.server"}
__all__ = list(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'ufm.demo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
