"""Ctrl-C and SIGTERM on the command line: the verb ends, says how far it came, and is gone within two seconds.

Both raise KeyboardInterrupt, which verbs turn into what they have so far. Two things would swallow or garble it: an
import, which is given a moment to end first, and a long computation outside Python, or one that does not listen; then
the process ends itself. Finished rows of stores are on disk by then, and worker processes end with the one that started
them.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time

PATIENCE, GRACE = 1.6, 0.7
"""Seconds from the first signal until the process ends itself, at any time and during an import."""
WAIT = 0.02
"""Seconds after which a signal that came during an import is sent again."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))


class Listening:
    """A context in which the signals raise KeyboardInterrupt; `code` is what the process should exit with. What ignores
    them goes on ignoring."""

    def __init__(self):
        self.came, self._since, self._before, self._timer = None, 0.0, {}, None

    @property
    def code(self) -> int:
        return 128 + (self.came or signal.SIGINT)

    def __enter__(self) -> Listening:
        if threading.current_thread() is threading.main_thread():
            atexit.unregister(_deaf)
            atexit.register(_deaf)
            for number in SIGNALS:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._timer is not None:
            self._timer.cancel()

    def _heard(self, number, frame) -> None:
        if self.came is None:
            self.came, self._since = number, time.monotonic()
            self._timer = _later(PATIENCE, self._give_up)
        if not _importing(frame):
            raise KeyboardInterrupt
        if time.monotonic() - self._since > GRACE:
            self._give_up("")
        _later(WAIT, lambda: _send(number))

    def _give_up(self, why: str = "; what was running did not stop in time, so its summary is left out") -> None:
        os.write(2, f"ufm: interrupted{why}\n".encode())
        os._exit(self.code)


def _deaf() -> None:
    """At the end of the process, when the verb has its exit code: no signal changes it any more."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _send(number: int) -> None:
    """The signal once more, to the main thread, which may be asleep."""
    thread = threading.main_thread().ident
    if thread is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, number)
    else:
        signal.raise_signal(number)


def _later(seconds: float, call) -> threading.Timer:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer


def _importing(frame) -> bool:
    """Whether a module is being imported: an exception there may be swallowed, or come out as another one."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def say_interrupted(how: str) -> None:
    """One line on standard error."""
    print(f"ufm: interrupted{' ' if how else ''}{' '.join(how.split())}", file=sys.stderr, flush=True)
