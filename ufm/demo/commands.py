"""`ufm demo` on the command line."""

from __future__ import annotations

from ufm.cli import add_verb, check_save_file, read_integer, say


def add_demo(verbs) -> None:
    """Add the verb `demo`: the teaching page, served or written to a file."""
    verb = add_verb(
        verbs,
        "demo",
        "the teaching page: play with collapse and low rank",
        "Serve the teaching page on this machine and open it: sliders, pictures, gradient descent, a tour in eight"
        " steps; the page can ask the solver. With --export it is written to one file instead, which works from disk"
        " without network.",
        "ufm demo\n  ufm demo --port 8765 --no-browser\n  ufm demo --export page.html",
        _demo,
    )
    verb.add_argument("--port", default="0", metavar="P", help="port on 127.0.0.1 (default: a free one)")
    verb.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    verb.add_argument("--export", metavar="FILE", help="write the page to FILE (.html) and end")


def _demo(arguments) -> int:
    from ufm.demo.assembly import export
    from ufm.demo.server import serve

    port = read_integer("--port", arguments.port, 0)
    if arguments.export is None:
        serve(port, not arguments.no_browser)
        return 0
    if not arguments.export.lower().endswith((".html", ".htm")):
        raise ValueError(f"argument --export: file must end in .html; got {arguments.export!r}.")
    check_save_file(arguments.export, "--export")
    export(arguments.export)
    say(f"written: {arguments.export}")
    return 0
