"""What others add, in a file or a package, is known to every verb: in Python, on the command line, in workers."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import joblib
import pytest

import ufm
from theory import registry, runs
from ufm.cli import main
from ufm.numerics import families
from ufm.sweeps.workers import unordered
from ufm.templates import TEMPLATES, new

CLAIM = '''
"""2^x > x for x >= 0, from nobody's paper."""
from theory.claim import Case, Claim, Evidence, grid, planted

def check(case):
    return Evidence(case.x, "<", case.get("base", 2) ** case.x, strength="exact")

CLAIM = Claim(
    id="nobody99:power",
    title="Powers are above the line",
    statement="2^x > x for x >= 0.",
    source="nobody99, Lemma 1",
    bib="@misc{nobody99, title = {Nothing}, year = 2099}",
    check=check,
    hypotheses={"x >= 0": lambda c: c.x >= 0},
    cases=grid(x=range(9)),
    controls=[planted("2 is replaced by 1", x=3, base=1)],
)
'''
FIGURE = '''
"""x against 2^x."""
from theory.figures.figure import COLUMN, PaperFigure, sheet

def cell(at):
    return {"x": at["x"], "y": 2 ** at["x"]}

def data(work):
    return {"points": work.map(cell, [{"x": x} for x in range(3 if work.fast else 9)])}

def draw(data):
    figure = sheet(COLUMN, 2.0)
    figure.add_subplot().plot([p["x"] for p in data["points"]], [p["y"] for p in data["points"]])
    return figure

