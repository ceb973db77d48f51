"""A claim: x < 2^x for whole x >= 0.

Replace the statement, its check and its cases; the controls must break it. `theory.claim` has a claim of gk25 and says
what each field means.
"""

from __future__ import annotations

from theory.claim import Case, Claim, Evidence, grid, planted


def check(case: Case) -> Evidence:
    """x < base^x, in whole numbers; base is 2 unless the case falsifies it."""
    return Evidence(case.x, "<", case.get("base", 2) ** case.x, strength="exact")


EXAMPLE = Claim(
    id="mine:example",
    title="Powers of two are above the line",
    statement="x < 2^x for whole x >= 0.",
    source="mine, Lemma 1",
    bib="@unpublished{mine, author = {A. Student}, title = {To appear}, year = {2026}, note = {In preparation}}",
    hypotheses={"x >= 0": lambda case: case.x >= 0},
    check=check,
    cases=grid(x=range(20)),
    controls=[planted("2 is replaced by 1", x=3, base=1)],
)
