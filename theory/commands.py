"""Verbs that `theory` adds to the command line: verify and cite."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from theory.claim import REFUTED, SUPPORTED, Claim
from ufm.cli import add_json, add_verb, print_json, read_integer, say, show

PARAMETERS = ("K", "n", "d", "L", "lam", "rng")
_FILES = {
    "markdown": (".md",),
    "latex": (".tex",),
    "html": (".html",),
    "graph": (".svg", ".dot", ".html"),
    "resume": None,
}


def add_verify(verbs) -> None:
    verb = add_verb(
        verbs,
        "verify",
        "check theorems numerically",
        "Check claims on their cases and controls. Exit code 0: all supported; 1: at least one refuted, also where a"
        " statement is refuted as\npublished and its correction is supported; 2: usage; 3: none refuted, at least one"
        " undecided; 130: interrupted. A control is a case\noutside the hypotheses, or with a planted error, where the"
        " check must fail; a claim whose controls do not break it is undecided.",
        "ufm verify gk25 --html claims.html\n  ufm verify gk25:thm1 --K 4:40 --L 2:12\n  ufm verify gk25 --slow --jobs"
        " 2 --resume done.jsonl",
        _verify,
    )
    verb.add_argument(
        "claim",
        nargs="*",
        metavar="CLAIM",
        help="ids, source keys or patterns: gk25:thm1, gk25, 'gk25:thm*' (default: all)",
    )
    verb.add_argument("--list", action="store_true", help="only list the claims")
    verb.add_argument(
        "--slow", action="store_true", help="include claims of slow pace (one named by its id is always run)"
    )
    verb.add_argument(
        "-v", "--verbose", action="store_true", help="hypotheses, every case and every control; with --json every case"
    )
    group = verb.add_argument_group(
        "other cases (VALUES: 4:40 or 4-40, both ends included; 4:40:2; 4,6,8; 1e-3,2**-10; points outside the"
        " hypotheses are counted apart)"
    )
    for name in PARAMETERS:
        group.add_argument(f"--{name}", default=None, metavar="VALUES", help=f"run over these values of {name}")
    group.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUES", help="the same for any parameter of the claim"
    )
    group = verb.add_argument_group("running")
    group.add_argument("--jobs", default=None, metavar="N", help="processes (default: cores)")
    group.add_argument(
        "--resume",
        metavar="FILE",
        help=(
            "record of finished cases: read first, added to, one run at a time; start a new one after changing the"
            " package"
        ),
    )
    group = verb.add_argument_group("reports")
    for name, what in (
        ("markdown", "a Markdown page"),
        ("latex", "a booktabs table"),
        ("html", "one self-contained page"),
        ("graph", "what uses what"),
    ):
        group.add_argument(f"--{name}", metavar="FILE", help=f"write {what} ({', '.join(_FILES[name])})")
    add_json(verb)


def _verify(arguments) -> int:
    from theory.registry import claims, paced

    for name, suffixes in _FILES.items():
        _refuse_file(f"--{name}", getattr(arguments, name), suffixes)
    chosen, left_out = paced(claims(arguments.claim), arguments.claim, arguments.slow)
    if arguments.list:
        return _list(claims(arguments.claim), arguments.json)
    if not chosen:
        raise ValueError(f"argument CLAIM: all {len(left_out)} claims chosen are slow; add --slow.")
    from theory import runs

    jobs = None if arguments.jobs is None else read_integer("--jobs", arguments.jobs, 1)
    run = dataclasses.replace(runs.verify(chosen, _grids(arguments), jobs, arguments.resume), left_out=tuple(left_out))
    _report(run, arguments)
    _write(run.verdicts, arguments)
    if run.interrupted:
        done, planned = (
            sum(len(v.cases) + len(v.controls) for v in run.verdicts),
            sum(v.planned + len(v.claim.controls) for v in run.verdicts),
        )
        kept = (
            f"they are kept in {arguments.resume}, and the same command does the rest"
            if arguments.resume
            else "--resume FILE would keep them"
        )
        raise KeyboardInterrupt(f"after {done} of {planned} cases and controls; {kept}")
    return exit_code(run.verdicts)


def exit_code(verdicts) -> int:
    """0 all supported, 1 one refuted, else 3."""
    found = {v.verdict for v in verdicts}
    return 1 if REFUTED in found else 0 if found == {SUPPORTED} else 3


def _list(chosen: list[Claim], as_json: bool) -> int:
    if as_json:
        names = ("id", "title", "statement", "source", "pace", "kind", "uses", "scope")
        listed = [
            {name: getattr(c, name) for name in names}
            | {"hypotheses": list(c.hypotheses), "parameters": _parameters(c)}
            for c in chosen
        ]
        print_json({"claims": listed})
        return 0
    width = max(len(claim.id) for claim in chosen)
    for claim in chosen:
        say(f"{claim.id:<{width}}  {claim.title}  [{claim.source}]" + ("  (slow)" if claim.pace == "slow" else ""))
    return 0


def _parameters(claim: Claim) -> list[str]:
    return list(dict.fromkeys(name for case in claim.cases for name in case.to_dict()))


def _grids(arguments) -> dict[str, str]:
    grids = {name: getattr(arguments, name) for name in PARAMETERS if getattr(arguments, name) is not None}
    for text in arguments.set:
        name, equals, values = text.partition("=")
        if not (name and equals and values):
            raise ValueError(f"argument --set: write NAME=VALUES; got {text!r}.")
        grids[name.strip()] = values
    return grids


def _report(run, arguments) -> None:
    from theory import report

    if arguments.json:
        print_json(run.to_dict(evidence=arguments.verbose))
        return
    show(report.text(run.verdicts, arguments.verbose) if arguments.verbose else run)
    if run.reused:
        say(f"{run.reused} cases and controls taken from {arguments.resume}")


def _write(verdicts, arguments) -> None:
    from theory import graph, report
    from ufm.numerics.files import write_atomically

    def graph_text() -> str:
        makers = {".svg": graph.svg, ".dot": graph.dot, ".html": lambda claims, verdicts: report.graph_page(verdicts)}
        return makers[Path(arguments.graph).suffix.lower()]([v.claim for v in verdicts], verdicts)

    makers: dict[str, Callable[[], str]] = {
        "markdown": lambda: report.markdown(verdicts),
        "latex": lambda: report.latex(verdicts),
        "html": lambda: report.html(verdicts),
        "graph": graph_text,
    }
    for name, make in makers.items():
        if getattr(arguments, name):
            content = make().encode()
            write_atomically(getattr(arguments, name), lambda file, content=content: file.write(content))


def _refuse_file(option: str, path: str | None, suffixes: tuple[str, ...] | None) -> None:
    """ValueError, before any work, for a file with another suffix or in a folder that cannot be written."""
    if path is None:
        return
    if suffixes and Path(path).suffix.lower() not in suffixes:
        raise ValueError(f"argument {option}: file must end in {' or '.join(suffixes)}; got {path!r}.")
    from ufm.numerics.files import check_writable

    check_writable(path, f"argument {option}: file")


def add_cite(verbs) -> None:
    verb = add_verb(
        verbs,
        "cite",
        "BibTeX of this package and its sources",
        "Print the BibTeX entries of source keys, or of what claims, figures, structures, methods and losses stand on.",
        "ufm cite gk25\n  ufm cite gk25:thm1",
        _cite,
    )
    verb.add_argument(
        "key",
        nargs="*",
        metavar="KEY",
        help="source keys, or names of claims, figures, structures, methods, losses (default: the package and gk25)",
    )


def _cite(arguments) -> int:
    from theory.verbs import cite

    say(cite(arguments.key or None))
    return 0
