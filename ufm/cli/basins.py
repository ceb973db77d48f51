"""`ufm basins`: shares of ends over many starts."""

from __future__ import annotations

from ufm.cli.parser import F1, add_verb
from ufm.cli.reading import (
    add_method,
    add_problem,
    add_search,
    check_plot_file,
    check_save_file,
    numbers,
    read_integer,
    read_problem,
    read_settings,
)
from ufm.cli.writing import print_json, show


def add(verbs) -> None:
    verb = add_verb(
        verbs,
        "basins",
        "who wins the basins: ends named and counted, with intervals",
        "Run many random starts, name their ends and count them, for one problem or over a parameter. lbfgs (default)"
        " runs on the exact reduction, which has the problem's minima but not the basins of gradient descent; gd,"
        " adam and the others run on all parameters. The answer says which. --out keeps finished blocks: the same"
        " command goes on where it stopped.",
        f"ufm basins {F1} --starts 1000\n  ufm basins -K 10 -n 5 -L 2 --lam 2**-10 --method gd --starts 10 --over"
        " d=20,40,70 --plot widths.png",
        _basins,
    )
    add_problem(verb)
    verb.add_argument(
        "--over",
        default=None,
        metavar="NAME=LIST",
        help="a parameter and its values: d=20,40,70, lam=2**-12,2**-10, scale=..., lr=...",
    )
    add_method(verb)
    verb.add_argument("--tol", default="1e-9", metavar="T", help="gradient norm of an end (default 1e-9)")
    verb.add_argument(
        "--scale", default=None, metavar="S", help="standard deviation of the Gaussian start (default width**(-1/2))"
    )
    verb.add_argument("--by", default="name", metavar="WORD", help="plot shares by name or by rank (default name)")
    verb.add_argument("--out", metavar="FILE", help="JSON-lines file of finished blocks, to go on from")
    verb.add_argument(
        "--fresh", action="store_true", help="begin --out anew; an old one is kept beside it, as FILE.bak"
    )
    verb.add_argument("--save", metavar="FILE", help="write the census of one problem with its class logits as JSON")
    add_search(verb, "1000")


def _basins(arguments) -> int:
    from ufm.landscapes.basins import basins
    from ufm.landscapes.table import Landscape
    from ufm.sweeps.census import census

    given = {name: getattr(arguments, name) for name in ("tol", "scale") if getattr(arguments, name) is not None}
    options = read_settings(arguments) | {name: numbers(f"--{name}", text) for name, text in given.items()}
    options |= {"method": arguments.method, "space": arguments.space, "out": arguments.out, "fresh": arguments.fresh}
    starts, rng = read_integer("--starts", arguments.starts, 1), read_integer("--rng", arguments.rng, 0)
    check_plot_file(arguments.plot)
    check_save_file(arguments.save)
    problem = read_problem(arguments)
    if arguments.over is None:
        found = basins(problem, starts, rng, **options)
    else:
        if arguments.save:
            raise ValueError("argument --save: writes the census of one problem; with --over use --out or --json.")
        over = _over(arguments.over)
        found = census(
            problem, starts, rng, over=over, **{name: value for name, value in options.items() if name not in over}
        )
    if arguments.json:
        print_json(found.to_dict())
    else:
        show(found)
    if arguments.save:
        assert isinstance(found, Landscape)  # a census was refused above
        found.save(arguments.save)
    if arguments.plot and (arguments.over is None or len(found)):
        from ufm import plot

        one = isinstance(found, Landscape)
        axes = plot.basins.shares(found) if one else plot.basins.census(found, by=arguments.by)
        plot.save(axes.figure, arguments.plot)
    if found.interrupted:
        raise KeyboardInterrupt(_reached(found, arguments.out))
    return 0


def _reached(found, out) -> str:
    """How far an interrupted census came, and where it is."""
    far = (
        f"{len(found)} of {len(found.requested)} values"
        if hasattr(found, "over")
        else f"{found.starts} of {found.requested} starts"
    )
    return f"after {far}; " + (
        f"they are kept in {out}, and the same command does the rest" if out else "they are counted above"
    )


def _over(text: str) -> dict:
    """{name: values} of `d=20,40,70`; words where they are no numbers."""
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ValueError(f"argument --over: must be NAME=LIST, for example d=20,40,70; got {text!r}.")
    if name in ("method", "space", "loss", "activation") or name in _words():
        return {name: values.split(",")}
    found = numbers("--lam" if name in ("lam", "bias") else "--over", values)
    return {name: list(found) if isinstance(found, tuple) else [found]}


def _words() -> set[str]:
    """Settings of methods that are words."""
    from ufm.solvers.methods.method import known_settings

    return {name for name, homes in known_settings().items() if any(isinstance(f.default, str) for _, f in homes)}
