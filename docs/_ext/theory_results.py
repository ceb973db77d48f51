"""The verdicts shown in the theory pages: docs/theory_results.json, written by running the claims.

    python docs/_ext/theory_results.py [CLAIM ...] [--jobs N] [--resume FILE]

runs the claims (default: all, a few minutes; otherwise ids, source keys or patterns), keeps the entries of the others,
drops those of claims that are gone, and writes a page docs/theory/KEY.md for every source that has none. `stale` says
which entries no longer speak of the claims as they stand.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path

from theory.claim import Claim, Verdict

FILE = Path(__file__).resolve().parents[1] / "theory_results.json"
PAGES = FILE.parent / "theory"
SAME = ("title", "statement", "source", "scope", "pace", "kind")
"""What an entry repeats of its claim, word for word."""
KINDS = {
    "existential": "one witness supports it, and a case without the property says nothing",
    "empirical": "seen on runs, and no theorem; a run against it leaves it undecided",
}
"""What a kind other than universal means."""


def described(claim: Claim) -> dict:
    """What an entry says about the claim itself."""
    said = {name: getattr(claim, name) for name in SAME}
    counts = {"cases": len(claim.cases), "controls": len(claim.controls)}
    return (
        said
        | {"corrected_by": claim.corrected_by or None, "hypotheses": list(claim.hypotheses), "uses": list(claim.uses)}
        | counts
    )


def entry(verdict: Verdict) -> dict:
    """One claim in the file: what it says, what came of it, why every control is one, and when and with what that
    was."""
    import numpy
    import scipy

    from theory import report
    from ufm import __version__
    from ufm.numerics.records import plain

    found = {
        "verdict": verdict.verdict,
        "strength": verdict.strength,
        "margin": verdict.margin,
        "controls_broken": len(verdict.broken),
    }
    found["remarks"] = [remark for remark in report.remarks(verdict) if not remark.startswith("scope: ")]
    found["because"] = [[str(control.case), report.because(verdict, control)] for control in verdict.controls]
    versions = {
        "ufm": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
    return plain(described(verdict.claim) | found | {"date": datetime.date.today().isoformat(), "versions": versions})


def results(file: Path = FILE) -> dict[str, dict]:
    """id -> entry; empty where there is no file."""
    return json.loads(file.read_text(encoding="utf-8"))["claims"] if file.exists() else {}


def stale(claims, found: dict[str, dict]) -> list[str]:
    """Ids of claims without an entry or with one that says something else, and of entries without a claim."""
    by_id = {claim.id: claim for claim in claims}
    changed = [
        name
        for name, claim in by_id.items()
        if name not in found or any(found[name].get(k) != v for k, v in described(claim).items())
    ]
    return changed + [name for name in found if name not in by_id]


def main(argv: list[str] | None = None) -> int:
    from theory import runs
    from theory.registry import claims
    from ufm.numerics.files import write_atomically

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claim", nargs="*", metavar="CLAIM")
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--resume", metavar="FILE", help="record of finished cases, as in `ufm verify`")
    given = parser.parse_args(argv)
    run = runs.verify(claims(given.claim), jobs=given.jobs, resume=given.resume)
    if run.interrupted:
        return 130
    found = results() | {verdict.claim.id: entry(verdict) for verdict in run.verdicts}
    everything = claims()
    text = (
        json.dumps(
            {"ufm": "theory results", "claims": {c.id: found[c.id] for c in everything if c.id in found}},
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )
    write_atomically(FILE, lambda file: file.write(text.encode()))
    for key in {claim.id.split(":")[0] for claim in everything}:
        page = PAGES / f"{key}.md"
        if not page.exists():
            page.write_text(f"# {key}\n\nSource: {{cite}}`{key}`.\n\n```{{claims}} {key}\n```\n", encoding="utf-8")
    left = stale(everything, found)
    print(
        f"{FILE}: {len(run.verdicts)} claims run, {len(found)} there" + (f"; stale: {', '.join(left)}" if left else "")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
