"""Verdicts as a terminal table, Markdown, a LaTeX table, and one self-contained HTML page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from theory import graph
from theory.claim import REFUTED, SUPPORTED, UNDECIDED, Evidence, Outcome, Verdict

ROWS = 200
"""At most so many cases of one claim are listed in a page."""
_HEADS = ("claim", "verdict", "strength", "margin", "cases", "controls", "seconds", "title")
_RIGHT = (3, 4, 5, 6)


def rows(verdicts: Sequence[Verdict]) -> list[tuple[str, ...]]:
    """One row of texts for each claim; `controls` says how many of them break it."""
    return [
        (
            v.claim.id,
            v.verdict,
            v.strength if any(case.evidence for case in v.cases) else "-",
            _margin(v.margin),
            str(len(v.cases)) + (f" (+{v.outside} outside)" if v.outside else ""),
            f"{len(v.broken)}/{len(v.controls)}",
            f"{v.seconds:.2f}",
            v.claim.title,
        )
        for v in verdicts
    ]


def table(verdicts: Sequence[Verdict]) -> str:
    """The same as an HTML table, for a notebook."""
    return _table(_HEADS, [list(map(escape, row)) for row in rows(verdicts)], _RIGHT)


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many are supported, refuted, undecided; a refuted claim with a supported correction is refuted as
    published."""
    by_id = {v.claim.id: v for v in verdicts}
    parts = [f"{sum(v.verdict == SUPPORTED for v in verdicts)} supported"]
    refuted = [v for v in verdicts if v.verdict == REFUTED]
    corrected = [
        v for v in refuted if (other := by_id.get(v.claim.corrected_by)) is not None and other.verdict == SUPPORTED
    ]
    if len(refuted) > len(corrected):
        parts.append(f"{len(refuted) - len(corrected)} refuted")
    if corrected:
        parts.append(f"{len(corrected)} refuted as published: see {', '.join(v.claim.corrected_by for v in corrected)}")
    undecided = sum(v.verdict == UNDECIDED for v in verdicts)
    parts += [f"{undecided} undecided"] if undecided else []
    return f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {'; '.join(parts)}."


def remarks(verdict: Verdict) -> list[str]:
    """What a reader must know beyond the row: the counterexample and the correction, or the reason for indecision; the
    scope."""
    found, worst, claim = [], verdict.counterexample, verdict.claim
    if worst is not None:
        found.append(f"counterexample: {worst.case}: {_refuting(worst)}")
        if claim.corrected_by:
            found.append(f"corrected by {claim.corrected_by}")
    if verdict.why:
        found.append(f"undecided: {verdict.why}")
    return [*found, f"scope: {claim.scope}"] if claim.scope else found


def relation(e: Evidence) -> str:
    """`left relation right`, in twelve digits."""
    right = f"[{_show(e.right[0])}, {_show(e.right[1])}]" if isinstance(e.right, tuple) else _show(e.right)
    return f"{_show(e.left)} {e.relation} {right}"


def because(verdict: Verdict, control: Outcome) -> str:
    """Why a control is one, and whether it breaks the claim."""
    if control.case.planted:
        reason = f"planted: {control.case.planted}"
    else:
        reason = "violates " + " and ".join(verdict.claim.violated(control.case))
    if control.fails:
        return f"{reason}; breaks the claim: {_refuting(control)}"
    effect = "does not break the claim" if control.verdict == SUPPORTED else "decides nothing"
    return f"{reason}; {effect}" + (f" ({control.failed})" if control.failed else "")


def _refuting(outcome: Outcome) -> str:
    evidence = next(e for e in outcome.evidence if e.verdict == REFUTED)
    return f"{relation(evidence)} fails{_noted(evidence)}"


