"""Pages of the reference: `.. api:: MODULE [NAME ...]` shows its public names, `.. members:: MODULE:FAMILY` what a
family holds, `.. verbs::` the help of every command.

Docstrings are prose with formulas in plain text, so they are turned into reStructuredText by `docstrings.rst` before
Sphinx reads them.
"""

from __future__ import annotations

import importlib
import inspect
import os
import textwrap

import docstrings
import public_names
from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

COLUMNS = 88


class Api(SphinxDirective):
    """A table of names with their first lines, then each of them whole."""

    required_arguments = 1
    optional_arguments = 100

    def run(self):
        module, *chosen = self.arguments
        home = importlib.import_module(module)
        chosen = chosen or public_names.names(module)
        lines = [".. list-table::", "   :widths: auto", "   :class: names", ""]
        for name in chosen:
            first = docstrings.escaped(public_names.summary(getattr(home, name)))
            lines += [
                f"   * - :py:obj:`{name} <{module}.{name}>`",
                f"     - {docstrings.guarded(first)}" if first else "     -",
            ]
        for name in chosen:
            lines += ["", *_automatic(module, name, getattr(home, name))]
        made = self.parse_text_to_nodes("\n".join(lines), allow_section_headings=False)
        for signature in (found for node in made for found in node.findall(addnodes.desc_signature)):
            signature["ids"] += [other for known in signature["ids"] for other in _at_home(module, home, known)]
        return made


def _at_home(module: str, home, anchor: str) -> list[str]:
    """`ufm.compare` -> `ufm.landscapes.compare.compare`, under which the pages of source code link back to it."""
    name, _, rest = anchor.removeprefix(f"{module}.").partition(".")
    value = getattr(home, name, None)
    real = ".".join([getattr(value, "__module__", module), getattr(value, "__qualname__", name), *filter(None, [rest])])
    return [real] if real != anchor else []


def _automatic(module: str, name: str, value) -> list[str]:
    if inspect.isclass(value):
        return [f".. autoclass:: {module}::{name}", "   :members:"]
    return [f".. {'autofunction' if inspect.isroutine(value) else 'autodata'}:: {module}::{name}"]


class Members(SphinxDirective):
    """A table of a family's members: name, what it is, and its colour in pictures where it has one."""

    required_arguments = 1

    def run(self):
        module, _, family = self.arguments[0].partition(":")
        lines = [".. list-table::", "   :widths: auto", "   :class: names", ""]
        for name, member in getattr(importlib.import_module(module), family).members().items():
            colour = getattr(member, "colour", "")
            said = getattr(member, "doc", None) or public_names.summary(getattr(member, "make", member))
            lines += [f"   * - ``{name}``", f"     - {docstrings.guarded(docstrings.escaped(said))}"]
            lines += [f"     - ``{colour}``"] if colour else []
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=False)


class Verbs(SphinxDirective):
    """`ufm` and `ufm VERB --help` for every verb, as they stand on a terminal of `COLUMNS`."""

    def run(self):
        from ufm.cli import build
        from ufm.cli.parser import verbs_of

        os.environ["COLUMNS"] = str(COLUMNS)
        parser = build()
        found = [self._section("ufm", parser)]
        return found + [self._section(f"ufm {name}", verb) for name, verb in verbs_of(parser).items()]

    def _section(self, title: str, parser) -> nodes.section:
        name = nodes.make_id(title)
        section = nodes.section("", nodes.title("", title), names=[name], ids=[name])
        self.state.document.note_explicit_target(section)
        text = "\n".join(
            folded
            for line in parser.format_help().splitlines()
            for folded in textwrap.wrap(line, COLUMNS, replace_whitespace=False) or [""]
        )
        section += nodes.literal_block(text, text, language="text")
        return section


def _rewrite(app, what, name, obj, options, lines: list[str]) -> None:
    kind = type(obj).__doc__  # a descriptor, where objects of the kind have docstrings of their own
    borrowed = isinstance(kind, str) and inspect.cleandoc(kind).split() == " ".join(lines).split()
    if borrowed or (inspect.isclass(obj) and not public_names.summary(obj)):
        lines[:] = []
    lines[:] = docstrings.rst("\n".join(lines)) if any(lines) else []


def _shorter(app, what, name, obj, options, signature: str | None, returned: str | None):
    """Defaults made anew for every object are dots; Python's word for them is not Python."""
    return (signature.replace("<factory>", "..."), returned) if signature else None


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _rewrite)
    app.connect("autodoc-process-signature", _shorter)
    app.add_directive("api", Api)
    app.add_directive("members", Members)
    app.add_directive("verbs", Verbs)
    return {"parallel_read_safe": True}
