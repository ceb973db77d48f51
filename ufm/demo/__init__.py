"""The teaching page: one file without network, and a small server that lends it the real solver.

`page.html` holds the frame, `style.css` the looks, `physics.js` the model (no page in it), `draw.js` the pictures, `tour.js` the
lecture, `page.js` the controls; `assembly` puts them together, `server` serves them, `commands` adds `ufm demo`.
"""

from __future__ import annotations

from ufm.demo.assembly import export
from ufm.demo.server import serve

__all__ = ["export", "serve"]
