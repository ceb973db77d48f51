"""The benchmarks run at tiny size, their tools solve the same problem, and the table says what did not run and why. No
time is asserted."""

import importlib.util
import inspect
import json
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import __main__ as command
from benchmarks import batched, before, measure, peers, rates, referee
from benchmarks.child import measured, worker
from benchmarks.jobs import JOBS, QUICK
from benchmarks.landscapes import SIX_MSE
from benchmarks.machine import machine, others
from benchmarks.measure import End, Job, Row, Tool, header, line, rows, table
from benchmarks.relu import FOUR, TEN
from benchmarks.solves import F1, batch_factors
from ufm import structures
from ufm.objectives.factors import FactorObjective
from ufm.problem import Problem
from ufm.solvers import starts

TORCH = importlib.util.find_spec("torch") is not None


def here(job):
    """Workers in this process."""

    @contextmanager
    def opened(i, limit):
        yield lambda seed: measured(job.tools[i], seed)

    return opened


def tool(title, fun=1.0, seconds=1.0, needs=(), **more):
    return Tool(title, lambda seed: lambda: None, lambda _: End(fun, seconds=seconds, peak_mib=10.0, **more), needs)


# Jobs


@pytest.mark.parametrize("quick", [True, False])
def test_every_job_is_built_without_work_and_its_tools_have_names_that_fit(quick):
    assert set(QUICK) < set(JOBS)
    for make in JOBS.values():
        job = make(quick)
        names = [t.name for t in job.tools]
        assert len(set(names)) == len(names) and names[0].startswith(("ufm", "numpy", "from ufm"))
        assert max(map(len, names)) <= -measure.WIDTHS["tool"] - 2
        assert not job.yardstick or job.yardstick in names
        assert not job.tools[0].needs or {t.needs for t in job.tools} <= {
            job.tools[0].needs,
            ("PyTorch", "array-api-compat", "gpu"),
        }


@pytest.mark.parametrize("name", ["gradient-reduced", "gemm", "naming", "random-200", "landscape", "profile", "relu"])
def test_jobs_run_at_tiny_size_and_tools_on_one_point_agree(name):
    job = JOBS[name](True)
    job = Job(**{**vars(job), "tools": tuple(t for t in job.tools if not t.needs)})
    found = rows(name, job, here(job))
    assert [row.tool for row in found] == [t.name for t in job.tools]
    assert all(row.seconds > 0 and row.repeats == 1 and not row.note.startswith(("failed", "skipped")) for row in found)
    assert found[0].ratio == 1.0
    assert name in ("random-200", "landscape", "relu") or all(
        row.agrees in ("", "1/1") for row in found
    )  # from a random start tools may end in other minima


def test_a_job_runs_in_processes_of_its_own():
    (row,) = rows("order", JOBS["order"](True), lambda i, limit: worker("order", i, limit, True))
    if importlib.util.find_spec("flint") is None:
        assert row.note == "skipped: python-flint not installed"
    else:
        assert row.note.startswith("proved; checked again") and row.peak_mib > 10


def test_the_older_version_is_another_one_and_does_the_same_job():
    if before.absent():
        assert before.absent().startswith("skipped: ")
        pytest.skip(before.absent())
    job = JOBS["single-vs-batch-K6"](True)
    new, old = rows("single", job, here(job))
    assert (before.unpacked() / "ufm" / "__init__.py").is_file() and before.unpacked() != before.ROOT
    assert old.tool == f"ufm at {before.BASELINE[:7]}" and old.agrees == "1/1"
    assert new.grad_norm <= 1e-12 and old.grad_norm <= 1e-12 and new.seconds > 0 and old.seconds > 0


def test_an_older_version_that_is_not_in_the_history_is_skipped_with_a_word(monkeypatch):
    monkeypatch.setattr(before, "BASELINE", "f" * 40)
    assert before.absent() == "skipped: commit fffffff is not in the history of this checkout"


