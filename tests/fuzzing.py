"""Random command lines: verbs, options and values, sensible ones and nonsense, and a folder of files of every kind."""

from __future__ import annotations

import argparse
import json
import os
import random
import string
from pathlib import Path

import numpy as np

from ufm.cli.parser import verbs_of

SIZES = ["2", "3", "4", "5", "7"]
SENSIBLE = {
    "-K": SIZES,
    "--K": ["2:4", "3", "3,4"],
    "-n": ["1", "2", "3,2,1", "10**6"],
    "--n": ["1", "1,2"],
    "-d": ["3", "5", "2", "4,5"],
    "--d": ["3", "4,5"],
    "-L": ["1", "2", "3"],
    "--L": ["1:3", "2"],
    "--lam": ["0.1", "2**-10", "1e-3", "0.02,0.03", "1/75", "1e-8", "5", "0.3,0.1,0.2"],
    "--loss": ["ce", "mse", "label_smoothing(0.1)", "focal(2)"],
    "--activation": ["linear", "relu", "leaky_relu(0.1)", "tanh"],
    "--bias": ["0", "0.1", "1e-3"],
    "--starts": ["0", "1", "2"],
    "--rng": ["0", "7", "2**60"],
    "--method": ["lbfgs", "newton", "gd", "flow", "adam"],
    "--space": ["factors", "reduced"],
    "--tol": ["1e-9", "0.02", "1e-12"],
    "--scale": ["0.5", "1"],
    "--lr": ["0.5", "0.01"],
    "--momentum": ["0.9", "0"],
    "--batch": ["2"],
    "--steps": ["50", "200"],
    "--max-steps": ["20", "100"],
    "--time": ["10"],
    "--over": ["d=3,4", "lam=0.1,0.2", "method=lbfgs,gd", "scale=1,2"],
    "--by": ["name", "rank"],
    "--what": ["order", "critical", "global,bound", "completeness"],
    "--group": ["V_4", "S_3", "D_5"],
    "--shard": ["1/1", "2/3"],
    "--jobs": ["1"],
    "--set": ["K=3", "L=1,2"],
    "--port": ["0"],
}
WORDS = {
    "claim": ["gk25:thm1", "gk25:lemma1", "lj22", "gk25:thm*", "related:zhu21-benign"],
    "key": ["gk25", "lj22", "gk25:thm1"],
    "id": ["gk25-1", "gk25-2", "ufm-map"],
}
NONSENSE = [
    *(
        "",
        " ",
        "0",
        "-1",
        "1.5",
        "1e12",
        "10**20",
        "1e300",
        "1e400",
        "1e-400",
        "nan",
        "inf",
        "-inf",
        "None",
        "True",
        "two",
        "1,",
        ",",
        ",,",
        "1,2,3,4,5,6,7,8,9",
    ),
    *(
        "1j",
        "1/0",
        "2**-1e9",
        "10**10**10",
        "0.1+1e-99999999",
        "(1",
        "((((1))))",
        "1 2",
        "1;2",
        "__import__('os')",
        "0x10",
        "1_000",
        "٣",
        "½",
        "€",
        "\udcff",
    ),
    *(
        "x" * 300,
        "9" * 5000,
        "(" * 400 + "1" + ")" * 400,
        "-" * 300 + "1",
        "d=",
        "=3",
        "d=x",
        "K=3",
        "lam=0",
        "ce(",
        "focal(-1)",
        "focal(nan)",
        "leaky_relu(9e999)",
    ),
    *(
        "label_smoothing(1)",
        "label_smoothing(2)",
        "cross_entropy",
        "CE",
        "sgd",
        "ReLU",
        "1/2/3",
        "0/1",
        "5/2",
        "4:",
        ":4",
        "4:2",
        "1:10**9",
        "1:2:0",
        "--",
        "-",
        "@x",
        "*",
        "gk25:*:*",
    ),
    *(
        "a/b/c",
        "100000",
        "65536",
        "2**31",
        "2**63",
        "2**64",
        "1e-30",
        "1e-300",
        "3.0",
        "1e0",
        "\n",
        "\t1",
        "1\n",
        "a=b=c",
        "../..",
        "[1]",
        "{}",
        "'",
        '"',
    ),
]


