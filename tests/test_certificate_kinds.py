"""Every kind of certificate on problems of every sort, and a kind that comes in a file of its own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("flint")

import ufm
from ufm.certificates import certificate
from ufm.certificates.check.checker import checkers
from ufm.certificates.check.record import sealed
from ufm.certificates.kind import CERTIFICATES, kinds
from ufm.cli import main
from ufm.numerics import families

BASELINE = '''
"""The value of F at zero."""

from ufm.certificates.certificate import certify_data
from ufm.certificates.check import Checked, Checker, Rejected
from ufm.certificates.check.model import Model
from ufm.certificates.kind import Kind
from ufm.certificates.models import model
from ufm.numerics import balls


def check(data):
    """F(0) = log K under cross-entropy, at least the number `lower`."""
    problem = Model.of(data)
    if problem.loss != "ce" or not balls.ball(problem.K).log() >= balls.ball(data["lower"]):
        raise Rejected("F(0) is smaller.")
    return Checked("baseline", f"F(0) >= {data['lower']} for K = {problem.K}", None, "ball")


def make(problem, lam=None, *, digits=5):
    lower = balls.below(balls.ball(problem.K).log(), digits)
    return certify_data("value at zero", {"problem": model(problem, lam).to_dict(), "lower": lower}, "baseline", "F(0)")


def applies(problem):
    return "" if problem.loss.cross_entropy else "F(0) is log K under cross-entropy alone."


CHECKER = Checker("value at zero", check, states_problem=True)
KIND = Kind("baseline", "F at zero, from below", "F(0) >= a number", make, applies, takes=("digits",))
'''


@pytest.fixture
def use(tmp_path, clean):
    """use(text): a file with this text is in use until the test ends."""

    def written(text, name="mine.py"):
        (tmp_path / name).write_text(text)
        families.use(tmp_path / name)

    return written


def test_the_words_are_the_families(capsys):
    assert list(kinds())[:6] == ["order", "critical", "global", "bound", "completeness", "theorem"]
    assert set(kinds()) == set(CERTIFICATES.members())
    with pytest.raises(SystemExit):
        main_help = __import__("ufm.cli", fromlist=["build"]).build()
        main_help.parse_args(["certify", "--help"])
    assert ", ".join(kinds()) in " ".join(capsys.readouterr().out.split())


def test_a_kind_in_one_file_is_made_checked_and_named_as_trusted(use, tmp_path, capsys):
    use(BASELINE)
    problem = ufm.Problem(K=4, L=2, lam=0.02)
    proofs = ufm.certify(problem, ["baseline"])
    assert proofs.hold and proofs.check() and proofs[0].statement == "F(0) >= 1.3862 for K = 4"
    assert "the checker 'value at zero' of mine.py" in repr(proofs)
    assert ufm.certify(problem, ["order", "baseline"], digits=3)[-1].statement == "F(0) >= 1.38 for K = 4"
    refused = ufm.certify(ufm.Problem(K=4, L=2, lam=0.02, loss="mse"), ["baseline"])[0]
    assert not refused.holds and refused.kind == "baseline" and "cross-entropy alone" in refused.why
    file = tmp_path / "proofs.json"
    command = ["certify", "-K", "4", "-L", "2", "--lam", "0.02", "--what", "order,baseline", "--save", str(file)]
    assert main(command) == 0
    assert "value at zero" in capsys.readouterr().out
    assert main(["certify", "--check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "stands: F(0) >= 1.3862 for K = 4 (baseline)" in said and "the checker 'value at zero' of mine.py" in said
    families.forget()
    assert main(["certify", "--check", str(file)]) == 2  # its word is not known without the file
    assert "kind must be one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, said",
    [
        ({"grp": "V_4"}, "certify has no argument 'grp' for order"),
        ({"witness": "cvxpy"}, "no argument 'witness'"),
        ({"what": ["completeness"]}, "group must be named for completeness, for example V_4 at K=4"),
        ({"group": "V_5"}, "group must be a symmetry"),
    ],
)
def test_options_that_no_kind_takes_are_refused_before_any_work(options, said):
    with pytest.raises(ValueError, match=said):
        ufm.certify(ufm.Problem(K=4, L=2, lam=0.02), **{"what": ["order"], **options})


def test_places_of_before_work_for_one_release():
    problem = ufm.Problem(K=4, L=2, lam=1 / 75)
    with pytest.warns(DeprecationWarning, match="lam by name"):
        old = ufm.certify(problem, ["order"], "1/75")
    assert [json.dumps(c.data) for c in old] == [
        json.dumps(c.data) for c in ufm.certify(problem, ["order"], lam="1/75")
    ]


# Certificates of before


BEFORE = certificate.load(Path(__file__).parent / "data" / "certificates.json")
"""Made before data had one seal and one form: orders carry a `seal`, ranges of lam their problem in parts."""


@pytest.mark.parametrize("proof", BEFORE, ids=lambda proof: f"{proof.method}: {proof.statement[:40]}")
def test_a_certificate_made_before_still_checks(proof):
    assert proof.check() == proof.holds
    if proof.holds and "digest" not in proof.data and "seal" in proof.data:
        for side in ("left", "right"):
            for key in {"structure", "point"} & set(proof.data[side]):
                data = {**proof.data, side: {**proof.data[side], key: "zero(small)"}}
                assert "seal" in replace(proof, data=data).signed().objection()


def test_every_method_is_among_them():
    assert {proof.method for proof in BEFORE} == {name for name, checker in checkers().items() if not checker.origin}


def test_zero_names_its_problem_now_and_did_not_before():
    problem = ufm.Problem(K=4, n=2, d=5, L=1, lam=0.01)
    proof = ufm.certify(ufm.structures.zero(problem))[0]
    assert proof.check() and proof.statement.endswith(
        "is Z = 0 of K=4, n=2, d=5, L=1, lam=0.01, cross-entropy, linear layers"
    )
    for change in ({"d": [6]}, {"n": [2, 2, 2, 3]}, {"lam": ["0.01", "0.02"]}):
        data = sealed({**proof.data, "problem": {**proof.data["problem"], **change}})
        assert not replace(proof, data=data).signed().check()
    old = next(c for c in BEFORE if c.label == "zero" and c.data["problem"]["L"] == 1)
    assert old.statement.endswith("is Z = 0") and old.check()
