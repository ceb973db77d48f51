"""Files: written whole, where they are meant, and before nobody's eyes half; stores touch nothing that is not
theirs."""

import io
import json
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

from ufm import __version__
from ufm.cli import main
from ufm.landscapes.basins import basins
from ufm.numerics import rows as stores
from ufm.numerics.files import TEMPORARY, check_writable, write_atomically
from ufm.numerics.rows import Store, read
from ufm.problem import Problem
from ufm.sweeps import tasks
from ufm.sweeps.census import census
from ufm.sweeps.sweep import load, sweep

GRID = {"grid": {"K": [3, 4], "lam": [0.02]}, "fixed": {"L": 2}}
SMALL = Problem(K=3, L=2, lam=0.02)


def put(path, content, mode="wb"):
    write_atomically(path, lambda stream: stream.write(content), mode)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


# writing ---------------------------------------------------------------------------------------


def test_a_link_stays_a_link_and_its_file_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.txt").write_text("old")
    (tmp_path / "b.txt").symlink_to("there/a.txt")
    (tmp_path / "c.txt").symlink_to("b.txt")
    (tmp_path / "dangling.txt").symlink_to("there/new.txt")
    put(tmp_path / "c.txt", b"new")
    put(tmp_path / "dangling.txt", b"newer")
    assert (
        (tmp_path / "c.txt").is_symlink()
        and (tmp_path / "b.txt").is_symlink()
        and (tmp_path / "dangling.txt").is_symlink()
    )
    assert (tmp_path / "there" / "a.txt").read_text() == "new" and (
        tmp_path / "there" / "new.txt"
    ).read_text() == "newer"
    assert names(tmp_path) == ["b.txt", "c.txt", "dangling.txt", "there"] and names(tmp_path / "there") == [
        "a.txt",
        "new.txt",
    ]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_permissions_are_kept(tmp_path, mode):
    path = tmp_path / "a.txt"
    path.touch()
    path.chmod(mode)
    put(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode and path.read_text() == "new"


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "made").touch()
    put(tmp_path / "written", b"")
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "written").stat().st_mode


def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path):
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    write_atomically(path, lambda stream: np.savez(stream, x=np.arange(3)))
    reader.join()
    assert path.is_fifo() and np.load(io.BytesIO(got[0]))["x"].tolist() == [0, 1, 2] and names(tmp_path) == ["pipe"]


def test_standard_output_is_written_to_where_it_is(tmp_path):
    code = (
        "from ufm.numerics.files import write_atomically as w; print('one'); w('/dev/stdout', lambda s:"
        " s.write(b'two\\n')); print('three')"
    )
    for target in (subprocess.PIPE, open(tmp_path / "out.txt", "wb")):  # noqa: SIM115
        done = subprocess.run([sys.executable, "-c", code], stdout=target, check=True)
        text = done.stdout if target is subprocess.PIPE else (tmp_path / "out.txt").read_bytes()
        assert text == b"one\ntwo\nthree\n"
    target.close()
    put("/dev/null", b"nothing")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path):
    path = tmp_path / "a.npz"
    code = (
        "import os, sys; from ufm.numerics.files import write_atomically as w; w(sys.argv[1], lambda s:"
        " (s.write(b'half'), s.flush(), os.kill(os.getpid(), 9)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(TEMPORARY)
    others = [f".a.npz.backup{TEMPORARY}x", ".a.npz.swp", f".b.npz.0123{TEMPORARY}", "a.npz.tmp"]
    for name in others:
        (tmp_path / name).write_text("mine")
    with write_under_way(path) as held:
        put(path, b"whole")
        assert sorted([*others, "a.npz", held]) == names(tmp_path)
    assert sorted([*others, "a.npz"]) == names(tmp_path)


class write_under_way:
    """Another process that is writing the file."""

    def __init__(self, path):
        code = (
            "import sys; from ufm.numerics.files import write_atomically as w; w(sys.argv[1], lambda s: (s.write(b'h'),"
            " s.flush(), print(s.name), input()))"
        )
        code = code.replace("print(s.name)", "print('ready', flush=True)")
        self.path, self.process = (
            path,
            subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE),
        )

    def __enter__(self):
        self.process.stdout.readline()
        return next(p.name for p in self.path.parent.iterdir() if p.name.endswith(TEMPORARY) and p.read_bytes() == b"h")

    def __exit__(self, *_):
        self.process.communicate(b"\n")
        assert self.process.returncode == 0