def test_formulas_of_the_peers_are_the_objective():
    import autograd.numpy as anp
    from autograd.scipy.special import logsumexp

    for problem in (FOUR, TEN, SIX_MSE, F1):
        objective = FactorObjective(problem)
        x = starts.gaussian()(objective, np.random.default_rng(0))
        formula = peers.formula(problem, anp, logsumexp)
        assert [p.kind for p in inspect.signature(formula).parameters.values()] == [inspect.Parameter.VAR_POSITIONAL]
        value = formula(*objective.unpack(x)[0])
        assert value == pytest.approx(float(objective.value(x)), rel=1e-12)
    with pytest.raises(ValueError, match="activation must be linear or relu"):
        peers.formula(Problem(K=3, L=2, lam=0.1, activation="tanh"), anp, logsumexp)


# Rows


def test_missing_peers_are_skipped_with_a_word(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, word in (
        ("solve", "PyTorch"),
        ("convex", "cvxpy"),
        ("solve", "pymanopt"),
        ("order", "python-flint"),
        ("descend-batch", "PyTorch"),
    ):
        assert any(t.absent().startswith("skipped: ") and word in t.absent() for t in JOBS[name](True).tools)
    assert JOBS["solve"](True).tools[0].absent() == ""
    job = Job("what", (tool("ufm"), tool("peer", needs=("pymanopt", "autograd"))))
    ours, peer = rows("job", job, here(job))
    assert ours.ratio == 1.0
    assert peer.seconds is None and peer.note == "skipped: pymanopt and autograd not installed"
    assert line(peer).split() == ["peer", *"-" * 11, *peer.note.split()]


def test_without_a_gpu_it_is_not_measured(monkeypatch):
    monkeypatch.setattr(measure, "gpu", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    job = JOBS["gpu"](False)
    assert [row.note for row in rows("gpu", job, here(job))] == ["not measured: no GPU at hand"] * 2


def test_ratios_agreement_rates_and_differences_are_of_the_right_rows():
    tools = (
        tool("ufm", 1.0, 2.0, flops=8e9, off=1e-12, name="dnc"),
        tool("off", 1.0 + 3e-9, 4.0, name="dnc"),
        tool("near", 1.0 + 1e-10, 1.0),
        tool("yard", None, 0.5),
    )
    job = Job("what", tools, seeds=(0, 1), repeats=2, yardstick="yard")
    ours, off, near, yard = rows("job", job, here(job))
    assert (ours.ratio, off.ratio, near.ratio) == (1.0, 2.0, 0.5)
    assert (ours.agrees, off.agrees, near.agrees, yard.agrees) == ("2/2", "0/2", "2/2", "")
    assert ours.gflops == 4.0 and ours.of_gemm == 0.25 and ours.off == 1e-12 and ours.note == "dnc 2"
    assert ours.repeats == 2 and ours.by_seed == (2.0, 2.0)


def test_a_tool_that_fails_or_hangs_is_a_row():
    def fails():
        raise RuntimeError("Traceback\nValueError: no")

    job = Job("what", (tool("ufm"), Tool("bad", lambda seed: fails, lambda _: End())))
    _, bad = rows("job", job, here(job))
    assert bad.note == "failed: ValueError: no" and bad.seconds is None
    with worker("compare", 0, 0.05, True) as run, pytest.raises(RuntimeError, match=r"stopped after 0\.05 s"):
        run(0)


def test_the_table_has_aligned_columns_and_a_heading_for_every_job():
    job = Job("first what", (tool("ufm", grad_norm=1e-12, evaluations=7), tool("peer", None)))
    found = rows("first", job, here(job)) + rows("second", job, here(job))
    text = table(found).splitlines()
    assert text[:2] == header().splitlines() and "[first] first what" in text and "[second] first what" in text
    width = len(text[0])
    assert all(len(line(row)) <= width for row in found)
    edges = np.cumsum([abs(w) + 2 for w in measure.WIDTHS.values()])[1:] - 3
    assert all(line(row).ljust(width)[i] != " " for row in found for i in edges)


def test_the_dated_files_say_where_they_were_taken(tmp_path):
    job = Job("what", (tool("ufm"),))
    where = {
        **machine(),
        "quick": True,
        "left_out": ["gpu"],
        "seconds": 1.0,
        "load_before": 0.5,
        "load_after": 2.0,
        "loads": {"job": 1.0},
    }
    path = command.write(tmp_path / "new", where, rows("job", job, here(job)), "2026-01-02")
    text, data = path.read_text(), json.loads(path.with_suffix(".json").read_text())
    assert (
        path.name == "2026-01-02.md"
        and "numpy " in text
        and where["cpu"] in text
        and "load average 1.0 to 2.0" in text
        and "  ufm " in text
        and "not run: gpu." in text
    )
    assert data["date"] == "2026-01-02" and data["rows"][0]["tool"] == "ufm" and data["cores"] >= 1 and data["blas"]


@pytest.mark.parametrize("words", [["--record"], ["--only", "naming"]])
def test_a_busy_machine_gives_no_record_and_a_warning_elsewhere(words, monkeypatch, capsys):
    monkeypatch.setattr(command, "load", lambda: 1.3)
    monkeypatch.setattr(command, "rows", lambda *_: [])
    if "--record" in words:
        with pytest.raises(SystemExit) as stop:
            command.main(words)
        assert stop.value.code == 2
    else:
        assert command.main(words) == 0
    assert "load average is 1.30, above 1.2" in capsys.readouterr().err


def test_a_quiet_machine_gives_a_record_in_its_place(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "load", lambda: 0.4)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "rows", lambda name, *_: [Row(name, "what", "ufm", note="not run")])
    assert command.main(["--record"]) == 0
    said = capsys.readouterr()
    (text,) = tmp_path.glob("*.md")
    assert not said.err and "load average 0.4 to 0.4" in text.read_text() and "[single-vs-batch-F1]" in text.read_text()
    with pytest.raises(SystemExit):
        command.main(["--record", "--quick"])
    assert "it takes no --quick" in capsys.readouterr().err


def test_cores_that_others_keep_busy_are_counted_without_our_own():
    assert others((10.0, 100.0, 5.0), (20.0, 118.0, 15.0)) == 0.8
    assert others(None, (20.0, 118.0, 15.0)) is None and others((1.0, 0.0, 0.0), (3.0, 1.0, 1.1)) == 0.0


def test_names_of_jobs_are_listed_and_checked(capsys):
    assert command.main(["--list", "--only", "gradient"]) == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()] == list(rates.SHAPES)
    with pytest.raises(SystemExit):
        command.main(["--only", "nothing"])
    assert "--only must begin one of solve" in capsys.readouterr().err


