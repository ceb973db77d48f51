"""Questions to the real solver, one at a time, each in a process of its own that ends when nobody waits, in a limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

from ufm.numerics import arguments
from ufm.numerics.records import plain

LIMITS = {"K": (2, 20), "n": (1, 50), "L": (1, 10), "d": (1, 40)}
"""What the page's sliders can ask; the rest is refused, so that no question takes long."""

WAITING, SECONDS = 4, 120.0
"""How many questions may wait for the one at work, and how long one may take."""

_TICK, HURRY = 0.1, 2.0
"""Seconds between two looks at who asked; seconds a full line is given to get shorter."""


class Busy(Exception):
    """Too many questions wait."""


class Late(Exception):
    """The question took longer than its limit."""


class Abandoned(Exception):
    """Who asked is gone."""


def answer(question) -> dict:
    """`ufm compare` of the problem {K, n, L, d, lam, loss} the page asks about, as its JSON.

    Raises ValueError naming what is missing, unknown or beyond the page's sliders.
    """
    from ufm.landscapes.compare import compare

    return plain(compare(read_question(question), starts=10, rng=0, progress=False).to_dict())


def read_question(question):
    """The Problem a question means, or a ValueError saying what is wrong with it."""
    from ufm.problem import Problem

    arguments.instance("question", question, dict)
    known = (*LIMITS, "lam", "loss")
    for key in question:
        arguments.choice("field", key, known)
    for key in known:
        if key not in question:
            raise ValueError(f"field {key} is missing; a question has {', '.join(known)}.")
    sizes: dict[str, Any] = {key: _within(key, question[key], *bounds) for key, bounds in LIMITS.items()}
    lam = arguments.positive("lam", question["lam"])
    if not 1e-8 <= lam <= 1e3:
        raise ValueError(f"lam must lie between 1e-8 and 1e3; got lam={lam!r}.")
    return Problem(lam=lam, loss=arguments.choice("loss", question["loss"], ("ce", "mse")), **sizes)


def _within(name: str, value, least: int, most: int) -> int:
    value = arguments.integer(name, value, least)
    if value > most:
        raise ValueError(f"{name} must be at most {most} here; got {name}={value}.")
    return value


class Desk:
    """Answers one question at a time. waiting: how many more may stand in line; seconds: how long one may take."""

    def __init__(self, waiting: int = WAITING, seconds: float = SECONDS):
        self.waiting, self.seconds, self.closed = waiting, seconds, False
        self._line, self._turn = threading.Semaphore(1 + waiting), threading.Lock()

    def ask(self, question, gone=lambda: False) -> dict:
        """The answer to a question that `read_question` accepts. gone(): whether who asked has left; looked at while
        waiting.

        Raises Busy when the line is full, Late beyond the limit, Abandoned when who asked has left or the desk is
        closed, RuntimeError with the solver's words when it failed.
        """
        self._enter(self._line, gone, HURRY)
        try:
            self._enter(self._turn, gone)
            try:
                return self.answer(question, gone)
            finally:
                self._turn.release()
        finally:
            self._line.release()

    def close(self) -> None:
        """End the question at work and send home those that wait."""
        self.closed = True

    def _enter(self, door, gone, patience: float = float("inf")) -> None:
        until = time.monotonic() + patience
        while not door.acquire(timeout=_TICK):
            self.look(gone)
            if time.monotonic() > until:
                raise Busy(f"{1 + self.waiting} questions are being answered already; ask again in a moment.")

    def look(self, gone) -> None:
        """Raises Abandoned where who asked has left or the desk is closed."""
        if self.closed or gone():
            raise Abandoned

    def answer(self, question, gone) -> dict:
        """The answer of the solver in a process of its own, for the question whose turn it is."""
        self.look(gone)
        code = "from ufm.demo.questions import child; child()"
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        words = [sys.executable, "-P", "-c", code, json.dumps(question), str(os.getpid())]
        quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, "PYTHONPATH": paths}}
        until = time.monotonic() + self.seconds
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, **quiet) as process:
            try:
                return _reply(self._heard(process, gone, until))
            finally:
                process.kill()

    def _heard(self, process, gone, until: float) -> str:
        while True:
            try:
                return process.communicate(timeout=_TICK)[0]
            except subprocess.TimeoutExpired:
                self.look(gone)
                if time.monotonic() > until:
                    raise Late(
                        f"the solver was ended after {self.seconds:g} s; `ufm compare` on the command line has no"
                        " limit."
                    ) from None


def _reply(text: str) -> dict:
    if not text.strip():
        raise RuntimeError("its process ended without an answer")
    reply = json.loads(text)
    if "failure" in reply:
        raise RuntimeError(reply["failure"])
    return reply["answer"]


def child() -> None:
    """What the process of one question does: argv holds the question and the process that asks. It ends when that one
    does."""
    question, parent = json.loads(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        words = json.dumps({"answer": answer(question)}, allow_nan=False)
    except Exception as failure:
        words = json.dumps({"failure": repr(failure)})
    print(words)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
