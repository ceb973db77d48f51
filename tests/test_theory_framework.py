"""Claims, their running, their reports: wrong claims come out wrong, and nothing is lost, repeated or overdrawn."""

import importlib.util
import itertools
import json
import math
import pickle
import re
import sys
import types
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory import commands, graph, registry, report, runs, strength
from theory.cases import values_of
from theory.claim import REFUTED, SUPPORTED, UNDECIDED, Case, Claim, Evidence, Outcome, Verdict, attempt, grid, planted
from theory.references import references
from ufm.cli import main
from ufm.problem import Problem

CALLS = []


def square_below_power(case):
    """x^2 < 2^x, true for x >= 5; `power` and `sign` falsify it."""
    CALLS.append(case)
    return Evidence(
        case.get("sign", 1) * case.x ** case.get("power", 2), "<", case.get("sign", 1) * 2**case.x, strength="exact"
    )


def claim(name="power", **changes) -> Claim:
    settings = {
        "id": f"toy:{name}",
        "title": "x^2 < 2^x & more_",
        "statement": "For x >= 5, x^2 < 2^x.",
        "source": "gk25, Theorem 0",
        "hypotheses": {"x >= 5": lambda c: c.x >= 5},
        "check": square_below_power,
        "cases": grid(x=range(5, 12)),
        "controls": [Case(x=2), Case(x=3), planted("the power is 3", x=6, power=3)],
    }
    return Claim(**(settings | changes))


def supported(name, **changes):
    return claim(name, **changes)


def refuted(name="wrong", **changes):
    return claim(name, check=lambda c: square_below_power(c.but(power=3)), **changes)


def undecided(name="unsure", **changes):
    return claim(
        name, check=lambda c: Evidence(0.0, "<", 1e-12 if c.x >= 5 else -1.0, tol=1e-9), controls=[Case(x=3)], **changes
    )


# cases


def test_a_case_reads_as_attributes_is_frozen_and_survives_pickling():
    case = Case(K=np.int64(4), lam=np.float64(0.5), n=[1, 2], name="gd", steps=None, on=True)
    assert (case.K, case.lam, case.n, case.name, case.steps, case.on) == (4, 0.5, (1, 2), "gd", None, True)
    assert pickle.loads(pickle.dumps(case)) == case and hash(case) == hash(case.but(K=4)) and case != case.but(K=5)
    assert json.loads(json.dumps(case.to_dict())) == {
        "K": 4,
        "lam": 0.5,
        "n": [1, 2],
        "name": "gd",
        "steps": None,
        "on": True,
    }
    assert dict(**case)["K"] == 4 and "K" in case and "d" not in case and case.get("d", 7) == 7
    with pytest.raises(AttributeError, match="frozen"):
        case.K = 5
    with pytest.raises(AttributeError, match="no 'd'; it has K, lam"):
        _ = case.d
    with pytest.raises(ValueError, match="cannot be called 'keys'"):
        Case(keys=3)
    assert Case(K=4, L=3, lam=0.1, rng=0).problem(d=6) == Problem(K=4, L=3, lam=0.1, d=6)


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, 1j, object(), np.ones(2), (1, math.nan)])
def test_a_case_refuses_what_cannot_be_written_down(value):
    with pytest.raises(ValueError, match="lam of a case must be"):
        Case(lam=value)


@pytest.mark.parametrize(
    "text, values",
    [
        ("4:6", [4, 5, 6]),
        ("4-6", [4, 5, 6]),
        ("4 \u2013 6,9", [4, 5, 6, 9]),
        ("2-9:3", [2, 5, 8]),
        ("2**-1,8-2**2", [0.5, 4]),
        ("4:4", [4]),
        ("2:9:3", [2, 5, 8]),
        ("4,6,8", [4, 6, 8]),
        ("1e-3,2**-10", [1e-3, 2**-10]),
        ("2:3,7", [2, 3, 7]),
    ],
)
def test_grids_of_the_command_line(text, values):
    assert values_of("K", text) == values


@pytest.mark.parametrize(
    "text", ["", "4:", "6:4", "40-4", "1:2:3:4", "0.1:0.5", "4:8:0", "x", "1:10**9", "4,,5", "1e400"]
)
def test_grids_that_mean_nothing_are_refused_by_name(text):
    with pytest.raises(ValueError, match="K"):
        values_of("K", text)


def test_a_grid_replaces_what_it_names_and_keeps_the_rest():
    toy = claim(cases=[*grid(x=[5, 6], m=["a", "b"])])
    cases, outside = toy.plan({"x": "3:7"})
    assert [(c.x, c.m) for c in cases] == [(5, "a"), (5, "b"), (6, "a"), (6, "b"), (7, "a"), (7, "b")] and outside == 4
    assert [c.m for c in toy.plan({"m": "c,d", "x": [9]})[0]] == ["c", "d"]
    with pytest.raises(ValueError, match="toy:power: there is no parameter K; the parameters are x, m"):
        toy.plan({"K": "4:5"})
    with pytest.raises(ValueError, match="x must be integers"):
        toy.plan({"x": "5.5"})
    with pytest.raises(ValueError, match="at most"):
        toy.plan({"x": "1:90000"})


# evidence


