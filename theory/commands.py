"""Verbs that `theory` adds to the command line: verify and cite."""

from __future__ import annotations

import re
from pathlib import Path

from theory.claim import REFUTED, SUPPORTED
from theory.registry import claims
from ufm.cli import add_json, add_verb, print_json


def add_verify(verbs) -> None:
    verb = add_verb(
        verbs,
        "verify",
        "check theorems numerically",
        "Check claims on their cases and controls. Exit code 0: all hold, 1: one is refuted, 2: usage, 3: one is undecided.",
        "ufm verify gk25:thm1",
        _verify,
    )
    verb.add_argument("claim", nargs="*", metavar="CLAIM", help="ids or source keys (default: all)")
    verb.add_argument("--list", action="store_true", help="only list the claims")
    add_json(verb)


def _verify(arguments) -> int:
    chosen = claims(arguments.claim)
    if arguments.list:
        listed = [{"id": c.id, "title": c.title, "statement": c.statement, "source": c.source} for c in chosen]
        if arguments.json:
            print_json({"claims": listed})
        else:
            for claim in chosen:
                print(f"{claim.id:<14} {claim.title}  [{claim.source}]")
        return 0
    verdicts = [claim.verify() for claim in chosen]
    if arguments.json:
        print_json({"claims": [v.to_dict() for v in verdicts]})
    else:
        for v in verdicts:
            broken = sum(c.verdict == REFUTED for c in v.controls)
            print(f"{v.claim.id:<14} {v.verdict:<10} {v.strength:<9} {len(v.evidence)} cases, {broken} of {len(v.controls)} controls break it")
            print(f"{'':<14} {v.claim.title}  [{v.claim.source}]")
    found = {v.verdict for v in verdicts}
    return 1 if REFUTED in found else 0 if found == {SUPPORTED} else 3


def references() -> dict[str, str]:
    """BibTeX entries of refs.bib by key."""
    text = (Path(__file__).parent / "refs.bib").read_text(encoding="utf-8")
    return {match[1]: match[0].strip() for match in re.finditer(r"@\w+\{(\w+),.*?\n\}", text, re.DOTALL)}


def add_cite(verbs) -> None:
    verb = add_verb(verbs, "cite", "BibTeX of this package and its sources", "Print BibTeX entries.", "ufm cite gk25", _cite)
    verb.add_argument("key", nargs="*", metavar="KEY", help="source keys (default: the package and gk25)")


def _cite(arguments) -> int:
    from ufm.numerics.arguments import choice

    known = references()
    print("\n\n".join(known[choice("key", key, known)] for key in arguments.key or ("ufm", "gk25")))
    return 0
