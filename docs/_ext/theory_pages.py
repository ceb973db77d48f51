"""Pages of claims: `{claims} gk25` puts every claim of a folder there, `{claims-table}` one row for each claim there
is.

What a claim says is read from the registry, what came of it from docs/theory_results.json (`theory_results.py` writes
it). An entry that speaks of an older text of its claim is marked as such.
"""

from __future__ import annotations

from types import SimpleNamespace

import theory_results
from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from theory import graph
from theory.claim import REFUTED, SUPPORTED, UNDECIDED, Claim
from theory.registry import claims

FIELDS = ("strength", "margin", "cases", "controls")


class Entries:
    """The registry beside the results: `state` of a claim is its verdict, or why there is none to show."""

    def __init__(self):
        self.claims, self.results = claims(), theory_results.results()
        self.stale = set(theory_results.stale(self.claims, self.results))

    def of(self, claim: Claim) -> dict:
        return self.results.get(claim.id, {})

    def state(self, claim: Claim) -> str:
        return (
            "not run"
            if claim.id not in self.results
            else "out of date"
            if claim.id in self.stale
            else self.of(claim)["verdict"]
        )

    def counted(self, claim: Claim) -> str:
        """The state; `refuted as published` where a correction is supported."""
        corrected = self.results.get(claim.corrected_by, {}).get("verdict") == SUPPORTED
        return (
            "refuted as published, with a supported correction"
            if self.state(claim) == REFUTED and corrected
            else self.state(claim)
        )

    def shown(self, claim: Claim, name: str) -> str:
        value = self.of(claim).get(name, "-")
        if name == "margin":
            return "-" if value in ("-", None) else f"{value:.3g}"
        return f"{self.of(claim).get('controls_broken', '-')}/{value}" if name == "controls" else str(value)

    def verdicts(self) -> list:
        """What `theory.graph` needs of verdicts."""
        fresh = [claim for claim in self.claims if self.state(claim) in (SUPPORTED, REFUTED, UNDECIDED)]
        return [SimpleNamespace(claim=c, verdict=self.of(c)["verdict"], strength=self.of(c)["strength"]) for c in fresh]


def anchor(claim_id: str) -> str:
    """`gk25:thm1` -> `gk25-thm1`, by which pages link to it: theory/gk25.md#gk25-thm1."""
    return nodes.make_id(claim_id.replace(":", "-").replace(".", "-"))


def paragraph(*parts, classes=()) -> nodes.paragraph:
    return nodes.paragraph(
        "", "", *(nodes.Text(part) if isinstance(part, str) else part for part in parts), classes=list(classes)
    )


def badge(state: str) -> nodes.inline:
    return nodes.inline("", state, classes=["verdict", state.replace(" ", "-")])


def link(claim_id: str) -> addnodes.pending_xref:
    """A link to the claim wherever its page is; its id alone where it has none."""
    reference = addnodes.pending_xref(
        "", refdomain="std", reftype="ref", reftarget=anchor(claim_id), refexplicit=True, refwarn=True
    )
    reference += nodes.inline("", claim_id)
    return reference


def links(ids) -> list[nodes.Node]:
    found: list[nodes.Node] = []
    for claim_id in ids:
        found += [nodes.Text(", ")] * bool(found) + [link(claim_id)]
    return found