def text(verdicts: Sequence[Verdict], verbose: bool = False) -> str:
    """An aligned table, one line for each claim, remarks below it; `verbose` adds hypotheses, cases and controls."""
    table = [_HEADS, *rows(verdicts)]
    widths = [max(len(row[i]) for row in table) for i in range(len(_HEADS))]
    lines = [
        "  ".join(
            cell.rjust(w) if i in _RIGHT else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    found = [lines[0].rstrip(), "-" * len(lines[0])]
    for line, verdict in zip(lines[1:], verdicts, strict=True):
        found += [
            line.rstrip(),
            *(f"    {remark}" for remark in remarks(verdict)),
            *(_details(verdict) if verbose else ()),
        ]
    return "\n".join([*found, "", summary(verdicts)])


def _details(verdict: Verdict) -> list[str]:
    claim = verdict.claim
    lines = [
        claim.statement,
        f"source: {claim.source}",
        f"kind: {claim.kind}",
        "hypotheses: " + ("; ".join(claim.hypotheses) or "none"),
    ]
    lines += [f"uses: {', '.join(claim.uses)}"] if claim.uses else []
    for case in verdict.cases:
        lines.append(f"case {case.case}: {case.verdict}" + (f" ({case.failed})" if case.failed else ""))
        lines += [
            f"  {relation(e)}  {e.verdict}, margin {_margin(e.margin)}{_error(e)}, {e.strength}{_noted(e)}"
            for e in case.evidence
        ]
    lines += [f"control {control.case}: {because(verdict, control)}" for control in verdict.controls]
    return [f"    {line}" for line in lines]


def markdown(verdicts: Sequence[Verdict]) -> str:
    """A table, and a section for each claim with its statement, hypotheses, remarks and controls."""

    def row(cells) -> str:
        return "| " + " | ".join(map(markdown_escape, cells)) + " |"

    rule = "|" + "|".join(" --: " if i in _RIGHT else " :-- " for i in range(len(_HEADS))) + "|"
    lines = ["# Claims", "", markdown_escape(summary(verdicts)), "", row(_HEADS), rule, *map(row, rows(verdicts))]
    for v in verdicts:
        claim = v.claim
        lines += [
            "",
            f"## {markdown_escape(f'{claim.id}: {claim.title}')}",
            "",
            markdown_escape(f"{claim.statement} ({claim.source})"),
            "",
        ]
        lines += [f"**{v.verdict}**, {v.strength}.", "", *(f"- {markdown_escape(fact)}" for fact in _facts(v))]
        lines += [
            "",
            row(("control", "why it is one")),
            "| :-- | :-- |",
            *(row((str(c.case), because(v, c))) for c in v.controls),
        ]
    return "\n".join([*lines, ""])


def markdown_escape(words: str) -> str:
    """The words as Markdown text, in a table or outside: no emphasis, code, tags or cells begin in it."""
    return "".join("&lt;" if c == "<" else "\\" + c if c in "\\`*_|" else c for c in words)


def _facts(verdict: Verdict) -> list[str]:
    claim = verdict.claim
    uses = [f"uses: {', '.join(claim.uses)}"] if claim.uses else []
    kind = [] if claim.kind == "universal" else [f"kind: {claim.kind}"]
    return ["hypotheses: " + ("; ".join(claim.hypotheses) or "none"), *kind, *uses, *remarks(verdict)]


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
_LATEX |= {c: "\\" + c for c in "&%$#_{}"} | {
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "·": r"$\cdot$",
    "λ": r"$\lambda$",
    "Λ": r"$\Lambda$",
    "−": "$-$",
    '"': "''",
}


def latex_escape(words: str) -> str:
    """The words as LaTeX text, one pass, so that nothing is escaped twice."""
    return "".join(_LATEX.get(c, c) for c in words)


def latex(verdicts: Sequence[Verdict]) -> str:
    """A booktabs table; needs \\usepackage{booktabs}."""
    columns = "".join("r" if i in _RIGHT else "l" for i in range(len(_HEADS) - 1)) + r"p{0.4\textwidth}"

    def line(cells) -> str:
        return " & ".join(map(latex_escape, cells)) + r" \\"

    notes = [f"% {v.claim.id}: {remark}" for v in verdicts for remark in remarks(v)]
    body = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        line(_HEADS),
        r"\midrule",
        *map(line, rows(verdicts)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(["% needs \\usepackage{booktabs}", *(note.replace("\n", " ") for note in notes), *body, ""])


_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --rule: #c8c8c8; --soft: #f4f4f4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #181818; --rule: #4a4a4a; --soft: #242424; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 70rem; margin: 2rem
    auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.7rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
.number { text-align: right; white-space: nowrap; }
.wide { overflow-x: auto; }
.verdict { white-space: nowrap; padding-left: 0.5rem; border-left: 0.4rem solid; font-weight: 600; }
section { margin-top: 2rem; } details { background: var(--soft); padding: 0.3rem 0.8rem; margin: 0.5rem 0; }
"""


def page(title: str, body: str) -> str:
    """A whole page, light or dark as the reader's system is, with nothing to load."""
    head = (
        f'<meta charset="utf-8" /><meta name="viewport" content="width=device-width" /><title>{escape(title)}</title>'
    )
    return (
        "<!DOCTYPE html>\n<html"
        f' lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n'
        f"{body}\n</body></html>\n"
    )


def html(verdicts: Sequence[Verdict]) -> str:
    """Claims, what uses what, evidence and controls on one page; every verdict a word beside its colour."""
    drawing = graph.svg([v.claim for v in verdicts], verdicts)
    body = [
        f"<p>{escape(summary(verdicts))}</p>",
        _overview(verdicts),
        f'<h2>What uses what</h2><div class="wide">{drawing}</div>',
    ]
    return page("Claims", "\n".join([*body, *map(_section, verdicts)]))


def graph_page(verdicts: Sequence[Verdict]) -> str:
    """The graph of what uses what as a page of its own."""
    return page("What uses what", f'<div class="wide">{graph.svg([v.claim for v in verdicts], verdicts)}</div>')


def _overview(verdicts) -> str:
    def cells(v: Verdict, row) -> list[str]:
        name, _, *rest = row
        return [f'<a href="#{escape(name)}">{escape(name)}</a>', _word(v.verdict), *map(escape, rest)]

    return _table(_HEADS, [cells(v, row) for v, row in zip(verdicts, rows(verdicts), strict=True)], _RIGHT)


def _word(verdict: str) -> str:
    return f'<span class="verdict" style="border-color: {graph.COLOURS[verdict]}">{verdict}</span>'


def _table(heads, body: list[list[str]], right=()) -> str:
    def row(tag: str, cells) -> str:
        marked = (
            f'<{tag} class="number">{c}</{tag}>' if i in right else f"<{tag}>{c}</{tag}>" for i, c in enumerate(cells)
        )
        return f"<tr>{''.join(marked)}</tr>"

    return (
        '<div class="wide"><table>'
        + row("th", heads)
        + "\n".join(row("td", cells) for cells in body)
        + "</table></div>"
    )


def _section(verdict: Verdict) -> str:
    claim = verdict.claim
    controls = [[escape(str(c.case)), escape(because(verdict, c))] for c in verdict.controls]
    shown = sorted(verdict.cases, key=lambda case: case.verdict == SUPPORTED)[:ROWS]
    left = len(verdict.cases) - len(shown)
    evidence = [line for case in shown for line in _evidence_rows(case)]
    return "\n".join(
        [
            f'<section id="{escape(claim.id)}"><h2>{escape(claim.id)}: {escape(claim.title)}</h2>',
            f"<p>{_word(verdict.verdict)} {escape(claim.statement)} [{escape(claim.source)}]</p>",
            "<ul>" + "".join(f"<li>{escape(fact)}</li>" for fact in _facts(verdict)) + "</ul>",
            "<h3>Controls</h3>" + _table(("control", "why it is one"), controls),
            f"<details><summary>{len(verdict.cases)} cases</summary>",
            _table(("case", "verdict", "evidence", "margin", "strength", "note"), evidence, (3,)),
            f"<p>and {left} more</p>" if left else "",
            "</details></section>",
        ]
    )


def _evidence_rows(case: Outcome) -> list[list[str]]:
    name = escape(str(case.case))
    found = [
        [name, _word(e.verdict), escape(relation(e)), _margin(e.margin) + _error(e), e.strength, escape(e.note)]
        for e in case.evidence
    ]
    return found + ([[name, _word(UNDECIDED), "", "", "", escape(case.failed)]] if case.failed else [])


def _noted(e: Evidence) -> str:
    return f" ({e.note})" if e.note else ""


def _error(e: Evidence) -> str:
    return f" ± {_margin(e.error)}" if e.error else ""


def _show(value) -> str:
    try:
        return str(value) if isinstance(value, int) and abs(value) < 10**15 else f"{float(value):.12g}"
    except OverflowError:
        return (
            f"{'-' if value < 0 else ''}10^{math.floor(math.log10(abs(value)))}"
            if isinstance(value, int)
            else str(value)
        )


def _margin(value) -> str:
    try:
        value = float(value)
    except OverflowError:
        return "huge" if value > 0 else "-huge"
    return "-" if math.isnan(value) else f"{value:.3g}"
