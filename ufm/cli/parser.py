"""How a verb looks: its help ends with an example, and its mistakes are one line that suggests the nearest name."""

from __future__ import annotations

import argparse
import difflib

from ufm import __version__

F1 = "-K 10 -n 5 -d 70 -L 2 --lam 2**-10"
"""Figure 1 of gk25."""


class Parser(argparse.ArgumentParser):
    """Mistakes are one line on standard error and exit code 2."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")

    def parse_args(self, args=None, namespace=None):
        found, extra = self.parse_known_args(args, namespace)
        if extra:
            parser = getattr(found, "parser", self)
            parser.error(f"unrecognized arguments: {' '.join(extra)}" + nearest(extra[0].split("=")[0], parser._option_string_actions))
        return found

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            names = ", ".join(map(str, action.choices))
            raise argparse.ArgumentError(action, f"{value!r} is not one of {names}" + nearest(value, action.choices))


def nearest(word: str, known) -> str:
    """`; did you mean 'compare'?`, or nothing where no name is near.

    >>> nearest("compar", ["compare", "solve"])
    "; did you mean 'compare'?"
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def whole_parser() -> tuple[Parser, argparse._SubParsersAction]:
    """(the parser of `ufm`, the collection to which verbs are added)."""
    examples = f"examples:\n  ufm compare {F1}\n  ufm verify gk25:thm1\n  ufm demo"
    parser = Parser(
        prog="ufm",
        description="The solver for unconstrained feature models: critical points, neural collapse and low-rank minima.",
        epilog=f"{examples}\n\n`ufm` alone shows every verb with an example, `ufm VERB --help` all of a verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ufm {__version__}")
    return parser, parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)


def add_verb(verbs, name: str, help: str, description: str, example: str, run) -> Parser:
    """A subcommand whose --help ends with an example. `example` may have several lines; the first stands in the overview."""
    verb = verbs.add_parser(name, help=help, description=description, epilog=f"example:\n  {example}", formatter_class=argparse.RawDescriptionHelpFormatter)
    verb.set_defaults(run=run, parser=verb)
    verb.summary, verb.example = help, example.splitlines()[0].strip()
    return verb


def add_json(verb) -> None:
    verb.add_argument("--json", action="store_true", help="print one JSON object on standard output and nothing else")


def verbs_of(parser: Parser) -> dict[str, Parser]:
    """The parser of every verb, by name."""
    return next(action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def overview(parser: Parser) -> str:
    """What `ufm` alone prints: every verb, what it does, one example."""
    known = verbs_of(parser)
    width = max(map(len, known))
    lines = [f"ufm {__version__}. {parser.description}", ""]
    for name, verb in known.items():
        lines += [f"  {name:<{width}}  {verb.summary}", f"  {'':<{width}}  $ {verb.example}"]
    return "\n".join([*lines, "", "`ufm VERB --help` says more; every verb has --json or writes files; completion for the shell: docs/howto/shell.md"])
