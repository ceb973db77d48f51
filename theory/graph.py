"""What uses what: the claims as boxes in layers, each to the right of those its proof stands on.

Boxes cannot overlap: every layer is a column as wide as its widest box, an edge over several layers has a slot of its
own in each column between, and between two columns edges are curves that stay there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from theory.claim import REFUTED, SUPPORTED, UNDECIDED, Claim, Verdict
from theory.registry import layers

COLOURS = {SUPPORTED: "#009E73", REFUTED: "#D55E00", UNDECIDED: "#B8860B", "not run": "#808080"}
"""Colour-blind safe; the word always stands beside the colour."""

CHARACTER, LINE, PADDING, COLUMN_GAP, ROW_GAP, MARGIN, BAR, SLOT = 7.8, 17.0, 10.0, 64.0, 14.0, 16.0, 6.0, 12.0
LONE_COLUMNS = 4
"""Claims without edges stand in rows of at most so many, below the others."""


@dataclass(frozen=True)
class Box:
    """One claim in the picture: its corner, its size, and its two lines of text."""

    id: str
    title: str
    state: str
    second: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Boxes, and edges as paths of points from the claim used to the claim that uses it; consecutive points are joined
    level or by a curve."""

    boxes: tuple[Box, ...]
    edges: dict[tuple[str, str], tuple[tuple[float, float], ...]]
    width: float
    height: float


def layout(claims: Iterable[Claim], verdicts: Iterable[Verdict] = ()) -> Layout:
    """Where everything goes. Claims used but not among the given ones appear by their id, as not run. ValueError for a
    circle."""
    claims = list(claims)
    uses = {claim.id: claim.uses for claim in claims}
    uses |= {used: () for claim in claims for used in claim.uses if used not in uses}
    labels = _labels(uses, claims, {verdict.claim.id: verdict for verdict in verdicts})
    tied = {name for name in uses if uses[name]} | {used for names in uses.values() for used in names}
    depth = layers({name: used for name, used in uses.items() if name in tied})
    columns, chains = _columns(uses, depth)
    boxes, edges, size = _place(columns, chains, labels)
    lone, size = _place_lone([name for name in uses if name not in tied], labels, size)
    return Layout((*boxes, *lone), edges, *size)


def _labels(uses: dict, claims: list[Claim], verdicts: dict[str, Verdict]) -> dict[str, tuple[str, str, str, float]]:
    """id -> (title, state, second line, width)."""
    titles = {claim.id: claim.title for claim in claims}
    found = {}
    for name in uses:
        state = verdicts[name].verdict if name in verdicts else "not run"
        second = f"{state} · {verdicts[name].strength}" if state in (SUPPORTED, REFUTED) else state
        found[name] = (
            titles.get(name, name),
            state,
            second,
            BAR + 2 * PADDING + CHARACTER * max(len(name), len(second)),
        )
    return found


def _columns(uses: dict, depth: dict[str, int]):
    """(columns, chains): the slots of each layer in order, and for each edge the slots it passes, ends included.

    A slot is an id, or (used, user, layer) where an edge passes a layer. The order comes from sweeps of barycentres.
    """
    columns: list[list] = [
        [name for name in depth if depth[name] == i] for i in range(max(depth.values(), default=-1) + 1)
    ]
    chains = {}
    for user in depth:
        for used in dict.fromkeys(uses[user]):
            passed = [(used, user, i) for i in range(depth[used] + 1, depth[user])]
            for slot in passed:
                columns[slot[2]].append(slot)
            chains[used, user] = [used, *passed, user]
    left, right = {}, {}
    for chain in chains.values():
        for a, b in itertools.pairwise(chain):
            left.setdefault(b, []).append(a)
            right.setdefault(a, []).append(b)
    for _ in range(8):
        for i in range(1, len(columns)):
            _sort(columns[i], columns[i - 1], left)
        for i in reversed(range(len(columns) - 1)):
            _sort(columns[i], columns[i + 1], right)
    return columns, chains


def _sort(column: list, beside: list, neighbours: dict) -> None:
    """Order a column by the mean place of its neighbours, in fractions of the columns' heights; those without stay
    where they are."""
    at = {slot: (i + 0.5) / len(beside) for i, slot in enumerate(beside)}
    own = {slot: (i + 0.5) / len(column) for i, slot in enumerate(column)}

    def place(slot):
        places = [at[other] for other in neighbours.get(slot, ()) if other in at]
        return sum(places) / len(places) if places else own[slot]

    column.sort(key=place)


