"""What is too large, nested too deeply or cannot be answered is refused by a sentence before any work."""

import os
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import ufm
from ufm.certificates.global_bound import lower_bound
from ufm.cli import main
from ufm.numerics.arithmetic import evaluate, exact, number

ENTRY = [sys.executable, "-c", "import sys; from ufm.cli import main; sys.exit(main())"]
SMALL = ["-K", "3", "--lam", "0.1"]
SMOOTH = ufm.Problem(K=4, L=2, lam=0.01)


def refused(capsys, words: list[str]) -> str:
    """What the command line says when it refuses: one line, exit code 2, and nothing on standard output."""
    assert main(words) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1, said
    return said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["compare", "-K", "100000", "--lam", "0.1"],
            "100000 x 100000 numbers, 74.5 GiB; at most 1 GiB is allowed: take fewer classes",
        ),
        (["landscape", "-K", "10**9", "--lam", "0.1"], "K=1000000000 is too large"),
        (["compare", *SMALL, "-n", "10**20"], "n must be at most"),
        (["compare", *SMALL, "-n", "1,2,10**17"], "n must be at most"),
        (["compare", *SMALL, "-L", "1e12"], "L must be at most 100000"),
        (["compare", *SMALL, "-L", "1e300"], "L must be at most 100000"),
        (["compare", *SMALL, "-d", "1e300"], "d must be at most"),
        (["compare", *SMALL, "--starts", "1e12"], "starts must be at most 10000000"),
        (["landscape", *SMALL, "--starts", "1e12"], "starts must be at most"),
        (["basins", *SMALL, "--starts", "1e12"], "starts must be at most"),
        (["solve", *SMALL, "--starts", "1e12"], "starts must be at most"),
        (["solve", *SMALL, "--method", "gd", "-n", "1e12"], "numbers"),
        (["solve", *SMALL, "--method", "gd", "-d", "1e12"], "space='reduced'"),
        (["solve", *SMALL, "--method", "gd", "-L", "3", "-d", "30000"], "space='reduced'"),
        (["compare", "-K", "3", "--lam", "0.1+1e-99999999"], "exponent beyond"),
        (["certify", "-K", "3", "--lam", "0.1+1e-99999999"], "exponent beyond"),
        (["compare", "-K", "3", "--lam", "10**10**10"], "is not a number"),
        (["compare", "-K", "3", "--lam", "(" * 500 + "1" + ")" * 500], "is not a number"),
        (["compare", "-K", "3", "--lam", "-" * 100_000 + "1"], ""),
        (["compare", "-K", "3", "--lam", "9" * 100_000], "is too long"),
        (["compare", "-K", "3", "--lam", "1e-400"], "too small"),
        (["compare", *SMALL, "--bias=--"], "argument --bias: expected one argument"),
        (["verify", "gk25:thm1", "--K", "4:10**9"], "at most"),
        (["verify", "gk25:thm1", "--jobs", "1e9"], "jobs must be at most"),
        (["sweep", "none.toml", "--shard", "1/" + "9" * 5000], "shard"),
        (["demo", "--port", "1e9"], "port must be at most 65535"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_sizes_beyond_reason_are_refused_with_the_size_and_what_to_do(capsys, words, said):
    assert said in refused(capsys, words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "repeats = 10_000_000_000\n[grid]\nK = [3]\n[fixed]\nlam = 0.1",
            "at most 1000000 cells; the grid has 1 x 10000000000",
        ),
        (
            f"[grid]\nK = {list(range(3, 1100))}\nlam = {[0.1] * 1000}",
            "at most 1000000 cells; the grid has 1097 x 1000 x 1",
        ),
        ("[fixed]\nlam = " + "[" * 20_000 + "]" * 20_000, "cannot be read"),
        ("a = \udcff", "cannot be read"),
        ("[grid]\nK = 3", "grid.K must be a list"),
        ("seed = 3\n[grid]\nK = [3]", "Did you mean 'rng'?"),
    ],
)
def test_specs_beyond_reason_are_refused(capsys, tmp_path, text, said):
    spec = tmp_path / "grid.toml"
    spec.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert said in refused(capsys, ["sweep", str(spec)])
    assert os.listdir(tmp_path) == ["grid.toml"]