@pytest.mark.parametrize("path", ["", "/", "/nowhere/a.txt", "/proc/a.txt", "x" * 300, "a\0b", "folder"])
def test_what_cannot_be_written_is_refused_before(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="argument --save: file"):
        check_writable(path, "argument --save: file")
    with pytest.raises(ValueError, match="file"):
        put(path, b"")
    assert names(tmp_path) == ["folder"]


VERBS = {
    "compare": ["--plot"],
    "solve": ["--plot", "--save"],
    "landscape": ["--plot", "--save"],
    "certify": ["--save"],
    "basins": ["--plot", "--save", "--out"],
}


@pytest.mark.parametrize(("verb", "option"), [(verb, option) for verb, options in VERBS.items() for option in options])
def test_verbs_refuse_unwritable_files_before_the_work(tmp_path, capsys, verb, option):
    for path in (tmp_path / "nowhere" / "f.png", tmp_path / "folder.png"):
        (tmp_path / "folder.png").mkdir(exist_ok=True)
        huge = ["-K", "200", "-L", "2", "--lam", "1e-5"]  # hours, were it to begin
        assert main([verb, *huge, option, str(path)]) == 2
        said = capsys.readouterr()
        assert option.strip("-") in said.err and str(path) in said.err and not said.out
    assert names(tmp_path) == ["folder.png"]


# stores ----------------------------------------------------------------------------------------

