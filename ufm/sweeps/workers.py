"""Worker processes: results as they are finished, and none of them outlives the run, however it ends.

A worker is a Python of its own that reads items from its standard input and writes results to its standard output
(`worker`); here a thread waits for each. Nothing else is shared, so that nothing is left to clean up: workers end when
they are told to, when their input ends, and when the process that started them is gone.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ufm.numerics import families
from ufm.sweeps.worker import pickler

DIED = (
    "a worker process died, killed or out of memory; the same command does the rest, where memory is short with fewer"
    " --jobs"
)
THREADS = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
CODE = "import sys; sys.path[:] = {!r}; from ufm.sweeps.worker import main; main({})"


class WorkerDied(ChildProcessError):
    """A worker process ended before its work; the message is one sentence."""

    def __init__(self):
        super().__init__(f"{DIED}.")


def unordered(function: Callable, items: Iterable, jobs: int | None = None) -> Generator:
    """function(item) of every item, each as it is finished, in `jobs` processes (default: the cores) of one BLAS thread
    each.

    Inside `joblib.parallel_config(...)` its backend is used. What a function raises is raised here. Closing the
    iterator, or an exception, ends the processes at once. Ctrl-C reaches this process alone. Raises WorkerDied where a
    process ends by itself.
    """
    if _chosen():
        import joblib

        try:
            yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(
                joblib.delayed(_call)(Carried((function, item))) for item in items
            )
        except concurrent.futures.BrokenExecutor:
            raise WorkerDied from None
        return
    crew = _Crew(function, items)
    try:
        crew.start(jobs or cores())
        yield from crew.results()
    finally:
        crew.end()


def _call(carried: Carried):
    function, item = carried.value
    return function(item)


@dataclass(frozen=True)
class Carried:
    """A value that travels with the files in use, which are taken up before it is read: a process that was started
    earlier, or on another machine, knows the contributions too."""

    value: Any

    def __reduce__(self):
        return _unpacked, (families.used(), pickler().dumps(self.value))


def _unpacked(paths: tuple[str, ...], content: bytes) -> Carried:
    for path in paths:
        families.use(path)
    return Carried(pickler().loads(content))


def _chosen() -> bool:
    """Whether a backend of joblib was chosen from outside."""
    from joblib.parallel import get_active_backend

    backend, jobs = get_active_backend()
    return type(backend).__name__ not in ("LokyBackend", "SequentialBackend", "ThreadingBackend") or (jobs or 1) != 1


def cores() -> int:
    """Processors this process may use."""
    import joblib

    return joblib.cpu_count()


class _Crew:
    """Workers, a thread waiting for each, and the queue of what they answered."""

    def __init__(self, function: Callable, items: Iterable):
        self.function, self.items, self.lock = function, iter(items), threading.Lock()
        self.processes: list[subprocess.Popen] = []
        self.answers: queue.SimpleQueue = queue.SimpleQueue()

    def start(self, most: int) -> None:
        """As many workers as there are items, up to so many."""
        for _ in range(most):
            first = self._next()
            if first is None:
                return
            with _ctrl_c_held():  # what is started here never sees it
                code = CODE.format(sys.path, os.getpid())
                process = subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, **THREADS},
                    creationflags=_ALONE,
                )
                self.processes.append(process)
            threading.Thread(target=self._serve, args=(process, first), daemon=True).start()

    def results(self) -> Iterator:
        """Results as they come, until every worker has nothing left to do."""
        idle = 0
        while idle < len(self.processes):
            how, found = self.answers.get()
            if how == "result":
                yield found
            elif how == "error":
                raise found
            else:
                idle += 1

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _serve(self, process: subprocess.Popen, item: list | None) -> None:
        """Give a worker one item after the other; its last word is `idle`, or what went wrong."""
        from ufm.sweeps.worker import receive, send

        try:
            send(process.stdin, self.function)
            while item is not None:
                send(process.stdin, item[0])
                self.answers.put(receive(process.stdout))
                item = self._next()
            self.answers.put(("idle", None))
        except (EOFError, OSError):
            self.answers.put(("error", WorkerDied()))
        except BaseException as mistake:  # an item that cannot be sent, or an iterable that fails
            self.answers.put(("error", mistake))
        finally:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def _next(self) -> list | None:
        """[the next item], or None."""
        with self.lock:
            return next(([item] for item in self.items), None)


_ALONE: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""Where signals cannot be held, a group of its own keeps Ctrl-C from a process."""


@contextlib.contextmanager
def _ctrl_c_held():
    """Within: Ctrl-C waits, and processes started here are deaf to it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