def files(folder: Path) -> list[str]:
    """Good files, damaged ones, and files of other kinds, written into the folder; their names and some that are no
    files."""
    rng = np.random.default_rng(0)
    np.savez(folder / "logits.npz", Z=np.eye(3))
    np.savez(
        folder / "features.npz",
        features=rng.standard_normal((6, 4)),
        weights=rng.standard_normal((3, 4)),
        labels=[0, 0, 1, 1, 2, 2],
    )
    np.savez(folder / "other.npz", a=np.ones(3))
    np.save(folder / "Z.npy", np.eye(3))
    (folder / "half.npz").write_bytes((folder / "features.npz").read_bytes()[:200])
    (folder / "empty").write_bytes(b"")
    (folder / "noise.bin").write_bytes(rng.bytes(500))
    (folder / "text.txt").write_text("words\nand words\n")
    (folder / "list.json").write_text("[1, 2]")
    (folder / "deep.json").write_text("[" * 50_000)
    (folder / "proofs.json").write_text(json.dumps({"certificates": [{"kind": "order", "statement": "x"}]}))
    (folder / "grid.toml").write_text('verb = "compare"\n[grid]\nK = [3]\nlam = [0.1, "2**-8"]\n')
    (folder / "bad.toml").write_text("[grid]\nK = []\n")
    (folder / "seed.toml").write_text("seed = 1\n[grid]\nK = [3]\nlam = [0.1]\n")
    (folder / "huge.toml").write_text("repeats = 1000000000\n[grid]\nK = [3]\n[fixed]\nlam = 0.1\n")
    (folder / "deep.toml").write_text("a = " + "[" * 5000)
    (folder / "rows.jsonl").write_text('{"key": "a"}\n')
    (folder / "folder").mkdir()
    return [
        *(path.name for path in sorted(folder.iterdir())),
        "missing.json",
        "no/such/folder.png",
        "folder/",
        "",
        "new.png",
        "new.pdf",
        "new.json",
        "new.html",
        "new.jsonl",
    ]


def command_lines(parser, names: list[str], seed: int, count: int):
    """So many argument lists, equal for equal seeds."""
    draw = random.Random(seed)
    verbs = verbs_of(parser)
    for _ in range(count):
        yield _line(draw, verbs, names)


def _line(draw: random.Random, verbs: dict, names: list[str]) -> list[str]:
    if draw.random() < 0.02:
        return [_junk(draw) for _ in range(draw.randrange(4))]
    verb = draw.choice(list(verbs))
    line = [verb if draw.random() > 0.01 else verb[:-1]]
    chosen = [action for action in verbs[verb]._actions if draw.random() < _chance(action)]
    spoiled = draw.sample(chosen, min(len(chosen), draw.choices((0, 1, 2), (4, 5, 1))[0]))
    for action in chosen:
        value = (
            draw.choice(NONSENSE)
            if action in spoiled and draw.random() < 0.8
            else _junk(draw)
            if action in spoiled
            else _value(draw, action, names)
        )
        name = (action.option_strings or [""])[-1]
        if not name:
            line.append(value)
        elif action.nargs == 0:
            line.append(name)
        else:
            line += [f"{name}={value}"] if draw.random() < 0.3 and name.startswith("--") else [name, value]
    if draw.random() < 0.05:
        line.insert(
            draw.randrange(1, len(line) + 1),
            draw.choice(["--seed", "--json=1", "--", "-x", "--random-state=3", "-lam", _junk(draw), "-h"]),
        )
    if verb in ("sweep", "verify", "figure") and not any(word.startswith("--jobs") for word in line):
        line += ["--jobs", "1"]
    return line


def _chance(action) -> float:
    """How often an option is given: what a verb needs nearly always, the rest now and then."""
    if isinstance(action, argparse._HelpAction):
        return 0.005
    return 0.97 if action.required or action.dest in ("K", "lam") or not action.option_strings else 0.12


def _value(draw: random.Random, action, names: list[str]) -> str:
    if action.metavar in ("FILE", "SPEC", "FOLDER"):
        return draw.choice(names)
    name = (action.option_strings or [action.dest])[-1]
    return draw.choice(SENSIBLE.get(name) or WORDS.get(action.dest) or NONSENSE)


def _junk(draw: random.Random) -> str:
    return "".join(draw.choice(string.printable + "éß∞\u202e") for _ in range(draw.randrange(1, 12)))


def listing(folder) -> dict[str, int]:
    """Every file below a folder with its size."""
    return {
        os.path.join(at, name): os.path.getsize(os.path.join(at, name))
        for at, _, found in os.walk(folder)
        for name in found
    }