# What is compared


def test_the_referee_names_ends_and_sees_a_planted_error():
    objective, point = FactorObjective(F1), structures.pairs(F1)
    end = referee.judge(F1, (point, 3))
    assert end.name == "pairs" and abs(end.off) < 1e-14 and end.grad_norm < 1e-14 and end.evaluations == 3
    moved = referee.judge(F1, (objective.lift(point) * (1 + 1e-6), 3))
    assert moved.name == "pairs" and moved.off > 1e-14
    assert referee.judge(F1, (objective.lift(point) * 1.1, 3)).name == "not converged"


@pytest.mark.parametrize(("K", "n", "d", "L"), [(3, 1, 3, 1), (4, 2, 7, 2), (5, 3, 4, 4)])
def test_flops_are_those_of_the_products_made(K, n, d, L):
    objective = FactorObjective(Problem(K=K, n=n, d=d, L=L, lam=1e-3))
    counted = []

    def matmul(a, b, out):
        counted.append(2 * a.shape[1] * a.shape[2] * b.shape[2])
        np.matmul(a, b, out=out)

    blocks = batch_factors(objective.problem, 0, 2)
    batched.products(blocks, matmul, np.empty)()
    assert batched.flops(objective.shapes) == sum(counted)


@pytest.mark.skipif(not TORCH, reason="PyTorch is not installed")
@pytest.mark.parametrize("name", ["gradient-reduced", "gradient-full", "gradient-six", "gradient-deep"])
@pytest.mark.parametrize("peer", ["torch_autograd", "torch_by_hand"])
def test_pytorch_computes_the_same_batched_gradient(name, peer):
    problem, reduced, _, _ = rates.SHAPES[name]
    objective = rates.objective_of(problem, reduced)
    blocks = batch_factors(problem, 0, 3, objective)
    value, parts = getattr(batched, peer)(blocks, objective.fit.columns, problem.lam)()
    ours, (grad,) = rates.our_gradient(objective, blocks, None)()
    np.testing.assert_allclose(value, ours, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([np.reshape(part, (3, -1)) for part in parts], axis=1), grad, atol=1e-13)
