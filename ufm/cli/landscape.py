"""`ufm landscape`: all critical points found."""

from __future__ import annotations

from ufm.cli.parser import add_verb
from ufm.cli.reading import add_problem, add_search, check_plot_file, check_save_file, read_integer, read_problem
from ufm.cli.writing import give


def add(verbs) -> None:
    verb = add_verb(
        verbs,
        "landscape",
        "all critical points found, classified and named",
        "Critical points modulo gauge and class permutation: the complete list under MSE; otherwise structures,"
        " symmetric points and a search.",
        "ufm landscape -K 4 -L 2 --lam 0.0133 --plot atlas.png",
        _landscape,
    )
    add_problem(verb)
    add_search(verb, None)
    verb.add_argument("--save", metavar="FILE", help="write the points with their class logits as JSON")


def _landscape(arguments) -> int:
    from ufm.landscapes.landscape import landscape

    problem = read_problem(arguments)
    check_plot_file(arguments.plot)
    check_save_file(arguments.save)
    starts = None if arguments.starts is None else read_integer("--starts", arguments.starts, 0)
    atlas = landscape(problem, starts=starts, rng=read_integer("--rng", arguments.rng, 0))
    return give(atlas, arguments, lambda plot: plot.landscape(atlas).figure)
