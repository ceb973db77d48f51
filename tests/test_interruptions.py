"""Ctrl-C, SIGTERM and kill -9: gone within two seconds, how far it came is said, what is finished is kept, a part is
never taken for the whole."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from theory import runs
from theory.claim import Claim, Evidence, grid, planted
from theory.figures.figure import Work
from ufm import compare, landscape, minimize, multistart, profile
from ufm.certificates import orders
from ufm.cli import main
from ufm.cli.signals import Listening
from ufm.landscapes import compare as compare_module
from ufm.landscapes import gather
from ufm.landscapes.sources import starts as starts_source
from ufm.numerics import interruption
from ufm.problem import Problem
from ufm.solvers.methods.lbfgs import LBFGS
from ufm.solvers.multistart import Multistart
from ufm.sweeps.phases import phase_diagram
from ufm.sweeps.sweep import sweep
from ufm.sweeps.workers import WorkerDied, unordered

FOUR = Problem(K=4, L=2, lam=0.02)
TOLD = ["-K", "4", "-L", "2", "--lam", ".02"]


@pytest.fixture
def ctrl_c(monkeypatch):
    """Sets at which run of a method Ctrl-C comes, in the midst of it."""
    real, calls = LBFGS.run, []

    def at(number):
        calls.clear()

        def run(*args):
            calls.append(args)
            if len(calls) == number:
                raise KeyboardInterrupt
            return real(*args)

        monkeypatch.setattr(LBFGS, "run", run)

    return at


# a part is never taken for the whole -----------------------------------------------------------


def test_the_outermost_verb_returns_what_it_has_and_inside_it_is_passed_on(ctrl_c):
    ctrl_c(1)
    assert minimize(FOUR, rng=0).interrupted
    for verb in (lambda: minimize(FOUR, rng=0), lambda: multistart(FOUR, 1, 0), lambda: profile(FOUR, 1, 0)):
        ctrl_c(1)
        with pytest.raises(KeyboardInterrupt), interruption.whole():
            verb()


def test_an_interrupted_cell_of_a_sweep_is_not_a_row(ctrl_c, tmp_path):
    spec = {"verb": "solve", "grid": {"K": [3, 4, 5], "lam": [0.02]}}
    ctrl_c(3)
    part = sweep(spec, tmp_path / "s.jsonl", jobs=1)
    assert part.interrupted and len(part) == 2 and "interrupted after 2 of 3 cells" in repr(part)
    assert sweep(spec, tmp_path / "s.jsonl", jobs=1).rows == sweep(spec, jobs=1).rows


def ends(cell):
    return {"fun": minimize(FOUR, rng=cell["rng"]).fun}


def test_an_interrupted_cell_of_a_figure_is_not_kept(ctrl_c, tmp_path):
    cells = [{"rng": i} for i in range(4)]
    ctrl_c(3)
    with (
        Work("toy", True, 0, tmp_path) as work,
        pytest.raises(KeyboardInterrupt, match=r"after 2 of 4 cells; they are kept in"),
    ):
        work.map(ends, cells)
    with Work("toy", True, 0, tmp_path) as work:
        assert work.map(ends, cells) == [ends(cell) for cell in cells]


def is_low(case):
    return Evidence(minimize(FOUR, rng=case.x).fun, "<", case.get("bound", 1.0), tol=1e-9)


def test_an_interrupted_case_of_a_claim_is_not_an_outcome(ctrl_c, tmp_path):
    claim = Claim(
        id="toy:low",
        title="t",
        statement="s",
        source="gk25",
        check=is_low,
        cases=grid(x=range(4)),
        controls=[planted("a bound too low", x=0, bound=0.0)],
        hypotheses={},
    )
    ctrl_c(3)
    part = runs.verify([claim], jobs=1, resume=tmp_path / "r.jsonl")
    assert part.interrupted and len(part.verdicts[0].cases) == 2
    whole = runs.verify([claim], jobs=1, resume=tmp_path / "r.jsonl")
    assert whole.reused == 2 and len(whole.verdicts[0].cases) == 4


# every verb says how far it came ---------------------------------------------------------------


def part_of(problem, count, *args, **options):
    """A multistart that Ctrl-C ended."""
    runs = multistart(problem, count, 0)
    return Multistart(runs.results[:7], count, runs.rng, True)


def test_compare_says_that_its_search_was_cut(monkeypatch, capsys):
    monkeypatch.setattr(starts_source, "multistart", part_of)
    found = compare(FOUR, 20, 0)
    assert found.interrupted == "after 7 of 20 starts" and "interrupted after 7 of 20 starts" in repr(found)
    assert main(["compare", *TOLD, "--starts", "20"]) == 130
    said = capsys.readouterr()
    assert (
        "interrupted after 7 of 20 starts" in said.out
        and said.err.startswith("ufm: interrupted after 7 of 20 starts")
        and said.err.count("\n") == 1
    )
    assert main(["compare", *TOLD, "--starts", "20", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["interrupted"] is True


@pytest.mark.parametrize(
    ("stage", "home", "call"), [("classify", gather, 3), ("lower_bound", compare_module, 1), ("order", orders, 1)]
)
def test_compare_keeps_what_it_has_wherever_it_is_cut(stop_at, stage, home, call):
    stop_at(home, stage, call)
    found = compare(FOUR, 0, 0, prove=True)
    assert found.interrupted == ("after 2 of 6 structures" if stage == "classify" else "before its proofs")
    assert len(found.points) == (2 if stage == "classify" else 6) and found.winner and "interrupted" in repr(found)


def test_nothing_at_all_is_an_interruption(monkeypatch, capsys):
    monkeypatch.setattr(gather, "classify", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt, match=r"after 0 of \d+ structures"):
        compare(FOUR, 0)
    assert main(["compare", *TOLD]) == 130
    said = capsys.readouterr()
    assert not said.out and "interrupted after 0 of" in said.err


def test_a_landscape_cut_among_its_symmetric_points_does_not_go_on_to_search(monkeypatch, stop_at, capsys):
    from ufm.landscapes.sources import search, symmetric

    stop_at(symmetric, "Roots", lambda supports, coupled, *_: coupled)  # the first class of two orbits
    monkeypatch.setattr(search, "search", lambda *_: pytest.fail("Ctrl-C began the search"))
    atlas = landscape(FOUR, starts=5, rng=0)
    assert (
        atlas.interrupted.endswith("symmetry classes")
        and "pairs" in {p.name for p in atlas}
        and atlas.interrupted in repr(atlas)
    )
    assert main(["landscape", *TOLD]) == 130
    assert "of" in capsys.readouterr().err


def test_solve_profile_and_phases_say_how_far_they_came(ctrl_c, stop_at, monkeypatch, capsys):
    monkeypatch.setattr("ufm.solvers.multistart.multistart", part_of)
    assert main(["solve", *TOLD, "--starts", "20"]) == 130
    said = capsys.readouterr()
    assert "interrupted after 7 of 20 starts" in said.out and "interrupted after 7 of 20 starts" in said.err
    monkeypatch.undo()
    ctrl_c(3)
    assert "interrupted after 2 of 8 descents" in repr(profile(FOUR, 2, 0))
    monkeypatch.undo()
    from ufm.sweeps import phases

    stop_at(phases, "Cell", lambda K, *_: K == 4)
    assert "interrupted after 1 of 3 columns" in repr(phase_diagram([3, 4, 5], [2], [0.02], ("dnc",)))


# signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_both_signals_end_a_verb_and_handlers_come_back(number, code, monkeypatch, capsys):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(starts_source, "multistart", lambda *_, **__: (signal.raise_signal(number), time.sleep(5)))
    assert main(["compare", *TOLD, "--starts", "20"]) == code
    assert "ufm: interrupted after the random starts" in capsys.readouterr().err or code
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_during_an_import_waits_for_its_end(tmp_path, monkeypatch):
    (tmp_path / "slowly.py").write_text(
        "import signal\nsignal.raise_signal(signal.SIGINT)\ntry:\n    x = sum(range(1000))\nexcept:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), Listening() as signals:
        import slowly

        assert slowly.x == 499500
        time.sleep(2)
    assert signals.code == 130


def test_who_ignores_ctrl_c_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Listening():
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# workers ---------------------------------------------------------------------------------------


@pytest.fixture
def works():
    """A function that travels by its code, so that no worker imports this file."""

    def function(x):
        if x == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if x == "fail":
            raise ValueError("why not")
        if x == "sleep":
            time.sleep(60)
        return x

    return function


def test_workers_work_fail_and_die_in_one_sentence(works):
    assert sorted(unordered(works, range(5), 2)) == list(range(5)) and list(unordered(works, [], 2)) == []
    with pytest.raises(ValueError, match="why not"):
        list(unordered(works, ["fail", 1], 2))
    with pytest.raises(WorkerDied, match=r"^a worker process died"):
        list(unordered(works, [1, "die"], 2))


def test_closing_ends_the_workers(monkeypatch, works):
    processes = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            processes.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    results = unordered(works, [1, "sleep"], 2)
    assert next(results) == 1
    results.close()
    idle, asleep = [p.returncode for p in processes]
    assert (
        idle in (0, -signal.SIGKILL) and asleep == -signal.SIGKILL
    )  # who had nothing left to do may have ended before


def test_a_dead_worker_of_a_sweep_is_a_sentence_and_its_cells_are_tried_again(tmp_path, capsys, monkeypatch):
    spec = tmp_path / "s.toml"
    spec.write_text('verb = "solve"\n[grid]\nK = [3, 4]\nlam = [0.02]\n')

    def died(*_):
        raise WorkerDied
        yield

    monkeypatch.setattr("ufm.sweeps.sweep.unordered", died)
    assert main(["sweep", str(spec), "--jobs", "2"]) == 1
    said = capsys.readouterr()
    assert (
        "a worker process died" in said.out and "2 cells to do" in said.out and "Traceback" not in said.out + said.err
    )
    monkeypatch.undo()
    assert main(["sweep", str(spec), "--jobs", "1"]) == 0


def test_a_dead_worker_of_a_figure_is_a_line_on_standard_error(tmp_path, capsys, monkeypatch):
    from theory.figures.figure import PaperFigure

    monkeypatch.setattr(PaperFigure, "compute", lambda *_: (_ for _ in ()).throw(WorkerDied))
    assert main(["figure", "gk25-1", "--out", str(tmp_path / "f.png")]) == 2
    assert capsys.readouterr().err.startswith("ufm: error: a worker process died")


# real signals at real moments ------------------------------------------------------------------

GRID = 'verb = "solve"\n[grid]\nK = [6, 8]\nlam = [1e-2, 3e-3, 1e-3]\nL = [2, 3]\n[fixed]\nstarts = 4\n'


def commands(folder):
    """Verb -> (command, its store): work of some seconds each."""
    folder.mkdir()
    (folder / "g.toml").write_text(GRID)
    o = str(folder)
    return {
        "sweep": (["sweep", f"{o}/g.toml", "--jobs", "2"], f"{o}/g.jsonl"),
        "basins": (
            ["basins", "-K", "8", "-L", "2", "--lam", "1e-3", "--starts", "800", "--out", f"{o}/b.jsonl"],
            f"{o}/b.jsonl",
        ),
        "verify": (["verify", "gk25:prop1", "gk25:lemma1", "--jobs", "2", "--resume", f"{o}/v.jsonl"], f"{o}/v.jsonl"),
        "figure": (
            ["figure", "gk25-2", "--fast", "--jobs", "2", "--cache", f"{o}/cache", "--out", f"{o}/f.png"],
            f"{o}/cache",
        ),
    }


def started(command):
    return subprocess.Popen(
        [sys.executable, "-m", "ufm", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def session(leader):
    """Living processes of a session."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                state, _, _, number = file.read().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(number) == leader and state != "Z":
            found.append(int(pid))
    return found