def table(heads, rows, classes=()) -> nodes.table:
    """A table of cells, each a text or a list of nodes."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in heads), cols=len(heads))
    group += nodes.thead("", _row(heads))
    group += nodes.tbody("", *map(_row, rows))
    return nodes.table("", group, classes=list(classes))


def _row(cells) -> nodes.row:
    return nodes.row("", *(nodes.entry("", paragraph(*([cell] if isinstance(cell, str) else cell))) for cell in cells))


def fields(pairs) -> nodes.field_list:
    """name: content, content a text or a list of nodes."""
    found = nodes.field_list()
    for name, content in pairs:
        body = paragraph(*([content] if isinstance(content, str) else content))
        found += nodes.field("", nodes.field_name("", name), nodes.field_body("", body))
    return found


def drawing(chosen: list[Claim], entries: Entries) -> nodes.raw:
    picture = graph.svg(chosen, entries.verdicts())
    return nodes.raw(
        "", f'<details><summary>what uses what</summary><div class="graph">{picture}</div></details>', format="html"
    )


class Claims(SphinxDirective):
    """Every claim of one folder of `theory`: a table, what uses what, and a section for each."""

    required_arguments = 1

    def run(self):
        self.env.note_dependency(str(theory_results.FILE))
        entries = Entries()
        chosen = [claim for claim in entries.claims if claim.id.split(":")[0] == self.arguments[0]]
        if not chosen:
            raise self.error(f"no claim of the registry begins with {self.arguments[0]!r}.")
        return [
            overview(chosen, entries),
            drawing(chosen, entries),
            *(self._section(claim, entries) for claim in chosen),
        ]

    def _section(self, claim: Claim, entries: Entries) -> nodes.section:
        section = nodes.section(names=[anchor(claim.id)], ids=[anchor(claim.id)], classes=["claim"])
        self.state.document.note_explicit_target(section)
        section += nodes.title("", claim.id)
        section += paragraph(nodes.strong("", claim.title))
        section += paragraph(badge(entries.state(claim)), " ", claim.statement, classes=["statement"])
        section += fields(self._facts(claim, entries))
        because = entries.of(claim).get("because", [])
        section += nodes.raw(
            "", f"<details><summary>{len(claim.controls)} controls: where it must break</summary>", format="html"
        )
        section += table(("control", "why it is one"), because or [[str(case), "not run"] for case in claim.controls])
        section += nodes.raw("", "</details>", format="html")
        return section

    def _facts(self, claim: Claim, entries: Entries):
        yield "hypotheses", "; ".join(claim.hypotheses) or "none"
        yield "source", self._cited(claim)
        if claim.kind != "universal":
            yield "kind", f"{claim.kind}: {theory_results.KINDS[claim.kind]}"
        if claim.id in entries.results:
            found = entries.of(claim)
            yield (
                "verdict",
                f"{found['verdict']}; strength {found['strength']}, least margin {entries.shown(claim, 'margin')}",
            )
            yield (
                "looked at",
                (
                    f"{found['cases']} cases inside the hypotheses; {found['controls_broken']} of {found['controls']}"
                    " controls break it"
                ),
            )
        if claim.scope:
            yield "scope", claim.scope
        for remark in entries.of(claim).get("remarks", ()):
            if not remark.startswith("corrected by "):
                name, _, words = remark.partition(": ")
                yield name, words
        if claim.corrected_by:
            yield "corrected by", links([claim.corrected_by])
        if claim.uses:
            yield "uses", links(claim.uses)
        users = [other.id for other in entries.claims if claim.id in other.uses]
        if users:
            yield "used by", links(users)
        if claim.id in entries.results:
            yield (
                "run",
                f"{found['date']}, " + ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
            )
        yield "again", [nodes.literal("", f"ufm verify {claim.id}")]

    def _cited(self, claim: Claim) -> list[nodes.Node]:
        cited, _ = self.parse_inline(f"{{cite}}`{claim.key}`")
        return [*cited, nodes.Text(claim.source[len(claim.key) :])]


class ClaimsTable(SphinxDirective):
    """All claims there are, one row each, and what uses what."""

    def run(self):
        self.env.note_dependency(str(theory_results.FILE))
        entries = Entries()
        states = [entries.counted(claim) for claim in entries.claims]
        counts = "; ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        dates = sorted({found["date"] for found in entries.results.values()})
        span = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "never"
        said = paragraph(f"{len(entries.claims)} claims: {counts}. Last run: {span}.")
        return [said, overview(entries.claims, entries), drawing(entries.claims, entries)]


def overview(chosen: list[Claim], entries: Entries) -> nodes.table:
    rows = [
        [[link(c.id)], [badge(entries.state(c))], *(entries.shown(c, name) for name in FIELDS), c.title] for c in chosen
    ]
    return table(("claim", "verdict", *FIELDS, "title"), rows, ["claims"])


def setup(app):
    app.add_directive("claims", Claims)
    app.add_directive("claims-table", ClaimsTable)
    return {"parallel_read_safe": True}
