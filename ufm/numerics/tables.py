"""Rows in columns: aligned text, HTML, LaTeX and pandas from one description of the columns. Needs no numpy.

A `Column` says its head, what of a row it shows, and how. Whatever prints a table says its columns once, and every form
follows.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ufm.numerics import arguments
from ufm.numerics.install import missing

ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
}
"""What LaTeX reads as commands."""


@dataclass(frozen=True)
class Column:
    """One column: its head, the attribute or function of a row, the text of a value, least width, side (`<` or `>`).

    latex: the head in LaTeX (default: the head, escaped).
    """

    head: str
    of: str | Callable[[Any], Any]
    form: str | Callable[[Any], str] = ""
    width: int = 0
    side: str = ">"
    latex: str | None = None

    @property
    def key(self) -> str:
        """The column's name in a data frame."""
        return self.of if isinstance(self.of, str) else self.head

    def value(self, row) -> Any:
        return getattr(row, self.of) if isinstance(self.of, str) else self.of(row)

    def text(self, row) -> str:
        """The value of a row as it is printed; `-` for None."""
        value = self.value(row)
        if callable(self.form):
            return self.form(value)
        return "-" if value is None else format(value, self.form)


class Shown:
    """What prints, and shows itself in notebooks, by `shown()`: texts, and tables as arguments of `text_lines`."""

    def shown(self) -> list[Any]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join(part if isinstance(part, str) else "\n".join(text_lines(*part)) for part in self.shown())

    def _repr_html_(self) -> str:
        parts = [f"<p>{html.escape(p)}</p>" if isinstance(p, str) else html_table(*p[:2]) for p in self.shown() if p]
        return "\n".join(parts)


class Listed(Shown):
    """A record that is the sequence of its `rows`: their number, one after the other, by place."""

    rows: Sequence[Any]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def __getitem__(self, which: Any) -> Any:
        """A row by its place or, where rows have names, by name."""
        if isinstance(which, str):
            by_name = {row.name: row for row in reversed(self.rows)}
            return by_name[arguments.choice("name", which, by_name)]
        return self.rows[which]


def text_lines(rows: Iterable, columns: Sequence[Column], rule: bool = True) -> list[str]:
    """Head, rule and one line a row, two blanks between columns.

    >>> from types import SimpleNamespace as Row
    >>> columns = [Column("point", "name", side="<"), Column("F", "fun", ".3f", 8)]
    >>> print(*text_lines([Row(name="dnc", fun=0.5)], columns), sep="\\n")
    point         F
    ---------------
    dnc       0.500
    """
    cells = [[column.text(row) for column in columns] for row in rows]
    widths = [
        max([column.width, len(column.head), *(len(line[i]) for line in cells)]) for i, column in enumerate(columns)
    ]

    def line(texts) -> str:
        return "  ".join(
            f"{text:{column.side}{width}}" for text, column, width in zip(texts, columns, widths, strict=True)
        )

    head = line([column.head for column in columns])
    return [head.rstrip(), *["-" * len(head)] * rule, *(line(texts).rstrip() for texts in cells)]


def html_table(rows: Iterable, columns: Sequence[Column], caption: str = "") -> str:
    """The rows as an HTML table of its own, for a notebook; texts are escaped."""
    side = {"<": "left", ">": "right"}

    def cell(tag: str, text: str, column: Column) -> str:
        return f'<{tag} style="text-align:{side[column.side]}">{html.escape(text.strip())}</{tag}>'

    head = "".join(cell("th", column.head, column) for column in columns)
    body = "\n".join(
        "<tr>" + "".join(cell("td", column.text(row), column) for column in columns) + "</tr>" for row in rows
    )
    said = f"<caption>{html.escape(caption)}</caption>\n" if caption else ""
    return f"<table>\n{said}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def latex_table(rows: Iterable, columns: Sequence[Column]) -> str:
    r"""The rows as a LaTeX tabular with booktabs rules; needs \usepackage{booktabs}."""
    sides = "".join({"<": "l", ">": "r"}[column.side] for column in columns)
    head = " & ".join(column.latex or escaped(column.head) for column in columns)
    body = [" & ".join(escaped(column.text(row).strip()) for column in columns) + r" \\" for row in rows]
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{sides}}}",
        r"\toprule",
        head + r" \\",
        r"\midrule",
        *body,
    ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def escaped(text: str) -> str:
    r"""The text with LaTeX's special characters escaped.

    >>> print(escaped("code(S_3+S_2:1|1)#2"))
    code(S\_3+S\_2:1|1)\#2
    """
    return "".join(ESCAPES.get(letter, letter) for letter in text)


def data_frame(records: Sequence[dict]):
    """A pandas DataFrame of flat records; ImportError naming a command that works where pandas is missing."""
    try:
        import pandas  # pyright: ignore[reportMissingImports] an extra that the checks need not have
    except ImportError:
        raise missing("a data frame", "pandas", "table") from None
    return pandas.DataFrame.from_records(list(records))
