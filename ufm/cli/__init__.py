"""The command line: every verb one file, `--json` for programs, one line on standard error for mistakes.

`parser` knows how a verb looks, `reading` turns words into problems, `writing` prints tables and JSON, `signals` hears
Ctrl-C. Exit codes: 0 done, 2 usage or bad input, 130 interrupted, 143 ended by SIGTERM; `verify` adds 1 fails and 3
undecided, `sweep` 1 for cells that failed. Packages add verbs through the entry-point group `ufm.commands`: a function
that takes the subparsers and adds one with `add_verb`. What `--from PATH` names is taken up before the parser is built.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "2" if (os.cpu_count() or 1) > 1 else "1")

from ufm.cli.signals import Listening, say_interrupted

_HOME: dict[str, str] = dict.fromkeys(("F1", "Parser", "add_json", "add_verb", "overview", "whole_parser"), "parser")
_HOME |= dict.fromkeys(("check_plot_file", "check_save_file", "read_integer"), "reading")
_HOME |= dict.fromkeys(("check_output", "print_json", "say", "show"), "writing")


def __getattr__(name: str):
    """What plugins need comes when it is asked for: until `main` listens to Ctrl-C, little is imported."""
    if name not in _HOME:
        raise AttributeError(f"module 'ufm.cli' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"ufm.cli.{_HOME[name]}"), name)


def main(argv: list[str] | None = None) -> int:
    """Run a verb; returns the exit code."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (it stands in for a closed one until the process ends)
    with Listening() as signals:
        try:
            code = _run(argv)
        except KeyboardInterrupt as stop:
            say_interrupted(str(stop))
            return signals.code
        return code if signals.came is None else signals.code


def _run(argv: list[str] | None) -> int:
    """The exit code of a verb; KeyboardInterrupt, with how far it came, is passed on."""
    try:
        from ufm.cli.parser import overview, use_named
        from ufm.cli.writing import check_output, say, show

        use_named(sys.argv[1:] if argv is None else argv)
        parser = build()
        arguments = parser.parse_args(argv)
        check_output()
        if not hasattr(arguments, "run"):
            show(overview(parser))
            return 0
        code = arguments.run(arguments) or 0
        for line in getattr(arguments, "renamed", ()):
            print(line, file=sys.stderr)
        say("", end="")
        return code
    except ValueError as mistake:
        return _refused(str(mistake))
    except OSError as mistake:
        return _refused(
            f"{mistake.filename or 'standard output'}: {mistake.strerror}" if mistake.strerror else str(mistake)
        )
    except ImportError as missing:
        return _refused(str(missing))
    except MemoryError as mistake:
        return _refused(
            f"out of memory{f' ({mistake})' if str(mistake) else ''}; take a smaller K, n, d or L, or fewer starts."
        )
    except RecursionError:
        return _refused("something is nested too deeply to be read; take a simpler expression or file.")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 2


def _refused(why: str) -> int:
    from ufm.cli.parser import one_line

    print(f"ufm: error: {one_line(why)}", file=sys.stderr)
    return 2


def build():
    """The parser with every verb, those of other packages included."""
    from ufm.cli import basins, certify, compare, identify, landscape, new, solve, sweep
    from ufm.cli.parser import whole_parser

    parser, verbs = whole_parser()
    for verb in (compare, solve, landscape, identify, certify, sweep, basins, new):
        verb.add(verbs)
    for entry in _entry_points():
        entry.load()(verbs)
    if "_ARGCOMPLETE" in os.environ:
        _complete(parser)
    return parser


def _entry_points():
    from importlib.metadata import entry_points

    return sorted(entry_points(group="ufm.commands"), key=lambda e: e.name)


def _complete(parser) -> None:
    """Answer the shell that asks for completions, where argcomplete is installed."""
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)
