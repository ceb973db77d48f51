"""What to type when an optional package is missing: a command that works however this package was installed.

`pip install 'ufm[extra]'` asks the index for a package of that name, which helps nobody who installed from a folder, a
repository or a file, or runs a checkout. The packages of an extra, as the metadata list them, can be installed in every
case.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys

NAME = "ufm"


def missing(what: str, package: str, extra: str | None = None) -> ImportError:
    """The ImportError to raise where `what` needs a package that is not there, of one of our extras or of none.

    >>> print(missing("parquet", "pyarrow"))
    parquet needs the package pyarrow, which is not installed: ... install pyarrow
    """
    of = f" (of the extra {NAME}[{extra}])" if extra else ""
    return ImportError(f"{what} needs the package {package}{of}, which is not installed: {command(package, extra)}")


def command(package: str, extra: str | None = None) -> str:
    """How to install a package, or all of the extra it belongs to, into the Python that is running."""
    return shlex.join([*_installer(), *(_requirements(extra) or [package])])


def _requirements(extra: str | None) -> list[str]:
    """The packages of an extra with their versions; none where no metadata are found, as in a bare checkout."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        listed = requires(NAME) or ()
    except PackageNotFoundError:
        return []
    ours = re.compile(rf"""\bextra\s*==\s*['"]{re.escape(str(extra))}['"]""")
    return [line.partition(";")[0].strip() for line in listed if ours.search(line)]


def _installer() -> list[str]:
    """pip of this Python; where the environment was made without pip, uv's."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install"]
    return ["uv", "pip", "install", "--python", sys.executable]
