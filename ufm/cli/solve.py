"""`ufm solve`: descents from random starts, ends named."""

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
from ufm.numerics.records import picked


def add(verbs) -> None:
    verb = add_verb(
        verbs,
        "solve",
        "minimise from random starts; end points named",
        "Minimise from random starts. lbfgs and newton use the exact reduction (same minima); gd, adam, flow and"
        " the others run on all factors at full width.",
        f"ufm solve {F1} --method gd --lr 0.5 --starts 10",
        _solve,
    )
    add_problem(verb)
    add_method(verb)
    verb.add_argument("--tol", default="1e-12", metavar="T", help="gradient norm to reach (default 1e-12)")
    verb.add_argument(
        "--scale", default=None, metavar="S", help="standard deviation of the Gaussian start (default d**(-1/2))"
    )
    verb.add_argument("--save", metavar="FILE", help="write the best end point to an .npz file")
    add_search(verb, "1")


def _solve(arguments) -> int:
    from ufm.critical.classify import classify_end
    from ufm.critical.identify import identify
    from ufm.solvers import starts
    from ufm.solvers.methods.method import method_of
    from ufm.solvers.multistart import multistart

    problem = read_problem(arguments)
    settings = read_settings(arguments)
    check_plot_file(arguments.plot)
    check_save_file(arguments.save)
    trace = method_of(arguments.method, settings).every if arguments.plot else 0
    start = None if arguments.scale is None else starts.gaussian(numbers("--scale", arguments.scale))
    seeded = read_integer("--starts", arguments.starts, 1), read_integer("--rng", arguments.rng, 0)
    tol = numbers("--tol", arguments.tol)
    more = {"start": start, "space": arguments.space, "tol": tol, "trace": trace, **settings}
    runs = multistart(problem, *seeded, arguments.method, **more)
    if not len(runs):
        raise KeyboardInterrupt(f"after 0 of {runs.requested} starts")
    known: dict = {}  # equal ends are described once
    rows = [_describe(r, known, identify, classify_end) for r in runs]
    best = rows[runs.results.index(runs.best)]
    if arguments.json:
        ran = picked(runs, "requested rng interrupted")
        print_json({"problem": problem.to_dict(), "results": rows, "best": best, **ran})
    else:
        _print_runs(problem, runs, rows, best)
    if arguments.save:
        runs.best.point.save(arguments.save)
    if runs.interrupted:
        raise KeyboardInterrupt(f"after {runs.done} of {runs.requested} starts; what was found is shown")
    if arguments.plot:
        _plot_runs(problem, runs, rows, arguments.plot)
    return 0


def _describe(result, known: dict, identify, classify_end) -> dict:
    key = (round(result.fun, 11), getattr(result.point, "rank", None)) if result.success else id(result)
    if key not in known:
        who, what = identify(result), classify_end(result)
        known[key] = {"rank": who.rank if what.rank is None else what.rank, "name": who.name, "status": what.status}
        known[key] |= {**what.signature.to_dict(), "distance": who.distance}
    own = {
        name: getattr(result, name)
        for name in ("fun", "grad_norm", "nit", "nfev", "success", "message", "seconds", "space", "rng")
    }
    return own | {"ended": str(result.status)} | known[key]


def _print_runs(problem, runs, rows, best) -> None:
    width = max(len(row["name"]) for row in rows)
    head = (
        f"{'start':>5}  {'end point':<{width}}  {'rank':>4}  {'F':>16}  {'|grad|':>8}  {'status':<14}  {'steps':>6} "
        " seconds"
    )
    lines = [repr(problem), "", head, "-" * len(head)]
    for i, row in enumerate(rows):
        rank = "-" if row["rank"] is None else row["rank"]
        numbers = (
            f"{rank:>4}  {row['fun']:>16.12f}  {row['grad_norm']:>8.1e}  {row['status']:<14}  {row['nit']:>6} "
            f" {row['seconds']:.3g}"
        )
        lines.append(f"{i:>5}  {row['name']:<{width}}  {numbers}")
    converged = sum(row["success"] for row in rows)
    lines += [
        "",
        (
            f"{'interrupted after ' if runs.interrupted else ''}{runs.done} of {runs.requested} starts, {converged}"
            f" converged; rng={runs.rng}"
        ),
    ]
    show("\n".join([*lines, f"lowest found: {best['name']}, F = {best['fun']:.12f}; {best['message']}"]))


def _plot_runs(problem, runs, rows, path: str) -> None:
    from ufm import plot
    from ufm.landscapes.compare import compare

    beside = compare(problem, 0) if problem.linear and not problem.ridgeless else None
    plot.save(plot.runs(runs.results, beside, [row["name"] for row in rows]), path)
