"""The verb certify: proofs as data, from Python and from the command line."""

import json
import sys

import pytest

import ufm
from ufm.certificates import certificate
from ufm.cli import main

F1 = ["-K", "10", "-n", "5", "-d", "70", "-L", "2", "--lam", "2**-10"]


def _json(capsys, *arguments):
    assert main(["certify", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["certificates"]


def test_figure_one_is_proved_on_the_command_line(capsys):
    found = _json(capsys, *F1, "--what", "order")
    duel = next(c for c in found if c["statement"] == "pairs < dnc")
    assert (
        duel["kind"] == "order"
        and duel["holds"]
        and duel["arithmetic"] == "ball"
        and duel["margin"] == pytest.approx(0.0106495239, abs=1e-9)
    )
    assert {"kind", "statement", "holds", "margin", "arithmetic", "seconds"} <= set(duel)
    assert "dnc < pairs" not in {c["statement"] for c in found if c["holds"]}


def test_defaults_say_what_applies(capsys):
    kinds = {c["kind"] for c in _json(capsys, "-K", "4", "-L", "2", "--lam", "1/75", "--loss", "label_smoothing(0.1)")}
    assert kinds == {"order", "critical", "bound"}
    found = {
        c["statement"]: c["holds"] for c in _json(capsys, "-K", "3", "-L", "2", "--lam", "0.1333", "--what", "global")
    }
    assert found == {"dnc is a global minimum": True}


@pytest.mark.parametrize("problem", ["-K 5 -L 1 --lam 0.01", "-K 2 -L 4 --lam 1e-3", "-K 7 -L 3 --lam 1e-4 --loss mse"])
def test_global_minima_where_a_proof_exists(problem, capsys):
    found = {c["statement"]: c["holds"] for c in _json(capsys, *problem.split(), "--what", "global")}
    assert found == {"dnc is a global minimum": True}


def test_files_are_checked_again_and_a_changed_digit_fails(tmp_path, capsys):
    file = tmp_path / "proofs.json"
    assert main(["certify", "-K", "6", "-L", "2", "--lam", "0.01", "--what", "order", "--save", str(file)]) == 0
    capsys.readouterr()
    assert main(["certify", "--check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "stands: pairs < dnc (order)" in said
    assert (
        said.startswith("about K=6, n=1, d=6, L=2, lam=0.01, cross-entropy, linear layers:\n")
        and said.count("about") == 1
    )
    data = json.loads(file.read_text())
    number = data["certificates"][0]["data"]["left"]["loss"]
    data["certificates"][0]["data"]["left"]["loss"] = number[:-1] + str((int(number[-1]) + 1) % 10)
    file.write_text(json.dumps(data))
    assert main(["certify", "--check", str(file)]) == 1
    assert "FAILS" in capsys.readouterr().out
    resealed = [certificate.Certificate(**entry) for entry in data["certificates"]]

    resealed[0] = resealed[0].signed()
    certificate.save(resealed, file)
    assert main(["certify", "--check", str(file), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [row["problem"] for row in printed["certificates"]][-1].startswith(
        "K=6, n=1, d=6, L=2, lam=0.01, cross-entropy"
    )
    assert not printed["stand"] and [row["holds"] for row in printed["certificates"]].count(False) == 1


def test_points_landscapes_and_symmetry():
    problem = ufm.Problem(K=4, L=2, lam=0.02)
    at = ufm.certify(ufm.structures.pairs(problem))
    assert at.hold and at.check() and at[0].kind == "critical" and "index 0" in at[0].statement
    complete = ufm.certify(problem, group="V_4", what="completeness")
    assert complete.hold and complete[0].kind == "completeness"
    atlas = ufm.compare(problem, starts=0)
    proofs = ufm.certify(atlas)
    assert len(proofs) == len(atlas.points) and "proved" in repr(proofs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-K", "4", "--lam", "-1"], "lam"),
        (["-K", "4"], "--lam is required"),
        (["-K", "4", "--lam", "0.1", "--what", "orders"], "Did you mean 'order'"),
        (["-K", "4", "--lam", "0.1", "--what", "completeness"], "group"),
        (["-K", "4", "--lam", "0.1", "-L", "2", "--group", "V_44"], "V_4"),
        (["--check", "nowhere.json"], "nowhere.json"),
        (["-K", "4", "-L", "2", "--lam", "0.1", "--activation", "relu"], "linear"),
        (["-K", "4", "--lam", "0.1", "--save", "/nowhere/x.json"], "existing folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(arguments, said, capsys):
    assert main(["certify", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_without_the_extra_the_verb_says_so_in_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "flint", None)
    assert main(["certify", *F1]) == 2
    assert "ufm[certify]" in capsys.readouterr().err
    with pytest.raises(ImportError, match=r"ufm\[certify\]"):
        ufm.certify(ufm.Problem(K=4, lam=0.1))


def test_compare_proves_its_order():
    duel = ufm.compare(ufm.Problem(K=6, n=2, L=3, lam=1e-3), starts=0)
    assert (
        duel.certified
        and "proved: pairs < dnc" in duel.verdict()
        and duel.to_dict()["proved"][0].startswith("pairs < ")
    )
    plain = ufm.compare(ufm.Problem(K=6, n=2, L=3, lam=1e-3), starts=0, prove=False)
    assert not plain.certified and "proved" not in plain.verdict()


def test_a_certificate_of_an_unknown_method_or_a_wrong_statement_fails():
    from dataclasses import replace

    proof = next(c for c in ufm.certify(ufm.Problem(K=6, L=2, lam=0.01), ["order"]) if c.statement == "pairs < dnc")
    for change in (
        {"method": "trust me"},
        {"statement": "dnc < pairs"},
        {"kind": "global"},
        {"margin": 2 * proof.margin},
        {"data": {}},
    ):
        forged = replace(proof, **change)
        assert not forged.check()
        assert not forged.signed().check()
    assert proof.check() and not proof.objection()
