"""What every figure promises: numbers that are computed once, a picture of them alone, and a table that holds them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from discovered import NEW, members, names

from theory.figures.figure import PaperFigure, csv_text, figures
from theory.references import carried, references

SHORT = {NEW, "ufm-morse"}
"""Which of them are drawn by the quick suite, the others by the slow one."""

DERIVED = {
    "ufm-ends": "values over that of DNC",
    "ufm-profile": "values over the lowest",
    "zang24-classes": "means over seeds",
    "zang24-lambda": "shares of the norm",
}
"""Figures that draw what is computed from several entries of their tables."""

every = pytest.mark.parametrize("name", names("figure"))
drawn = pytest.mark.parametrize(
    "name", [name if name in SHORT else pytest.param(name, marks=pytest.mark.slow) for name in names("figure")]
)


@every
def test_it_is_a_record_with_a_source(name):
    figure = members("figure")[name]
    assert isinstance(figure, PaperFigure) and figures()[name] is figure and figure.id == name
    assert figure.title and figure.source.startswith(figure.key)
    assert figure.key in references() | carried([figure])
    assert callable(figure.data) and callable(figure.draw) and callable(figure.rows)
    assert figure.takes and figure.takes_fast


def numbers(value) -> set[float]:
    """Every number in nested lists, dictionaries and rows, to ten digits."""
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values()), set())
    if isinstance(value, (list, tuple)):
        return set().union(*map(numbers, value), set())
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return {digits(value)}
    return set()


def digits(value: float) -> float:
    return float(f"{value:.9g}")


@drawn
def test_its_data_are_plain_and_its_table_holds_what_is_drawn(name):
    figure = members("figure")[name]
    data = figure.compute(fast=True, progress=False, jobs=1)
    assert json.loads(json.dumps(data)) == data
    rows = figure.rows(data)
    assert rows and all(isinstance(row, dict) for row in rows)
    assert len(csv_text(rows).splitlines()) == 1 + len(rows)
    one, other = figure.picture(data), figure.picture(data)
    assert [heights(ax) for ax in one.axes] == [heights(ax) for ax in other.axes]
    drawn_numbers = [y for ax in one.axes for line in heights(ax) for y in line]
    if drawn_numbers and name not in DERIVED:
        table = numbers(rows)
        assert np.mean([y in table for y in drawn_numbers]) > 0.9


def test_a_table_of_other_numbers_would_be_seen():
    figure = members("figure")[NEW]
    data = figure.compute(fast=True, progress=False, jobs=1)
    wrong = json.loads(
        json.dumps(data), parse_float=lambda text: 1.01 * float(text), parse_int=lambda text: int(text) + 1
    )
    drawn_numbers = [y for ax in figure.picture(data).axes for line in heights(ax) for y in line]
    assert np.mean([y in numbers(figure.rows(wrong)) for y in drawn_numbers]) <= 0.9


def heights(ax) -> list[list[float]]:
    """Of the lines of a panel that are not level."""
    lines = [[digits(float(y)) for y in line.get_ydata() if math.isfinite(float(y))] for line in ax.lines]
    return [line for line in lines if len(set(line)) > 1]
