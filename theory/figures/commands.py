"""The verb `figure`."""

from __future__ import annotations

from theory.figures.figure import default_cache, figures
from ufm.cli import add_json, add_verb, print_json, say


def add_figure(verbs) -> None:
    verb = add_verb(
        verbs,
        "figure",
        "figures of papers, and ours to the same questions",
        "Compute and draw a figure. Finished parts are kept, so an interrupted figure goes on where it stopped and a"
        " second drawing is immediate. Beside the picture lies a JSON record of settings, versions and numbers; equal"
        " arguments give equal bytes.",
        "ufm figure gk25-1 --out f.pdf\n  ufm figure gk25-2 --fast --csv --out f.png\n  ufm figure --list",
        _figure,
    )
    verb.add_argument("id", nargs="?", metavar="ID", help="which figure, for example gk25-1")
    verb.add_argument("--list", action="store_true", help="only list the figures and how long they take")
    verb.add_argument("--out", metavar="FILE", help="pdf, png or svg (default ID.pdf)")
    verb.add_argument("--fast", action="store_true", help="a small version in seconds")
    verb.add_argument("--csv", action="store_true", help="also write the plotted numbers beside it")
    verb.add_argument("--rng", default="0", metavar="SEED", help="seed (default 0)")
    verb.add_argument("--jobs", default=None, metavar="N", help="processes (default: the cores; 1 with --fast)")
    verb.add_argument("--cache", metavar="FOLDER", help=f"where finished parts are kept (default {default_cache()})")
    verb.add_argument("--fresh", action="store_true", help="compute everything anew and keep nothing")
    add_json(verb)


def _figure(arguments) -> int:
    from ufm.cli import check_plot_file, read_integer
    from ufm.numerics.families import choice

    known = figures()
    if arguments.list:
        rows = [
            {"id": f.id, "title": f.title, "source": f.source, "takes": f.takes, "takes_fast": f.takes_fast}
            for f in known.values()
        ]
        if arguments.json:
            print_json({"figures": rows})
        else:
            width = max(len(row["id"]) for row in rows)
            for row in rows:
                say(
                    f"{row['id']:<{width}}  {row['title']}  [{row['source']}; {row['takes']}, --fast"
                    f" {row['takes_fast']}]"
                )
        return 0
    if arguments.id is None:
        raise ValueError(f"argument ID is required, for example {next(iter(known))}; --list shows all {len(known)}.")
    figure = known[choice("figure", arguments.id, known)]
    out = arguments.out or f"{figure.id}.pdf"
    check_plot_file(out, "--out")
    cache = None if arguments.fresh else arguments.cache or default_cache()
    jobs = None if arguments.jobs is None else read_integer("--jobs", arguments.jobs, 1)
    files = figure.write(out, arguments.fast, read_integer("--rng", arguments.rng, 0), cache, arguments.csv, jobs=jobs)
    if arguments.json:
        print_json({"figure": figure.id, "fast": arguments.fast, "files": [str(file) for file in files]})
    else:
        say(f"{figure.title} [{figure.source}]: {', '.join(map(str, files))}")
    return 0