FOREIGN = {
    "text": b"hello\n",
    "unfinished": b"hello\nworld",
    "one line": b"a user's only copy",
    "picture": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00",
    "spec": b'verb = "compare"\n[grid]\nK = [3]\nlam = [0.02]',
    "json": b'{"a": 1}\n{"b": 2}',
    "list": b"[1, 2]",
    "own rows": b'{"key": "mine", "x": 1}\n{"key": "mi',
    "record": b'{"ufm": "verify"}\n{"key": "k", "claim": "c"}\n',
    "deep": b"[" * 100_000,
    "brace": b"{",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_is_no_store_stays_as_it_is(tmp_path, content, capsys):
    path, spec = tmp_path / "x.jsonl", tmp_path / "grid.toml"
    path.write_bytes(content)
    spec.write_bytes(FOREIGN["spec"])
    for call in (lambda: sweep(GRID, path), lambda: basins(SMALL, 5, 0, out=path), lambda: Store(path, "figure")):
        with pytest.raises(ValueError, match=r"x\.jsonl"):
            call()
    assert main(["sweep", str(spec), "--out", str(path)]) == 2
    assert main(["basins", "-K", "3", "--lam", ".02", "--out", str(path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all(line.startswith("ufm: error: ") and "x.jsonl" in line for line in said)
    assert path.read_bytes() == content and names(tmp_path) == ["grid.toml", "x.jsonl"]


def test_a_spec_is_not_its_own_store(tmp_path, capsys):
    spec = tmp_path / "grid.jsonl"
    spec.write_bytes(FOREIGN["spec"])
    assert main(["sweep", str(spec)]) == 2
    assert "not a store" in capsys.readouterr().err and spec.read_bytes() == FOREIGN["spec"]


def test_folders_and_pipes_are_no_stores(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "pipe"), (tmp_path, "folder"), ("/dev/null", "device")):
        for call in (lambda path=path: sweep(GRID, path), lambda path=path: basins(SMALL, 5, 0, out=path)):
            with pytest.raises(ValueError, match=f"is a {what}"):
                call()


def test_an_empty_file_and_a_link_to_a_store_are_stores(tmp_path):
    (tmp_path / "empty.jsonl").touch(0o600)
    (tmp_path / "empty.jsonl").chmod(0o600)
    (tmp_path / "link.jsonl").symlink_to("empty.jsonl")
    assert sweep(GRID, tmp_path / "link.jsonl", jobs=1).complete
    assert (tmp_path / "link.jsonl").is_symlink() and len(load(tmp_path / "empty.jsonl")) == 2
    assert stat.S_IMODE((tmp_path / "empty.jsonl").stat().st_mode) == 0o600


def test_only_a_torn_last_row_is_cut(tmp_path):
    path = tmp_path / "s.jsonl"
    with Store(path, "x") as store:
        store.add({"key": "a", "v": 1})
        store.add({"key": "b", "v": 2})
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):  # wherever a process dies, what is whole stays, and the file goes on
        path.write_bytes(whole[:cut])
        if 0 < cut <= len(b'{"ufm": "'):
            with pytest.raises(ValueError, match="not a store"):
                Store(path, "x")
            continue
        with Store(path, "x") as store:
            lines = whole[:cut].count(b"\n")
            assert len(store.rows) in (
                max(0, lines - 1),
                max(0, lines),
            )  # a row that lacks only its end of line is a row
            store.add({"key": "c"})
        assert [row["key"] for row in read(path)][-1] == "c" and path.read_bytes().endswith(b'{"key": "c"}\n')
        assert path.read_bytes().startswith(whole[: whole[:cut].rfind(b"\n") + 1])


def test_a_line_that_is_no_row_is_named(tmp_path):
    path = tmp_path / "s.jsonl"
    with Store(path, "sweep") as store:
        store.add({"key": "a"})
    whole = path.read_bytes()
    for line in (b"nonsense", b"[]", b'{"key": 3}', b"\xff", b"[" * 100_000):
        path.write_bytes(whole + line + b'\n{"key": "z"}\n')
        with pytest.raises(ValueError, match="line 3 is not a row"):
            Store(path, "sweep")
        with pytest.raises(ValueError, match="line 3 is not a row"):
            load(path)
        assert path.read_bytes() == whole + line + b'\n{"key": "z"}\n'


def test_damaged_fields_are_named(tmp_path):
    path = tmp_path / "s.jsonl"
    sweep(GRID, path, jobs=1)
    *head, last = path.read_text().splitlines()
    row = json.loads(last)
    for name, value in (("result", 3), ("ok", "yes"), ("problem", {"K": 9}), ("rng", None), ("settings", [])):
        path.write_text("\n".join([*head, json.dumps({**row, name: value}), ""]))
        with pytest.raises(ValueError, match=rf"s\.jsonl.*field '{name}'"):
            sweep(GRID, path, jobs=1)
    out = tmp_path / "b.jsonl"
    basins(SMALL, 5, 0, out=out)
    for name in ("which", "ends", "from", "to"):
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        spoilt = tmp_path / f"{name}.jsonl"
        lines[-1][name] = "x"
        spoilt.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.raises(ValueError, match=rf"{name}\.jsonl.*field '{name}'"):
            basins(SMALL, 5, 0, out=spoilt)


# versions, specs, fresh ------------------------------------------------------------------------


def test_rows_of_another_version_are_refused_and_kept(tmp_path, capsys, monkeypatch):
    path, spec = tmp_path / "runs.jsonl", tmp_path / "runs.toml"
    spec.write_bytes(FOREIGN["spec"])
    monkeypatch.setattr(stores, "__version__", "0.0.9")
    assert main(["sweep", str(spec), "--jobs", "1"]) == 0
    monkeypatch.undo()
    old = path.read_bytes()
    assert b"0.0.9" in old
    capsys.readouterr()
    assert main(["sweep", str(spec), "--jobs", "1"]) == 2
    said = capsys.readouterr().err
    assert "0.0.9" in said and __version__ in said and "--fresh" in said and path.read_bytes() == old
    for number, kept in enumerate(("runs.jsonl.bak", "runs.jsonl.bak2")):
        assert main(["sweep", str(spec), "--jobs", "1", "--fresh"]) == 0
        assert kept in capsys.readouterr().out and (tmp_path / "runs.jsonl.bak").read_bytes() == old
        assert (tmp_path / kept).exists() and __version__.encode() in path.read_bytes() and number < 2
    assert "versions" in repr(load(path, tmp_path / "runs.jsonl.bak"))


def test_basins_of_another_version_are_refused_and_kept(tmp_path, monkeypatch):
    path = tmp_path / "b.jsonl"
    monkeypatch.setattr(stores, "__version__", "0.0.9")
    basins(SMALL, 5, 0, out=path)
    monkeypatch.undo()
    old = path.read_bytes()
    with pytest.raises(ValueError, match=r"0\.0\.9.*--fresh"):
        basins(SMALL, 5, 0, out=path)
    census(SMALL, 5, 1, over={"lam": [0.01, 0.02]}, out=path, fresh=True)  # one file for both values, put aside once
    assert (tmp_path / "b.jsonl.bak").read_bytes() == old and names(tmp_path) == ["b.jsonl", "b.jsonl.bak"]
    assert len([row for row in read(path) if "run" in row]) == 2


def test_fresh_replaces_no_file_that_is_no_store(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("mine")
    for call in (lambda: sweep(GRID, path, fresh=True), lambda: basins(SMALL, 5, 0, out=path, fresh=True)):
        with pytest.raises(ValueError, match="not a store"):
            call()
    assert path.read_text() == "mine" and names(tmp_path) == ["x.jsonl"]


def test_a_store_says_what_else_is_in_it(tmp_path):
    path = tmp_path / "runs.jsonl"
    first = sweep(GRID, path, jobs=1)
    more = sweep({**GRID, "grid": {"K": [3, 4, 5], "lam": [0.02]}}, path, jobs=1)  # a larger grid takes over its rows
    assert not first.notes and not more.notes and len(more) == 3
    other = sweep({**GRID, "rng": 7}, path, jobs=1)
    assert len(other) == 2 and other.complete and "3 rows of 2 other specs" in repr(other)
    assert "rows of 3 specs" in repr(load(path)) and len(load(path)) == 5


def test_loading_knows_what_is_missing(tmp_path):
    whole = sweep(GRID, tmp_path / "all.jsonl", jobs=1)
    again = load(tmp_path / "all.jsonl")
    assert again.complete and again.spec == whole.spec and again.rows == whole.rows
    part = [sweep(GRID, tmp_path / "r.jsonl", shard=f"{i}/2", jobs=1).path for i in (1, 2)]
    assert load(*part[::-1]).rows == whole.rows and load(part[0]).complete
    lines = (tmp_path / "all.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "all.jsonl").write_bytes(b"".join(lines[:-1]))
    assert load(tmp_path / "all.jsonl").missing == 1


# cells that fail -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure", [MemoryError("no room"), OSError(28, "No space left on device"), ImportError("pip install x")]
)
@pytest.mark.parametrize("jobs", [1])
def test_what_failed_for_the_machines_reasons_is_tried_again(tmp_path, capsys, monkeypatch, failure, jobs):
    spec = tmp_path / "runs.toml"
    spec.write_text('verb = "solve"\n[grid]\nK = [3, 4]\nlam = [0.02]\n')

    def fails(problem, rng, **settings):
        if problem.K == 4:
            raise failure
        return {"fun": 1.0}

    monkeypatch.setitem(tasks.VERBS, "solve", tasks.Verb(fails, ()))
    assert main(["sweep", str(spec), "--jobs", str(jobs)]) == 1
    said = capsys.readouterr().out
    assert type(failure).__name__ in said and "1 failed" in said.splitlines()[-1] and "again" in said.splitlines()[-1]
    assert b"Error" not in (tmp_path / "runs.jsonl").read_bytes()
    monkeypatch.setitem(tasks.VERBS, "solve", tasks.Verb(lambda problem, rng, **settings: {"fun": 2.0}, ()))
    assert main(["sweep", str(spec), "--jobs", str(jobs), "--json"]) == 0
    assert [row["result"]["fun"] for row in json.loads(capsys.readouterr().out)["rows"]] == [1.0, 2.0]


def test_cells_that_are_no_problem_fail_for_good_and_the_exit_code_says_so(tmp_path, capsys):
    spec = tmp_path / "runs.toml"
    spec.write_text('verb = "compare"\n[grid]\nK = [3, 0]\nlam = [0.02]\n')
    for _ in range(2):
        assert main(["sweep", str(spec), "--jobs", "1"]) == 1
        assert "1 failed" in capsys.readouterr().out.splitlines()[-1]
    assert len(load(tmp_path / "runs.jsonl").failed) == 1


def test_no_room_for_one_run_is_no_result(monkeypatch):
    from ufm.solvers.runner import Chunk

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(Chunk, "run", full)
    with pytest.raises(MemoryError):
        basins(SMALL, 3, 0)


# stores that vanish ----------------------------------------------------------------------------


def test_a_deleted_store_is_written_again_and_that_is_said(tmp_path, monkeypatch):
    path, real = tmp_path / "runs.jsonl", tasks.row

    def deletes(cell):
        found = real(cell)
        if cell.problem["K"] == 4:
            path.unlink()
        return found

    monkeypatch.setattr("ufm.sweeps.sweep.row", deletes)
    done = sweep(GRID, path, jobs=1)
    assert done.complete and "deleted" in repr(done) and load(path).rows == done.rows


def test_a_store_whose_place_was_taken_is_kept_elsewhere(tmp_path):
    path = tmp_path / "s.jsonl"
    with pytest.raises(ValueError, match=r"replaced.*s\.jsonl\.kept"), Store(path, "x") as store:
        store.add({"key": "a"})
        path.unlink()
        path.write_text("mine")
        store.add({"key": "b"})
    assert path.read_text() == "mine" and [row["key"] for row in read(tmp_path / "s.jsonl.kept")] == ["a"]


def test_a_full_disk_leaves_whole_rows(tmp_path):
    import resource

    path = tmp_path / "s.jsonl"
    with Store(path, "x") as store:
        store.add({"key": "a"})
    size, limit = path.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store(path, "x") as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limit[1]))
        try:
            with pytest.raises(ValueError, match="cannot take another row"):
                store.add({"key": "b", "much": "x" * 1000})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert path.stat().st_size == size
        store.add({"key": "c"})
    assert [row["key"] for row in read(path)] == ["a", "c"]


# figures and checkpoints ------------------------------------------------------------------------


def test_a_figure_replaces_no_file_of_others_beside_its_picture(tmp_path):
    from theory.figures.figure import refuse_others_files

    picture = tmp_path / "data.png"
    refuse_others_files(picture, True)
    (tmp_path / "data.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"data\.csv.*would be replaced"):
        refuse_others_files(picture, True)
    refuse_others_files(picture, False)
    (tmp_path / "data.json").write_text('{"mine": 1}')
    for csv in (True, False):
        with pytest.raises(ValueError, match=r"data\.json.*would be replaced"):
            refuse_others_files(picture, csv)
    (tmp_path / "data.json").write_text('{"figure": "toy"}')
    refuse_others_files(picture, True)


def test_a_pipe_or_a_folder_is_no_record_of_claims(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        assert main(["verify", "gk25:thm1", "--resume", str(path)]) == 2
        assert str(path) in capsys.readouterr().err


def test_a_file_of_blocks_says_what_else_is_in_it(tmp_path):
    path = tmp_path / "b.jsonl"
    assert not basins(SMALL, 4, 0, out=path).note
    other = basins(SMALL, 4, 0, method="gd", steps=5, out=path)
    assert other.starts == 4 and "1 other problem or settings" in repr(other)