@pytest.mark.parametrize(
    "left, relation, right, verdict",
    [
        (0, "<", 1, SUPPORTED),
        (1, "<", 0, REFUTED),
        (0, "<", 1e-12, UNDECIDED),
        (0, "<=", -1e-12, UNDECIDED),
        (1, ">", 0, SUPPORTED),
        (0, ">=", 1, REFUTED),
        (0, "==", 1e-12, SUPPORTED),
        (0, "==", 1e-3, REFUTED),
        (math.nan, "==", 0, UNDECIDED),
        (math.nan, "<", 0, UNDECIDED),
        (math.inf, "==", math.inf, UNDECIDED),
        (0.5, "in", (0, 1), SUPPORTED),
        (1.5, "in", (0, 1), REFUTED),
        (1 + 1e-12, "in", (0, 1), UNDECIDED),
        (math.nan, "in", (0, 1), UNDECIDED),
    ],
)
def test_a_margin_inside_the_tolerance_decides_nothing(left, relation, right, verdict):
    evidence = Evidence(left, relation, right, 1e-9)
    assert evidence.verdict == verdict
    assert repr(Evidence.from_dict(json.loads(json.dumps(evidence.to_dict())))) == repr(evidence)


@pytest.mark.parametrize(
    "relation, verdict", [("<", REFUTED), (">", REFUTED), ("<=", SUPPORTED), (">=", SUPPORTED), ("==", SUPPORTED)]
)
def test_exact_numbers_are_decided_at_equality_and_beyond_double_precision(relation, verdict):
    big = 10**400
    assert Evidence(Fraction(1, 3), relation, Fraction(2, 6), strength="exact").verdict == verdict
    assert Evidence(big, relation, big, strength="exact").verdict == verdict
    assert Evidence(big, "<", big + 1, strength="exact").verdict == SUPPORTED
    assert Evidence(2**60 + 1, "==", 2**60, strength="exact").verdict == REFUTED


@given(st.fractions(), st.fractions())
def test_exact_evidence_survives_being_written(left, right):
    evidence = Evidence(left, "<", right, strength="exact")
    assert Evidence.from_dict(json.loads(json.dumps(evidence.to_dict()))) == evidence
    assert evidence.verdict == (SUPPORTED if left < right else REFUTED)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((0, "<<", 1, 0.0), "relation must be one of"),
        ((0, "<", 1, 0.0, "proved"), "strength must be one of"),
        ((0, "<", 1), "tol is required"),
        ((0, "<", 1, None, "sampled"), "tol is required"),
        ((0, "<", 1, -1.0), "must not be negative"),
        ((0, "<", 1, math.nan), "must not be negative"),
        ((0.5, "<", 1, None, "exact"), "integers or fractions"),
        ((1j, "<", 1, 0.0), "left must be a real number"),
        ((True, "<", 1, 0.0), "left must be a real number"),
        ((0, "<", np.ones(2), 0.0), "right must be a real number"),
        ((0, "in", 1, 0.0), "must be a pair"),
    ],
)
def test_evidence_says_what_is_wrong_with_it(arguments, words):
    with pytest.raises(ValueError, match=words):
        Evidence(*arguments)


def test_a_margin_of_a_certificate_may_be_smaller_but_not_of_the_other_sign():
    assert Evidence(0.0, "<", 1.0, strength="certified", margin=0.9).verdict == SUPPORTED
    assert (
        Evidence(1.0, "<", np.nextafter(1.0, 0), strength="certified", margin=1e-20).verdict == SUPPORTED
    )  # the floats cannot tell
    with pytest.raises(ValueError, match="margin must agree"):
        Evidence(0.0, "<", 1.0, strength="certified", margin=-0.9)


@pytest.mark.parametrize(
    "left, relation, error, verdict",
    [
        (3e-7, "==", 0.0, REFUTED),
        (3e-7, "==", 1e-6, UNDECIDED),  # rounding alone may have made it
        (0.0, "==", 1e-6, UNDECIDED),  # nor does such rounding let 1e-9 be seen
        (0.0, "==", 1e-12, SUPPORTED),
        (3e-7, "<=", 0.0, REFUTED),
        (3e-7, "<=", 1e-6, UNDECIDED),
        (-3e-7, "<=", 1e-6, UNDECIDED),
        (-3e-7, "<=", 1e-8, SUPPORTED),
        (1.0, "==", math.inf, UNDECIDED),
        (0.0, "<=", math.nan, UNDECIDED),
    ],
)
def test_a_margin_inside_the_error_of_its_computation_decides_nothing(left, relation, error, verdict):
    evidence = Evidence(left, relation, 0.0, 1e-9, error=error)
    assert evidence.verdict == verdict
    assert repr(Evidence.from_dict(json.loads(json.dumps(evidence.to_dict())))) == repr(evidence)


def test_an_error_is_not_negative_and_is_shown():
    with pytest.raises(ValueError, match=r"error must not be negative; got error=-1\.0"):
        Evidence(0.0, "<", 1.0, 0.0, error=-1.0)
    seen = claim(
        check=lambda c: Evidence(c.x, "<", 20 if c.x > 4 else 0, 0.0, error=0.25), controls=[Case(x=3)]
    ).verify()
    assert "margin 15 ± 0.25, float" in report.text([seen], verbose=True)


def test_a_search_that_ends_above_a_minimum_decides_nothing_and_one_that_ends_below_refutes_it():
    assert strength.searched(1.0, 1.0, 1e-9).verdict == SUPPORTED
    assert strength.searched(1.1, 1.0, 1e-9).verdict == UNDECIDED
    assert strength.searched(0.9, 1.0, 1e-9).verdict == REFUTED


# claims