def kept(store):
    """The whole lines of a store, or of all stores of a folder."""
    files = sorted(Path(store).iterdir()) if Path(store).is_dir() else [Path(store)]
    return [line for file in files if file.exists() for line in file.read_bytes().split(b"\n")[:-1]]


def without_clock(line):
    """A line without what depends on the clock, or on where the blocks of a census end."""
    row = json.loads(line)
    return json.dumps({k: v for k, v in row.items() if k != "seconds"}, sort_keys=True)


@pytest.mark.slow
def test_forty_deaths_lose_nothing_and_leave_nobody(tmp_path):
    draw, told = random.Random(1), commands(tmp_path / "killed")
    whole = commands(tmp_path / "whole")
    lengths = {}
    for verb, (command, _) in whole.items():
        began = time.monotonic()
        process = started(command)
        process.communicate()
        assert process.returncode in (0, 3), verb
        lengths[verb] = time.monotonic() - began
    report, rounds = [], dict.fromkeys(told, 0)
    while sum(running for _, _, _, running, *_ in report) < 40:
        verb = list(told)[len(report) % 4]
        command, store = told[verb]
        deadly = draw.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
        everyone = deadly != signal.SIGKILL and draw.random() < 0.5  # as a terminal, or a batch system, sends it
        before = kept(store)
        process = started(command)
        time.sleep(draw.uniform(0.4, 0.8 * lengths[verb]))
        running, began = process.poll() is None, time.monotonic()
        if running:
            (os.killpg if everyone else os.kill)(process.pid, deadly)
        out, err = process.communicate(timeout=60)
        took = time.monotonic() - began
        time.sleep(1.0)
        assert not session(process.pid), (verb, deadly, "processes are left")
        assert "Traceback" not in err, err
        assert kept(store)[: len(before)] == before, (verb, deadly, "rows were lost")
        if running and process.returncode not in (0, 1, 3):
            assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[deadly], (
                verb,
                err,
            )
            assert deadly == signal.SIGKILL or (took < 4 and "ufm: interrupted" in err), (verb, deadly, took, err)
        report.append((verb, deadly.name, everyone, running, process.returncode, round(took, 2), len(kept(store))))
        if process.returncode in (0, 1, 3):  # done: from the start again
            rounds[verb] += 1
            subprocess.run(["rm", "-rf", store], check=True)
    print(*report, rounds, sep="\n")
    for verb, (command, store) in told.items():
        process = started(command)
        out, err = process.communicate()
        assert process.returncode in (0, 3), (verb, err)
        if verb == "basins":
            answers = [
                subprocess.run([sys.executable, "-m", "ufm", *c[0], "--json"], capture_output=True, check=True).stdout
                for c in (told[verb], whole[verb])
            ]
            one, other = ({k: v for k, v in json.loads(a).items() if k != "seconds"} for a in answers)
            assert one == other
        else:
            assert sorted(map(without_clock, kept(store))) == sorted(map(without_clock, kept(whole[verb][1]))), verb
        assert not [f for f in os.listdir(tmp_path / "killed") if f.endswith(".ufm-tmp")]


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.3, 0.7, 1.5, 4, 12])
@pytest.mark.parametrize(
    "command",
    [
        "landscape -K 8 -L 2 --lam 1e-3 --starts 3000",
        "compare -K 14 -L 3 --lam 1e-3 --starts 3000",
        "solve -K 12 -L 3 --lam 1e-3 --starts 2000",
        "solve -K 12 -L 3 --lam 1e-3 --method gd --lr 1e-5 --steps 1000000000",
        "basins -K 10 -n 5 -d 70 -L 2 --lam 2**-10 --method gd --starts 1000 --over d=20,40,70",
    ],
)
def test_ctrl_c_is_heard_within_two_seconds(command, moment):
    process = started(command.split())
    time.sleep(moment)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.startswith("ufm: interrupted") and err.count("\n") == 1, err
    assert time.monotonic() - began < 3
