"""Two thousand random command lines: no traceback, no work before a refusal, refusals in one line, JSON alone on
standard output."""

import collections
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings

import fuzzing
import pytest

from ufm.cli import build, main

PATIENCE = 2.0
"""Seconds after which a line counts as understood: it is working."""
ENTRY = [sys.executable, "-c", "import sys; from ufm.cli import main; sys.exit(main())"]


class Enough(BaseException):
    """The line has worked long enough."""


def _enough(*_):
    raise Enough


def run(words: list[str]) -> tuple[int | None, str, str, float]:
    """(exit code, standard output, standard error, processor seconds) of one line; the code is None where it was still
    working."""
    out, err, began, code = io.StringIO(), io.StringIO(), time.process_time(), None
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, 0.5)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Enough:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return code, out.getvalue(), err.getvalue(), time.process_time() - began


def objection(words: list[str], code, out: str, err: str, written: set) -> str:
    """What is wrong with how a line ended; empty where nothing is."""
    if code not in (None, 0, 1, 2, 3):
        return f"exit code {code}"
    if "Traceback" in err or "Warning" in err:
        return f"says {err[-300:]!r}"
    if code == 2 and (out or not err.endswith("\n") or err.count("\n") != 1 or len(err) > 1000):
        return f"refuses by {len(out)} characters on standard output and {err[:400]!r}"
    if code == 2 and written:
        return f"refuses and has written {written}"
    if code in (0, 1, 3) and "--json" in words and not {"-h", "--help", "--version"} & set(words):
        try:
            assert isinstance(json.loads(out), dict)
        except (ValueError, AssertionError):
            return f"prints no JSON object: {out[:200]!r}"
    return ""


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("webbrowser.open", lambda *_: True)
    return folder, fuzzing.files(folder)


def restored(folder, keep):
    """Puts the folder back as it was."""
    if fuzzing.listing(folder) != fuzzing.listing(keep):
        for entry in os.scandir(folder):
            shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)
        shutil.copytree(keep, folder, dirs_exist_ok=True)


def endings(count: int, seed: int, place, tmp_path):
    """(words, code, processor seconds, objection) of so many lines."""
    folder, names = place
    keep = tmp_path / "keep"
    shutil.copytree(folder, keep)
    before = signal.signal(signal.SIGALRM, _enough)
    try:
        for words in fuzzing.command_lines(build(), names, seed, count):
            files = fuzzing.listing(folder)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("default")
                    code, out, err, seconds = run(words)
            except Exception:
                yield words, "traceback", 0.0, traceback.format_exc()[-1200:]
            else:
                written = {name for name, size in fuzzing.listing(folder).items() if files.get(name) != size}
                yield words, code, seconds, objection(words, code, out, err, written)
            restored(folder, keep)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
def test_two_thousand_random_command_lines_end_in_an_answer_or_one_line(place, tmp_path):
    for verb in ("compare", "solve", "landscape", "basins"):  # what is imported once is no work
        main([verb, "-K", "3", "--lam", "0.1", "--starts", "1"])
    for words in (["certify", "-K", "3", "--lam", "0.1"], ["verify", "--list"], ["figure", "--list"]):
        main(words)
    bad, codes, refusals = [], collections.Counter(), []
    for words, code, seconds, why in endings(2000, 1, place, tmp_path):
        codes[code] += 1
        refusals += [(seconds, words)] if code == 2 else []
        bad += [(words, why)] if why else []
    print(f"exit codes {dict(codes)}, slowest refusal {max(refusals)[0]:.2f} s")
    assert not bad, f"{len(bad)} lines: {bad[:5]}"
    assert max(refusals)[0] < PATIENCE / 2, max(refusals)
    assert codes[2] > 500 and codes[0] > 100


@pytest.mark.slow
def test_some_hundred_lines_as_processes_of_their_own(place, tmp_path):
    folder, names = place
    bad = []
    for words in fuzzing.command_lines(build(), names, 2, 200):
        if any("\0" in word for word in words) or words[:1] == ["demo"]:
            continue
        files = fuzzing.listing(folder)
        try:
            encoded = [word.encode("utf-8", "surrogateescape") for word in words]
            ended = subprocess.run([*ENTRY, *encoded], capture_output=True, check=False, timeout=20)
        except subprocess.TimeoutExpired:
            continue
        written = {name for name, size in fuzzing.listing(folder).items() if files.get(name) != size}
        why = objection(words, ended.returncode, ended.stdout.decode(), ended.stderr.decode(), written)
        bad += [(words, why)] if why else []
    assert not bad, f"{len(bad)} lines: {bad[:5]}"
