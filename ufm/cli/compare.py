"""`ufm compare`: structures side by side, and the winner."""

from __future__ import annotations

from ufm.cli.parser import F1, add_verb
from ufm.cli.reading import add_problem, add_search, check_plot_file, read_integer, read_problem
from ufm.cli.writing import give


def add(verbs) -> None:
    verb = add_verb(
        verbs,
        "compare",
        "structures side by side, and the winner",
        "Every named structure that exists for the problem with its value to twelve digits, rank, Hessian signature and"
        " status; the best of a short random search beside them; and who wins.",
        f"ufm compare {F1} --plot duel.png",
        _compare,
    )
    add_problem(verb)
    add_search(verb, None)


def _compare(arguments) -> int:
    from ufm.landscapes.compare import compare

    problem = read_problem(arguments)
    starts = None if arguments.starts is None else read_integer("--starts", arguments.starts, 0)
    check_plot_file(arguments.plot)
    result = compare(problem, starts, read_integer("--rng", arguments.rng, 0), trace=1 if arguments.plot else 0)
    return give(result, arguments, lambda plot: plot.comparison(result))