def _place(columns, chains, labels):
    height = 2 * LINE + PADDING
    tall = [
        sum(height if isinstance(slot, str) else SLOT for slot in column) + ROW_GAP * max(len(column) - 1, 0)
        for column in columns
    ]
    boxes, ports, x = [], {}, MARGIN
    for column, own in zip(columns, tall, strict=True):
        widest = max(labels[slot][3] for slot in column if isinstance(slot, str))
        y = MARGIN + (max(tall) - own) / 2
        for slot in column:
            size = height if isinstance(slot, str) else SLOT
            middle, width = y + size / 2, widest
            if isinstance(slot, str):
                title, state, second, width = labels[slot]
                boxes.append(Box(slot, title, state, second, x, y, width, height))
            ports[slot] = (x, x + width, x + widest, middle)
            y += size + ROW_GAP
        x += widest + COLUMN_GAP
    edges = {}
    for pair, chain in chains.items():
        points = []
        for slot in chain:
            start, end, column_end, middle = ports[slot]
            points += [(start, middle)] if slot == pair[1] else []
            points += [(end, middle), (column_end, middle)] if slot == pair[0] else []
            points += [(start, middle), (column_end, middle)] if not isinstance(slot, str) else []
        edges[pair] = tuple(points)
    bottom = MARGIN + max(tall) if columns else 0.0
    return boxes, edges, (x - COLUMN_GAP + MARGIN if columns else 2 * MARGIN, bottom)


def _place_lone(names: list[str], labels, size):
    width, bottom = size
    height, boxes = 2 * LINE + PADDING, []
    across = min(LONE_COLUMNS, len(names))
    widest = [max(labels[name][3] for name in names[i::across]) for i in range(across)]
    for i, name in enumerate(names):
        row, column = divmod(i, across)
        x = MARGIN + sum(widest[:column]) + column * 2 * ROW_GAP
        y = (bottom + 2 * ROW_GAP if bottom else MARGIN) + row * (height + ROW_GAP)
        title, state, second, own = labels[name]
        boxes.append(Box(name, title, state, second, x, y, own, height))
    edge = max([width, *(box.x + box.width + MARGIN for box in boxes)])
    return boxes, (edge, max([bottom, *(box.y + box.height for box in boxes)]) + MARGIN)


STYLE = """
.uses text { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1a1a1a; }
.uses .name { font-weight: bold; }
.uses .box { fill: #ffffff; stroke: #b0b0b0; }
.uses .edge { fill: none; stroke: #707070; stroke-width: 1.3; }
.uses .head { fill: #707070; }
@media (prefers-color-scheme: dark) {
  .uses text { fill: #e8e8e8; }
  .uses .box { fill: #242424; stroke: #5a5a5a; }
  .uses .edge { stroke: #a0a0a0; }
  .uses .head { fill: #a0a0a0; }
}
"""


def svg(claims: Iterable[Claim], verdicts: Iterable[Verdict] = ()) -> str:
    """The picture as SVG text: an arrow points from a claim to one that uses it; the bar and the word say the
    verdict."""
    drawn = layout(claims, verdicts)
    body = [_path(points) for points in drawn.edges.values()] + [_box(box) for box in drawn.boxes]
    size = f'width="{drawn.width:.0f}" height="{drawn.height:.0f}" viewBox="0 0 {drawn.width:.0f} {drawn.height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="uses" role="img" aria-label="what uses what" {size}>'
    return "\n".join([head, f"<style>{STYLE}</style>", *body, "</svg>"])


def _path(points) -> str:
    (x, y), *rest = points
    text, tip = [f"M{x:.1f} {y:.1f}"], rest[-1]
    for u, v in rest:
        end = u - 7 if (u, v) == tip else u
        middle = (x + end) / 2
        text.append(
            f"L{end:.1f} {v:.1f}" if y == v else f"C{middle:.1f} {y:.1f} {middle:.1f} {v:.1f} {end:.1f} {v:.1f}"
        )
        x, y = u, v
    arrow = f"M{tip[0]:.1f} {tip[1]:.1f} l-8 -4 v8 z"
    return f'<path class="edge" d="{" ".join(text)}" /><path class="head" d="{arrow}" />'


def _box(box: Box) -> str:
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" height="{box.height:.1f}"'
    x = box.x + BAR + PADDING
    return (
        f"<g><title>{escape(box.title)}</title>"
        f'<rect class="box" {place} width="{box.width:.1f}" rx="3" />'
        f'<rect {place} width="{BAR}" fill="{COLOURS[box.state]}" />'
        f'<text class="name" x="{x:.1f}" y="{box.y + LINE:.1f}">{escape(box.id)}</text>'
        f'<text x="{x:.1f}" y="{box.y + 2 * LINE:.1f}">{escape(box.second)}</text></g>'
    )


def dot(claims: Iterable[Claim], verdicts: Iterable[Verdict] = ()) -> str:
    """The same graph in Graphviz's language."""
    drawn = layout(claims, verdicts)
    lines = ["digraph uses {", '  rankdir=LR; node [shape=box, fontname="monospace"];']
    lines += [
        f'  {_quoted(b.id)} [label={_quoted(b.id, b.second)}, color="{COLOURS[b.state]}", tooltip={_quoted(b.title)}];'
        for b in drawn.boxes
    ]
    lines += [f"  {_quoted(used)} -> {_quoted(user)};" for used, user in drawn.edges]
    return "\n".join([*lines, "}", ""])


def _quoted(*lines: str) -> str:
    return '"' + "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines) + '"'
