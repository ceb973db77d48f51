"""The command line as a whole: what it costs to start, how it greets, suggests, colours and completes."""

import json
import os
import re
import subprocess
import sys

import pytest

from ufm.cli import build, main
from ufm.cli.parser import verbs_of
from ufm.cli.writing import emphasised

ENTRY = [sys.executable, "-c", "import sys; from ufm.cli import main; sys.exit(main())"]


def test_the_command_line_starts_without_numpy():
    heavy = ("numpy", "scipy", "matplotlib", "cvxpy")
    code = (
        "import sys; from ufm.cli import main; [main(words) for words in ([], ['--help'], ['compare', '--lambda=1'])];"
        f" sys.exit(any(m in sys.modules for m in {heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_alone_it_shows_every_verb_with_one_example(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    known = verbs_of(build())
    assert {
        "compare",
        "solve",
        "landscape",
        "identify",
        "certify",
        "sweep",
        "basins",
        "verify",
        "figure",
        "cite",
        "demo",
    } <= set(known)
    for name in known:
        assert len(re.findall(rf"^ +\$ ufm {name}\b", shown, re.MULTILINE)) == 1, name
    assert "\033" not in shown


def test_examples_are_understood_by_the_parser_they_document():
    parser = build()
    for name, verb in verbs_of(parser).items():
        examples = [line.strip() for line in verb.epilog.splitlines()[1:]]
        assert examples, name
        for line in examples:
            words = line.replace("'", "").split()
            assert words[:2] == ["ufm", name]
            assert parser.parse_args(words[1:]).parser is verb


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compar"], "did you mean 'compare'?"),
        (["solv", "-K", "4"], "did you mean 'solve'?"),
        (
            ["compare", "-K", "4", "--lam", "0.1", "--strats", "3"],
            "ufm compare: error: unrecognized arguments: --strats; did you mean '--starts'?",
        ),
        (["basins", "-K", "4", "--lam", "0.1", "--metod=gd"], "did you mean '--method'?"),
        (["compare", "-K", "4", "--lam", "0.1", "--loss", "mze"], "Did you mean 'mse'?"),
        (["compare", "-K", "4", "--lam", "0.1", "--activation", "reul"], "Did you mean 'relu'?"),
        (["figure", "gk25-11"], "Did you mean 'gk25-1'?"),
        (["cite", "gk52"], "Did you mean 'gk25'?"),
    ],
)
def test_mistakes_are_one_line_that_suggests_the_nearest_name(capsys, words, said):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_a_name_near_nothing_gets_no_suggestion(capsys):
    assert main(["xyzzy"]) == 2
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_colours_only_where_they_are_wanted(setting, coloured):
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    said = subprocess.run(ENTRY, capture_output=True, text=True, check=True, env=clean | setting).stdout
    assert ("\033[" in said) == coloured


def test_json_is_never_coloured():
    words = ["compare", "-K", "3", "--lam", "0.1", "--starts", "0", "--json"]
    plain = subprocess.run(
        [*ENTRY, *words], capture_output=True, text=True, check=True, env=os.environ | {"FORCE_COLOR": "1"}
    ).stdout
    assert json.loads(plain)["winner"] == "dnc" and "\033" not in plain


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_sees_colours():
    host, terminal = os.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")} | {
        "TERM": "xterm"
    }
    subprocess.run(ENTRY, stdout=terminal, check=True, env=clean)
    assert b"\033[" in os.read(host, 10_000)
    os.close(host)
    os.close(terminal)


def test_colour_adds_marks_and_changes_no_word():
    text = "name  status\n------------\ndnc   local minimum\npairs strict saddle\nnot proved: x; proved: y\nunsupported"
    painted = emphasised(text)
    assert re.sub(r"\033\[\d*m", "", painted) == text
    assert "\033[1mname  status\033[0m" in painted and "\033[32mlocal minimum\033[0m" in painted
    assert "\033[31mnot proved\033[0m" in painted and painted.endswith("\nunsupported")


def test_the_shell_completes_verbs_and_options(tmp_path):
    pytest.importorskip("argcomplete")
    out = tmp_path / "said"
    setting = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_TYPE": "9",
    }
    for line, wanted in (("ufm comp", "compare"), ("ufm compare --sta", "--starts")):
        asked = setting | {"COMP_LINE": line, "COMP_POINT": str(len(line))}
        subprocess.run(ENTRY, check=False, env=os.environ | asked, capture_output=True)
        assert wanted in out.read_text().split("\n")[0], line