@pytest.mark.parametrize(
    "call",
    [
        lambda: ufm.Problem(K=100_000, lam=0.1),
        lambda: ufm.Problem(K=3, n=10**20, lam=0.1),
        lambda: ufm.Problem(K=3, L=10**12, lam=0.1),
        lambda: ufm.compare(ufm.Problem(K=3, lam=0.1), 10**12),
        lambda: ufm.minimize(ufm.Problem(K=3, lam=0.1, n=10**12), method="gd"),
        lambda: ufm.multistart(ufm.Problem(K=3, lam=0.1), 10**9),
        lambda: ufm.phase_diagram([3], [1], grid=10**12),
        lambda: ufm.path(ufm.structures.dnc(SMOOTH), ufm.structures.pairs(SMOOTH), images=10**7),
        lambda: ufm.Problem(K=3, n=10**12, lam=0.1).samples,
        lambda: ufm.Problem(K=3, n=10**12, lam=0.1).labels,
        lambda: ufm.sweep({"grid": {"K": [3]}, "fixed": {"lam": 0.1}, "repeats": 10**9}),
    ],
)
def test_python_refuses_the_same(call):
    with pytest.raises(ValueError, match=r"at most|must be"):
        call()


@pytest.mark.parametrize(
    "problem",
    [
        ufm.Problem(K=4, n=10**12, L=2, lam=1e-3),
        ufm.Problem(K=4, d=10**12, L=2, lam=0.01),
        ufm.Problem(K=4, L=3000, lam=1e-4),
    ],
)
def test_large_sizes_that_cost_nothing_are_welcome(problem):
    assert ufm.compare(problem, 0).winner.fun <= np.log(4)


def test_the_lower_bound_survives_depths_at_which_its_range_leaves_float64():
    for lam in (1e-4, 0.1, 1.0):
        for L in (1000, 100_000):
            problem = ufm.Problem(K=4, L=L, lam=lam)
            assert 0 <= lower_bound(problem) <= np.log(4)


@pytest.mark.parametrize(
    "text",
    [
        "1e-99999999",
        "0.1+1e-99999999",
        "2**1e9",
        "(1+1e-9)**1e12",
        "2**(1e300*1e300)",
        "1/2**(1e300*1e300)",
        "9" * 5000,
    ],
)
def test_exact_arithmetic_ends(text):
    from fractions import Fraction

    with pytest.raises(ValueError, match=r"exponent|power|not a number|too long"):
        evaluate(text, Fraction)
    with pytest.raises(ValueError, match=r"exact number|exponent"):
        exact(text)


def test_numbers_that_are_read_stay_exact():
    from fractions import Fraction

    assert (
        evaluate("2**-1074", Fraction) == Fraction(1, 2**1074)
        and exact("-12.50e-3") == Fraction(-1, 80)
        and exact("2/6") == Fraction(1, 3)
    )
    assert number("5e-324") == 5e-324 and number("0e5") == 0 and number("0.0") == 0


def test_hostile_numbers_in_certificates_are_objections_and_cost_nothing():
    pytest.importorskip("flint")
    proofs = list(ufm.certify(ufm.Problem(K=3, L=2, lam=0.1), ["order", "critical"]))
    assert {"order", "critical"} <= {proof.kind for proof in proofs}
    for proof in proofs:
        for hostile in ("1e-999999999", "0.1+1e-99999999", "2**10**10", "(" * 3000, "9" * 100_000):
            damaged = replace(proof, data=_everywhere(proof.data, hostile))
            assert damaged.signed().objection()


def _everywhere(value, text: str):
    """The value with every text in it replaced but for words."""
    if isinstance(value, dict):
        return {key: _everywhere(inner, text) for key, inner in value.items()}
    if isinstance(value, list):
        return [_everywhere(inner, text) for inner in value]
    return text if isinstance(value, str) and not value.isidentifier() else value


def test_memory_and_depth_are_sentences(capsys, monkeypatch):
    for failure, said in (
        (MemoryError("Unable to allocate 7 TiB"), "out of memory (Unable to allocate 7 TiB)"),
        (RecursionError(), "nested too deeply"),
    ):

        def fail(*_, failure=failure, **__):
            raise failure

        monkeypatch.setattr("ufm.landscapes.compare.compare", fail)
        assert said in refused(capsys, ["compare", *SMALL])


def test_a_busy_port_is_named(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(capsys, ["demo", "--no-browser", "--port", str(port)])
    assert f"port {port} of 127.0.0.1" in said and "--port" in said


def test_an_answer_nobody_can_read_is_not_computed():
    words = ["compare", "-K", "30", "--lam", "1e-3", "-L", "3", "--starts", "100000"]
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *ENTRY, *words], capture_output=True, text=True, check=False, timeout=60
    )
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        gone = subprocess.run([*ENTRY, *words], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    for ended in (closed, gone):
        assert ended.returncode == 2 and "standard output is closed" in ended.stderr and ended.stderr.count("\n") == 1


def test_a_reader_who_leaves_early_costs_no_file(tmp_path):
    code = (
        "import sys; from ufm.cli import main, writing; show = writing.show\n"
        "import ufm.cli.landscape as verb; verb.show = lambda value: [show('x' * 200_000) for _ in range(3)]\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["landscape", *SMALL, "--starts", "0", "--save", str(tmp_path / "points.json")]
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
    process.stderr.close()
    assert (tmp_path / "points.json").exists()
