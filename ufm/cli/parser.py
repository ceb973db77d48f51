"""How a verb looks: its help ends with an example, and its mistakes are one line that suggests the nearest name."""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Sequence

from ufm import __version__
from ufm.numerics.families import use
from ufm.numerics.words import known_names, suggestion

F1 = "-K 10 -n 5 -d 70 -L 2 --lam 2**-10"
"""Figure 1 of gk25."""


class Parser(argparse.ArgumentParser):
    """Mistakes are one line on standard error and exit code 2. summary, example: what the overview says of a verb."""

    summary = ""
    example = ""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {one_line(message)}\n")

    def format_help(self) -> str:
        """The help, with what options list of open families (`late`) read now: it takes longer than parsing may."""
        for action in self._actions:
            late = getattr(action, "late", None)
            action.help = late() if late else action.help
        return super().format_help()

    def parse_args(self, args=None, namespace=None):
        found, extra = self.parse_known_args(args, namespace)
        if extra:
            getattr(found, "parser", self)._refuse_option(extra[0])
        return found

    def parse_known_args(self, args=None, namespace=None):
        """An unknown option is refused first: what is missing may be what it stands for (`--lambda` for `--lam`)."""
        words = list(itertools.takewhile(lambda word: word != "--", sys.argv[1:] if args is None else args))
        for word in words if self._subparsers is None else ():
            name, known = word.split("=")[0], self._option_string_actions
            if (
                re.match("--?[A-Za-z]", word)
                and word[:2] not in known
                and not any(option.startswith(name) for option in known)
            ):
                self._refuse_option(word)
        return super().parse_known_args(args, namespace)

    def _refuse_option(self, word: str):
        hint = suggestion(word.split("=")[0], self._option_string_actions)
        self.error(f"unrecognized arguments: {word}{hint and '; ' + hint}")

    def _get_values(self, action, arg_strings):
        if action.option_strings and "--" in arg_strings:
            raise argparse.ArgumentError(action, "expected one argument; got '--'")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            hint = suggestion(value, action.choices)
            raise argparse.ArgumentError(
                action, f"{value!r} is not {known_names(value, action.choices)}{hint and '; ' + hint}"
            )


def one_line(message: str) -> str:
    """The message on one line; what is longer than the name of a file can be (255) is cut, a path is never.

    >>> one_line("K must be an integer;\\n got " + 300 * "9")
    'K must be an integer; got 999999999999999999999999999999999999999999999999999999999999...'
    """
    return re.sub(r"[^\s/\\]{260,}", lambda word: f"{word[0][:60]}...", " ".join(message.split()))


def whole_parser() -> tuple[Parser, argparse._SubParsersAction]:
    """(the parser of `ufm`, the collection to which verbs are added)."""
    examples = f"examples:\n  ufm compare {F1}\n  ufm verify gk25:thm1\n  ufm demo"
    parser = Parser(
        prog="ufm",
        description=(
            "The solver for unconstrained feature models: critical points, neural collapse and low-rank minima."
        ),
        epilog=f"{examples}\n\n`ufm` alone shows every verb with an example, `ufm VERB --help` all of a verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ufm {__version__}")
    return parser, parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)


class Use(argparse.Action):
    """`--from PATH`: the contributions in a file or folder are taken up."""

    def __call__(self, parser, namespace, values, option_string=None):
        use(str(values))


def use_named(words: Sequence[str]) -> None:
    """Take up the contributions that `--from PATH` or `--from=PATH` name, before there is a parser: its help knows
    them. ValueError for what cannot be used."""
    words = list(itertools.takewhile(lambda word: word != "--", words))
    for word, after in itertools.pairwise([*words, "-"]):
        option, equals, path = word.partition("=")
        if option == "--from" and (equals or not after.startswith("-")):
            use(path if equals else after)


def add_verb(verbs, name: str, help: str, description: str, example: str, run) -> Parser:
    """A subcommand whose --help ends with an example. `example` may have several lines; the first stands in the
    overview. Every verb has `--from PATH`."""
    verb = verbs.add_parser(
        name,
        help=help,
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(run=run, parser=verb)
    verb.add_argument(
        "--from",
        action=Use,
        dest=argparse.SUPPRESS,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="take up losses, structures, methods, claims, ... of a Python file or a folder of them (again for more)",
    )
    verb.summary, verb.example = help, example.splitlines()[0].strip()
    return verb


def add_json(verb) -> None:
    verb.add_argument("--json", action="store_true", help="print one JSON object on standard output and nothing else")


class _OldOption(argparse.Action):
    """An option under its old name: the value goes to the new one; `renamed` keeps the line to say."""

    def __call__(self, parser, namespace, values, option_string=None):
        told = f"{parser.prog}: {option_string} is now {self.const}; the old name goes with the next release"
        namespace.renamed = [*getattr(namespace, "renamed", []), told]
        setattr(namespace, self.dest, values)


def add_old_option(verb, old: str, new: str) -> None:
    """Let an option be given under the name it had until this release, with a line on standard error."""
    dest = next(action.dest for action in verb._actions if new in action.option_strings)
    hidden = {"dest": dest, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    verb.add_argument(old, action=_OldOption, const=new, **hidden)


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
    return "\n".join(
        [
            *lines,
            "",
            (
                "`ufm VERB --help` says more; every verb has --json or writes files; completion for the shell:"
                " docs/howto/shell.md"
            ),
        ]
    )
