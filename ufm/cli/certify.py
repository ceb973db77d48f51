"""`ufm certify`: proofs, made and checked again."""

from __future__ import annotations

from ufm.cli.parser import F1, add_json, add_verb
from ufm.cli.reading import add_problem, check_save_file, read_problem
from ufm.cli.writing import print_json, show


def add(verbs) -> None:
    verb = add_verb(
        verbs,
        "certify",
        "proofs: orders, critical points and indices, global minima, bounds",
        "Prove what can be proved about a problem in exact, ball or interval arithmetic; or check a file of"
        " certificates again from its own numbers. lam is taken exactly as written: 0.01 is one hundredth, 2**-10 and"
        " 1/3 are themselves. Exit code 0; 1 when --check finds a proof that does not stand.",
        f"ufm certify {F1} --save proofs.json\n  ufm certify -K 3 -L 2 --lam 0.1 --what global\n"
        "  ufm certify -K 4 -L 2 --lam 1/75 --group V_4\n  ufm certify --check proofs.json",
        _certify,
    )
    from ufm.certificates.kind import kinds

    add_problem(verb, required=False)
    verb.add_argument(
        "--what",
        default=None,
        metavar="WORDS",
        help=f"{', '.join(kinds())}; commas between (default: what applies)",
    )
    verb.add_argument(
        "--group",
        default=None,
        metavar="NAME",
        help="prove the list of critical points with this symmetry complete (V_4, S_2wrS_2, D_5, ...)",
    )
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
        lam = tuple(text.strip() for text in arguments.lam.split(","))
        proofs = certify(problem, words, lam=lam, group=arguments.group)
    except ImportError as missing:
        raise ValueError(str(missing)) from None
    if not problem.linear and not any(proof.holds for proof in proofs):
        raise ValueError(" ".join(dict.fromkeys(proof.why for proof in proofs)))
    if arguments.json:
        print_json(proofs.to_dict())
    else:
        show(f"{problem}\n\n{proofs}")
    if arguments.save:
        proofs.save(arguments.save)
    return 0


def _recheck(arguments) -> int:
    from ufm.certificates.certificate import load, trusted

    rows, stand = [], []
    for certificate in load(arguments.check):
        objection, problem = certificate.examine()
        stand += [] if objection else [certificate]
        rows.append(
            {
                "kind": certificate.kind,
                "statement": certificate.statement,
                "holds": not objection,
                "why": objection,
                "claimed": certificate.holds,
            }
        )
        rows[-1]["problem"] = problem
    fallen = [row for row in rows if row["claimed"] and not row["holds"]]
    if arguments.json:
        print_json({"certificates": rows, "stand": not fallen})
    else:
        about = ""
        for row in rows:
            if row["problem"] not in ("", about):
                about = row["problem"]
                show(f"about {about}:")
            word = "stands" if row["holds"] else "FAILS" if row["claimed"] else "was not proved"
            show(f"{word}: {row['statement']} ({row['kind']})" + (f"; {row['why']}" if row in fallen else ""))
        show(f"trusted: {trusted(stand)}.")
    return 1 if fallen else 0