def reaching(least, kind, **changes):
    """At least `least`, from x = 5 on; the control x = 3 falls short."""
    return claim(
        check=lambda c: Evidence(c.x, ">=", least, strength="exact"),
        controls=[planted("no x", x=3)],
        kind=kind,
        **changes,
    )


def test_one_witness_supports_an_existential_claim_and_none_refutes_it():
    found = reaching(9, "existential").verify()
    assert (
        found.verdict == SUPPORTED
        and found.margin == 0
        and [c.verdict for c in found.cases] == [UNDECIDED] * 4 + [SUPPORTED] * 3
    )
    none = reaching(50, "existential").verify()
    assert (
        none.verdict == UNDECIDED
        and "7 of 7 cases without a witness, the first at x=5: the property fails here" in none.why
    )
    assert none.counterexample is None and len(none.broken) == 1
    blind = reaching(9, "existential", hypotheses={}).verify(x=range(9, 12))
    assert blind.verdict == SUPPORTED
    assert replace(reaching(9, "existential"), controls=[planted("x is 9", x=9)]).verify().verdict == UNDECIDED


def test_what_was_seen_on_runs_is_not_refuted_by_another_run():
    assert (
        reaching(5, "empirical").verify().verdict == SUPPORTED and reaching(9, "universal").verify().verdict == REFUTED
    )
    against = reaching(9, "empirical").verify()
    assert (
        against.verdict == UNDECIDED
        and "4 of 7 cases undecided, the first at x=5: what was seen elsewhere fails here" in against.why
    )
    with pytest.raises(ValueError, match="kind must be one of"):
        claim(kind="vague")


def test_sizes_are_sizes_and_a_hypothesis_rests_on_those_before_it():
    sized = claim(
        cases=grid(x=[5, 6], K=4, n=2),
        controls=[planted("the power is 3", x=6, K=4, n=2, power=3)],
        hypotheses={"x >= 5": lambda c: c.x >= 5, "a root": lambda c: math.sqrt(c.x - 5) >= 0},
    )
    assert sized.violated(Case(x=3, K=4, n=2)) == ("x >= 5",)
    assert "K at least 2" in sized.violated(Case(x=6, K=1, n=2))[0] and sized.violated(Case(x=6, K=4, n=(1, 0)))
    assert sized.plan({"K": "1:3", "n": "0:1"})[1] == 8  # of 3 x 2 x 2 points
    wrong = replace(sized, hypotheses={"a root": lambda c: math.sqrt(c.x - 5) >= 0})
    with pytest.raises(ValueError, match="the hypothesis 'a root' cannot be read at x=3"):
        wrong.violated(Case(x=3, K=4, n=2))


def test_planted_errors_in_a_claim_are_refuted_with_the_smallest_counterexample():
    assert claim().verify().verdict == SUPPORTED
    wrong_sign = replace(claim(), check=lambda c: square_below_power(c.but(sign=-1))).verify()
    wrong_power = replace(claim(), check=lambda c: square_below_power(c.but(power=3))).verify()
    assert wrong_sign.verdict == wrong_power.verdict == REFUTED
    assert wrong_sign.counterexample.case == Case(x=5) and wrong_power.counterexample.case == Case(x=5)
    late = replace(claim(), check=lambda c: Evidence(c.x, "<", 9, strength="exact"))
    assert late.verify().counterexample.case == Case(x=9)


def test_a_check_that_cannot_fail_or_does_not_see_its_planted_error_is_undecided():
    always = claim(check=lambda c: Evidence(0, "<", 1, strength="exact"), controls=[Case(x=3)]).verify()
    assert always.verdict == UNDECIDED and "no control breaks it" in always.why
    blind = claim(check=lambda c: square_below_power(Case(x=c.x))).verify()
    assert blind.verdict == UNDECIDED and "the planted error is not seen" in blind.why and len(blind.broken) == 2
    assert (
        claim(controls=[Case(x=1), Case(x=3)]).verify().verdict == SUPPORTED
    )  # one that breaks it is enough: x = 1 satisfies it


def test_cases_outside_and_controls_inside_the_hypotheses_raise():
    for change, words in [
        ({"cases": grid(x=[5, 4])}, "the case x=4 violates the hypothesis 'x >= 5'"),
        ({"controls": [Case(x=3), Case(x=7)]}, "the control x=7 satisfies every hypothesis"),
        ({"controls": []}, "at least one case and one control"),
        ({"cases": []}, "at least one case and one control"),
        ({"cases": [planted("why", x=6)]}, "planted errors are controls"),
        ({"hypotheses": {"odd": lambda c: c.y > 0}}, "the hypothesis 'odd' cannot be read at x=5"),
    ]:
        with pytest.raises(ValueError, match=words):
            claim(**change).verify()
        with pytest.raises(ValueError, match=words):
            runs.verify([claim(), claim(**change)], jobs=1)
    for change, words in [
        ({"id": "thm1"}, "id must be"),
        ({"pace": "fast"}, "pace must be"),
        ({"uses": "toy:a"}, "uses must be a tuple"),
    ]:
        with pytest.raises(ValueError, match=words):
            claim(**change)
    with pytest.raises(ValueError, match="reason must say"):
        planted(" ", x=1)


