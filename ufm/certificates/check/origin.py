"""Where a contribution comes from: what a proof that uses it has to be trusted for."""

from __future__ import annotations

import sys
from pathlib import Path

from ufm.numerics.families import CONTRIBUTED

OWN = __name__.rpartition(".")[0]


def origin(thing) -> str:
    """The file, or the installed module, that defines a class or function; empty for the checkers of this package.

    >>> from ufm.numerics.families import use
    >>> origin(origin), origin(use)
    ('', 'ufm.numerics.families')
    """
    module = getattr(thing, "__module__", None) or ""
    if module == OWN or module.startswith(OWN + "."):
        return ""
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).name if module.startswith(CONTRIBUTED) and file else module
