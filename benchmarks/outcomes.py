"""What every verb says, before and after a change: record the JSON of all verbs on the zoo, the claims and the figures,
and compare two records.

    python benchmarks/outcomes.py record FOLDER [--only PART]      parts: verbs, claims, figures
    python benchmarks/outcomes.py diff BEFORE AFTER

Only the command line and `to_dict` are used, so that versions with other classes can be compared. Numbers agree to 1e-9
relative (singular values and gradient norms of rounding size apart); every other difference is printed with its path.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
QUIET = (
    "seconds",
    "grad_norm",
    "lowest",
    "highest",
    "nfev",
    "nit",
    "message",
    "versions",
    "digest",
    "jobs",
    "created",
    "when",
)
"""Fields that may differ between runs."""
VERBS = {
    "compare": ["compare", "--starts", "10"],
    "landscape": ["landscape", "--starts", "10"],
    "solve": ["solve", "--starts", "4"],
    "basins": ["basins", "--starts", "100"],
    "certify": ["certify"],
}


def words(problem) -> list[str]:
    """The command line of a problem."""
    said = problem.to_dict()
    listed = []
    for name, value in said.items():
        if value is not None:
            flag = f"-{name}" if len(name) == 1 else f"--{name}"
            text = ",".join(map(repr, value)) if isinstance(value, list) else str(value)
            listed.append(f"{flag}={text}" if flag.startswith("--") else f"{flag}{text}")
    return listed


def shell(argv: list[str]) -> dict:
    """{code, JSON} of a command."""
    from ufm.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(argv)
    text = out.getvalue().strip()
    return {
        "code": code,
        "said": json.loads(text) if text else None,
        "error": err.getvalue().strip() if code == 2 else "",
    }


def python(problem) -> dict:
    """Verbs that the shell does not have."""
    import ufm

    def attempt(job):
        try:
            return job()
        except Exception as refusal:  # a crash is an outcome too
            return {"refused": f"{type(refusal).__name__}: {refusal}"}

    def connected():
        atlas = ufm.landscape(problem, starts=5, rng=0)
        return ufm.connect(
            [p for p in atlas if p.rank and p.status in ("local minimum", "strict saddle")][:12]
        ).to_dict()

    def followed():
        best = ufm.compare(problem, starts=2, rng=0).winner
        return ufm.follow(best.point, 2 * problem.Lam).to_dict()

    jobs = {"profile": lambda: ufm.profile(problem, starts=3, rng=0).to_dict(), "follow": followed}
    if problem.K <= 5:
        jobs["connect"] = connected
    return {name: attempt(job) for name, job in jobs.items()}


def record(folder: pathlib.Path, only: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if only in (None, "verbs"):
        from zoo import ZOO

        for name, problem in ZOO.items():
            found = {verb: shell([*argv, *words(problem), "--json"]) for verb, argv in VERBS.items()}
            write(folder / f"{name}.json", found | python(problem))
            print(name, flush=True)
    if only in (None, "claims"):
        write(folder / "claims.json", shell(["verify", "--json", "-v"]))
    if only in (None, "figures"):
        for name in figures():
            at = folder / f"figure {name}.png"
            shell(["figure", name, "--fast", "--fresh", "--csv", "--json", "--out", str(at)])
            print(name, flush=True)


def figures() -> list[str]:
    """The ids that `ufm figure --list` begins its lines with."""
    from ufm.cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["figure", "--list"])
    return [line.split()[0] for line in out.getvalue().splitlines() if line[:1].isalnum() and "-" in line.split()[0]]


def write(path: pathlib.Path, data) -> None:
    path.write_text(json.dumps(data, indent=1, sort_keys=True))


def diff(before: pathlib.Path, after: pathlib.Path) -> int:
    """Prints every difference; returns how many files differ."""
    differing = 0
    for a in sorted({p.name for p in (*before.iterdir(), *after.iterdir()) if p.suffix in (".json", ".csv")}):
        if not ((before / a).exists() and (after / a).exists()):
            print(f"{a}: only in {before if (before / a).exists() else after}")
            differing += 1
            continue
        lines = list(differences(read(before / a), read(after / a), ""))
        differing += bool(lines)
        for line in lines:
            print(f"{a}{line}")
    print(f"{differing} files differ")
    return differing


def read(path: pathlib.Path):
    return (
        json.loads(path.read_text())
        if path.suffix == ".json"
        else [line.split(",") for line in path.read_text().splitlines()]
    )


def differences(a, b, path: str):
    """Lines `path: a -> b` of everything that differs."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            if key in QUIET:
                continue
            if key not in b:
                yield f"{path}.{key}: gone"
            elif key not in a:
                continue  # fields may be added freely
            else:
                yield from differences(a[key], b[key], f"{path}.{key}")
    elif rows(a) and rows(b):
        yield from row_differences(a, b, path)
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            yield f"{path}: {len(a)} entries -> {len(b)}"
        for i, (x, y) in enumerate(zip(a, b, strict=False)):
            yield from differences(x, y, f"{path}[{i}]")
    elif not same(a, b):
        yield f"{path}: {short(a)} -> {short(b)}"


def rows(value) -> bool:
    """Whether it is a list of points."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) and "fun" in row for row in value)


def row_differences(a, b, path: str):
    """Points are compared by value and rank, whatever their order."""
    left = list(b)
    for row in a:
        twin = next(
            (
                other
                for other in left
                if same(row["fun"], other["fun"]) and row.get("rank") in (other.get("rank"), None)
            ),
            None,
        )
        where = f"{path}[{row.get('name')} {row['fun']:.9g}]"
        if twin is None:
            yield f"{where}: gone"
        else:
            left.remove(twin)
            yield from differences(row, twin, where)
    for row in left:
        yield f"{path}[{row.get('name')} {row['fun']:.9g}]: new"


def same(a, b) -> bool:
    try:
        x, y = (float(v) for v in (a, b))
    except (TypeError, ValueError):
        return a == b
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    return x == y or math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(x) and math.isnan(y))


def short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 160 else text[:157] + "..."


if __name__ == "__main__":
    if len(sys.argv) >= 3 and sys.argv[1] == "record":
        record(pathlib.Path(sys.argv[2]), sys.argv[4] if "--only" in sys.argv else None)
    elif len(sys.argv) == 4 and sys.argv[1] == "diff":
        sys.exit(1 if diff(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])) else 0)
    else:
        sys.exit(__doc__)