def test_an_exception_is_undecided_evidence_and_what_came_before_it_counts():
    def fragile(case):
        yield Evidence(case.x, "<", 9, strength="exact")
        if case.x in (8, 10):
            raise RuntimeError("no\nconvergence\x1b")

    verdict = claim(check=fragile, controls=[Case(x=3), planted("no", x=9)]).verify()
    assert verdict.verdict == REFUTED and verdict.counterexample.case.x == 9
    short = claim(check=fragile, cases=grid(x=range(5, 9)), controls=[planted("x is 9", x=9)]).verify()
    assert (
        short.verdict == UNDECIDED
        and short.why == "1 of 4 cases undecided, the first at x=8: RuntimeError: no convergence"
    )
    for wrong in (lambda c: None, lambda c: [], lambda c: [1.0], lambda c: 1 / 0, lambda c: c.missing):
        assert attempt(wrong, Case(x=1)).verdict == UNDECIDED and attempt(wrong, Case(x=1)).failed
    assert claim(check=lambda c: 1 / 0).verify().verdict == UNDECIDED


def test_a_claim_is_as_strong_as_its_weakest_case_and_a_refutation_as_its_counterexample():
    kinds = {5: "certified", 6: "sampled", 7: "exact"}
    mixed = claim(
        check=lambda c: Evidence(c.x, "<", c.get("most", 100) if c.x > 3 else 0, 0, kinds.get(c.x, "exact")),
        cases=grid(x=[5, 6, 7]),
        controls=[Case(x=3)],
    )
    assert mixed.verify().strength == "sampled"
    assert replace(mixed, cases=grid(x=[5, 7])).verify().strength == "certified"
    assert replace(mixed, check=lambda c: mixed.check(c.but(most=7))).verify().strength == "exact"


# running


def test_parallel_runs_give_the_verdicts_of_serial_ones(monkeypatch):
    work = [claim("a"), refuted("b"), undecided("c")]
    serial = runs.verify(work, jobs=1)
    monkeypatch.setattr(runs, "PATIENCE", 0.0)
    parallel = runs.verify(work, jobs=2)

    def evidence(run):
        return [[(o.case, o.evidence) for o in (*v.cases, *v.controls)] for v in run.verdicts]

    assert evidence(serial) == evidence(parallel)
    assert [v.verdict for v in parallel.verdicts] == [SUPPORTED, REFUTED, UNDECIDED]


def test_a_dead_worker_leaves_undecided_cases(monkeypatch):
    def deadly(case):
        import os

        os._exit(1)

    monkeypatch.setattr(runs, "PATIENCE", 0.0)
    verdict = runs.verify([claim(check=deadly, cases=grid(x=range(5, 8)))], jobs=2).verdicts[0]
    assert verdict.verdict == UNDECIDED and "a worker process died" in verdict.why


def interrupted_after(count):
    def check(case):
        if len(CALLS) >= count:
            raise KeyboardInterrupt
        return square_below_power(case)

    return check


def test_a_killed_run_continues_and_repeats_nothing(tmp_path):
    file = tmp_path / "done.jsonl"
    CALLS.clear()
    first = runs.verify([claim(check=interrupted_after(4))], jobs=1, resume=file)
    assert (
        first.interrupted
        and first.verdicts[0].verdict == UNDECIDED
        and "interrupted after 4 of 7 cases" in first.verdicts[0].why
    )
    with open(file, "a") as handle:
        handle.write('{"key": "torn')  # killed while writing
    CALLS.clear()
    second = runs.verify([claim()], jobs=1, resume=file)
    assert (
        second.reused == 4 and [c.x for c in CALLS] == [9, 10, 11, 2, 3, 6] and second.verdicts[0].verdict == SUPPORTED
    )
    CALLS.clear()
    third = runs.verify([claim()], jobs=1, resume=file)
    assert not CALLS and third.reused == 10 and third.verdicts[0].verdict == SUPPORTED
    assert [o.evidence for o in third.verdicts[0].cases] == [o.evidence for o in second.verdicts[0].cases]


def test_a_record_knows_the_claim_the_case_the_version_and_the_source(tmp_path, monkeypatch):
    file = tmp_path / "done.jsonl"
    runs.verify([claim()], jobs=1, resume=file)
    assert runs.verify([claim("other")], jobs=1, resume=file).reused == 0
    assert runs.verify([claim(cases=grid(x=[5, 20]))], jobs=1, resume=file).reused == 4
    monkeypatch.setattr(runs, "__version__", "other")
    assert runs.verify([claim()], jobs=1, resume=file).reused == 0


def test_a_record_is_not_of_a_check_written_otherwise(tmp_path):
    file, source = tmp_path / "done.jsonl", tmp_path / "written.py"

    def reused(text):
        source.write_text(text)
        spec = importlib.util.spec_from_file_location("written", source)
        module = importlib.util.module_from_spec(spec)
        sys.modules["written"] = module
        try:
            spec.loader.exec_module(module)
            return runs.verify([claim(check=module.check)], jobs=1, resume=file).reused
        finally:
            del sys.modules["written"]

    text = "from theory.claim import Evidence\n\n\n"
    text += "def check(case):\n    return Evidence(case.x, '<', 2**case.x, strength='exact')\n"
    assert [reused(text), reused(text), reused(text + "\n# otherwise\n")] == [0, 10, 0]


