"""A figure is its numbers and how to draw them: `data(work)` computes once, `draw(data)` draws anywhere.

Writing a figure. One file in this folder, or one that `--from FILE` names, with one value `FIGURE`:

    FIGURE = PaperFigure(
        id="gk25-2",                         # `ufm figure gk25-2 --out f.pdf`
        title="How often gradient descent ends in DNC",
        source="gk25, Figure 2",
        data=data,                           # Work -> dict of plain JSON values
        draw=draw,                           # dict -> matplotlib Figure
        rows=rows,                           # dict -> list of dicts, the plotted numbers, for --csv
        takes="10 minutes", takes_fast="15 s",
    )

`work.fast` asks for a small version in seconds, `work.rng` is the seed. `work.map(function, cells)` runs a pure
function over JSON-able cells, in as many processes as `jobs` says, and keeps every finished one on disk, so that an
interrupted figure goes on where it stopped and a second drawing computes nothing. Figures with one `memory` share their
cells. `draw` is called in `ufm.plot.style`'s fonts at 8 points: make sheets of `COLUMN` or `PAGE` inches with `sheet`,
colours with `ufm.plot.style.colour`; every number drawn must be in `rows`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufm import __version__
from ufm.numerics import arguments, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.families import Family, modules_in
from ufm.numerics.records import csv_text, fingerprint, plain
from ufm.numerics.state import own_numpy_state
from ufm.sweeps.workers import cores

COLUMN, PAGE = 3.4, 7.0
"""Widths of a column and of a page, in inches."""
RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
}


@own_numpy_state
@dataclass(frozen=True, kw_only=True)
class PaperFigure:
    """One figure; how to write one is in the docstring of this module. bib: BibTeX of a source that refs.bib lacks."""

    id: str
    title: str
    source: str
    data: Callable[[Work], dict]
    draw: Callable[[dict], object]
    rows: Callable[[dict], list[dict]]
    takes: str
    takes_fast: str
    memory: str | None = None
    bib: str = ""

    @property
    def key(self) -> str:
        """The key in refs.bib."""
        return self.source.split(",")[0]

    def compute(
        self, fast: bool = False, rng: int = 0, cache=None, progress: bool | None = None, jobs: int | None = None
    ) -> dict:
        """The numbers, as JSON gives them back; finished cells are kept in the folder `cache` (None: nowhere).

        jobs: processes (default: the cores, one for fast versions); the numbers do not depend on them.
        """
        with Work(self.memory or self.id, fast, rng, cache, progress, jobs) as work:
            return json.loads(json.dumps(plain(self.data(work))))

    def picture(self, data: dict) -> Any:
        """The matplotlib Figure of some data."""
        with paper_style():
            return settled(self.draw(data))

    def write(
        self,
        path,
        fast: bool = False,
        rng: int = 0,
        cache=None,
        csv: bool = False,
        progress: bool | None = None,
        jobs: int | None = None,
    ) -> list[Path]:
        """Write the picture, beside it a JSON record of settings, versions and numbers, and with csv the plotted
        numbers.

        Returns the files. Equal arguments give equal bytes. Raises ValueError for a path that cannot be written, before
        any work.
        """
        refuse_others_files(path, csv)
        return self.keep(path, self.compute(fast, rng, cache, progress, jobs), fast, rng, csv)[1]

    def keep(self, path, data: dict, fast: bool, rng: int, csv: bool = False) -> tuple[Any, list[Path]]:
        """(picture, files) of data that `compute` gave with these settings, drawn and written as `write` says."""
        from ufm.plot.style import save

        path = Path(path)
        with paper_style():
            picture = settled(self.draw(data))
            save(picture, path)
        record = {
            "figure": self.id,
            "source": self.source,
            "fast": fast,
            "rng": rng,
            "versions": _versions(),
            "data": data,
        }
        files = [path, path.with_suffix(".json")]
        _write(files[1], json.dumps(record, indent=1, sort_keys=True) + "\n")
        if csv:
            files.append(path.with_suffix(".csv"))
            _write(files[2], csv_text(self.rows(data)))
        return picture, files


@contextlib.contextmanager
def paper_style():
    """Within: the house style at the sizes of a printed column."""
    import matplotlib as mpl

    from ufm.plot.style import house_style

    with house_style(), mpl.rc_context(RC):
        yield


def sheet(width: float, height: float, **options):
    """An empty Figure of so many inches, its panels laid out without overlaps, apart from pyplot's state."""
    from ufm.plot.sheet import Sheet

    return Sheet(figsize=(width, height), **options)


def settled(figure):
    """The figure with its panels where the layout puts them, to six digits: the solver's last ones differ from run to
    run."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax in figure.axes:
        ax.set_position([round(x, 6) for x in ax.get_position(original=True).bounds])
    return figure


def epochs(ax, low: float, high: float) -> None:
    """A logarithmic axis of epochs from low to high, with 1, 2, 5 where there are few decades, and no numbers that
    touch."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    ax.set(xscale="log", xlabel="epoch", xlim=(low, high))
    ax.xaxis.set_minor_formatter(NullFormatter())
    if high / low < 200:
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(ScalarFormatter())


