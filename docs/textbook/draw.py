"""Draw the pictures of the textbook from its own snippets: `python docs/textbook/draw.py`.

A snippet whose answer is `<Figure size ...>` is a picture; the i-th one of chapter 03 becomes images/textbook/03_i.png.
"""

from __future__ import annotations

import doctest
import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
HERE = Path(__file__).resolve().parent


def figures(page: Path) -> list:
    """The figures that a page shows, in order, by running its snippets."""
    examples, names, found = doctest.DocTestParser().get_examples(page.read_text(encoding="utf-8")), {}, []
    for example in examples:
        if example.want.startswith("<Figure size"):
            found.append(eval(example.source, names))
        elif not example.options.get(doctest.SKIP):
            exec(compile(example.source, page.name, "exec"), names)
    return found


def draw(folder: Path = HERE.parent / "images" / "textbook") -> list[Path]:
    """Write every picture of every chapter; the files written."""
    from ufm.plot.style import house_style

    written = []
    for page in sorted(HERE.glob("0*.md")):
        for i, figure in enumerate(figures(page), 1):
            written.append(folder / f"{page.name[:2]}_{i}.png")
            with house_style():
                figure.savefig(written[-1], dpi=110, bbox_inches="tight", metadata={"Software": None})
    return written


if __name__ == "__main__":
    print(*draw(), sep="\n")