FIGURE = PaperFigure(
    id="nobody-1", title="Powers", source="nobody99, Figure 1", data=data, draw=draw,
    rows=lambda data: data["points"], takes="1 s", takes_fast="1 s",
    bib="@misc{nobody99, title = {Nothing}, year = 2099}",
)
'''
VALUE = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Value:
    x: int

def twice(value):
    return Value(2 * value.x)
"""


@pytest.fixture
def folder(tmp_path, clean):
    (tmp_path / "power.py").write_text(CLAIM)
    (tmp_path / "power_figure.py").write_text(FIGURE)
    return tmp_path


ROOT = Path(__file__).resolve().parents[1]
KINDS = list(TEMPLATES.members())


def skeletons(folder, *kinds):
    """One skeleton of each kind in the folder, called after it: the folder."""
    for kind in kinds or KINDS:
        new(kind, f"my_{kind}", folder)
    return folder


def command(*words, **environment):
    """(exit code, output, errors) of the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "ufm", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


def test_a_claim_of_a_file_is_verified_listed_drawn_and_cited(folder, capsys):
    file = folder / "power.py"
    assert main(["verify", "nobody99", f"--from={file}", "--jobs", "1", "--graph", str(folder / "g.svg")]) == 0
    assert "supported" in capsys.readouterr().out and "nobody99:power" in (folder / "g.svg").read_text()
    assert main(["verify", "--list", "nobody99:*", "--from", str(file)]) == 0
    assert "Powers are above the line" in capsys.readouterr().out
    assert main(["cite", "nobody99:power", "--from", str(file)]) == 0
    assert "title = {Nothing}" in capsys.readouterr().out


def test_a_figure_of_a_file_is_drawn_and_cited(folder, capsys):
    words = ["figure", "nobody-1", "--fast", "--fresh", "--csv", "--from", str(folder)]
    assert main([*words, "--out", str(folder / "f.png")]) == 0
    assert (folder / "f.csv").read_text().split() == ["x,y", "0,1", "1,2", "2,4"]
    assert main(["cite", "nobody-1", "nobody99", "--from", str(folder)]) == 0
    assert capsys.readouterr().out.count("title = {Nothing}") == 1


def test_the_verbs_of_theory_are_in_python(folder):
    assert ufm.use(folder) == families.used() == tuple(str(folder / name) for name in ("power.py", "power_figure.py"))
    [claim] = listed = ufm.claims("nobody99")
    assert "Powers are above the line" in repr(listed) and "<table>" in listed._repr_html_()
    run = ufm.verify(claim, jobs=1, x="1:3")
    assert [v.verdict for v in run] == ["supported"] and len(run["nobody99:power"].cases) == 3
    assert "1 claim: 1 supported." in repr(run) and "supported" in run._repr_html_()
    assert ufm.cite(run) == ufm.cite(claim) == ufm.cite("nobody99") == claim.bib
    assert ufm.cite().count("@") == 2
    drawn = ufm.figure("nobody-1", folder / "p.pdf", fast=True, fresh=True)
    assert len(drawn.axes) == 1 and (folder / "p.pdf").exists() and (folder / "p.json").exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ufm.claims("gk25:tm1"), "no claim matches 'gk25:tm1'; the nearest are gk25:thm1"),
        (lambda: ufm.claims([3]), "selection must be ids, source keys, patterns or claims; got 3"),
        (lambda: ufm.verify("gk25:thm1", Q=3), "gk25:thm1: there is no parameter Q"),
        (lambda: ufm.verify("gk25:thm1", jobs=0), "jobs must be"),
        (lambda: ufm.figure("gk25"), "figure must be one of .*'gk25-1'"),
        (lambda: ufm.figure("gk25-1", "f.txt"), "f.txt"),
        (lambda: ufm.figure("gk25-1", csv=True), "say where with out"),
        (lambda: ufm.cite(3), "thing must be .*; got int"),
        (lambda: ufm.cite("gk52"), "Did you mean 'gk25'"),
    ],
)
def test_what_the_verbs_of_theory_cannot_do_is_refused_by_name(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@pytest.mark.parametrize("kind", KINDS)
def test_a_skeleton_is_written_once_and_runs(kind, tmp_path, clean, capsys):
    assert main(["new", kind, "my_own", "--out", str(tmp_path / "new")]) == 0
    file = tmp_path / "new" / "my_own.py"
    said = capsys.readouterr().out
    assert f"written: {file}" in said and f"--from {file}" in said
    text = file.read_text()
    assert not re.search(r"\bexample\b", text, re.IGNORECASE) and re.search(r"\b(my_own|MyOwn)\b", text)
    ufm.use(file)
    assert any("my_own" in name for name in TEMPLATES.get(kind).members())
    assert main(["new", kind, "my_own", "--out", str(tmp_path / "new")]) == 2
    assert "taken" in capsys.readouterr().err
    families.forget()
    assert main(["new", kind, "my_own", "--out", str(tmp_path / "new")]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err and file.read_text() == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["los", "huber"], "Did you mean 'loss'"),
        (["loss", "my-loss"], "name must be a Python identifier in small letters"),
        (["loss", "Huber"], "name must be a Python identifier in small letters"),
        (["loss", "../huber"], "name must be a Python identifier"),
        (["loss", "class"], "stands for something else"),
        (["loss", "loss"], "stands for something else in the skeleton of a loss"),
        (["structure", "np"], "stands for something else in the skeleton of a structure"),
        (["loss", "focal"], "there is a loss 'focal'"),
        (["method", "adam"], "there is a method 'adam'"),
        (["claim"], "the following arguments are required: NAME"),
    ],
)
def test_a_skeleton_that_cannot_be_is_refused_and_nothing_is_written(words, said, tmp_path, clean, capsys):
    assert main(["new", *words, "--out", str(tmp_path / "new")]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not (tmp_path / "new").exists()


def test_what_was_used_is_cited(clean):
    def keys(thing):
        return re.findall(r"^@\w+{([\w-]+),", ufm.cite(thing), re.MULTILINE)

    assert keys(None) == ["ufm", "gk25"] and keys(skeletons) == ["ufm"]
    assert keys("petersen") == keys(ufm.structures.get("petersen")) == ["bannai84", "palais79"]
    assert keys("sign") == ["bernstein18"] and keys("focal") == keys(ufm.Problem(K=3, lam=0.1, loss="focal(2)").loss)
    run = ufm.minimize(ufm.Problem(K=3, lam=0.1, loss="focal(2)"), method="adam", rng=0, steps=2)
    assert keys(run) == ["ufm", "gk25", "lin17", "zhou22b", "kingma15"]
    assert keys(ufm.compare(ufm.Problem(K=3, lam=0.1), 0)) == ["ufm", "gk25"]
    assert keys(["zhu21", "gk25", ufm.Problem]) == ["zhu21", "gk25", "sml24"]


def test_without_theory_its_verbs_are_missed_by_name(monkeypatch):
    monkeypatch.setattr(families, "entry_points", lambda group: ())
    for name in ("verify", "claims", "figure", "cite"):
        monkeypatch.delitem(vars(ufm), name, raising=False)
        with pytest.raises(AttributeError, match=f"'{name}'; it comes with the package theory"):
            getattr(ufm, name)
    with pytest.raises(AttributeError, match="did you mean 'verify'"):
        ufm.verifi  # noqa: B018


LIGHT = """
    print(ufm.Problem(K=3, lam=0.1, loss="my_loss(0.5)").loss.name, *{"my_method"} & {*METHODS.members()})
    print(ufm.structures.get("my_structure").name, "my_certificate" in kinds(), "my_source" in SOURCES.members())
"""
THEORY = """
    print(ufm.verify("mine")["mine:my_claim"].verdict, ufm.cite("mine:my_claim")[:17])
    print(len(ufm.figure("my_figure", fast=True, fresh=True).axes))
"""


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (LIGHT, "my_loss(0.5) my_method my_structure True True"),
        pytest.param(THEORY, "supported @unpublished{mine 1", marks=pytest.mark.slow),
    ],
)
def test_a_package_contributes_through_its_entry_points(tmp_path, clean, asked, answer):
    """A tiny distribution, in a process of its own: entry points are read once."""
    skeletons(tmp_path)
    facts = tmp_path / "mine-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("""
[ufm.losses]
one = my_loss:MyLoss
[ufm.structures]
one = my_structure:MY_STRUCTURE
[ufm.methods]
all = my_method
lost = mine_absent
[ufm.certificates]
all = my_certificate
[ufm.sources]
all = my_source
[ufm.claims]
one = my_claim:MY_CLAIM
[ufm.figures]
all = my_figure
""")
    code = f"""
import warnings
import ufm
from ufm.certificates.kind import kinds
from ufm.landscapes.sources.source import SOURCES
from ufm.solvers.methods.method import METHODS
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    {asked.strip()}
    METHODS.members()
print(*{{str(w.message) for w in said if "absent" in str(w.message)}})
"""
    path = os.pathsep.join([str(tmp_path), str(Path(ufm.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert " ".join(done.stdout.split("\n")[:2]) == answer, done.stderr
    assert "ufm.methods: mine_absent cannot be loaded: ModuleNotFoundError" in done.stdout


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("", None, "from must name a Python file .* got ''"),
        ("absent.py", None, "absent.py"),
        ("raises.py", "1 / 0", "raises.py cannot be run: ZeroDivisionError: division by zero"),
        ("leaves.py", "raise SystemExit(0)", "leaves.py cannot be run: SystemExit: 0"),
        ("line.py", "x = (", "line.py cannot be run: SyntaxError"),
    ],
)
@pytest.mark.parametrize("verb", ["compare", "cite", "demo"])
def test_what_cannot_be_taken_up_is_one_line(tmp_path, clean, capsys, verb, path, text, said):
    if text is not None:
        (tmp_path / path).write_text(text)
    assert main([verb, f"--from={tmp_path / path if path else ''}"]) == 2
    captured = capsys.readouterr()
    assert not captured.out and captured.err.count("\n") == 1
    assert re.search(said, captured.err)


def test_a_file_that_asks_for_members_while_it_runs_is_run_once(tmp_path, clean, monkeypatch):
    file = tmp_path / "asks.py"
    file.write_text("from theory.registry import CLAIMS\nMANY = len(CLAIMS.members())\n" + CLAIM)
    monkeypatch.setenv(families.FROM, str(file))
    assert "nobody99:power" in [claim.id for claim in ufm.claims()]


def test_objects_of_a_contributed_class_go_to_workers_that_were_started_before(tmp_path, clean):
    """joblib keeps its processes from one call to the next; these have never heard of the file."""
    (tmp_path / "value.py").write_text(VALUE)
    with joblib.parallel_config("loky", n_jobs=2):
        assert sorted(unordered(abs, [-1, 2])) == [1, 2]
        ufm.use(tmp_path / "value.py")
        [module] = [module for name, module in sys.modules.items() if name.startswith("ufm.contributed.value")]
        found = sorted(unordered(module.twice, [module.Value(1), module.Value(2)], 2), key=lambda value: value.x)
    assert found == [module.Value(2), module.Value(4)]
    found = sorted(unordered(module.twice, [module.Value(1), module.Value(2)], 2), key=lambda value: value.x)
    assert found == [module.Value(2), module.Value(4)]


def test_what_was_written_with_a_contribution_says_that_it_needs_it(tmp_path, clean, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    skeletons(tmp_path / "own", "loss", "method", "certificate")
    (tmp_path / "s.toml").write_text('[grid]\nloss = ["my_loss", "ce"]\n[fixed]\nK = 3\nlam = 0.1\nstarts = 0\n')
    size = ["-K", "3", "--lam", "0.1"]
    commands = (
        ["basins", *size, "--loss", "my_loss(0.5)", "--starts", "2", "--out", "b.jsonl", "--save", "census.json"],
        ["basins", *size, "--method", "my_method", "--starts", "2", "--out", "m.jsonl"],
        ["solve", *size, "--loss", "my_loss", "--save", "point.npz"],
        ["certify", *size, "--what", "my_certificate", "--save", "proofs.json"],
        ["certify", "--check", "proofs.json"],
    )
    for words in commands:
        assert main([*words, "--from", "own"]) == 0, words
    ufm.landscape(ufm.Problem(K=3, lam=0.1, loss="my_loss"), 0).save("landscape.json")
    families.forget()
    capsys.readouterr()
    for words in (*commands[:3], commands[4]):
        assert main(words) == 2
        captured = capsys.readouterr()
        assert re.search(r"got (loss|method|kind)='my_\w+'.* --from FILE, ufm.use", captured.err)
        assert captured.err.count("\n") == 1 and not captured.out
    for file in ("census.json", "point.npz", "landscape.json"):
        with pytest.raises(ValueError, match=f"{file}.* got loss='my_loss'.* --from FILE"):
            ufm.load(file)
    assert main(["sweep", "s.toml", "--jobs", "1"]) == 1  # another process may know it: the row is not kept
    assert "got loss='my_loss'" in capsys.readouterr().out
    assert main(["sweep", "s.toml", "--jobs", "2", "--from", "own"]) == 0
    assert [row["problem"]["loss"] for row in ufm.sweep("s.toml", "s.jsonl").rows] == ["my_loss", "ce"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder with one file of each kind."""
    families.forget()
    return skeletons(tmp_path_factory.mktemp("own"))


CUBE = ["-K", "8", "-L", "3", "--lam", "1e-4"]
SMALL = ["-K", "3", "--lam", "0.1"]


@pytest.fixture
def said(own, clean, capsys):
    """What a verb prints, with the folder in use, where it succeeds."""

    def run(*words):
        assert main([*map(str, words), "--from", str(own)]) == 0, words
        return " ".join(capsys.readouterr().out.split())

    return run


def test_a_structure_of_a_folder_is_listed_named_followed_proved_and_drawn(own, clean, tmp_path, capsys):
    ufm.use(own / "my_structure.py")
    assert main(["compare", *CUBE, "--starts", "0", "--plot", str(tmp_path / "duel.png")]) == 0
    assert "my_structure" in capsys.readouterr().out and (tmp_path / "duel.png").stat().st_size > 1000
    problem = ufm.Problem(K=8, L=3, lam=1e-4)
    point = ufm.structures.my_structure(problem)
    assert ufm.identify(point).name == "my_structure" and ufm.classify(point).index == 2
    [row] = [row for row in ufm.compare(problem, 0, prove=False) if row.name == "my_structure"]
    assert row.rank == 3 and row.fun == pytest.approx(0.003921004334, abs=1e-12)
    atlas = ufm.landscape(problem, 0, max_idempotents=0)
    assert "my_structure" in [row.name for row in atlas]
    atlas.save(tmp_path / "atlas.json")
    assert ufm.load(tmp_path / "atlas.json")[1].name == atlas[1].name
    assert ufm.follow("my_structure", 1.1e-4, problem=problem).lam[-1] == pytest.approx(1.1e-4)
    assert ufm.plot.colour("my_structure") == ufm.structures.get("my_structure").colour


def test_a_loss_of_a_folder_is_taken_by_every_verb_about_a_problem(said):
    loss = ["--loss", "my_loss(0.5)", "--starts", "2"]
    assert "my_loss(0.5)" in said("compare", *SMALL, *loss)
    assert '"loss": "my_loss(0.5)"' in said("landscape", *SMALL, *loss, "--json")
    assert "2 converged" in said("solve", *SMALL, *loss) and "2 converged" in said("basins", *SMALL, *loss)
    assert "my_loss(1)" in said("compare", "--help")


def test_a_method_of_a_folder_goes_down_in_every_verb_that_descends(said, tmp_path):
    method = ["--method", "my_method", "--most", "0.5"]
    assert "2 converged" in said("solve", *SMALL, *method, "--starts", "2", "--plot", tmp_path / "runs.png")
    assert "descent by clipped gradients" in said("basins", *SMALL, *method, "--starts", "2")
    assert "my_method" in said("solve", "--help") and "norm to which a longer" in said("basins", "--help")


def test_a_kind_of_certificate_of_a_folder_is_made_and_checked_again(own, said, tmp_path, capsys):
    pytest.importorskip("flint")
    proofs = tmp_path / "proofs.json"
    assert "min F <= 1.0986123" in said("certify", *SMALL, "--what", "my_certificate,order", "--save", proofs)
    assert "stands: min F <= 1.0986123 (my_certificate)" in said("certify", "--check", proofs)
    assert "my_certificate" in said("certify", "--help")
    proofs.write_text(proofs.read_text().replace("1.0986123", "1.0986122"))
    assert main(["certify", "--check", str(proofs), "--from", str(own)]) == 1
    assert "FAILS" in capsys.readouterr().out


@pytest.mark.slow
def test_claims_and_figures_of_a_folder_run_in_two_processes_as_in_one(said, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "PATIENCE", 0.0)
    for jobs in ("1", "2"):
        assert "1 supported" in said("verify", "mine", "--jobs", jobs, "--resume", tmp_path / f"{jobs}.jsonl")
        said("figure", "my_figure", "--fast", "--fresh", "--jobs", jobs, "--out", tmp_path / f"{jobs}.png")
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_a_source_of_a_folder_adds_points_where_it_is_asked(said):
    deep = ["-K", "4", "-L", "2", "--lam", "0.02", "--starts", "0"]
    assert "my_source: Newton from 15 middles of two structures" in said("compare", *deep)
    problem = ufm.Problem(K=4, L=2, lam=0.02)
    for table in (ufm.compare(problem, 0, prove=False), ufm.landscape(problem, 0, max_idempotents=0)):
        found = {row.name for row in table if any("between" in how for how in row.sources)}
        assert "code(4)" in found and all(row.fun < 1.4 for row in table)


def test_claims_and_figures_of_a_folder_are_listed_and_audited(said):
    assert "mine:my_claim" in said("verify", "--list") and "my_figure" in said("figure", "--list")
    registry.audit(ufm.claims("mine"))
    assert "20 cases" in repr(ufm.verify("mine:my_claim", jobs=1)["mine:my_claim"])


def test_the_command_itself_takes_a_folder(own, tmp_path):
    """Once in a process of its own, with worker processes that start from it."""
    (tmp_path / "s.toml").write_text('[grid]\nloss = ["my_loss", "ce"]\n[fixed]\nK = 3\nlam = 0.1\nstarts = 0\n')
    code, out, err = command("sweep", tmp_path / "s.toml", "--jobs", "2", "--json", f"--from={own}")
    assert code == 0, err
    assert [row["result"]["winner"] for row in json.loads(out)["rows"]] == ["dnc", "dnc"]


def test_a_variable_that_names_no_file_is_said(own, clean, monkeypatch, capsys):
    monkeypatch.setenv(families.FROM, str(own / "absent.py"))
    assert main(["compare", *SMALL]) == 2
    assert re.fullmatch(r"ufm: error: UFM_FROM must name a Python file .*absent\.py'\.\n", capsys.readouterr().err)


@pytest.mark.slow
def test_dask_workers_take_a_folder(own, clean):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        ufm.use(own)
        loss = ufm.Problem(K=3, lam=0.1, loss="my_loss").loss
        assert list(unordered(repr, [loss])) == ["MyLoss(width=1.0)"]


def test_the_pre_commit_hooks_are_the_linters_that_the_tests_install():
    pinned = set(re.findall(r"(?:ruff|import-linter)==[\d.]+", (ROOT / "setup.cfg").read_text(encoding="utf-8")))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert len(pinned) == 2 and set(re.findall(r"[\w-]+==[\d.]+", hooks)) == pinned
    checks = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(f".venv/bin/{words}" in checks for words in ("lint-imports", "ruff check", "ruff format --check"))
    assert all(f"entry: {words}" in hooks for words in ("lint-imports", "ruff check", "ruff format --check"))


@pytest.mark.parametrize(
    "section", ["From the README", pytest.param("## Every kind", marks=pytest.mark.slow)], ids=["first", "all"]
)
def test_the_commands_of_the_page_work(section, tmp_path, clean, monkeypatch):
    pytest.importorskip("flint")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "howto" / "contribute.md").read_text(encoding="utf-8")
    block = re.search(r"```bash\n(.*?)```", page[page.index(section) :], re.DOTALL)
    commands = [shlex.split(line)[1:] for line in block[1].splitlines()]
    assert len(commands) >= 2
    for words in commands:
        assert main(words) == 0, words


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_skeleton_says_to_type_next_works(kind, tmp_path, clean, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["new", kind, "my_own"])
    lines = capsys.readouterr().out.split("next:\n")[1].splitlines()
    for line in lines:
        families.forget()
        assert main(shlex.split(line)[1:]) == 0, line