class Work:
    """What a figure's `data` is given: whether to be fast, the seed, and a memory of finished cells."""

    def __init__(
        self, name: str, fast: bool, rng: int, cache=None, progress: bool | None = None, jobs: int | None = None
    ):
        self.name, self.fast, self.rng, self.progress = name, fast, rng, progress
        self.jobs = arguments.workers((1 if fast else cores()) if jobs is None else jobs)
        self._store = None
        if cache is not None:
            from ufm.numerics.rows import Store

            Path(cache).mkdir(parents=True, exist_ok=True)
            self._store = Store(
                Path(cache) / f"{name}{'-fast' if fast else ''}-{__version__}.jsonl", "figure", name="cache"
            )

    def map(self, function: Callable[[dict], dict], cells: Iterable[dict], desc: str = "cells") -> list[dict]:
        """function(cell) of every cell, in order; a cell done before is read back. The function must be pure and return
        plain JSON.

        A change of the file in which the function stands makes its cells new.
        """
        cells, known = list(cells), self._store.rows if self._store else {}
        source = _source(function)
        keys = [_hash([function.__qualname__, source, plain(cell)]) for cell in cells]
        done = {key: known[key]["value"] for key in keys if key in known}
        todo = {key: cell for key, cell in zip(keys, cells, strict=True) if key not in done}
        bar = progress_bar(total=len(todo), desc=f"{self.name} {desc}", progress=self.progress)
        try:
            with bar, contextlib.closing(self._values(function, todo)) as values:
                for key, found in values:
                    value = json.loads(json.dumps(plain(found), sort_keys=True))  # the order that reading back gives
                    if self._store:
                        self._store.add({"key": key, "cell": todo[key], "value": value})
                    done[key] = value
                    bar.update()
        except KeyboardInterrupt:
            kept = (
                f"they are kept in {self._store.path}, and the same command does the rest"
                if self._store
                else "nothing of them is kept without a cache"
            )
            raise KeyboardInterrupt(f"after {len(done)} of {len(set(keys))} {desc}; {kept}") from None
        return [done[key] for key in keys]

    def _values(self, function: Callable, todo: dict):
        """(key, function(cell)) as they are finished, here or in processes of one BLAS thread each."""
        if self.jobs == 1 or len(todo) < 2:
            yield from (_keyed((key, function, cell)) for key, cell in todo.items())
            return
        from ufm.sweeps.workers import unordered

        with contextlib.closing(
            unordered(_keyed, ((key, function, cell) for key, cell in todo.items()), min(self.jobs, len(todo)))
        ) as results:
            yield from results

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *error) -> None:
        if self._store:
            self._store.__exit__(*error)


FIGURES: Family[PaperFigure] = Family(
    "figures",
    lambda: modules_in("theory.figures"),
    lambda value: isinstance(value, PaperFigure),
    lambda figure: figure.id,
)


def figures() -> dict[str, PaperFigure]:
    """id -> figure: those of this folder, of files in use, and of installed packages."""
    return FIGURES.members()


def default_cache() -> Path:
    """The user's cache folder: $XDG_CACHE_HOME/ufm/figures or ~/.cache/ufm/figures."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ufm" / "figures"


def _keyed(item: tuple[str, Callable, dict]):
    """A cell done whole: one that Ctrl-C cut short must not be kept."""
    key, function, cell = item
    with interruption.whole():
        return key, function(cell)


def refuse_others_files(path, csv: bool = False) -> None:
    """ValueError, before any work, for a picture that cannot be written, and where a file that no figure wrote stands
    in the place of the record, or of the numbers."""
    from ufm.numerics.files import check_writable
    from ufm.plot.style import check_file

    path = Path(path)
    check_file(path)
    record = path.with_suffix(".json")
    check_writable(record)
    try:
        ours = not record.exists() or "figure" in json.loads(record.read_bytes())
    except (ValueError, TypeError):
        ours = False
    numbers = path.with_suffix(".csv")
    if csv:
        check_writable(numbers)
    if not ours or (csv and numbers.exists() and not record.exists()):
        raise ValueError(
            f"file {str(numbers if ours else record)!r} beside the picture was not written by a figure and would be"
            " replaced; name another picture."
        )


def _write(path: Path, text: str) -> None:
    from ufm.numerics.files import write_atomically

    write_atomically(path, lambda stream: stream.write(text.encode()))


def _versions() -> dict:
    import matplotlib
    import numpy
    import scipy

    return {
        "ufm": __version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "matplotlib": matplotlib.__version__,
    }


def _source(function: Callable) -> str:
    import inspect

    return _hash(Path(inspect.getsourcefile(function)).read_text(encoding="utf-8"))


def _hash(value) -> str:
    return fingerprint(value)[:24]