def test_failed_cases_are_tried_again_and_damaged_records_are_not_believed(tmp_path):
    file = tmp_path / "done.jsonl"
    assert runs.verify([claim(check=lambda c: 1 / 0)], jobs=1, resume=file).verdicts[0].verdict == UNDECIDED
    assert len(file.read_text().splitlines()) == 1
    runs.verify([claim()], jobs=1, resume=file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["evidence"] = [{"left": "nonsense"}]
    lines[2]["evidence"] = 3
    file.write_text("\n".join([*map(json.dumps, lines), "[]", "3", ""]))
    assert runs.verify([claim()], jobs=1, resume=file).reused == 8
    for header in ("", '{"ufm": "ver', '{"ufm": "verify"}'):
        file.write_text(header)
        assert runs.verify([claim()], jobs=1, resume=file).reused == 0
        assert runs.verify([claim()], jobs=1, resume=file).reused == 10


def test_a_record_has_one_run_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    file = tmp_path / "done.jsonl"
    CALLS.clear()
    with runs.Record(file):
        with pytest.raises(
            ValueError, match=r"done\.jsonl' is the record of another run that is still going on; wait for it"
        ):
            runs.verify([claim()], jobs=1, resume=file)
        assert not CALLS
    assert runs.verify([claim()], jobs=1, resume=file).reused == 0
    assert runs.verify([claim()], jobs=1, resume=file).reused == 10


def test_other_files_are_not_taken_for_records(tmp_path):
    other = tmp_path / "notes.txt"
    for content in (b"my notes\n", b'{"ufm": "other"}\n', b"\xff\xfe", b"3\n"):
        other.write_bytes(content)
        with pytest.raises(ValueError, match=r"notes\.txt"):
            runs.verify([claim()], jobs=1, resume=other)
        assert other.read_bytes() == content
    with pytest.raises(ValueError, match="nowhere"):
        runs.verify([claim()], jobs=1, resume=tmp_path / "nowhere" / "x.jsonl")
    with pytest.raises(ValueError, match="jobs must be"):
        runs.verify([claim()], jobs=0)


# reports


@pytest.fixture(scope="module")
def verdicts():
    corrected = supported("thm5-corrected", uses=("toy:a",))
    published = refuted(
        "thm5",
        corrected_by="toy:thm5-corrected",
        title="<b> | 50% of $x_1^2$ & {so} on~\\",
        uses=("toy:a", "toy:elsewhere"),
    )
    broken = claim("broken", check=lambda c: 1 / 0, scope="at x <= 11 only")
    return runs.verify([supported("a"), corrected, published, undecided("c"), broken], jobs=1).verdicts


def test_the_terminal_table_is_aligned_and_says_what_matters(verdicts):
    text = report.text(verdicts)
    head, rule, *lines = text.splitlines()
    table = [line for line in lines if line.startswith("toy:")]
    assert (
        len(table) == 5
        and len({line.index(v.claim.title) for line, v in zip(table, verdicts, strict=True)} | {head.index("title")})
        == 1
    )
    assert "counterexample: x=5: 125 < 32 fails" in text and "corrected by toy:thm5-corrected" in text
    assert (
        "undecided: 7 of 7 cases undecided, the first at x=5: ZeroDivisionError" in text
        and "scope: at x <= 11 only" in text
    )
    assert (
        text.splitlines()[-1] == "5 claims: 2 supported; 1 refuted as published: see toy:thm5-corrected; 2 undecided."
    )
    assert "1 refuted;" in report.summary([verdicts[2], verdicts[3]])
    long = report.text(verdicts, verbose=True)
    assert (
        "control x=2: violates x >= 5; breaks the claim: 4 < 4 fails" in long
        and "control x=6 power=3: planted: the power is 3; breaks the claim: 216 < 64 fails" in long
    )
    assert "hypotheses: x >= 5" in long and "25 < 32  supported, margin 7, exact" in long


def test_markdown_keeps_its_columns(verdicts):
    lines = report.markdown(verdicts).splitlines()
    table = [line for line in lines if line.startswith("| ")][:7]
    assert len(table) == 7 and {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {9}
    assert not any("<b>" in line for line in lines) and any("breaks the claim" in line for line in lines)


def test_latex_is_escaped_and_balanced(verdicts):
    text = report.latex(verdicts)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert (
        r"\textless{}b\textgreater{} \textbar{} 50\% of \$x\_1\textasciicircum{}2\$ \& \{so\}"
        r" on\textasciitilde{}\textbackslash{}" in body
    )
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 6 and {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {7}
    assert not re.search(r"(?<!\\)[%#$_]", body.replace("p{0.4\\textwidth}", ""))
    assert (
        body.count(r"\begin{tabular}") == body.count(r"\end{tabular}") == 1
        and r"\toprule" in body
        and r"\bottomrule" in body
    )


def parsed(text):
    return ElementTree.fromstring(re.sub(r"<!DOCTYPE html>\s*", "", text))


def test_the_page_is_well_formed_self_contained_and_says_every_verdict_in_words(verdicts):
    text = report.html(verdicts)
    root = parsed(text)
    words = " ".join(root.itertext())
    for wanted in (
        SUPPORTED,
        REFUTED,
        UNDECIDED,
        "not run",
        "the power is 3",
        "x >= 5",
        "breaks the claim",
        "corrected by",
        "prefers-color-scheme",
    ):
        assert wanted in words
    for v in verdicts:
        assert (
            root.find(f".//section[@id='{v.claim.id}']") is not None
            and root.find(f".//a[@href='#{v.claim.id}']") is not None
        )
    assert (
        not re.search(r'(src|href)="(?!#)', text)
        and "http" not in text.replace("http://www.w3.org/2000/svg", "")
        and "<b>" not in text
    )
    parsed(report.graph_page(verdicts))
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids))


def test_long_lists_of_cases_are_cut_and_say_so_with_the_refuted_first():
    late = claim(
        check=lambda c: Evidence(c.x, "<", 500 if c.x > 4 else 0, strength="exact"),
        cases=grid(x=range(5, 502)),
        controls=[Case(x=3)],
    )
    text = report.html([late.verify()])
    assert f"and {497 - report.ROWS} more" in text and "500 &lt; 500" in text and "<td>x=480</td>" not in text


def test_huge_and_strange_numbers_are_shown():
    for left, right in [(10**400, 10**401), (Fraction(10**400, 3), 10**500), (0, 1)]:
        outcome = Outcome(Case(x=5), (Evidence(left, "<", right, strength="exact"),), 0.0)
        verdict = Verdict(claim(cases=[Case(x=5)]), (outcome,), (), 1)
        for make in (report.text, report.markdown, report.latex, report.html):
            assert make([verdict])
        json.dumps(verdict.to_dict(evidence=True))


def test_the_json_shape(verdicts):
    data = verdicts[2].to_dict()
    assert {"id", "title", "source", "verdict", "strength", "margin", "cases", "controls", "seconds"} <= set(data)
    assert (
        data["cases"] == 7
        and data["controls"] == 3
        and data["counterexample"]["case"] == {"x": 5}
        and data["corrected_by"] == "toy:thm5-corrected"
    )
    assert [c["violates"] for c in data["control_evidence"]] == [["x >= 5"], ["x >= 5"], []] and data[
        "control_evidence"
    ][2]["planted"] == "the power is 3"


# the graph


def random_claims(rng, count):
    names = [f"toy:{'x' * int(rng.integers(1, 30))}{i}" for i in range(count)]
    return [
        claim(
            name[4:],
            uses=(
                tuple(str(u) for u in rng.choice(names[:i], size=min(i, int(rng.integers(0, 4))), replace=False))
                if i
                else ()
            ),
        )
        for i, name in enumerate(names)
    ]


def along(points):
    """Points of the drawn edge: level segments and curves with level ends."""
    for (x, y), (u, v) in itertools.pairwise(points):
        for t in np.linspace(0, 1, 40):
            s, m = 1 - t, (x + u) / 2
            yield (
                s**3 * x + 3 * s * s * t * m + 3 * s * t * t * m + t**3 * u,
                s**3 * y + 3 * s * s * t * y + 3 * s * t * t * v + t**3 * v,
            )


def overlaps(drawn):
    def apart(a, b):
        return a.x + a.width < b.x or b.x + b.width < a.x or a.y + a.height < b.y or b.y + b.height < a.y

    return [(a.id, b.id) for a, b in itertools.combinations(drawn.boxes, 2) if not apart(a, b)]


def test_overlaps_would_be_seen(monkeypatch):
    monkeypatch.setattr(graph, "ROW_GAP", -10.0)
    assert overlaps(graph.layout([claim("a"), claim("b", uses=("toy:a",)), claim("c", uses=("toy:a",))]))


@pytest.mark.parametrize("seed", range(12))
def test_no_label_overlaps_another_nor_an_edge(seed):
    rng = np.random.default_rng(seed)
    drawn = graph.layout(random_claims(rng, int(rng.integers(1, 40))))
    assert not overlaps(drawn)
    for box in drawn.boxes:
        assert box.x >= 0 and box.y >= 0 and box.x + box.width < drawn.width and box.y + box.height < drawn.height
        assert graph.BAR + graph.PADDING + graph.CHARACTER * max(len(box.id), len(box.second)) < box.width
    by_id = {box.id: box for box in drawn.boxes}
    for (used, user), points in drawn.edges.items():
        assert by_id[used].x + by_id[used].width < by_id[user].x and points[0][0] < points[-1][0]
        for x, y in along(points):
            for box in drawn.boxes:
                assert box.id in (used, user) or not (box.x < x < box.x + box.width and box.y < y < box.y + box.height)


def test_every_use_is_an_edge_and_the_picture_is_well_formed(verdicts):
    claims = [v.claim for v in verdicts]
    drawn = graph.layout(claims, verdicts)
    assert set(drawn.edges) == {(used, c.id) for c in claims for used in c.uses} and {b.state for b in drawn.boxes} == {
        *graph.COLOURS
    }
    root = ElementTree.fromstring(graph.svg(claims, verdicts))
    assert len(root.findall(".//{*}g")) == len(drawn.boxes) == 6
    assert '"toy:a" -> "toy:thm5";' in graph.dot(claims, verdicts) and "\\\\" in graph.dot(claims, verdicts)
    ElementTree.fromstring(graph.svg([]))
    with pytest.raises(ValueError, match="circle: toy:a -> toy:b -> toy:a"):
        graph.layout([claim("a", uses=("toy:b",)), claim("b", uses=("toy:a",))])


# the registry


def write_package(root, files):
    for name, text in files.items():
        path = root / "fakery" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def build(**modules):
        write_package(
            tmp_path, {"__init__.py": "", "one/__init__.py": "", "figures/__init__.py": "", "figures/bad.py": "1/0"}
        )
        write_package(tmp_path, {f"one/{name}.py": text for name, text in modules.items()})
        import fakery

        return registry.family(fakery)

    yield build
    for name in [name for name in sys.modules if name.split(".")[0] == "fakery"]:
        del sys.modules[name]


ONE = """
from theory.claim import Case, Claim, Evidence
def make(name):
    return Claim(id="one:" + name, title="t", statement="s", source="gk25, 1",
                 check=lambda c: Evidence(c.x, "<", 2, strength="exact"),
                 hypotheses={"x < 2": lambda c: c.x < 2}, cases=[Case(x=1)], controls=[Case(x=2)])
"""


def test_the_walk_finds_claims_and_nothing_else(package):
    found = registry.claims(
        (),
        package(
            a=ONE + "CLAIM = make('thm10')",
            b=ONE + "CLAIMS = [make('thm2'), make('thm2-converse')]",
            helper="VALUE = 1",
        ),
    )
    assert [c.id for c in found] == ["one:thm2", "one:thm2-converse", "one:thm10"]


def test_selections(package):
    fake = package(a=ONE + "CLAIMS = (make('thm1'), make('thm2'), make('lemma'))")
    assert [c.id for c in registry.claims(["one:thm*"], fake)] == ["one:thm1", "one:thm2"] and len(
        registry.claims(["one"], fake)
    ) == 3
    with pytest.raises(ValueError, match="no claim matches 'two'; there are one:lemma, one:thm1"):
        registry.claims(["two"], fake)


def test_doubles_are_refused(package):
    with pytest.raises(ValueError, match=r"claims: the name 'one:a' is taken twice, in .*a\.py and in .*b\.py"):
        registry.claims((), package(a=ONE + "CLAIM = make('a')", b=ONE + "CLAIM = make('a')"))


def test_the_audit_sees_unknown_sources_uses_circles_and_bad_controls():
    registry.audit([claim("a"), claim("b", uses=("toy:a",))])
    registry.audit([claim(source="nobody99, Theorem 1", bib="@misc{nobody99, year = 2099}")])
    for bad, words in [
        ([claim(source="nobody99, Theorem 1")], "source 'nobody99' is not in refs.bib, nor in the bib of the claim"),
        ([claim("a", bib="@misc{b, x={1}}"), claim("b", bib="@misc{b, x={2}}")], "toy:b has another entry 'b'"),
        ([claim(bib="@misc{b, x={1}")], "the bib of toy:.*: the braces of the entry 'b' never close"),
        ([claim(uses=("toy:none",))], "refers to 'toy:none'"),
        ([claim(corrected_by="toy:none")], "refers to 'toy:none'"),
        ([claim("a", uses=("toy:b",)), claim("b", uses=("toy:a",))], "circle"),
        ([claim(controls=[Case(x=8)])], "satisfies every hypothesis"),
    ]:
        with pytest.raises(ValueError, match=words):
            registry.audit(bad)


# references


def test_references_are_read_by_their_braces():
    text = "@string{x = {y}}\n@comment{@}\n @Book { a:b-1 , title={Curly {{x}} \\'{e}} }@misc{c,year=2026}\n"
    assert references(text) == {"a:b-1": "@Book { a:b-1 , title={Curly {{x}} \\'{e}} }", "c": "@misc{c,year=2026}"}
    assert {"ufm", "gk25"} <= set(references()) and all(
        entry.count("{") == entry.count("}") for entry in references().values()
    )
    with pytest.raises(ValueError, match="key 'a' twice"):
        references("@misc{a, x={1}} @misc{a, x={2}}")
    with pytest.raises(ValueError, match="'a' never close"):
        references("@misc{a, x={1}")


# strength


def fake_orders(monkeypatch, order):
    module = types.ModuleType("ufm.certificates.orders")
    module.order = order
    monkeypatch.setitem(sys.modules, "ufm.certificates.orders", module)


def proof(holds, margin=1e-4, arithmetic="ball"):
    return types.SimpleNamespace(holds=holds, margin=margin, arithmetic=arithmetic)


def test_an_order_is_certified_where_it_is_proved_and_float_elsewhere(monkeypatch):
    problem = Problem(K=6, L=2, lam=0.01)
    fake_orders(monkeypatch, lambda left, right, problem: proof((left, right) == ("pairs", "dnc")))
    assert strength.ordered(problem, "pairs", "dnc") == (1e-4, "certified")
    assert strength.ordered(problem, "dnc", "pairs") == (-1e-4, "certified")
    assert (
        strength.order(problem, "pairs", "dnc").verdict == SUPPORTED
        and strength.order(problem, "dnc", "pairs").verdict == REFUTED
    )
    for unusable in (
        proof(False),
        proof(True, None),
        proof(True, math.nan),
        proof(True, -1.0),
        proof(True, 0.0),
        proof(True, 1e-4, "float"),
    ):
        fake_orders(monkeypatch, lambda left, right, problem, unusable=unusable: unusable)
        margin, kind = strength.ordered(problem, "pairs", "dnc")
        assert kind == "float" and margin > 1e-3


def test_the_orders_of_the_package_are_used(monkeypatch):
    pytest.importorskip("flint")
    pytest.importorskip("ufm.certificates.orders")
    for K, L, lam, verdict in [(6, 2, 0.01, SUPPORTED), (10, 3, 1e-4, SUPPORTED), (4, 2, 0.005, REFUTED)]:
        evidence = strength.order(Problem(K=K, L=L, lam=lam), "pairs", "dnc")
        assert evidence.verdict == verdict and evidence.strength == "certified"


def test_an_order_without_the_extra_is_float_and_rounding_decides_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ufm.certificates.orders", None)
    problem = Problem(K=6, L=2, lam=0.01)
    evidence = strength.order(problem, "pairs", "dnc")
    assert (
        evidence.strength == "float"
        and evidence.verdict == SUPPORTED
        and strength.order(problem, "dnc", "pairs").verdict == REFUTED
    )
    assert strength.order(problem, "dnc", "dnc").verdict == UNDECIDED
    with pytest.raises(ValueError, match="structure must be one of"):
        strength.ordered(problem, "pears", "dnc")


# the command line


@pytest.fixture
def registered(monkeypatch):
    def put(*found):
        def claims(selection=()):
            chosen = [c for c in found if not selection or any(registry.matches(c, wanted) for wanted in selection)]
            if not chosen:
                raise ValueError("no claim matches")
            return chosen

        monkeypatch.setattr(registry, "claims", claims)

    return put


@pytest.mark.parametrize(
    "found, code",
    [
        ((claim(),), 0),
        ((claim(), refuted()), 1),
        ((claim("good"), refuted(corrected_by="toy:good")), 1),
        ((claim(), undecided()), 3),
        ((undecided(), refuted()), 1),
        ((claim(check=lambda c: 1 / 0),), 3),
    ],
)
def test_exit_codes(registered, capsys, found, code):
    registered(*found)
    assert main(["verify", "--jobs", "1"]) == code
    assert "claim" in capsys.readouterr().out


def test_usage_is_exit_code_2_and_nothing_is_run(registered, capsys, tmp_path):
    registered(claim(), claim("slow", pace="slow"))
    CALLS.clear()
    for arguments, words in [
        (["--K", "4:40"], "there is no parameter K; the parameters are x"),
        (["--set", "x"], "NAME=VALUES"),
        (["--set", "x=9:5"], "x must be numbers"),
        (["--jobs", "0"], "--jobs must be an integer of at least 1"),
        (["--html", str(tmp_path / "no" / "a.html")], "cannot be written"),
        (["--html", str(tmp_path / "a.txt")], "must end in .html"),
        (["--graph", str(tmp_path / "a.png")], "must end in .svg or .dot or .html"),
        (["--graph", "/proc/a.svg"], "cannot be written"),
        (["--resume", str(tmp_path)], "it is a folder"),
        (["nothing"], "no claim matches"),
        (["--nonsense"], "unrecognized"),
    ]:
        assert main(["verify", *arguments]) == 2, arguments
        assert words in capsys.readouterr().err
    registered(claim("slow", pace="slow"))
    assert main(["verify", "toy"]) == 2 and "add --slow" in capsys.readouterr().err
    assert not CALLS and not list(tmp_path.iterdir())


def test_grids_slow_claims_and_json(registered, capsys):
    registered(claim(), claim("slow", pace="slow"))
    assert main(["verify", "--set", "x=3:6,9", "--json", "--jobs", "1"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [(c["id"], c["cases"], c["outside"]) for c in data["claims"]] == [("toy:power", 3, 2)] and data[
        "left_out"
    ] == ["toy:slow"]
    assert main(["verify", "--slow", "--json", "--verbose", "--jobs", "1"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert len(data["claims"]) == 2 and len(data["claims"][0]["evidence"]) == 7
    assert main(["verify", "toy:slow", "--jobs", "1"]) == 0 and "toy:slow" in capsys.readouterr().out
    assert main(["verify", "--jobs", "1"]) == 0 and "1 slow left out (--slow): toy:slow" in capsys.readouterr().out
    assert (
        main(["verify", "--set", "x=1:3", "--jobs", "1"]) == 3 and "all 3 points lie outside" in capsys.readouterr().out
    )
    assert main(["verify", "--list", "--json"]) == 0
    assert [c["parameters"] for c in json.loads(capsys.readouterr().out)["claims"]] == [["x"], ["x"]]


def test_files_are_written_whole_and_an_interruption_reports_what_is_there(registered, capsys, tmp_path):
    registered(claim("a"), refuted("b", uses=("toy:a",)))
    paths = {"markdown": "r.md", "latex": "r.tex", "html": "r.html", "graph": "g.svg"}
    options = [word for name, file in paths.items() for word in (f"--{name}", str(tmp_path / file))]
    assert main(["verify", "--jobs", "1", *options]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(paths.values())
    for file in ("g.html", "g.dot"):
        assert main(["verify", "--jobs", "1", "--graph", str(tmp_path / file)]) == 1
    parsed((tmp_path / "g.html").read_text())
    CALLS.clear()
    registered(claim(check=interrupted_after(3)))
    capsys.readouterr()
    assert main(["verify", "--jobs", "1", "--resume", str(tmp_path / "d.jsonl")]) == 130
    assert (
        "interrupted after 3 of 7 cases" in capsys.readouterr().out
        and len((tmp_path / "d.jsonl").read_text().splitlines()) == 4
    )
    registered(claim())
    assert (
        main(["verify", "--jobs", "1", "--resume", str(tmp_path / "d.jsonl")]) == 0
        and "3 cases and controls taken from" in capsys.readouterr().out
    )


def test_cite_gives_the_source_of_a_claim_once(capsys):
    assert main(["cite", "gk25:thm1", "gk25"]) == 0
    assert capsys.readouterr().out.count("@inproceedings{gk25,") == 1
    assert main(["cite", "gk25:thm99"]) == 2 and "gk25:thm1" in capsys.readouterr().err
    assert main(["cite", "gk52"]) == 2 and "Did you mean 'gk25'" in capsys.readouterr().err
    assert commands.exit_code([]) == 3
