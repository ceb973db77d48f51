"""`ufm sweep`: grids of problems."""

from __future__ import annotations

import importlib.util

from ufm.cli.parser import add_json, add_verb
from ufm.cli.reading import check_save_file, read_integer
from ufm.cli.writing import print_json, show


def add(verbs) -> None:
    verb = add_verb(
        verbs,
        "sweep",
        "grids of problems: parallel, resumable, shardable",
        "Run a verb (compare, solve, landscape, basins) on every cell of a grid. SPEC is a TOML file:\n\n  verb ="
        ' "compare"\n  rng = 0\n  [grid]\n  K = [4, 6, 8]\n  lam = ["2**-8", 1e-3]\n  [fixed]\n  L = 2\n  starts ='
        " 0\n\nRows are JSON lines, on disk as they come; the same command goes on where it stopped. A cell that fails"
        " is a row with its message; for\nwant of memory, of a file or of an extra it is tried again by the next run."
        " Exit code 1 says that cells failed or were left undone.",
        "ufm sweep grid.toml --out runs.jsonl --jobs 2 --csv runs.csv\n  ufm sweep grid.toml --out runs.jsonl"
        " --shard 3/8",
        _sweep,
    )
    verb.add_argument("spec", metavar="SPEC", help="TOML file")
    verb.add_argument("--out", metavar="FILE", help="JSON-lines store (default: SPEC with the ending .jsonl)")
    verb.add_argument(
        "--shard", default="1/1", metavar="i/n", help="run cells i, i+n, ... into a store of their own (for job arrays)"
    )
    verb.add_argument("--jobs", default=None, metavar="J", help="worker processes (default: the cores)")
    verb.add_argument(
        "--fresh", action="store_true", help="begin the store anew; an old one is kept beside it, as FILE.bak"
    )
    verb.add_argument("--csv", metavar="FILE", help="also write the table as CSV")
    verb.add_argument("--parquet", metavar="FILE", help="also write the table as parquet (needs pyarrow)")
    add_json(verb)


def _sweep(arguments) -> int:
    from pathlib import Path

    from ufm.numerics import install
    from ufm.sweeps.sweep import sweep

    check_save_file(arguments.csv, "--csv")
    check_save_file(arguments.parquet, "--parquet")
    if arguments.parquet and importlib.util.find_spec("pyarrow") is None:
        raise install.missing("--parquet", "pyarrow")
    out = arguments.out or str(Path(arguments.spec).with_suffix(".jsonl"))
    jobs = None if arguments.jobs is None else read_integer("--jobs", arguments.jobs, 1)
    done = sweep(arguments.spec, out, shard=arguments.shard, jobs=jobs, fresh=arguments.fresh)
    if arguments.csv:
        done.to_csv(arguments.csv)
    if arguments.parquet:
        done.to_parquet(arguments.parquet)
    if arguments.json:
        counts = {
            "missing": done.missing,
            "failed": len(done.failed),
            "interrupted": done.interrupted,
            "notes": list(done.notes),
        }
        print_json({"rows": list(done.rows), **counts, "store": str(done.path)})
    else:
        for failed in done.failed[:5]:
            show(f"failed: {failed['problem']}: {failed['error']}")
        show(done)
    if done.interrupted:
        raise KeyboardInterrupt(
            f"after {len(done.rows)} of {len(done.rows) + done.missing} cells; they are kept in {done.path}, and the"
            " same command does the rest"
        )
    return 1 if done.failed or done.missing else 0
