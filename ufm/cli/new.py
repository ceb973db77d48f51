"""`ufm new`: a file to begin with, for every kind of contribution."""

from __future__ import annotations

from ufm.cli.parser import add_json, add_verb
from ufm.cli.writing import print_json, say


def add(verbs) -> None:
    from ufm.templates import TEMPLATES

    kinds = ", ".join(TEMPLATES.members())
    verb = add_verb(
        verbs,
        "new",
        "a loss, structure, method, claim, ... of your own: a file to begin with",
        f"Write a small file of a kind ({kinds}) that runs as it is, to change it into your own. Every verb takes it"
        " with --from FILE, Python with ufm.use(FILE). Nothing is overwritten.",
        "ufm new loss huber\n  ufm new claim powers --out claims",
        _new,
    )
    verb.add_argument("kind", metavar="KIND", help=kinds)
    verb.add_argument("name", metavar="NAME", help="a Python identifier in small letters")
    verb.add_argument("--out", default=".", metavar="FOLDER", help="where to write NAME.py (default: here)")
    add_json(verb)


def _new(arguments) -> int:
    from ufm.templates import new, next_steps

    path = new(arguments.kind, arguments.name, arguments.out)
    steps = next_steps(arguments.kind, arguments.name, path)
    if arguments.json:
        print_json({"file": str(path), "next": steps})
    else:
        say("\n".join([f"written: {path}", "next:", *(f"  {step}" for step in steps)]))
    return 0
