"""Small things for pages, so that they stay plain Markdown.

The pages that the index of a section links to are its table of contents, in that order. Links to a few files beside
docs/ lead to their pages here, links to folders are names. The empty line that ends an example for the tests is not
shown. Entries of the bibliography carry their keys.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
_OUTSIDE = re.compile(rf"\]\(((?:\.\./)+)({'|'.join(map(re.escape, PAGES))})(?=[#)])")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#:\s]+)\.md(?:#[^)\s]*)?\)")
_TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)


def inside(text: str, depth: int) -> str:
    """The text of a page `depth` folders below docs/ with its links to those files led to their pages.

    >>> top = inside("[a](../README.md#cite)", 0)
    >>> top, inside("[b](../../benchmarks/README.md)", 1), inside("[c](../README.md)", 1)
    ('[a](index.md#cite)', '[b](../benchmarks.md)', '[c](../README.md)')
    """

    def led(found: re.Match) -> str:
        return f"]({'../' * depth}{PAGES[found[2]]}" if found[1].count("../") == depth + 1 else found[0]

    return _OUTSIDE.sub(led, text)


def written(text: str) -> list[str]:
    """The entries of the tables of contents written in a page.

    >>> written("Hm\\n```{toctree}\\n:hidden:\\n\\nStart <start>\\nhowto/index\\n```\\n")
    ['start', 'howto/index']
    """
    lines = [
        line.strip()
        for block in _TOCTREE.findall(text)
        for line in block.splitlines()
        if line.strip() and not line.startswith(":")
    ]
    return [re.sub(r".*<(.*)>", r"\1", line) for line in lines]


def contents(text: str, top=()) -> list[str]:
    """The pages linked from a section's index, each once and in order, but those of the top of the site; none where it
    has its own table.

    >>> page = "1. [a](01_a.md), 2. [b](02_b.md#there), [a](01_a.md), ![](c.png), [d](https://d.org/e.md), [f](../f.md)"
    >>> contents(page, ["f"])
    ['01_a', '02_b']
    """
    linked = [] if _TOCTREE.search(text) else dict.fromkeys(_LINK.findall(text))
    return [page for page in linked if page.removeprefix("../") not in top]


def with_contents(text: str, docname: str, top) -> str:
    """The text of a page, and at its end the hidden table of contents that Sphinx wants of an index."""
    linked = contents(text, top) if docname.endswith("/index") else []
    return text + "\n\n```{toctree}\n:hidden:\n\n" + "\n".join(linked) + "\n```\n" if linked else text


def setup(app):
    from docutils import nodes
    from pybtex.plugin import register_plugin
    from pybtex.style.formatting.unsrt import Style
    from pybtex.style.labels import BaseLabelStyle
    from pybtex.style.sorting import BaseSortingStyle
    from sphinx import addnodes
    from sphinx.transforms.post_transforms import SphinxPostTransform

    class Keys(BaseLabelStyle):
        def format_labels(self, sorted_entries):
            return (entry.key for entry in sorted_entries)

    class ByKey(BaseSortingStyle):
        def sorting_key(self, entry):
            return entry.key

    class Keyed(Style):
        default_label_style = Keys
        default_sorting_style = ByKey

    class Folders(SphinxPostTransform):
        """A link to a folder of the repository becomes its name."""

        default_priority = 5

        def run(self, **_):
            for node in list(self.document.findall(addnodes.pending_xref)):
                target = str(node.get("reftarget", ""))
                if node.get("reftype") == "myst" and any(
                    (base / target).is_dir() for base in (DOCS, DOCS.parent, DOCS.parent / "benchmarks")
                ):
                    node.replace_self(node.children)

    def trimmed(app, doctree) -> None:
        for block in doctree.findall(nodes.literal_block):
            text = block.astext().rstrip()
            block.rawsource, block.children = text, [nodes.Text(text)]

    def read(app, docname: str, source: list[str]) -> None:
        if app.env.doc2path(docname).suffix == ".md":
            source[0] = with_contents(inside(source[0], docname.count("/")), docname, top)

    top = written((DOCS / "index.md").read_text(encoding="utf-8"))
    register_plugin("pybtex.style.formatting", "keyed", Keyed)
    app.add_post_transform(Folders)
    app.connect("source-read", read)
    app.connect("doctree-read", trimmed)
    return {"parallel_read_safe": True}
