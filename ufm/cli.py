"""The command line: every verb one job, `--json` for programs, one line on standard error for mistakes.

Exit codes: 0 done, 2 usage or bad input, 130 interrupted. `verify` adds 1 fails and 3 undecided. Packages add verbs
through the entry-point group `ufm.commands`: a function that takes the subparsers and adds one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "2" if (os.cpu_count() or 1) > 1 else "1")

from ufm import __version__
from ufm.numerics.arithmetic import number
from ufm.numerics.records import plain

F1 = "-K 10 -n 5 -d 70 -L 2 --lam 2**-10"


class _Parser(argparse.ArgumentParser):
    """Mistakes are one line on standard error and exit code 2."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(argv: list[str] | None = None) -> int:
    """Run a verb; returns the exit code."""
    parser = _build()
    try:
        arguments = parser.parse_args(argv)
        if not hasattr(arguments, "run"):
            parser.print_help()
            return 0
        return arguments.run(arguments) or 0
    except ValueError as mistake:
        print(f"ufm: error: {' '.join(str(mistake).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as mistake:
        print(f"ufm: error: {mistake}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ufm: interrupted", file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 2


def _build() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ufm",
        description="The solver for unconstrained feature models: critical points, neural collapse and low-rank minima.",
        epilog=f"examples:\n  ufm compare {F1}\n  ufm solve {F1} --starts 10\n  ufm solve {F1} --method gd --lr 0.5 --plot runs.png\n"
        "  ufm landscape -K 4 -L 2 --lam 0.0133\n  ufm certify -K 3 -L 2 --lam 0.1\n  ufm identify end_point.npz\n  ufm verify --list\n  ufm demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ufm {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=_Parser)
    _add_compare(verbs)
    _add_solve(verbs)
    _add_landscape(verbs)
    _add_identify(verbs)
    _add_certify(verbs)
    _add_sweep(verbs)
    _add_basins(verbs)
    for entry in _entry_points():
        entry.load()(verbs)
    return parser


def _entry_points():
    from importlib.metadata import entry_points

    return sorted(entry_points(group="ufm.commands"), key=lambda e: e.name)


def add_verb(verbs, name: str, help: str, description: str, example: str, run) -> argparse.ArgumentParser:
    """A subcommand whose --help ends with an example."""
    verb = verbs.add_parser(name, help=help, description=description, epilog=f"example:\n  {example}", formatter_class=argparse.RawDescriptionHelpFormatter)
    verb.set_defaults(run=run)
    return verb


def add_json(verb) -> None:
    verb.add_argument("--json", action="store_true", help="print one JSON object on standard output and nothing else")


def print_json(data: dict) -> None:
    """One JSON object; numbers JSON does not have become null."""
    print(json.dumps(plain(data), allow_nan=False))


def _add_problem(verb, required: bool = True) -> None:
    group = verb.add_argument_group("problem (numbers may be written 2**-10, 1e-3, 5**(1/3); lists with commas)")
    group.add_argument("-K", required=required, metavar="K", help="classes")
    group.add_argument("-n", default="1", metavar="N", help="samples per class, one number or K counts (default 1)")
    group.add_argument("-d", default=None, metavar="D", help="hidden width, one number or L widths (default K)")
    group.add_argument("-L", default="1", metavar="L", help="weight layers after the free features (default 1)")
    group.add_argument("--lam", required=required, metavar="LAM", help="ridge weight, one number or L+1 ordered H_1, W_1, ..., W_L")
    group.add_argument("--loss", default="ce", metavar="NAME", help="ce, mse, label_smoothing(0.1), focal(2) (default ce)")
    group.add_argument("--activation", default="linear", metavar="NAME", help="linear, relu, leaky_relu(0.1), tanh (default linear)")
    group.add_argument("--bias", default=None, metavar="B", help="weight of a last-layer bias (default: no bias)")


def read_problem(arguments):
    """The Problem meant by the command line; ValueError naming what is wrong."""
    from ufm.problem import Problem

    return Problem(
        K=_numbers("-K", arguments.K),
        n=_numbers("-n", arguments.n),
        d=None if arguments.d is None else _numbers("-d", arguments.d),
        L=_numbers("-L", arguments.L),
        lam=_numbers("--lam", arguments.lam),
        loss=arguments.loss,
        activation=arguments.activation,
        bias=None if arguments.bias is None else _numbers("--bias", arguments.bias),
    )


def _numbers(name: str, text: str):
    """One number, or a tuple of them for a list with commas; whole numbers come out as int."""
    try:
        values = tuple(int(v) if v.is_integer() and abs(v) < 2**53 else v for v in map(number, text.split(",")))
    except ValueError as mistake:
        raise ValueError(f"argument {name}: {mistake}") from None
    if name in ("--lam", "--bias"):
        values = tuple(map(float, values))
    return values[0] if len(values) == 1 else values


def read_integer(name: str, text: str, least: int) -> int:
    from ufm.numerics.arguments import integer

    return integer(name, _numbers(name, text), least)


def _add_search(verb, starts: str | None) -> None:
    verb.add_argument("--starts", default=starts, metavar="S", help="random starts" + (f" (default {starts})" if starts else " (default by size; 0: none)"))
    verb.add_argument("--rng", default="0", metavar="SEED", help="seed of the starts (default 0)")
    verb.add_argument("--plot", metavar="FILE", help="write a figure (png, pdf or svg)")
    add_json(verb)


def _add_compare(verbs) -> None:
    verb = add_verb(
        verbs,
        "compare",
        "structures side by side, and the winner",
        "Every named structure that exists for the problem with its value to twelve digits, rank, Hessian signature and status; the best of "
        "a short random search beside them; and who wins.",
        f"ufm compare {F1} --plot duel.png",
        _compare,
    )
    _add_problem(verb)
    _add_search(verb, None)


def _compare(arguments) -> int:
    from ufm.landscapes.compare import compare

    problem = read_problem(arguments)
    starts = None if arguments.starts is None else read_integer("--starts", arguments.starts, 0)
    check_plot_file(arguments.plot)
    result = compare(problem, starts, read_integer("--rng", arguments.rng, 0), trace=1 if arguments.plot else 0)
    if arguments.json:
        print_json(result.to_dict())
    else:
        print(result)
    if arguments.plot:
        from ufm import plot

        plot.save(plot.comparison(result), arguments.plot)
    return 0


def _add_solve(verbs) -> None:
    verb = add_verb(
        verbs,
        "solve",
        "minimise from random starts; end points named",
        "Minimise from random starts. lbfgs and newton use the exact reduction (same minima); gd and flow run on all factors at full width.",
        f"ufm solve {F1} --method gd --lr 0.5 --starts 10",
        _solve,
    )
    _add_problem(verb)
    verb.add_argument("--method", default="lbfgs", metavar="NAME", help="lbfgs, newton, gd, flow (default lbfgs)")
    verb.add_argument("--space", default=None, metavar="NAME", help="factors or reduced (default by method)")
    verb.add_argument("--tol", default="1e-12", metavar="T", help="gradient norm to reach (default 1e-12)")
    verb.add_argument("--scale", default=None, metavar="S", help="standard deviation of the Gaussian start (default d**(-1/2))")
    for name, help in _SETTINGS.items():
        verb.add_argument(f"--{name}", default=None, metavar="X", help=help)
    verb.add_argument("--save", metavar="FILE", help="write the best end point to an .npz file")
    _add_search(verb, "1")


_SETTINGS = {
    "lr": "gd: learning rate (default 0.5)",
    "momentum": "gd: momentum (default 0)",
    "batch": "gd: mini-batch size (default: all samples)",
    "steps": "gd: most steps (default 20000)",
    "time": "flow: end time (default 1e4)",
    "max-steps": "lbfgs, newton: most steps",
}


def _solve(arguments) -> int:
    from ufm.critical.identify import identify
    from ufm.critical.signature import classify
    from ufm.solvers import starts
    from ufm.solvers.multistart import multistart

    problem = read_problem(arguments)
    given = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name in _SETTINGS}
    settings = {name: _numbers(f"--{name}", text) for name, text in given.items() if text is not None}
    check_plot_file(arguments.plot)
    check_save_file(arguments.save)
    trace = {"lbfgs": 1, "newton": 1, "gd": max(1, int(settings.get("steps", 20_000)) // 400), "flow": 10}.get(arguments.method, 1)
    start = None if arguments.scale is None else starts.gaussian(_numbers("--scale", arguments.scale))
    runs = multistart(
        problem,
        read_integer("--starts", arguments.starts, 1),
        read_integer("--rng", arguments.rng, 0),
        arguments.method,
        start=start,
        space=arguments.space,
        tol=_numbers("--tol", arguments.tol),
        trace=trace if arguments.plot else 0,
        **settings,
    )
    if not len(runs):
        raise KeyboardInterrupt
    known: dict = {}  # equal ends are described once
    rows = [_describe(r, known, identify, classify) for r in runs]
    best = rows[runs.results.index(runs.best)]
    if arguments.json:
        print_json({"problem": problem.to_dict(), "results": rows, "best": best, "requested": runs.requested, "rng": runs.rng})
    else:
        _print_runs(problem, runs, rows, best)
    if arguments.save:
        runs.best.point.save(arguments.save)
    if arguments.plot:
        _plot_runs(problem, runs, rows, arguments.plot)
    return 0


def _describe(result, known: dict, identify, classify) -> dict:
    key = (round(result.fun, 11), getattr(result.point, "rank", None)) if result.success else id(result)
    if key not in known:
        who, what = identify(result), classify(result, extremes=False)
        known[key] = {"rank": who.rank if what.rank is None else what.rank, "name": who.name, "status": what.status, "index": what.index}
        known[key] |= {"nullity": what.nullity, "nullity_symmetry": what.nullity_symmetry, "distance": who.distance}
    own = {name: getattr(result, name) for name in ("fun", "grad_norm", "nit", "nfev", "success", "message", "seconds", "space", "rng")}
    return own | known[key]


def _print_runs(problem, runs, rows, best) -> None:
    print(problem, end="\n\n")
    width = max(len(row["name"]) for row in rows)
    head = f"{'start':>5}  {'end point':<{width}}  {'rank':>4}  {'F':>16}  {'|grad|':>8}  {'status':<14}  {'steps':>6}  seconds"
    print(head, "-" * len(head), sep="\n")
    for i, row in enumerate(rows):
        rank = "-" if row["rank"] is None else row["rank"]
        numbers = f"{rank:>4}  {row['fun']:>16.12f}  {row['grad_norm']:>8.1e}  {row['status']:<14}  {row['nit']:>6}  {row['seconds']:.3g}"
        print(f"{i:>5}  {row['name']:<{width}}  {numbers}")
    converged = sum(row["success"] for row in rows)
    print(f"\n{len(rows)} of {runs.requested} starts, {converged} converged; rng={runs.rng}")
    print(f"lowest found: {best['name']}, F = {best['fun']:.12f}; {best['message']}")


def _plot_runs(problem, runs, rows, path: str) -> None:
    from ufm import plot
    from ufm.landscapes.compare import compare

    beside = compare(problem, 0) if problem.linear else None
    plot.save(plot.runs(runs.results, beside, [row["name"] for row in rows]), path)


def _add_landscape(verbs) -> None:
    verb = add_verb(
        verbs,
        "landscape",
        "all critical points found, classified and named",
        "Critical points modulo gauge and class permutation: the complete list under MSE; otherwise structures, symmetric points and a search.",
        "ufm landscape -K 4 -L 2 --lam 0.0133 --plot atlas.png",
        _landscape,
    )
    _add_problem(verb)
    _add_search(verb, None)
    verb.add_argument("--save", metavar="FILE", help="write the points with their class logits as JSON")


def _landscape(arguments) -> int:
    from ufm.landscapes.landscape import landscape

    problem = read_problem(arguments)
    check_plot_file(arguments.plot)
    check_save_file(arguments.save)
    starts = None if arguments.starts is None else read_integer("--starts", arguments.starts, 0)
    atlas = landscape(problem, read_integer("--rng", arguments.rng, 0), starts)
    if arguments.json:
        print_json(atlas.to_dict())
    else:
        print(atlas)
    if arguments.save:
        atlas.save(arguments.save)
    if arguments.plot:
        from ufm import plot

        plot.save(plot.landscape(atlas).figure, arguments.plot)
    return 0


def _add_identify(verbs) -> None:
    verb = add_verb(
        verbs,
        "identify",
        "name the end point of anybody's training run",
        "Name a logit matrix. FILE is an .npz with Z (K x N or K x K), or features (N x d) and weights (K x d), and labels (N) if the "
        "samples are not in equal class blocks; or a point saved by ufm.",
        "ufm identify end_point.npz --json",
        _identify,
    )
    verb.add_argument("file", metavar="FILE", help=".npz file of plain arrays")
    verb.add_argument("--tol", default="0.02", metavar="T", help="relative distance within which a name is given (default 0.02)")
    add_json(verb)


def _identify(arguments) -> int:
    from ufm import points
    from ufm.critical.identify import identify
    from ufm.numerics.files import load_arrays

    tol = _numbers("--tol", arguments.tol)
    data = load_arrays(arguments.file)
    if "ufm" in data:
        found = identify(points.load(arguments.file), tol=tol)
    elif "Z" in data:
        found = identify(data["Z"], labels=data.get("labels"), tol=tol)
    elif "features" in data:
        found = identify(features=data["features"], weights=data.get("weights"), labels=data.get("labels"), tol=tol)
    else:
        raise ValueError(f"file {arguments.file!r} must hold Z, or features and weights; it has {', '.join(sorted(data)) or 'nothing'}.")
    if arguments.json:
        fields = ("name", "rank", "distance", "scales", "within_class", "collapse", "members", "tol")
        print_json({name: getattr(found, name) for name in fields})
    else:
        print(found)
        print("scales: " + ", ".join(f"{a:.6g}" for a in found.scales) if found.scales else "no scales")
        print("collapse: " + ", ".join(f"{name} {value:.3g}" for name, value in found.collapse.items()))
    return 0


def _add_certify(verbs) -> None:
    verb = add_verb(
        verbs,
        "certify",
        "proofs: orders, critical points and indices, global minima, bounds",
        "Prove what can be proved about a problem in exact, ball or interval arithmetic; or check a file of certificates again from its own numbers. "
        "lam is taken exactly as written: 0.01 is one hundredth, 2**-10 and 1/3 are themselves. Exit code 0; 1 when --check finds a proof that does not stand.",
        f"ufm certify {F1} --save proofs.json\n  ufm certify -K 3 -L 2 --lam 0.1 --what global\n"
        "  ufm certify -K 4 -L 2 --lam 1/75 --group V_4\n  ufm certify --check proofs.json",
        _certify,
    )
    _add_problem(verb, required=False)
    verb.add_argument("--what", default=None, metavar="WORDS", help="order, critical, global, bound, completeness; commas between (default: what applies)")
    verb.add_argument("--group", default=None, metavar="NAME", help="prove the list of critical points with this symmetry complete (V_4, S_2wrS_2, D_5, ...)")
    verb.add_argument("--save", metavar="FILE", help="write the certificates as JSON")
    verb.add_argument("--check", metavar="FILE", help="re-verify the certificates of a file instead")
    add_json(verb)


def _certify(arguments) -> int:
    from ufm.certificates.certify import certify

    if arguments.check:
        return _recheck(arguments)
    for name in ("K", "lam"):
        if getattr(arguments, name) is None:
            raise ValueError(f"argument {'-' if len(name) == 1 else '--'}{name} is required, or --check FILE.")
    problem = read_problem(arguments)
    check_save_file(arguments.save)
    words = None if arguments.what is None else [word.strip() for word in arguments.what.split(",")]
    try:
        proofs = certify(problem, words, tuple(text.strip() for text in arguments.lam.split(",")), arguments.group)
    except ImportError as missing:
        raise ValueError(str(missing)) from None
    if arguments.json:
        print_json(proofs.to_dict())
    else:
        print(problem, "", proofs, sep="\n")
    if arguments.save:
        proofs.save(arguments.save)
    return 0


def _recheck(arguments) -> int:
    from ufm.certificates.certificate import load

    rows = []
    for certificate in load(arguments.check):
        objection = certificate.objection()
        rows.append({"kind": certificate.kind, "statement": certificate.statement, "holds": not objection, "why": objection, "claimed": certificate.holds})
    fallen = [row for row in rows if row["claimed"] and not row["holds"]]
    if arguments.json:
        print_json({"certificates": rows, "stand": not fallen})
    else:
        for row in rows:
            word = "stands" if row["holds"] else "FAILS" if row["claimed"] else "was not proved"
            print(f"{word}: {row['statement']} ({row['kind']})" + (f"; {row['why']}" if row in fallen else ""))
    return 1 if fallen else 0


def _add_sweep(verbs) -> None:
    verb = add_verb(
        verbs,
        "sweep",
        "grids of problems: parallel, resumable, shardable",
        "Run a verb (compare, solve, landscape, basins) on every cell of a grid. SPEC is a TOML file:\n\n"
        '  verb = "compare"\n  rng = 0\n  [grid]\n  K = [4, 6, 8]\n  lam = ["2**-8", 1e-3]\n  [fixed]\n  L = 2\n  starts = 0\n\n'
        "Rows are JSON lines, on disk as they come; the same command goes on where it stopped. A cell that fails is a row with its message.",
        "ufm sweep grid.toml --out runs.jsonl --jobs 2 --csv runs.csv\n  ufm sweep grid.toml --out runs.jsonl --shard 3/8",
        _sweep,
    )
    verb.add_argument("spec", metavar="SPEC", help="TOML file")
    verb.add_argument("--out", metavar="FILE", help="JSON-lines store (default: SPEC with the ending .jsonl)")
    verb.add_argument("--shard", default="1/1", metavar="i/n", help="run cells i, i+n, ... into a store of their own (for job arrays)")
    verb.add_argument("--jobs", default=None, metavar="J", help="worker processes (default: the cores)")
    verb.add_argument("--csv", metavar="FILE", help="also write the table as CSV")
    verb.add_argument("--parquet", metavar="FILE", help="also write the table as parquet (needs pyarrow)")
    add_json(verb)


def _sweep(arguments) -> int:
    from pathlib import Path

    from ufm.sweeps.sweep import sweep

    check_save_file(arguments.csv, "--csv")
    check_save_file(arguments.parquet, "--parquet")
    out = arguments.out or str(Path(arguments.spec).with_suffix(".jsonl"))
    jobs = None if arguments.jobs is None else read_integer("--jobs", arguments.jobs, 1)
    done = sweep(arguments.spec, out, shard=arguments.shard, jobs=jobs)
    if arguments.csv:
        done.to_csv(arguments.csv)
    if arguments.parquet:
        try:
            done.to_parquet(arguments.parquet)
        except ImportError as missing:
            raise ValueError(str(missing)) from None
    if arguments.json:
        print_json({"rows": list(done.rows), "missing": done.missing, "failed": len(done.failed), "store": str(done.path)})
    else:
        print(done)
        for failed in done.failed[:5]:
            print(f"failed: {failed['problem']}: {failed['error']}")
    return 130 if done.interrupted else 0


def _add_basins(verbs) -> None:
    verb = add_verb(
        verbs,
        "basins",
        "who wins the basins: ends named and counted, with intervals",
        "Run many random starts, name their ends and count them, for one problem or over a parameter. lbfgs (default) runs on the exact "
        "reduction, which has the problem's minima but not the basins of gradient descent; gd and adam run on all parameters. The answer "
        "says which. --out keeps finished blocks: the same command goes on where it stopped.",
        f"ufm basins {F1} --starts 1000\n  ufm basins -K 10 -n 5 -L 2 --lam 2**-10 --method gd --starts 10 --over d=20,40,70 --plot widths.png",
        _basins,
    )
    _add_problem(verb)
    verb.add_argument("--over", default=None, metavar="NAME=LIST", help="a parameter and its values: d=20,40,70, lam=2**-12,2**-10, scale=..., lr=...")
    verb.add_argument("--method", default="lbfgs", metavar="NAME", help="lbfgs, gd, adam (default lbfgs)")
    verb.add_argument("--space", default=None, metavar="NAME", help="factors or reduced (default by method)")
    verb.add_argument("--tol", default="1e-9", metavar="T", help="gradient norm of an end (default 1e-9)")
    verb.add_argument("--scale", default=None, metavar="S", help="standard deviation of the Gaussian start (default width**(-1/2))")
    for name in ("lr", "momentum", "batch", "steps", "max-steps"):
        verb.add_argument(f"--{name}", default=None, metavar="X", help=_SETTINGS[name])
    verb.add_argument("--by", default="name", metavar="WORD", help="plot shares by name or by rank (default name)")
    verb.add_argument("--out", metavar="FILE", help="JSON-lines file of finished blocks, to go on from")
    verb.add_argument("--save", metavar="FILE", help="write the census of one problem with its class logits as JSON")
    _add_search(verb, "1000")


def _basins(arguments) -> int:
    from ufm.landscapes.basins import basins, census

    names = ("lr", "momentum", "batch", "steps", "max_steps", "tol", "scale")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    options = {name: _numbers(f"--{name.replace('_', '-')}", text) for name, text in given.items()}
    options |= {"method": arguments.method, "space": arguments.space, "out": arguments.out}
    starts, rng = read_integer("--starts", arguments.starts, 1), read_integer("--rng", arguments.rng, 0)
    check_plot_file(arguments.plot)
    check_save_file(arguments.save)
    problem = read_problem(arguments)
    if arguments.over is None:
        found = basins(problem, starts, rng, **options)
        missing = found.starts < found.requested
    else:
        if arguments.save:
            raise ValueError("argument --save: writes the census of one problem; with --over use --out or --json.")
        over = _over(arguments.over)
        found = census(problem, over, starts, rng, **{name: value for name, value in options.items() if name not in over})
        missing = len(found) < len(found.requested) or any(cell.starts < cell.requested for cell in found.cells)
    if arguments.json:
        print_json(found.to_dict())
    else:
        print(found)
    if arguments.save:
        found.save(arguments.save)
    if arguments.plot and (arguments.over is None or len(found)):
        from ufm import plot

        axes = plot.basins.shares(found) if arguments.over is None else plot.basins.census(found, by=arguments.by)
        plot.save(axes.figure, arguments.plot)
    return 130 if missing else 0


def _over(text: str) -> dict:
    """{name: values} of `d=20,40,70`; words where they are no numbers."""
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ValueError(f"argument --over: must be NAME=LIST, for example d=20,40,70; got {text!r}.")
    if name in ("method", "space", "loss", "activation"):
        return {name: values.split(",")}
    found = _numbers("--lam" if name in ("lam", "bias") else "--over", values)
    return {name: list(found) if isinstance(found, tuple) else [found]}


def check_plot_file(path: str | None, name: str = "--plot") -> None:
    """Refuse a plot file that could not be written, before any work."""
    if path is not None and os.path.splitext(path)[1].lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(f"argument {name}: file must end in .png, .pdf or .svg; got {path!r}.")
    check_save_file(path, name)


def check_save_file(path: str | None, name: str = "--save") -> None:
    """Refuse a file whose folder does not exist, before any work."""
    if path is not None and not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise ValueError(f"argument {name}: file must lie in an existing folder; got {path!r}.")


if __name__ == "__main__":
    sys.exit(main())
